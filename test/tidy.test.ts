// The rules of the house that no compiler knows. Each failure names the file and the rule.

import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../src/core/errors.ts'
import { findCycles, importsOf, reachableFrom } from './tidy/import-graph.ts'
import { refuse } from './tidy/layers.ts'
import { brokenLinks } from './tidy/links.ts'
import { listFiles, readSource, type SourceFile, takeApart } from './tidy/source-files.ts'

const files = ['src', 'test', 'bench', 'scripts', 'examples'].flatMap((folder) => listFiles(folder, '.ts')).map(readSource)
const isTest = ({ path }: SourceFile) => path.endsWith('.test.ts')
const within = (folder: string) => files.filter(({ path }) => path.startsWith(`${folder}/`))
const production = within('src').filter((file) => !isTest(file))
const imports = files.flatMap(importsOf)

/** Error codes that no test makes happen. Kept empty. */
const PENDING_ERRORS: readonly string[] = []

/** Words for which we have another, in names; and where they belong to a system that we talk to. */
const BANNED_WORDS: Record<string, { say: string; allowedIn?: readonly string[] }> = {
  destination: { say: 'target' },
  sink: { say: 'target', allowedIn: ['src/connectors/kafka/'] },
  checkpoint: { say: 'watermark or position' },
  bookmark: { say: 'watermark or position' },
  job: { say: 'pipeline or run' },
  mirror: { say: 'pipeline' },
  shard: { say: 'partition' },
  disposition: { say: 'write strategy' },
  batch: { say: 'chunk or slice', allowedIn: ['src/connectors/kafka/'] },
  lsn: { say: 'position', allowedIn: ['src/connectors/postgres/', 'src/formats/', 'src/connectors/kafka/emission-guard.ts'] },
}

const BANNED_FILES = /^(utils?|helpers?|common|manager|base|types|misc|index)$/

describe('layers', () => {
  test('imports point down', () => {
    const refused = imports.flatMap((one) => {
      const reason = refuse(one)
      return reason === null ? [] : [`${one.from} imports ${one.to}: ${reason}`]
    })
    expect(refused).toEqual([])
  })

  test('no import cycles, types included', () => {
    expect(findCycles(imports)).toEqual([])
  })

  test('every import of our own leads to a file', () => {
    const known = new Set(files.map(({ path }) => path))
    expect(imports.filter(({ own, to }) => own && to.endsWith('.ts') && !known.has(to))).toEqual([])
  })

  test('no dead files', () => {
    const entries = ['src/index.ts', 'src/cli/launcher.ts', 'src/cli/main.ts', 'src/connectors/registry.ts']
    const others = files.filter((file) => isTest(file) || /^(bench|scripts|examples)\//.test(file.path)).map(({ path }) => path)
    const reached = reachableFrom([...entries, ...others, 'test/servers/shared-servers.ts'], imports)
    expect(
      within('src')
        .map(({ path }) => path)
        .filter((path) => !reached.has(path)),
    ).toEqual([])
  })
})

describe('shape', () => {
  test('no file is longer than 500 lines', () => {
    expect(
      files.map(({ path, text }) => `${path}: ${text.split('\n').length - 1}`).filter((one) => Number(one.split(': ')[1]) > 500),
    ).toEqual([])
  })

  test('files are in kebab-case and named for what they hold', () => {
    const named = files.map(({ path }) => path).filter((path) => path !== 'src/index.ts')
    const bad = named.filter((path) => {
      const name = basename(path).replace(/(\.test|\.d|\.config)?\.ts$/, '')
      return BANNED_FILES.test(name) || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)
    })
    expect(bad).toEqual([])
  })

  test('one word per idea', () => {
    const used = production.flatMap(({ path, code }) =>
      [...new Set(code.match(/[A-Za-z_$][\w$]*/g))].flatMap((name) => {
        const words = name.split(/_|\$|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/).map((word) => word.toLowerCase())
        const banned = words
          .map((word) => word.replace(/e?s$/, ''))
          .concat(words)
          .find((word) => Object.hasOwn(BANNED_WORDS, word))
        const rule = banned === undefined ? undefined : BANNED_WORDS[banned]
        return rule && !rule.allowedIn?.some((folder) => path.startsWith(folder)) ? [`${path}: ${name}; say ${rule.say}`] : []
      }),
    )
    expect(used).toEqual([])
  })

  test('links in the documents lead somewhere', () => {
    expect(listFiles('.', '.md').flatMap(brokenLinks)).toEqual([])
  })
})

