// First loads, reloads, replacements, wildcards, backlogs, and a watermark that is moved by hand or was kept by a script.

import { expect, test } from 'vitest'
import { defineProject } from '../../src/config/define-project.ts'
import { watermarkOf } from '../../src/core/position.ts'
import { openProject } from '../../src/project/open-project.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { duckdbRun } from '../servers/duckdb-file.ts'
import { startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders, ORDER_COLUMNS } from '../servers/orders-table.ts'

test('the first load makes the table with its primary key, also of two columns and in the order of the key', async () => {
  await using loading = await startLoading({
    pipelines: {
      orders: {},
      lines: { source: { table: 'lines' } },
      named: { source: { table: 'bare' }, key: ['code'], target: { schema: '"made ""new"""' } },
    },
  })
  await makeOrders(loading.source, 10)
  await loading.source.run(`CREATE TABLE lines (n int, doc text, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (doc, n)); INSERT INTO lines VALUES (1, 'a');
    CREATE TABLE bare (code text, updated_at timestamptz NOT NULL DEFAULT now()); INSERT INTO bare VALUES ('x'), ('y')`)
  await using project = await loading.open()
  expect((await project.run()).ok).toBe(true)
  const keys = await loading.target.rows(`SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS key FROM pg_constraint
    WHERE contype = 'p' AND connamespace <> 'pg_catalog'::regnamespace AND conrelid::regclass::text !~ 'pipeline_' ORDER BY 1`)
  expect(keys).toEqual([
    { table: '"made ""new""".bare', key: 'PRIMARY KEY (code)' },
    { table: 'lines', key: 'PRIMARY KEY (doc, n)' },
    { table: 'orders', key: 'PRIMARY KEY (id)' },
  ])
})

test.each(['READ COMMITTED', 'REPEATABLE READ'])('replace never shows an empty or half table to readers that are %s', async (isolation) => {
  await using loading = await startLoading({ pipelines: { orders: { write: 'replace' } } })
  await makeOrders(loading.source, 3000)
  await loading.run()
  let reading = true
  const seen = new Set<string>()
  const readers = [1, 2, 3].map(async () => {
    const client = await loading.target.connect()
    while (reading) {
      await client.query(`BEGIN ISOLATION LEVEL ${isolation}`)
      for (let n = 0; n < 3; n++) {
        const { rows } = await client.query(
          'SELECT count(*) AS n, count(DISTINCT amount - id * 1.25) AS kinds, max(amount - id * 1.25) AS round FROM orders',
        )
        seen.add(`${rows[0].n} rows of ${rows[0].kinds} kinds`)
      }
      await client.query('COMMIT')
    }
  })
  for (let round = 0; round < 4; round++) {
    await loading.source.run('UPDATE orders SET amount = amount + 1, updated_at = now()')
    expect((await loading.run()).error).toBe(null)
  }
  reading = false
  await Promise.all(readers)
  expect([...seen]).toEqual(['3000 rows of 1 kinds'])
  expect(await loading.compare()).toEqual(same(3000))
})

test.each(TARGET_KINDS)('replace at %s also takes away what is gone, down to nothing', async (target) => {
  await using loading = await startLoading({ target, pipelines: { orders: { write: 'replace' } } })
  await makeOrders(loading.source, 50)
  await loading.run()
  await loading.source.run('DELETE FROM orders WHERE id > 30')
  await loading.run()
  expect(await loading.compare()).toEqual(same(30))
  await loading.source.run('DELETE FROM orders')
  await loading.run()
  expect(await loading.compare()).toEqual(same(0))
})

test('a wildcard is one pipeline per table, each with a watermark of its own; new tables join', async () => {
  await using loading = await startLoading({
    pipelines: { all: { source: { table: 'public.ord*' } }, 'other-things': { source: { table: 'things' } } },
  })
  for (const table of ['orders', 'ord_old', '"ord er"', 'things']) await makeOrders(loading.source, 10, table)
  await using project = await loading.open()
  const names = (await project.pipelines(['all'])).map(({ name }) => name)
  expect(names).toHaveLength(3)
  expect(names).toEqual(expect.arrayContaining(['all/ord_old', 'all/orders']))
  expect((await project.run('all')).pipelines.map(({ rows }) => rows.inserted)).toEqual([10, 10, 10])
  expect(await project.getWatermark('all/orders')).not.toBe(null)
  await makeOrders(loading.source, 5, 'ord_new')
  await addOrders(loading.source, 11, 12)
  const { pipelines } = await project.run('all')
  expect(Object.fromEntries(pipelines.map(({ pipeline, rows }) => [pipeline, rows.inserted]))).toMatchObject({
    'all/ord_new': 5,
    'all/orders': 2,
    'all/ord_old': 0,
  })
  expect((await project.run('all/ord_old')).pipelines).toHaveLength(1)
  await project.close()
  expect(await loading.compare('"ord er"')).toEqual(same(10))
  expect(await loading.target.rows("SELECT to_regclass('things') AS found")).toEqual([{ found: null }])
})

