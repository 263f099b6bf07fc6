// One wrong thing per case, and exactly what a person is told about it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LoadError } from '../core/errors.ts'
import { loadProject } from './load-project.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tidemark-bad-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const SECRET = 'canary-7Q'
const env = { SHOP_URL: `postgres://reader:${SECRET}@db.example/shop`, CANARY: SECRET }

const HEAD = `connections:
  shop: { type: postgres, url: "\${env:SHOP_URL}" }
  wh: { type: duckdb, path: ./wh.duckdb }
pipelines:
`
const GOOD = `${HEAD}  orders_etl:
    pattern: watermark
    source: { connection: shop, table: public.orders }
    target: { connection: wh, schema: main, table: orders }
    cursor: updated_at
`

async function failure(text: string | Uint8Array): Promise<LoadError> {
  writeFileSync(join(directory, 'tidemark.yml'), text)
  try {
    await loadProject(null, { directory, env })
  } catch (error) {
    if (error instanceof LoadError) return error
    throw error
  }
  throw new Error('the project was accepted')
}

async function problems(text: string | Uint8Array): Promise<string[]> {
  const error = await failure(text)
  expect(error.code).toBe('bad-project')
  expect(error.message).not.toContain(SECRET)
  return error.message.split('\n')
}

function pipeline(lines: string): string {
  return `${HEAD}  p:\n    pattern: watermark\n${lines.replaceAll(/^/gm, '    ')}\n`
}

const SIDES = 'source: { connection: shop, table: public.orders }\ntarget: { connection: wh }\n'
const STRATEGIES = 'merge, delete-insert, append, replace'

describe('the outline', () => {
  it.each([
    ['', ['tidemark.yml:1:1: has no value; expected a map']],
    ['# nothing\n', ['tidemark.yml:1:1: has no value; expected a map']],
    ['[]', ['tidemark.yml:1:1: expected a map, not a list']],
    ['hello', ['tidemark.yml:1:1: expected a map, not text']],
    ['connections: {}\n', ['tidemark.yml:1:1 pipelines: missing; expected a map']],
    ['connections: {}\npipelines:\n', ['tidemark.yml:2:1 pipelines: has no value; expected a map']],
    ['conections: {}\npipelines: {}\n', ['tidemark.yml:1:1 conections: unknown key; did you mean "connections"?']],
    ['connections: {}\npipelines: {}\nversion: 1\n', ['tidemark.yml:3:1 version: unknown key; allowed: connections, defaults, pipelines']],
    ['connections: []\npipelines: {}\n', ['tidemark.yml:1:14 connections: expected a map, not a list']],
    ['connections: {}\ndefaults: 5\npipelines: {}\n', ['tidemark.yml:2:11 defaults: expected a map, not a number']],
    ['connections: {}\npipelines: { p: 5 }\n', ['tidemark.yml:2:17 pipelines.p: expected a map with pattern, source and target']],
    [
      'connections: { c: postgres }\npipelines: {}\n',
      ['tidemark.yml:1:19 connections.c: expected a map with a type, such as { type: postgres, url: … }'],
    ],
  ])('%j', async (text, expected) => {
    expect(await problems(text)).toEqual(expected)
  })
})

