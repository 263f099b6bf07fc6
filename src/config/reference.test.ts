import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveReferences, withoutReferences } from './reference.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tidemark-reference-'))
  writeFileSync(join(directory, 'pw.txt'), 'hunter2\n')
  writeFileSync(join(directory, 'crlf.txt'), 'a\r\nb\r\n')
  writeFileSync(join(directory, 'two.txt'), 'a\n\n')
  writeFileSync(join(directory, 'empty.txt'), '\n')
  writeFileSync(join(directory, 'large.txt'), 'x'.repeat(1_048_577))
  mkdirSync(join(directory, 'folder'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const env = { USER_NAME: 'ada', EMPTY: '', TRICKY: '$& $1 ${env:USER_NAME}', SLASH: 'a/b', PLAIN: 'p%20w' }
const resolve = (text: string) => resolveReferences(text, { env, directory })

describe('resolveReferences', () => {
  it.each([
    ['plain', 'plain'],
    ['${env:USER_NAME}', 'ada'],
    ['x-${env:USER_NAME}-${env:USER_NAME}', 'x-ada-ada'],
    ['${file:pw.txt}', 'hunter2'],
    ['${file:./pw.txt}', 'hunter2'],
    ['${file:crlf.txt}', 'a\r\nb'],
    ['${file:two.txt}', 'a\n'],
    ['${env:TRICKY}', '$& $1 ${env:USER_NAME}'],
    ['$${env:USER_NAME}', '${env:USER_NAME}'],
    ['$$${env:USER_NAME}', '$${env:USER_NAME}'],
    ['$${file:x}', '${file:x}'],
    ['select $${a}$$, ${b}, {env:X}', 'select $${a}$$, ${b}, {env:X}'],
    ['postgres://u:${env:PLAIN}@h/d', 'postgres://u:p%20w@h/d'],
    ['postgres://h/${env:SLASH}', 'postgres://h/a/b'],
  ])('%s', (text, value) => {
    expect(resolve(text)).toMatchObject({ value, errors: [] })
  })

  it.each([
    ['${env:NO_SUCH}', 'environment variable NO_SUCH is not set'],
    ['${env:toString}', 'environment variable toString is not set'],
    ['${env:EMPTY}', 'environment variable EMPTY is empty'],
    ['${env:}', '${env:…} needs the name of an environment variable, not ""'],
    ['${env:A B}', '${env:…} needs the name of an environment variable, not "A B"'],
    ['${env:USER_NAME', '${env:… has no closing }'],
    ['${file:}', '${file:…} needs the path of a file'],
    ['${file:gone.txt}', 'file "gone.txt" can\'t be read: there is no such file'],
    ['${file:pw.txt/x}', 'file "pw.txt/x" can\'t be read: there is no such file'],
    ['${file:folder}', '"folder" is not a file'],
    ['${file:empty.txt}', 'file "empty.txt" is empty'],
    ['${file:large.txt}', 'file "large.txt" is larger than 1 MB'],
    ['postgres://u:${env:SLASH}@h/d', 'the value of ${env:SLASH} has characters with a meaning in a URL; give it as password: instead'],
  ])('%s is refused', (text, error) => {
    expect(resolve(text)).toEqual({ value: null, referenced: true, errors: [error] })
  })

  it('tells each reference that leads nowhere', () => {
    expect(resolve('${env:A1}${env:B1}').errors).toHaveLength(2)
  })

  it('puts any value in as it is, and says nothing of it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.stringMatching(/^[^${}]*$/), fc.stringMatching(/^[^${}:]*$/), (secret, before, after) => {
        const { value, referenced, errors } = resolveReferences(`${before}\${env:S}${after}`, { env: { S: secret }, directory })
        expect(referenced).toBe(true)
        if (errors.length === 0) expect(value).toBe(before + secret + after)
        else expect(errors).toEqual(['the value of ${env:S} has characters with a meaning in a URL; give it as password: instead'])
      }),
    )
  })

  it('leaves texts without references alone', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/\$\{(env|file):/.test(text))
        expect(resolve(text)).toEqual({ value: text, referenced: false, errors: [] })
      }),
    )
  })
})

describe('withoutReferences', () => {
  it.each([
    ['${env:A}', ''],
    ['a${file:b}c', 'ac'],
    ['$${env:A}', '$${env:A}'],
    ['plain', 'plain'],
  ])('%s', (text, rest) => {
    expect(withoutReferences(text)).toBe(rest)
  })
})