test.each(TARGET_KINDS)('--from/--to at %s loads a range again and moves nothing', async (target) => {
  await using loading = await startLoading({ target })
  await makeOrders(loading.source, 100)
  await loading.run()
  const state = await loading.state()
  // Changed without a trace in the cursor: inside of the range, and outside.
  await loading.source.run("UPDATE orders SET note = 'quiet' WHERE id IN (20, 80)")
  const again = await loading.run({ from: '2024-01-01 00:10:00+00', to: '2024-01-01 00:30:00+00' })
  expect(again.rows).toMatchObject({ inserted: 0, updated: 1 })
  expect((await loading.state())?.position).toEqual(state?.position)
  expect(await loading.compare('orders', { columns: ORDER_COLUMNS, where: 'id <> 80' })).toEqual(same(99))
  expect((await loading.compare()).lost).toHaveLength(1)
  await changeOrders(loading.source, 90, 95)
  expect((await loading.run()).rows).toMatchObject({ updated: 6, inserted: 0 })
})

test('--from/--to with append replaces the range, and doubles nothing', async () => {
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } } })
  await makeOrders(loading.source, 100)
  await loading.run()
  await loading.source.run("UPDATE orders SET note = 'quiet' WHERE id IN (15, 20)")
  await loading.run({ from: '2024-01-01 00:10:00+00', to: '2024-01-01 00:30:00+00' })
  expect(await loading.compare()).toEqual(same(100))
})

test.each(TARGET_KINDS)('--full-refresh at %s removes rows that are gone, and touches no row that is right', async (target) => {
  await using loading = await startLoading({ target })
  await makeOrders(loading.source, 100)
  await loading.run()
  await loading.source.run("DELETE FROM orders WHERE id <= 30; UPDATE orders SET note = 'quiet' WHERE id = 40")
  const { rows } = await loading.run({ fullRefresh: true })
  expect(rows).toMatchObject({ deleted: expect.any(Number) })
  expect(await loading.compare()).toEqual(same(70))
  if (target === 'postgres') {
    const versions = await rowVersions(loading.target, 'orders')
    await loading.run({ fullRefresh: true })
    expect(await rowVersions(loading.target, 'orders')).toEqual(versions)
  }
  await addOrders(loading.source, 101, 110)
  expect((await loading.run()).rows).toMatchObject({ inserted: 10, updated: 0 })
})

test.each(TARGET_KINDS)('set, rewind and history at %s', async (target) => {
  await using loading = await startLoading({ target })
  await makeOrders(loading.source, 100)
  await loading.run()
  const emptied = 'DELETE FROM orders'
  if (target === 'duckdb') await duckdbRun(loading.side as string, emptied)
  else await loading.target.run(emptied)
  {
    await using project = await loading.open()
    await project.setWatermark('orders', '2024-01-01 01:00:00+00')
    expect((await project.run('orders')).pipelines[0]).toMatchObject({ error: null, rows: { inserted: 41 } })
    expect(await project.previewWatermark('orders', '2024-01-01 00:30:00+00')).toMatchObject({ ahead: false })
    await expect(project.setWatermark('orders', 'no time at all')).rejects.toMatchObject({ code: 'bad-value' })
    await project.setWatermark('orders', '2024-01-01 00:00:00+00', 'rewind')
    expect(await project.getWatermark('orders')).toBe('2024-01-01 00:00:00+00')
    await expect(project.setWatermark('orders', '2024-01-01 00:30:00+00', 'rewind')).rejects.toMatchObject({ code: 'bad-usage' })
    expect((await project.run('orders')).pipelines[0]?.rows).toMatchObject({ inserted: 59, updated: 0 })
    const history = await project.history('orders')
    expect(history.map(({ cause, epoch }) => `${cause} ${epoch}`)).toEqual(['run 5', 'rewind 4', 'run 3', 'set 2', 'run 1'])
    expect(watermarkOf(history[1]?.to ?? null)).toBe('2024-01-01 00:00:00+00')
    expect(history[0]?.rows).toMatchObject({ inserted: 59, read: 100 })
  }
  expect(await loading.compare()).toEqual(same(100))
})

