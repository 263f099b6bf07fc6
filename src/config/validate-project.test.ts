import { expect, it } from 'vitest'
import type { LoadError } from '../core/errors.ts'
import { validateProject } from './validate-project.ts'

const good = {
  connections: { a: { type: 'memory' }, b: { type: 'duckdb', path: 'x.duckdb' } },
  pipelines: { p: { pattern: 'watermark', source: { connection: 'a', table: 't' }, target: { connection: 'b' }, cursor: 'c' } },
}

function refusal(raw: unknown): string {
  try {
    validateProject(raw, 'my project', { directory: '/srv', env: {} })
  } catch (error) {
    return (error as LoadError).message
  }
  return 'accepted'
}

it('accepts a plain object; paths start at its name', () => {
  const project = validateProject(good, 'load/project', { directory: '/srv', env: {} })
  expect(project.connections['b']?.options).toEqual({ path: '/srv/load/x.duckdb' })
  expect(project.pipelines).toHaveLength(1)
})

it('leaves out what is undefined', () => {
  expect(refusal({ ...good, defaults: undefined, pipelines: { p: { ...good.pipelines.p, where: undefined } } })).toBe('accepted')
})

const cyclic: Record<string, unknown> = {}
cyclic['a'] = cyclic

it.each([
  [{ ...good, pipelines: { p: { ...good.pipelines.p, cursr: 'c' } } }, 'my project pipelines.p.cursr: unknown key; did you mean "cursor"?'],
  [{ ...good, pipelines: { p: { ...good.pipelines.p, start: new Date() } } }, 'my project pipelines.p.start: write a date as text'],
  [
    { ...good, pipelines: { p: { ...good.pipelines.p, start: 2 ** 60 } } },
    'my project pipelines.p.start: this number is too large to be exact; write it as text',
  ],
  [
    { ...good, pipelines: { p: { ...good.pipelines.p, where: () => '' } } },
    'my project pipelines.p.where: a function has no place in a project',
  ],
  [
    { ...good, pipelines: { p: { ...good.pipelines.p, where: '${env:GONE}' } } },
    'my project pipelines.p.where: environment variable GONE is not set',
  ],
  [{ ...good, pipelines: new Map() }, 'my project pipelines: expected a plain object'],
  [{ connections: cyclic, pipelines: {} }, 'my project connections.a: contains itself'],
  [JSON.parse('{"connections":{"__proto__":{"type":"memory"}},"pipelines":{}}'), 'my project connections.__proto__: this key is refused'],
  [null, 'my project: has no value; expected a map'],
  [5, 'my project: expected a map, not a number'],
])('%# is refused', (raw, message) => {
  expect(refusal(raw)).toBe(message)
})