describe('the YAML', () => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
    .split('')
    .map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(10)}]\n`)
    .join('')}`
  it.each<[string, string | Uint8Array, string]>([
    ['an open quote', `a: "${SECRET}`, 'tidemark.yml:1:14: not valid YAML: missing closing'],
    [
      'text after a text',
      `a: "x" ${SECRET}`,
      'tidemark.yml:1:8: not valid YAML: unexpected text; a text with special characters must stand in quotes',
    ],
    ['a tab', 'a:\n\tb: 1\n', "tidemark.yml:2:1: not valid YAML: a tab can't indent; use spaces"],
    ['two documents', 'a: 1\n---\nb: 1\n', 'tidemark.yml:2:1: not valid YAML: the file holds more than one document (---); keep one'],
    ['a text that begins with @', 'a: @x\n', 'tidemark.yml:1:4: not valid YAML: a text that begins so must stand in quotes'],
    ['a repeated key', 'connections: {}\npipelines: {}\npipelines: {}\n', 'tidemark.yml:3:1: key "pipelines" stands here twice; keep one'],
    [
      'a repeated key further in',
      GOOD.replace('cursor:', 'target: {}\n    cursor:'),
      'tidemark.yml:9:5 pipelines.orders_etl: key "target" stands here twice; keep one',
    ],
    [
      'a tag',
      'connections: !!map {}\npipelines: {}\n',
      'tidemark.yml:1:20 connections: tags (!…) are not used in project files; remove it',
    ],
    [
      'a tag of its own',
      'connections: {}\npipelines: !js/function x\n',
      'tidemark.yml:2:25 pipelines: tags (!…) are not used in project files; remove it',
    ],
    ['an alias without anchor', 'connections: *x\npipelines: {}\n', 'tidemark.yml:1:14 connections: alias *x has no anchor &x before it'],
    ['aliases that grow', `${bomb}connections: {}\npipelines: {}\n`, 'tidemark.yml:1:1: its aliases expand to too much'],
    [
      'an alias inside itself',
      'connections: &a { x: *a }\npipelines: {}\n',
      'tidemark.yml:1:17 connections: connections.x.x… is nested more than 50 levels deep',
    ],
    [
      'an alias twice inside itself',
      'connections: &a { x: *a, y: *a }\npipelines: {}\n',
      'tidemark.yml:1:1: its aliases expand to too much',
    ],
    ['__proto__', 'connections: {}\npipelines: { __proto__: { x: 1 } }\n', 'tidemark.yml:2:14 pipelines.__proto__: this key is refused'],
    ['constructor', 'connections: {}\npipelines: {}\nconstructor: 1\n', 'tidemark.yml:3:1 constructor: this key is refused'],
    ['a list as key', 'connections: {}\npipelines: {}\n? [a]\n: 1\n', 'tidemark.yml:1:1: holds a key that is not plain text'],
    ['a merge key', `${GOOD}    <<: { where: x }\n`, 'tidemark.yml:10:5 pipelines.orders_etl."<<": unknown key; allowed: pattern, source,'],
    ['NUL', 'connections: {}\npipelines: { p: "a\\0b" }\n', 'tidemark.yml:2:17 pipelines.p: holds a NUL character'],
    ['50,000 open brackets', '['.repeat(50_000), 'not valid YAML: '],
    [
      'a nest of 100',
      `connections: ${'['.repeat(100)}${']'.repeat(100)}\npipelines: {}\n`,
      'tidemark.yml:1:14 connections: connections[0][0]… is nested more than 50 levels deep',
    ],
    ['more than 1 MB', `#${'x'.repeat(1_048_576)}`, 'tidemark.yml: is larger than 1 MB'],
    ['bytes that are no UTF-8', Uint8Array.of(0x61, 0x3a, 0x20, 0xff), 'tidemark.yml: is not UTF-8 text'],
  ])('%s', async (_, text, expected) => {
    const lines = await problems(text)
    expect(
      lines.some((line) => line.includes(expected)),
      lines.slice(0, 3).join('\n'),
    ).toBe(true)
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  it('takes 60,000 keys without quadratic time', async () => {
    const many = Array.from({ length: 60_000 }, (_, index) => `k${index}: 1`).join('\n')
    expect((await problems(many)).at(-1)).toBe('… and 59952 more')
  }, 10_000)
})

