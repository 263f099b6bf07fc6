// Tables and queries of Snowflake (emulated) as source of watermark loads into Postgres.

import { afterAll, afterEach, expect, test } from 'vitest'
import type { PipelineResult } from '../../src/core/event.ts'
import { openProject } from '../../src/project/open-project.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'
import { projectFolder } from '../servers/project-folder.ts'
import { type FreshSchema, freshSchema, startSnowflake } from './emulated.ts'

const server = await startSnowflake({ inlineRows: 100, chunkRows: 500 })
afterAll(() => server.stop())
afterEach(() => server.faults.clear())

interface Reading extends AsyncDisposable {
  readonly schema: FreshSchema
  readonly target: FreshDatabase
  run(request?: Readonly<Record<string, unknown>>): Promise<PipelineResult>
  check(): Promise<readonly string[]>
}

async function startReading(pipeline: Readonly<Record<string, unknown>>): Promise<Reading> {
  const schema = await freshSchema(server)
  const target = await freshDatabase()
  const folder = projectFolder({
    connections: {
      snow: { ...schema.connection, private_key: server.privateKey, password: undefined },
      wh: { type: 'postgres', url: target.url },
    },
    pipelines: {
      orders: {
        pattern: 'watermark',
        cursor: 'updated_at',
        ...pipeline,
        source: { connection: 'snow', ...((pipeline['source'] ?? { table: 'orders' }) as object) },
        target: { connection: 'wh', table: 'orders' },
      },
    },
  })
  return {
    schema,
    target,
    async run(request = {}) {
      await using project = await openProject(folder.file, { env: process.env, settings: { retrySeconds: 0.05 } })
      return (await project.run('orders', request)).pipelines[0] as PipelineResult
    },
    async check() {
      await using project = await openProject(folder.file, { env: process.env })
      return (await project.check('orders')).map(({ code }) => code)
    },
    async [Symbol.asyncDispose]() {
      folder[Symbol.dispose]()
      await target.drop()
    },
  }
}

const TABLE = `CREATE TABLE $.orders (id NUMBER(38,0) PRIMARY KEY, amount NUMBER(38,10), customer VARCHAR, paid BOOLEAN, rate FLOAT, day DATE, at TIME, raw BINARY,
  local TIMESTAMP_NTZ(6), updated_at TIMESTAMP_LTZ(6) NOT NULL)`

async function fill({ query }: FreshSchema, from: number, to: number): Promise<void> {
  const rows = Array.from({ length: to - from + 1 }, (_, at) => from + at).map(
    (id) =>
      `(${id}, ${id}.0000000001, ${id % 5 === 0 ? 'NULL' : `'it''s ${id}'`}, ${id % 2 === 0}, 0.1, '9999-12-31', '23:59:59.999999', TO_BINARY('00ff', 'HEX'), '2024-01-01 00:00:00.000001', CURRENT_TIMESTAMP())`,
  )
  await query(`INSERT INTO $.orders VALUES ${rows.join(', ')}`)
}

test('a table, by a bound from open transactions: first load, increment, nothing', async () => {
  await using reading = await startReading({ late_rows: 'bound' })
  const { schema, target } = reading
  await schema.query(TABLE)
  await fill(schema, 1, 1500)
  const first = await reading.run()
  expect(first).toMatchObject({ error: null, rows: { read: 1500, inserted: 1500 } })
  const [row] = await target.rows('SELECT id, amount, customer, paid, rate, day, at, raw, local FROM orders WHERE id = 7')
  expect(row).toEqual({
    id: '7',
    amount: '7.0000000001',
    customer: "it's 7",
    paid: 'f',
    rate: '0.1',
    day: '9999-12-31',
    at: '23:59:59.999999',
    raw: '\\x00ff',
    local: '2024-01-01 00:00:00.000001',
  })
  await schema.query("UPDATE $.orders SET customer = 'changed', updated_at = CURRENT_TIMESTAMP() WHERE id <= 3")
  await fill(schema, 1501, 1510)
  expect(await reading.run()).toMatchObject({ error: null, rows: { inserted: 10, updated: 3 } })
  expect((await reading.run()).rows).toMatchObject({ inserted: 0, updated: 0 })
  const [sum] = await target.rows('SELECT count(*) AS n, sum(id) AS ids FROM orders')
  expect(sum).toEqual({ n: '1510', ids: String((1510 * 1511) / 2) })
})

test('a query by a number', async () => {
  await using reading = await startReading({
    source: { query: 'SELECT id, amount, customer FROM orders WHERE id > 10 -- with a comment' },
    cursor: 'id',
    key: ['id'],
    late_rows: 'none',
  })
  await reading.schema.query(TABLE)
  await fill(reading.schema, 1, 30)
  expect(await reading.run()).toMatchObject({ error: null, rows: { inserted: 20 } })
  await fill(reading.schema, 31, 35)
  expect(await reading.run()).toMatchObject({ error: null, rows: { inserted: 5 } })
})

test('a chunk that arrives incomplete is never taken for the end', async () => {
  await using reading = await startReading({ late_rows: { lag: '1s' } })
  await reading.schema.query(TABLE)
  await fill(reading.schema, 1, 1500)
  server.faults.add({ kind: 'truncated-chunk', whole: true, times: 1 })
  const result = await reading.run()
  expect(server.faults.fired['truncated-chunk']).toBe(1)
  expect(result).toMatchObject({ error: null, rows: { inserted: 1500 } })
})

test.each([
  ['a number without a say', { cursor: 'id', key: ['id'] }, 'late-rows-unsafe'],
  ['a sweep', { late_rows: 'sweep' }, 'late-rows-unsafe'],
  ['a text as cursor', { cursor: 'customer', late_rows: 'none' }, 'unusable-cursor'],
  ['a table that is missing', { source: { table: 'nowhere' } }, 'missing-table'],
] as const)('%s is refused', async (_, pipeline, code) => {
  await using reading = await startReading(pipeline)
  await reading.schema.query(TABLE)
  expect((await reading.run()).error?.code).toBe(code)
})

test('a geospatial column, nanoseconds, and names in small letters are refused by name', async () => {
  await using reading = await startReading({ late_rows: { lag: '1s' } })
  const { query } = reading.schema
  await query('CREATE TABLE $.orders (id INT PRIMARY KEY, place GEOGRAPHY, updated_at TIMESTAMP_LTZ)')
  expect((await reading.run()).error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining('GEOGRAPHY') })
  await query('CREATE OR REPLACE TABLE $.orders (id INT PRIMARY KEY, exact TIMESTAMP_NTZ(9), updated_at TIMESTAMP_LTZ)')
  await query("INSERT INTO $.orders SELECT 1, '2024-01-01 00:00:00.123456789', CURRENT_TIMESTAMP()")
  await new Promise((resolve) => setTimeout(resolve, 1100))
  expect((await reading.run()).error).toMatchObject({ code: 'value-refused', message: expect.stringContaining('nanoseconds') })
  await query('CREATE OR REPLACE TABLE $.orders ("id" INT PRIMARY KEY, updated_at TIMESTAMP_LTZ)')
  expect((await reading.run()).error).toMatchObject({ code: 'schema-conflict', hint: expect.stringContaining('RENAME COLUMN') })
})
