import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LoadError } from '../core/errors.ts'
import { isWildcard } from './expand-wildcard.ts'
import { loadProject } from './load-project.ts'
import type { Project } from './project.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tidemark-load-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const SECRET = 'canary-7Q'
const env = { SHOP_URL: `postgres://reader:${SECRET}@db.example/shop`, PW: SECRET, PORT: '5433' }

async function load(text: string, name = 'tidemark.yml'): Promise<Project> {
  writeFileSync(join(directory, name), text)
  return loadProject(name, { directory, env })
}

const MANUAL = `# yaml-language-server: $schema=./schema.json
connections:
  shop:      { type: postgres, url: "\${env:SHOP_URL}" }   # the shop
  warehouse: { type: duckdb, path: ./warehouse.duckdb }

defaults:
  target: { connection: warehouse, schema: staging }

pipelines:
  orders_etl:
    pattern: watermark
    source: { connection: shop, table: public.orders }
    cursor: updated_at
    cursor_time_zone: UTC
    start: "2024-01-01"
    key: [id]
    write: merge
    late_rows: auto
    null_cursor: error
    where: "region <> 'test'"
    columns: { exclude: [note] }
    on_schema_change: evolve
    on_bad_row: stop
  shop/all:
    pattern: watermark
    source: { connection: shop, table: '"My Shop".ord*' }
    cursor: id
`