describe('references', () => {
  it.each([
    [GOOD.replace('SHOP_URL', 'NO_SUCH'), 'tidemark.yml:2:32 connections.shop.url: environment variable NO_SUCH is not set'],
    [
      GOOD.replace('env:SHOP_URL', 'file:gone.txt'),
      'tidemark.yml:2:32 connections.shop.url: file "gone.txt" can\'t be read: there is no such file',
    ],
    [
      GOOD.replace('env:SHOP_URL', 'SHOP_URL'),
      'tidemark.yml:2:32 connections.shop.url: unknown kind of reference; allowed: ${env:NAME}, ${file:PATH}; did you mean ${env:SHOP_URL}?',
    ],
    [
      GOOD.replace('env:SHOP_URL', 'vault:x'),
      'tidemark.yml:2:32 connections.shop.url: unknown kind of reference; allowed: ${env:NAME}, ${file:PATH}',
    ],
    [GOOD.replace('SHOP_URL', 'CANARY'), 'tidemark.yml:2:32 connections.shop.url: is not a URL like postgresql://user@host:5432/database'],
    [
      GOOD.replace('type: postgres', 'type: "${env:CANARY}"'),
      'tidemark.yml:2:17 connections.shop.type: unknown type "${env:CANARY}"; allowed: postgres, duckdb, snowflake, kafka, memory',
    ],
    [
      GOOD.replace('table: public.orders', 'table: "a.b.${env:CANARY}"'),
      'tidemark.yml:7:40 pipelines.orders_etl.source.table: "a.b.${env:CANARY}" can\'t be read as a table; write it as in SQL: schema.table, odd names in double quotes',
    ],
    [
      GOOD.replace('connection: shop', 'connection: "${env:CANARY}"'),
      'tidemark.yml:7:27 pipelines.orders_etl.source.connection: unknown connection "${env:CANARY}"; allowed: shop, wh',
    ],
  ])('%#', async (text, expected) => {
    expect(await problems(text)).toEqual([expected])
  })
})

describe('connections', () => {
  const KNOWN = 'type, url, host, port, database, user, password, tls, connect_timeout, application_name, state_schema'
  it.each([
    ['{ url: x }', ['3 connections.c.type: missing; expected one of postgres, duckdb, snowflake, kafka, memory']],
    [
      '{ type: postgress }',
      ['14 connections.c.type: unknown type "postgress"; did you mean "postgres"? Allowed: postgres, duckdb, snowflake, kafka, memory'],
    ],
    ['{ type: mysql }', ['14 connections.c.type: unknown type "mysql"; allowed: postgres, duckdb, snowflake, kafka, memory']],
    ['{ type: 5 }', ['14 connections.c.type: expected one of postgres, duckdb, snowflake, kafka, memory']],
    ['{ type: postgres }', ['3 connections.c: needs a url, or host, database and user']],
    ['{ type: postgres, hots: h }', ['24 connections.c.hots: unknown key; did you mean "host"?'] as string[]],
    ['{ type: postgres, host: h, pasword: x }', ['33 connections.c.pasword: unknown key; did you mean "password"?']],
    ['{ type: postgres, host: h, rejectUnauthorized: false }', [`33 connections.c.rejectUnauthorized: unknown key; allowed: ${KNOWN}`]],
    ['{ type: postgres, host: h, port: 70000 }', ['39 connections.c.port: expected a whole number from 1 to 65535']],
    ['{ type: postgres, host: h, port: http }', ['39 connections.c.port: expected a whole number from 1 to 65535']],
    [
      '{ type: postgres, url: "mysql://u:canary-7Q@h/d" }',
      ['29 connections.c.url: is not a URL like postgresql://user@host:5432/database'],
    ],
    [
      '{ type: postgres, url: "postgres://u:canary-7Q@h:x/d" }',
      ['29 connections.c.url: is not a URL like postgresql://user@host:5432/database'],
    ],
    ['{ type: postgres, url: "postgres://h/d", host: h }', ['47 connections.c.host: is part of the url already; keep one of them']],
    [
      '{ type: postgres, host: h, tls: verify }',
      ['38 connections.c.tls: unknown value "verify"; did you mean "verify-ca"? Allowed: disable, require, verify-ca, verify-full'],
    ],
    [
      '{ type: postgres, host: h, tls: false }',
      ['38 connections.c.tls: expected one of disable, require, verify-ca, verify-full, or a map, not false'],
    ],
    ['{ type: postgres, host: h, tls: { mod: require } }', ['40 connections.c.tls.mod: unknown key; did you mean "mode"?']],
    ['{ type: postgres, host: h, tls: { cert: c.pem } }', ['33 connections.c.tls: needs cert and key together']],
    [
      '{ type: postgres, host: h, connect_timeout: 10 }',
      ['50 connections.c.connect_timeout: expected a duration like 250ms, 10s, 5m or 1h30m, not a number'],
    ],
    [
      '{ type: postgres, host: h, connect_timeout: 10x }',
      ['50 connections.c.connect_timeout: "10x" is no duration; write it like 250ms, 10s, 5m or 1h30m'],
    ],
    ['{ type: postgres, host: h, password: 1234 }', ['43 connections.c.password: expected text, not a number; put it in quotes']],
    [
      '{ type: snowflake }',
      [
        '3 connections.c.account: missing; expected text',
        '3 connections.c.user: missing; expected text',
        '3 connections.c.database: missing; expected text',
        '3 connections.c: needs one of private_key, oauth_token, programmatic_token, password',
      ],
    ],
    [
      '{ type: snowflake, account: "https://a.snowflakecomputing.com", user: u, database: d, private_key: k.p8 }',
      [
        '34 connections.c.account: "https://…" is no account identifier; write it like myorg-account1, without https:// and without .snowflakecomputing.com',
      ],
    ],
    [
      '{ type: snowflake, account: a, user: u, database: d, private_key: k.p8, password: "${env:CANARY}", access_url: "http://a.example" }',
      [
        '78 connections.c.password: there is private_key already; keep one of them',
        '117 connections.c.access_url: would send secrets in the clear; use https://',
      ],
    ],
    [
      '{ type: snowflake, account: a, user: u, database: d, programmatic_token: "${env:CANARY}", private_key_passphrase: "${env:CANARY}" }',
      ['96 connections.c.private_key_passphrase: belongs to a private_key, and there is none'],
    ],
    ['{ type: duckdb }', ['3 connections.c.path: missing; expected text']],
    ['{ type: duckdb, path: "" }', ['28 connections.c.path: is empty']],
    ['{ type: duckdb, path: ":memory:" }', ['28 connections.c.path: a database in memory would forget positions and rows; name a file']],
    [
      '{ type: duckdb, path: x, memory_limit: lots }',
      ['45 connections.c.memory_limit: "lots" is no amount of memory; write it like 512MB, 4GB or 50%'],
    ],
    ['{ type: duckdb, path: x, threads: 0 }', ['40 connections.c.threads: expected a whole number from 1 to 1024']],
  ])('%s', async (connection, expected) => {
    expect(await problems(`connections:\n  c: ${connection}\npipelines: {}\n`)).toEqual(expected.map((line) => `tidemark.yml:2:${line}`))
  })

  it('have names of their own', async () => {
    expect(await problems('connections:\n  my db: { type: memory }\npipelines: {}\n')).toEqual([
      'tidemark.yml:2:3 connections."my db": not a connection name; allowed: 1 to 100 letters (a–z), digits and _ - . /',
    ])
  })
})

