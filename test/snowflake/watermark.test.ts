// Watermark loads from Postgres into Snowflake (emulated), by the command line and as a library.

import { afterAll, describe, expect, test } from 'vitest'
import { WATERMARK_WRITES } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'
import { startSnowflake } from './emulated.ts'
import { startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

describe.each(WATERMARK_WRITES)('by %s', (write) => {
  test('a first load, an increment, and a run that finds nothing', async () => {
    const late = write === 'append' ? { late_rows: 'none' } : {}
    await using all = await startSnowflakeLoading(server, { orders: { write, ...late } })
    const { loading } = all
    await makeOrders(loading.source, 3000)
    expect(await loading.run()).toMatchObject({ error: null, status: 'loaded', rows: { read: 3000, inserted: 3000 } })
    expect(await all.target()).toEqual(await all.source())

    await addOrders(loading.source, 3001, 3100)
    if (write !== 'append') await changeOrders(loading.source, 1, 20)
    const updated = write === 'append' ? 0 : 20
    expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 100, updated } })
    expect(await all.target()).toEqual(await all.source())

    expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
    expect((await loading.state())?.recordsProcessed).toBe(write === 'append' ? 3100n - 3000n : 120n)
  })
})

test('the command line plans, runs, shows and forgets', async () => {
  await using all = await startSnowflakeLoading(server)
  const { loading, env } = all
  await makeOrders(loading.source, 50)
  const plan = await loading.cli(['plan', '--sql'], env)
  expect(plan.exit).toBe(0)
  expect(plan.out).toContain('COPY INTO')
  expect(resultOf(await loading.cli(['run'], env))).toMatchObject({ status: 'loaded', rows: { inserted: 50 } })
  const status = await loading.cli(['status'], env)
  expect(status.exit).toBe(0)
  expect(status.json.pipelines[0]).toMatchObject({ epoch: 1, records_processed: 50 })
  const check = await loading.cli(['check'], env)
  expect(check.out).toContain('password-login')
})

test('every statement of a load carries its tag, and nothing is left in the stage', async () => {
  await using all = await startSnowflakeLoading(server)
  await makeOrders(all.loading.source, 50)
  const before = server.statements.length
  const { runId } = (await all.loading.run()) as { runId?: string }
  const seen = server.statements.slice(before).filter(({ sql }) => /^(COPY|BEGIN|MERGE|COMMIT|UPDATE)/.test(sql))
  expect(seen.length).toBeGreaterThan(3)
  for (const { queryTag } of seen)
    expect(queryTag).toMatch(runId === undefined ? /^tidemark:orders:/ : new RegExp(`^tidemark:orders:${runId}`))
  expect(await all.schema.query("LIST '@~/tidemark/'")).toEqual([])
  const tables = await all.schema.query('SHOW TABLES IN SCHEMA $')
  expect(tables.map((row) => row[1]).sort()).toEqual(['ORDERS', 'PIPELINE_FENCE', 'PIPELINE_HISTORY', 'PIPELINE_WATERMARKS'])
})

test('columns come and grow; a type that would lose is refused', async () => {
  await using all = await startSnowflakeLoading(server)
  const { loading, schema } = all
  await makeOrders(loading.source, 20)
  await loading.run()
  await loading.source.run("ALTER TABLE orders ADD COLUMN kind text DEFAULT 'old'")
  await loading.source.run('ALTER TABLE orders ALTER COLUMN amount TYPE numeric(20,2)')
  await addOrdersWithKind(all)
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 1 } })
  expect(await schema.query('SELECT kind, count(*) FROM $.orders GROUP BY kind ORDER BY kind')).toEqual([
    ['new', '1'],
    ['old', '20'],
  ])
  await loading.source.run('ALTER TABLE orders ALTER COLUMN amount TYPE numeric(20,5)')
  expect((await loading.run()).error?.code).toBe('schema-conflict')
})

async function addOrdersWithKind({ loading }: Awaited<ReturnType<typeof startSnowflakeLoading>>): Promise<void> {
  await loading.source.run("INSERT INTO orders VALUES (21, 'c', 1, true, NULL, now(), 'new')")
}

test('a table of one column keeps NULL, the empty text and line breaks apart', async () => {
  await using all = await startSnowflakeLoading(server, {
    one: { source: { query: 'SELECT v FROM one' }, cursor: 'v', write: 'append', late_rows: 'none', null_cursor: 'exclude' },
  })
  const { loading } = all
  await loading.source.run('CREATE TABLE one (v int); INSERT INTO one SELECT i FROM generate_series(1, 5) i')
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 5 } })
  expect(await all.schema.query('SELECT v FROM $.orders ORDER BY v')).toEqual(['1', '2', '3', '4', '5'].map((v) => [v]))
})