describe('promises', () => {
  test('core and formats read no clock, no chance and no environment', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.|\bprocess\.|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\b|\bcrypto\./
    const found = [...within('src/core'), ...within('src/formats')].filter((file) => !isTest(file) && impure.test(file.code))
    expect(found.map(({ path }) => path)).toEqual([])
  })

  test('only a commit writes a position', () => {
    const allowed = /^src\/(sql\/state-tables|connectors\/[^/]+\/state[^/]*)\.ts$/
    const writers = production.filter(
      ({ path, uncommented }) =>
        !path.startsWith('src/testing/') &&
        /pipeline_watermarks/.test(uncommented) &&
        /\b(INSERT INTO|UPDATE|MERGE INTO|DELETE FROM)\b/.test(uncommented),
    )
    expect(writers.map(({ path }) => path).filter((path) => !allowed.test(path))).toEqual([])
  })

  test('the engine names no database', () => {
    const names = /postgres|duckdb|snowflake|kafka|mysql|mariadb|sqlite|debezium|parquet|clickhouse|bigquery/i
    expect(
      within('src/engine')
        .filter((file) => !isTest(file) && names.test(file.uncommented))
        .map(({ path }) => path),
    ).toEqual([])
  })

  test('no test is left out', () => {
    const left = /\.(skip|only|todo|skipIf|runIf)\s*[(.]|\b(test|it)\.fails\b/
    expect(files.filter((file) => isTest(file) && left.test(file.code)).map(({ path }) => path)).toEqual([])
  })

  test('every error has a test that makes it happen', () => {
    const tests = files.filter(
      ({ path }) => (path.startsWith('test/') && !path.startsWith('test/tidy')) || /\.test\.ts$|^src\/testing\//.test(path),
    )
    const quoted = new Set(tests.flatMap(({ uncommented }) => uncommented.match(/(?<=['"`])[a-z]+(-[a-z]+)*(?=['"`])/g) ?? []))
    const missing = Object.keys(ERRORS).filter((code) => !quoted.has(code))
    const pending = missing.filter((code) => PENDING_ERRORS.includes(code))
    if (pending.length > 0) console.warn(`Errors without a test: ${pending.join(', ')}`)
    expect(missing.filter((code) => !PENDING_ERRORS.includes(code))).toEqual([])
    expect(PENDING_ERRORS.filter((code) => !Object.hasOwn(ERRORS, code))).toEqual([])
  })
})

describe('the rules themselves', () => {
  test('code, comments and strings are told apart', () => {
    const text = 'a /* b */ "c" // d\n`e ${f({ g: `h` })} i` + (/j\'[/]/) k / l / m'
    const { code, uncommented } = takeApart(text)
    expect(code.match(/[a-z]/g)?.join('')).toBe('afgklm')
    expect(uncommented.match(/[a-z]/g)?.join('')).toBe('acefghijklm')
    expect(code.length).toBe(text.length)
  })

  test.each([
    ['src/core/plan.ts', 'src/contract/source.ts', 'core may not import contract'],
    ['src/connectors/postgres/head.ts', 'src/connectors/duckdb/session.ts', 'connectors/postgres may not import connectors/duckdb'],
    ['src/connectors/registry.ts', 'src/connectors/duckdb/session.ts', null],
    ['src/cli/main.ts', 'src/connectors/duckdb/session.ts', 'cli may not import connectors/duckdb'],
    ['src/config/project.ts', 'src/connectors/registry.ts', null],
    ['src/engine/execute.ts', 'src/sql/dialect.ts', 'engine may not import sql'],
    ['src/core/plan.test.ts', 'src/engine/execute.ts', null],
  ])('%s importing %s: %s', (from, to, expected) => {
    expect(refuse({ from, to, own: true })).toBe(expected)
  })

  test('a knot is found once, however many start it', () => {
    const edge = (from: string, to: string) => ({ from, to, own: true })
    expect(findCycles([edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('d', 'a')])).toEqual(['a → b → c → a'])
    expect(findCycles([edge('a', 'b'), edge('a', 'c'), edge('b', 'd'), edge('c', 'd')])).toEqual([])
  })
})