describe('pipelines', () => {
  it.each([
    ['cursr: u', '9:5 pipelines.p.cursr: unknown key; did you mean "cursor"?'],
    ['cursor: 5', '9:13 pipelines.p.cursor: expected text, not a number; put it in quotes'],
    ['cursor: ""', '9:13 pipelines.p.cursor: is empty'],
    ['cursor:', '9:5 pipelines.p.cursor: has no value; expected text'],
    [
      'cursor: u\ncursor_time_zone: Europe/Berln',
      '10:23 pipelines.p.cursor_time_zone: "Europe/Berln" is no known time zone; did you mean "Europe/Berlin"?',
    ],
    [
      'cursor: u\ncursor_time_zone: "+02:00"',
      '10:23 pipelines.p.cursor_time_zone: "+02:00" is no time zone; name one, such as UTC or Europe/Berlin',
    ],
    [
      'cursor: u\nstart: yesterday',
      '10:12 pipelines.p.start: "yesterday" is no time, date or number; write it like 2024-01-31, 2024-01-31 08:00:00+00 or 1000',
    ],
    ['cursor: u\nstart: true', '10:12 pipelines.p.start: expected a time, a date or a number, not true'],
    ['cursor: u\nkey: id', '10:10 pipelines.p.key: expected a list, such as [id], not text'],
    ['cursor: u\nkey: []', '10:10 pipelines.p.key: expected a list, such as [id]'],
    ['cursor: u\nkey: [id, 5]', '10:15 pipelines.p.key[1]: expected text, not a number; put it in quotes'],
    ['cursor: u\nkey: [id, id]', '10:15 pipelines.p.key[1]: stands in the list twice'],
    ['cursor: u\nwrite: mrge', `10:12 pipelines.p.write: unknown value "mrge"; did you mean "merge"? Allowed: ${STRATEGIES}`],
    ['cursor: u\nwrite: upsert', `10:12 pipelines.p.write: unknown value "upsert"; allowed: ${STRATEGIES}`],
    ['cursor: u\nwrite: [merge]', `10:12 pipelines.p.write: expected one of ${STRATEGIES}, not a list`],
    [
      'cursor: u\nlate_rows: sweeep',
      '10:16 pipelines.p.late_rows: unknown value "sweeep"; did you mean "sweep"? Allowed: auto, bound, sweep, none',
    ],
    [
      'cursor: u\nlate_rows: { lag: soon }',
      '10:23 pipelines.p.late_rows.lag: "soon" is no duration; write it like 250ms, 10s, 5m or 1h30m',
    ],
    ['cursor: u\nlate_rows: { lag: 0s }', '10:23 pipelines.p.late_rows.lag: "0s" is no duration; write it like 250ms, 10s, 5m or 1h30m'],
    ['cursor: u\nlate_rows: { lag: 5m, xid8: x }', '10:5 pipelines.p.late_rows: needs exactly one of xid8 and lag'],
    ['cursor: u\nlate_rows: {}', '10:5 pipelines.p.late_rows: needs exactly one of xid8 and lag'],
    ['cursor: u\nlate_rows: 5', '10:16 pipelines.p.late_rows: expected one of auto, bound, sweep, none, or a map, not a number'],
    ['cursor: u\nnull_cursor: skip', '10:18 pipelines.p.null_cursor: unknown value "skip"; allowed: error, include, exclude'],
    ['cursor: u\nwhere: true', '10:12 pipelines.p.where: expected text, not true; put it in quotes'],
    ['cursor: u\ncolumns: [a]', '10:14 pipelines.p.columns: expected a map, not a list'],
    ['cursor: u\ncolumns: {}', '10:5 pipelines.p.columns: needs include or exclude'],
    ['cursor: u\ncolumns: { include: [u], exclude: [a] }', '10:30 pipelines.p.columns.exclude: stands beside include; keep one of them'],
    ['cursor: u\nkey: [id]\ncolumns: { include: [u] }', '11:25 pipelines.p.columns.include: leaves out the key column "id"'],
    ['cursor: u\nkey: [id]\ncolumns: { exclude: [u] }', '11:25 pipelines.p.columns.exclude: leaves out the cursor "u"'],
    [
      'cursor: u\non_schema_change: evlove',
      '10:23 pipelines.p.on_schema_change: unknown value "evlove"; did you mean "evolve"? Allowed: evolve, freeze, ignore',
    ],
    ['cursor: u\non_bad_row: skip', '10:17 pipelines.p.on_bad_row: unknown value "skip"; allowed: stop, quarantine'],
    ['cursor: u\non_bad_row: quarantine', '10:17 pipelines.p.on_bad_row: quarantine is not supported by this version yet'],
    ['cursor: u\nfirst_load: { by: id }', '10:5 pipelines.p.first_load: needs exactly one of size and rows'],
  ])('%s', async (lines, expected) => {
    expect(await problems(pipeline(SIDES + lines))).toEqual([`tidemark.yml:${expected}`])
  })

  it.each([
    ['{ connection: shp, table: t }', '27 pipelines.p.source.connection: unknown connection "shp"; did you mean "shop"? Allowed: shop, wh'],
    ['{ table: t }', '5 pipelines.p.source.connection: missing; expected text'],
    ['{ connection: shop }', '5 pipelines.p.source: needs a table or a query'],
    ['{ connection: shop, table: t, query: select 1 }', '43 pipelines.p.source.query: stands beside table; keep one of them'],
    [
      '{ connection: shop, table: a.b.c }',
      '40 pipelines.p.source.table: "a.b.c" can\'t be read as a table; write it as in SQL: schema.table, odd names in double quotes',
    ],
    [
      "{ connection: shop, table: 'a.\"b' }",
      '40 pipelines.p.source.table: "a.\\"b" can\'t be read as a table; write it as in SQL: schema.table, odd names in double quotes',
    ],
    ['{ connection: shop, tabel: t }', '33 pipelines.p.source.tabel: unknown key; did you mean "table"?'],
    [
      '{ connection: shop, table: "*.orders" }',
      '40 pipelines.p.source.table: a wildcard may stand only in the last part, as in public.ord*',
    ],
    ['{ connection: shop, table: "ord*" }', '40 pipelines.p.source.table: a wildcard needs a schema, as in public.ord*'],
    ['shop.orders', '13 pipelines.p.source: expected a map, not text'],
  ])('source: %s', async (source, expected) => {
    const lines = await problems(
      pipeline(`source: ${source}\ntarget: { connection: wh${source.includes('ord*') ? '' : ', table: x'} }\ncursor: u`),
    )
    expect(lines).toEqual([`tidemark.yml:7:${expected}`])
  })

  it.each([
    ['{ connection: whh }', '27 pipelines.p.target.connection: unknown connection "whh"; did you mean "wh"? Allowed: shop, wh'],
    ['{ schema: s }', '5 pipelines.p.target.connection: missing; expected text'],
    ['{ connection: wh, schema: a, table: b.c }', '39 pipelines.p.target.schema: is not the schema that table names; keep one of them'],
    ['{ connection: wh, schema: a.b }', '39 pipelines.p.target.schema: "a.b" can\'t be read as one name; put an odd one in double quotes'],
    ['{ connection: wh, table: "x*" }', '38 pipelines.p.target.table: a wildcard has no meaning at the target'],
    ['{ connection: wh, table: pipeline_history }', '38 pipelines.p.target.table: is one of the tables in which tidemark keeps its state'],
    ['{ connection: shop, schema: public }', '5 pipelines.p.target: is the very table that the pipeline reads'],
    ['{ connection: shop }', '5 pipelines.p.target: is the very table that the pipeline reads'],
  ])('target: %s', async (target, expected) => {
    const lines = await problems(pipeline(`source: { connection: shop, table: public.orders }\ntarget: ${target}\ncursor: u`))
    expect(lines).toEqual([`tidemark.yml:8:${expected}`])
  })

  it.each([
    [
      'target: { connection: wh, table: t }',
      '7:33 pipelines.p.source.query: a query needs key: [columns that identify a row], or write: append or replace',
    ],
    [
      'target: { connection: wh }\nkey: [id]',
      '7:33 pipelines.p.source.query: a query has no name that the target table could take; name it with target: { table: … }',
    ],
  ])('a query with %s', async (lines, expected) => {
    expect(await problems(pipeline(`source: { connection: shop, query: select 1 }\n${lines}\ncursor: u`))).toEqual([
      `tidemark.yml:${expected}`,
    ])
  })

  it('with a wildcard have no target table of their own', async () => {
    const text = pipeline('source: { connection: shop, table: public.* }\ntarget: { connection: wh, table: x }\ncursor: u')
    expect(await problems(text)).toEqual([
      'tidemark.yml:8:31 pipelines.p.target.table: would be shared by all tables of the wildcard; give schema, or nothing',
    ])
  })

  it.each([
    ['pattern: snapshot', '6:14 pipelines.p.pattern: unknown pattern "snapshot"; allowed: watermark, partition, cdc'],
    [
      'pattern: watermrk',
      '6:14 pipelines.p.pattern: unknown pattern "watermrk"; did you mean "watermark"? Allowed: watermark, partition, cdc',
    ],
    ['cursor: u', '5:3 pipelines.p.pattern: missing; expected one of watermark, partition, cdc'],
    ['pattern: [x]', '6:14 pipelines.p.pattern: expected one of watermark, partition, cdc'],
  ])('with %s', async (line, expected) => {
    expect(await problems(`${HEAD}  p:\n    ${line}\n`)).toEqual([`tidemark.yml:${expected}`])
  })

  it.each([
    ['max_quarantined: 5', '9:5 pipelines.p.max_quarantined: needs on_bad_row: quarantine'],
    ['on_bad_row: skip', '9:17 pipelines.p.on_bad_row: unknown value "skip"; allowed: stop, quarantine'],
    ['on_bad_row: quarantine\n    max_quarantined: 0', '10:22 pipelines.p.max_quarantined: expected a whole number from 1 to 100000'],
  ])('that follow a log with %s', async (lines, expected) => {
    const sides = 'source: { connection: shop, tables: [public.orders] }\n    target: { connection: wh }'
    expect(await problems(`${HEAD}  p:\n    pattern: cdc\n    ${sides}\n    ${lines}\n`)).toEqual([`tidemark.yml:${expected}`])
  })

  it.each(['a b', 'a:b', 'ä', '""', 'x'.repeat(101), '"a\\nb"'])('named %s', async (name) => {
    const [line, ...others] = await problems(GOOD.replace('orders_etl', name))
    expect(others).toEqual([])
    expect(line).toMatch(/^tidemark\.yml:5:3 pipelines\..*: not a pipeline name; allowed: 1 to 100 letters \(a–z\), digits and _ - \. \/$/)
  })
})