const SCRIPTS = `CREATE TABLE pipeline_watermarks (pipeline_name VARCHAR(100) PRIMARY KEY, last_watermark TIMESTAMP, last_run_at TIMESTAMP, records_processed BIGINT);
  INSERT INTO pipeline_watermarks VALUES ('orders', '2024-01-01 01:00:00', '2024-01-02', 60), ('of the script', '2020-01-01', NULL, 7)`

test.each(TARGET_KINDS)("a script's own pipeline_watermarks at %s is gone on with", async (target) => {
  await using loading = await startLoading({ target })
  await makeOrders(loading.source, 100)
  const own =
    'CREATE TABLE orders (id bigint PRIMARY KEY, customer text, amount numeric(12,2), paid boolean, note text, updated_at timestamptz)'
  if (target === 'duckdb') await duckdbRun(loading.side as string, `${SCRIPTS}; ${own}`)
  else await loading.target.run(`${SCRIPTS}; ${own}`)
  expect(await loading.state()).toMatchObject({
    epoch: 0n,
    lastWatermark: expect.stringMatching(/^2024-01-01 01:00:00/),
    recordsProcessed: 60n,
  })
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 41 } })
  expect(await loading.compare('orders', { columns: ORDER_COLUMNS, where: "updated_at >= '2024-01-01 01:00:00+00'" })).toEqual(same(41))
  expect(await loading.state()).toMatchObject({ epoch: 1n, recordsProcessed: 41n })
  await addOrders(loading.source, 101, 103)
  expect((await loading.run()).rows).toMatchObject({ inserted: 3 })
  if (target === 'postgres')
    expect(
      await loading.target.rows("SELECT last_watermark, records_processed FROM pipeline_watermarks WHERE pipeline_name = 'of the script'"),
    ).toEqual([{ last_watermark: '2020-01-01 00:00:00', records_processed: '7' }])
})

test.each([
  ['times', {}],
  ['numbers', { cursor: 'id' }],
  ['times, appended', { write: 'append' }],
  ['numbers, appended', { cursor: 'id', write: 'append', late_rows: 'none' }],
])('a backlog is cut into slices by %s; one that stops in between goes on where it was', async (_by, pipeline) => {
  for (const target of TARGET_KINDS) {
    await using loading = await startLoading({ target, pipelines: { orders: pipeline } })
    await makeOrders(loading.source, 2000)
    // Ties on the edges of slices.
    await loading.source.run(`UPDATE orders SET updated_at = date_trunc('hour', updated_at); ANALYZE orders`)
    const settings = { sliceRows: 250 }
    {
      await using project = await loading.open({ settings })
      const [first] = (await project.run('orders', { maxSlices: 2 })).pipelines
      expect(first).toMatchObject({ error: null, slices: 2 })
      expect(first?.rows.inserted).toBeLessThan(2000)
      expect(await project.getWatermark('orders')).not.toBe(null)
    }
    const part = await loading.compare()
    expect(part.surplus).toEqual([])
    await addOrders(loading.source, 2001, 2010)
    {
      await using project = await loading.open({ settings })
      let inserted = 1
      for (let n = 0; n < 20 && inserted > 0; n++) {
        const [next] = (await project.run('orders', { maxSlices: 2 })).pipelines
        expect(next?.error).toBe(null)
        inserted = next?.rows.inserted ?? 0
      }
    }
    // What is appended by time waits until no older row can come.
    const rows = 'write' in pipeline ? 2000 : 2010
    expect(await loading.compare('orders', { columns: ORDER_COLUMNS, where: `id <= ${rows}` })).toEqual(same(rows))
  }
})

test('a project defined in TypeScript opens and runs', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 20)
  const project = defineProject({
    connections: { shop: { type: 'postgres', url: '${env:SHOP_URL}' }, warehouse: { type: 'postgres', url: '${env:WAREHOUSE_URL}' } },
    defaults: { pattern: 'watermark', target: { connection: 'warehouse', schema: 'staging' } },
    pipelines: { orders: { source: { connection: 'shop', table: 'public.orders' }, cursor: 'updated_at' } },
  })
  await using opened = await openProject(project, { env: loading.env })
  expect(await opened.run()).toMatchObject({ ok: true, pipelines: [{ rows: { inserted: 20 } }] })
  expect(await loading.compare('orders', { columns: ORDER_COLUMNS, targetTable: 'staging.orders' })).toEqual(same(20))
  await expect(openProject({ ...project, pipelines: {}, connections: { shop: { type: 'mysql' } } } as never)).rejects.toMatchObject({
    code: 'bad-project',
  })
})