describe('a project in YAML', () => {
  it('is read as the manual shows it', async () => {
    const project = await load(MANUAL)
    expect(project.file).toBe(join(directory, 'tidemark.yml'))
    expect(project.connections).toEqual({
      shop: { name: 'shop', type: 'postgres', options: { url: env.SHOP_URL }, at: 'tidemark.yml:3:3' },
      warehouse: { name: 'warehouse', type: 'duckdb', options: { path: join(directory, 'warehouse.duckdb') }, at: 'tidemark.yml:4:3' },
    })
    expect(project.pipelines[0]).toEqual({
      name: 'orders_etl',
      pattern: 'watermark',
      source: { connection: 'shop', table: { schema: 'public', name: 'orders' }, query: null },
      target: { connection: 'warehouse', table: { schema: 'staging', name: 'orders' } },
      cursor: 'updated_at',
      cursorTimeZone: 'UTC',
      start: '2024-01-01',
      key: ['id'],
      write: 'merge',
      lateRows: { kind: 'auto' },
      nullCursor: 'error',
      firstLoad: null,
      where: "region <> 'test'",
      columns: { include: null, exclude: ['note'] },
      onSchemaChange: 'evolve',
    })
    expect(project.literalSecrets).toEqual([])
  })

  it('gives a wildcard as a template', async () => {
    const [, all] = (await load(MANUAL)).pipelines
    expect(all !== undefined && isWildcard(all)).toBe(true)
    expect(all).toMatchObject({
      name: 'shop/all',
      source: { connection: 'shop', schema: 'My Shop', table: 'ord*' },
      target: { connection: 'warehouse', schema: 'staging' },
      key: null,
      write: null,
    })
  })

  it('knows where everything is written', async () => {
    const project = await load(MANUAL)
    const places = (...paths: (string | number)[][]): string[] => paths.map((path) => project.place(path))
    expect(
      places(
        ['pipelines', 'orders_etl'],
        ['pipelines', 'orders_etl', 'source', 'table'],
        ['pipelines', 'orders_etl', 'key', 0],
        ['pipelines', 'orders_etl', 'target', 'schema'],
        ['pipelines', 'orders_etl', 'target', 'table'],
        ['pipelines', 'orders_etl', 'source', 'query'],
        ['pipelines', 'shop/all/orders', 'cursor'],
        ['pipelines', 'shop/all/or/ders', 'target'],
        ['pipelines', 'gone'],
        ['connections', 'shop', 'url'],
        ['connections', 'shop', 'host'],
        [],
      ),
    ).toEqual(
      ['10:3', '12:40', '16:11', '7:44', '7:3', '12:5', '27:13', '7:11', '9:1', '3:37', '3:3', '1:1'].map((at) => `tidemark.yml:${at}`),
    )
  })

  it.each([
    ['table: staging.orders', { schema: 'staging', name: 'orders' }],
    ['schema: staging, table: orders', { schema: 'staging', name: 'orders' }],
    ['schema: staging, table: staging.orders', { schema: 'staging', name: 'orders' }],
    ['schema: staging', { schema: 'staging', name: 'Orders' }],
    ['table: copies', { schema: null, name: 'copies' }],
    [`schema: '"My.Schema"', table: '"a.b"'`, { schema: 'My.Schema', name: 'a.b' }],
  ])('writes to %s', async (target, table) => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
pipelines: { p: { pattern: watermark, source: { connection: a, table: public.Orders }, target: { connection: b, ${target} }, cursor: c } }`)
    expect(pipelines[0]?.target).toEqual({ connection: 'b', table })
  })

  it('needs no more of a target than its connection', async () => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
pipelines: { p: { pattern: watermark, source: { connection: a, table: public.Orders }, target: { connection: b }, cursor: c } }`)
    expect(pipelines[0]?.target).toEqual({ connection: 'b', table: { schema: null, name: 'Orders' } })
  })

  it.each([
    ['start: 2024-01-01', { start: '2024-01-01' }],
    ['start: 12345678901234567890', { start: '12345678901234567890' }],
    ['start: 10.50', { start: '10.50' }],
    ['start: 0x1F', { start: '31' }],
    ['late_rows: { lag: 1h30m }', { lateRows: { kind: 'lag', seconds: 5400 } }],
    ['late_rows: { xid8: tx }', { lateRows: { kind: 'xid8', column: 'tx' } }],
    ['late_rows: sweep', { lateRows: { kind: 'sweep' } }],
    ['columns: { include: [id, c] }', { columns: { include: ['id', 'c'], exclude: [] } }],
    ['write: append, columns: { exclude: [c] }', { columns: { include: null, exclude: ['c'] } }],
    ["where: 'x = $${env:A}'", { where: 'x = ${env:A}' }],
    ['where: "${ not a reference"', { where: '${ not a reference' }],
    ['cursor_time_zone: Europe/Berlin', { cursorTimeZone: 'Europe/Berlin' }],
  ])('understands %s', async (lines, part) => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
pipelines: { p: { pattern: watermark, source: { connection: a, table: t }, target: { connection: b }, cursor: c, ${lines} } }`)
    expect(pipelines[0]).toMatchObject(part)
  })

  it('lets a query do without a key where the strategy does', async () => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
pipelines: { p: { pattern: watermark, source: { connection: a, query: select 1 as c }, target: { connection: b, table: t }, cursor: c, write: append } }`)
    expect(pipelines[0]?.source).toEqual({ connection: 'a', table: null, query: 'select 1 as c' })
  })

  it('takes everything from defaults, and lets a pipeline overrule it', async () => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
defaults: { pattern: watermark, cursor: c, write: append, columns: { exclude: [x] } }
pipelines:
  p: { source: { connection: a, table: t }, target: { connection: b } }
  q: { source: { connection: a, table: u }, target: { connection: b }, write: replace, columns: { include: [c] } }`)
    expect(pipelines).toMatchObject([
      { cursor: 'c', write: 'append', columns: { include: null, exclude: ['x'] } },
      { cursor: 'c', write: 'replace', columns: { include: ['c'], exclude: [] } },
    ])
  })

  it('follows aliases', async () => {
    const { pipelines } = await load(`connections: { a: { type: memory }, b: { type: memory } }
pipelines:
  p: { pattern: watermark, source: { connection: a, table: t }, target: &to { connection: b }, cursor: c }
  q: { pattern: watermark, source: { connection: a, table: u }, target: *to, cursor: c }`)
    expect(pipelines[1]?.target).toMatchObject({ connection: 'b' })
  })

  it('may name things like the parts of any object', async () => {
    const { connections, pipelines } = await load(`connections: { toString: { type: memory }, b: { type: memory } }
pipelines: { hasOwnProperty: { pattern: watermark, source: { connection: toString, table: t }, target: { connection: b }, cursor: c } }`)
    expect(Object.keys(connections)).toEqual(['toString', 'b'])
    expect(connections['valueOf']).toBeUndefined()
    expect(pipelines[0]?.name).toBe('hasOwnProperty')
  })

  it('may begin with a byte order mark and end its lines as Windows does', async () => {
    const project = await load(`\ufeff${MANUAL.replaceAll('\n', '\r\n')}`)
    expect(project.place(['pipelines', 'orders_etl', 'source', 'table'])).toBe('tidemark.yml:12:40')
  })
})

describe('connection options', () => {
  it('reach the connector as numbers, seconds and absolute paths', async () => {
    mkdirSync(join(directory, 'certs'), { recursive: true })
    writeFileSync(join(directory, 'key.pem'), '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n')
    const { connections, literalSecrets } = await load(`connections:
  pg: { type: postgres, host: h, port: "\${env:PORT}", database: d, user: u, password: "\${env:PW}", connect_timeout: 1m30s, application_name: a,
        state_schema: s, tls: { mode: verify-full, ca: ca.pem, cert: /etc/c.pem, key: "\${file:key.pem}", server_name: n } }
  duck: { type: duckdb, path: data/x.duckdb, threads: 4, memory_limit: 2GB, state_schema: s }
pipelines: {}`)
    expect(connections['pg']?.options).toEqual({
      host: 'h',
      port: 5433,
      database: 'd',
      user: 'u',
      password: SECRET,
      connect_timeout: 90,
      application_name: 'a',
      state_schema: 's',
      tls: {
        mode: 'verify-full',
        ca: join(directory, 'ca.pem'),
        cert: '/etc/c.pem',
        key: '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----',
        server_name: 'n',
      },
    })
    expect(connections['duck']?.options).toEqual({
      path: join(directory, 'data/x.duckdb'),
      threads: 4,
      memory_limit: '2GB',
      state_schema: 's',
    })
    expect(literalSecrets).toEqual([])
  })

  it.each([
    ['url: "postgres://u:pw@h/d"', ['tidemark.yml:1:42']],
    ['url: "postgres://u:p${env:PW}@h/d"', ['tidemark.yml:1:42']],
    ['url: "postgres://h/d?password=x"', ['tidemark.yml:1:42']],
    ['host: h, password: pw', ['tidemark.yml:1:56']],
    ['host: h, tls: { cert: c, key: "-----BEGIN PRIVATE KEY-----" }', ['tidemark.yml:1:67']],
    ['url: "postgres://u@h/d"', []],
    ['url: "postgres://u:${env:PW}@h:5432/d"', []],
    ['url: "${env:SHOP_URL}"', []],
    ['url: "postgres://u@h/d", password: "${env:PW}"', []],
  ])('%s: literal secrets are recorded', async (options, places) => {
    const { literalSecrets } = await load(`connections: { c: { type: postgres, ${options} } }\npipelines: {}\n`)
    expect(literalSecrets).toEqual(places)
  })
})

describe('a project in TypeScript', () => {
  const BODY = `{
  connections: { shop: { type: 'postgres', url: '\${env:SHOP_URL}' }, wh: { type: 'duckdb', path: 'x.duckdb' } },
  pipelines: { p: { pattern: 'watermark', source: { connection: 'shop', table: 't' }, target: { connection: 'wh' }, cursor: 'c', start: 5n } },
}`

  it('is read like one in YAML', async () => {
    const project = await load(`interface X { y: string }\nexport default ${BODY} as const satisfies object`, 'a.config.ts')
    expect(project.connections['shop']?.options).toEqual({ url: env.SHOP_URL })
    expect(project.pipelines[0]).toMatchObject({ name: 'p', start: '5' })
    expect(project.place(['pipelines', 'p', 'source', 'table'])).toBe('a.config.ts pipelines.p.source.table')
  })

  it.each([
    ['b1.config.ts', 'export const project = {}', 'b1.config.ts: has no default export; write `export default defineProject({…})`'],
    ['b2.config.mjs', 'export default {', "b2.config.mjs: can't be loaded: "],
    ['b3.config.mjs', 'throw new Error("no luck")', "b3.config.mjs: can't be loaded: no luck"],
    ['b4.config.mjs', 'throw 5', "b4.config.mjs: can't be loaded: it threw no error object"],
    ['b5.config.mjs', 'export default Promise.reject(new Error("late"))', "b5.config.mjs: can't be loaded: late"],
    [
      'b6.config.ts',
      `export default ${BODY.replace('cursor', 'cursr')}`,
      'b6.config.ts pipelines.p.cursr: unknown key; did you mean "cursor"?',
    ],
  ])('%s is refused', async (name, text, message) => {
    const error = await load(text, name).catch((thrown: unknown) => thrown as LoadError)
    expect(error).toMatchObject({ code: 'bad-project' })
    expect((error as LoadError).message.startsWith(message), (error as LoadError).message).toBe(true)
  })

  it('is found where there is no YAML file', async () => {
    const own = mkdtempSync(join(directory, 'own-'))
    writeFileSync(join(own, 'tidemark.config.ts'), `export default ${BODY}`)
    expect((await loadProject(null, { directory: own, env })).file).toBe(join(own, 'tidemark.config.ts'))
    writeFileSync(join(own, 'tidemark.yaml'), MANUAL)
    expect((await loadProject(null, { directory: own, env })).file).toBe(join(own, 'tidemark.yaml'))
  })
})

describe('any text at all', () => {
  const accepted = async (text: string): Promise<void> => {
    try {
      await load(text, 'any.yml')
    } catch (error) {
      expect(error).toBeInstanceOf(LoadError)
      const { code, message, where } = error as LoadError
      expect(['bad-project', 'shared-target']).toContain(code)
      expect(message).not.toContain(SECRET)
      expect(where).toMatch(/^any\.yml:\d+:\d+$/)
      for (const line of message.split('\n')) expect(line).toMatch(/^(any\.yml:\d+:\d+[ :]|… and \d+ more)/)
    }
  }

  it('is accepted or refused with a place, and tells no secret', async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: fc.constantFrom(...'ab:-{}[]"\'\n &*!|>#?@%,$\u0000\u2028') }), accepted), {
      numRuns: 500,
    })
  })

  it('also when it is a project with one thing changed', async () => {
    const text = MANUAL.replaceAll('"${env:SHOP_URL}"', '"${env:PW}"').replace('"2024-01-01"', '"${env:PW}"')
    await fc.assert(
      fc.asyncProperty(
        fc.nat(text.length),
        fc.nat(12),
        fc.constantFrom('', ' ', ':', '\n', '"', '*a', '${env:PW}', '- ', '{', '5', 'x: '),
        async (at, cut, put) => {
          await accepted(text.slice(0, at) + put + text.slice(at + cut))
        },
      ),
      { numRuns: 500 },
    )
  })
})