describe('defaults', () => {
  const withDefaults = (defaults: string, own = ''): string =>
    `connections: { shop: { type: memory }, wh: { type: memory } }\ndefaults: ${defaults}\npipelines:\n  p: { pattern: watermark, source: { connection: shop, table: a }, cursor: u${own} }\n  q: { pattern: watermark, source: { connection: shop, table: b }, cursor: u${own} }\n`

  it.each([
    ['{ target: { connection: wh }, writ: merge }', '2:41 defaults.writ: unknown key; did you mean "write"?'],
    [
      '{ target: { connection: wh }, write: mrge }',
      `2:48 defaults.write: unknown value "mrge"; did you mean "merge"? Allowed: ${STRATEGIES}, overwrite-partition, soft-delete`,
    ],
    ['{ target: { connection: whh } }', '2:35 defaults.target.connection: unknown connection "whh"; did you mean "wh"? Allowed: shop, wh'],
    ['{ target: { schema: x } }', '2:13 defaults.target.connection: missing; expected text'],
    [
      '{ target: { connection: wh }, pattern: cdcc }',
      '2:50 defaults.pattern: unknown pattern "cdcc"; did you mean "cdc"? Allowed: watermark, partition, cdc',
    ],
  ])('%s is told once, where it stands', async (defaults, expected) => {
    expect(await problems(withDefaults(defaults))).toEqual([`tidemark.yml:${expected}`])
  })

  it('are not mixed into a map of the pipeline', async () => {
    expect(await problems(withDefaults('{ target: { connection: wh, schema: s } }', ', target: { schema: t }'))).toEqual([
      'tidemark.yml:4:79 pipelines.p.target.connection: missing; expected text',
      'tidemark.yml:5:79 pipelines.q.target.connection: missing; expected text',
    ])
  })
})

describe('all at once', () => {
  it('tells everything that is wrong, in the order of the file', async () => {
    const text = GOOD.replace('SHOP_URL', 'GONE')
      .replace('path:', 'pth:')
      .replace('connection: wh', 'connection: hw')
      .replace('cursor:', 'cursr:')
    const error = await failure(text)
    expect(error.where).toBe('tidemark.yml:2:32')
    expect(error.message.split('\n')).toEqual([
      'tidemark.yml:2:32 connections.shop.url: environment variable GONE is not set',
      'tidemark.yml:3:23 connections.wh.pth: unknown key; did you mean "path"?',
      'tidemark.yml:8:27 pipelines.orders_etl.target.connection: unknown connection "hw"; did you mean "wh"? Allowed: shop, wh',
      'tidemark.yml:9:5 pipelines.orders_etl.cursr: unknown key; did you mean "cursor"?',
    ])
  })

  it('names both pipelines that write one table', async () => {
    const second =
      '  again:\n    pattern: watermark\n    source: { connection: shop, table: other }\n    target: { connection: wh, table: Orders }\n    cursor: u\n'
    const error = await failure(GOOD + second)
    expect(error.code).toBe('shared-target')
    expect(error.message).toBe('tidemark.yml:10:3 pipelines.again: writes the same table as pipeline "orders_etl" (tidemark.yml:5:3)')
  })
})

describe('the file', () => {
  it('must be there', async () => {
    const empty = mkdtempSync(join(directory, 'empty-'))
    await expect(loadProject(null, { directory: empty })).rejects.toMatchObject({ code: 'missing-project' })
    await expect(loadProject('x.yml', { directory: empty })).rejects.toMatchObject({
      code: 'missing-project',
      message: 'There is no file x.yml.',
    })
  })

  it('must be a file', async () => {
    await expect(loadProject('.', { directory })).rejects.toMatchObject({ code: 'bad-project' })
  })
})
