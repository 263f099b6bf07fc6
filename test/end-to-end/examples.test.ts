// Every example that is a program, in a copy of its folder, on a database of its own.

import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { ROOT, userFolder } from './built-command.ts'

test('postgres-to-duckdb: seeds, loads, changes, loads again', async () => {
  await using shop = await freshDatabase()
  using folder = userFolder({ SOURCE_URL: shop.url })
  cpSync(join(ROOT, 'examples/postgres-to-duckdb'), folder.path, { recursive: true })
  const { exit, err } = await folder.shell('./run.sh')
  expect([exit, err]).toEqual([0, expect.stringMatching(/orders {2}loaded 100 rows \(100 updated/)])
  const warehouse = join(folder.path, 'warehouse.duckdb')
  for (const table of ['customers', 'orders', 'order_events']) {
    const [wanted] = await shop.rows(`SELECT count(*) AS n, sum(id) AS ids FROM ${table}`)
    expect(await duckdbRows(warehouse, `SELECT count(*), sum(id) FROM staging.${table}`)).toEqual([[wanted?.n, wanted?.ids]])
  }
  expect(await duckdbRows(warehouse, "SELECT count(*) FROM staging.orders WHERE id % 100 = 0 AND status <> 'shipped'")).toEqual([['0']])
})

test('partitions: a backfill, a correction, and what has changed', async () => {
  await using shop = await freshDatabase()
  using folder = userFolder({ SOURCE_URL: shop.url })
  cpSync(join(ROOT, 'examples/partitions'), folder.path, { recursive: true })
  const { exit, out, err } = await folder.shell('./run.sh')
  expect({ exit, err }).toEqual({ exit: 0, err: expect.stringContaining('31 partitions: 24 committed, 7 skipped') })
  expect(err).toContain('4 partitions: 2 committed, 2 skipped')
  expect(out).toMatch(/^2024-03-10 {2}committed {2}2 +930 /m)
  expect(out).toMatch(/^\(null\) +committed {2}1 /m)
  expect(out).not.toContain('missing:')
  const [wanted] = await shop.rows("SELECT count(*) AS n, sum(id) AS ids, count(*) FILTER (WHERE region = 'EU') AS eu FROM orders")
  for (const table of ['orders_by_day', 'orders_by_region'])
    expect(
      await duckdbRows(
        join(folder.path, 'warehouse.duckdb'),
        `SELECT count(*), sum(id), count(*) FILTER (WHERE region = 'EU') FROM staging.${table}`,
      ),
    ).toEqual([[wanted?.n, wanted?.ids, wanted?.eu]])
})

test('postgres-cdc: copies, catches up, follows until a signal, and leaves nothing at the source', async () => {
  // A slot waits for every transaction of its server, also for those of other tests.
  await using server = await startPostgres({ settings: { wal_level: 'logical' } })
  await using shop = await freshDatabase(server.url())
  using folder = userFolder({ SOURCE_URL: shop.url })
  cpSync(join(ROOT, 'examples/postgres-cdc'), folder.path, { recursive: true })
  const { exit, out, err } = await folder.shell('./run.sh')
  expect({ exit, err }).toEqual({ exit: 0, err: expect.stringContaining('102 rows (1 inserted, 1 updated, 100 deleted)') })
  expect(err).toMatch(/shop {2}loaded 50 rows \(50 updated\)/)
  expect(err).toContain('shop  up to date')
  expect(out).toContain('removed slot tidemark_order_history')
  const warehouse = join(folder.path, 'warehouse.duckdb')
  const [orders] = await shop.rows(
    "SELECT count(*) AS n, sum(id) AS ids, count(*) FILTER (WHERE status = 'shipped') AS shipped FROM orders",
  )
  expect(orders?.n).toBe('9901')
  expect(await duckdbRows(warehouse, "SELECT count(*), sum(id), count(*) FILTER (WHERE status = 'shipped') FROM staging.orders")).toEqual([
    [orders?.n, orders?.ids, orders?.shipped],
  ])
  expect(await duckdbRows(warehouse, 'SELECT stock FROM staging.products WHERE id = 7')).toEqual([['99']])
  expect(await duckdbRows(warehouse, 'SELECT _tidemark_op, count(*) FROM history.orders GROUP BY 1 ORDER BY 1')).toEqual([
    ['delete', '100'],
    ['insert', '1'],
    ['read', '10000'],
    ['update', '50'],
  ])
  expect(await shop.rows('SELECT 1 FROM pg_replication_slots WHERE database = current_database()')).toEqual([])
})

test('library: a project from a program, and a script that keeps its own SQL', async () => {
  await using shop = await freshDatabase()
  await using warehouse = await freshDatabase()
  using folder = userFolder({ SOURCE_URL: shop.url, TARGET_URL: warehouse.url })
  cpSync(join(ROOT, 'examples/library'), folder.path, { recursive: true })
  const seed = await folder.shell(`psql "$SOURCE_URL" -f ${join(ROOT, 'examples/postgres-to-duckdb/seed.sql')}`)
  expect(seed).toMatchObject({ exit: 0 })
  expect(await folder.shell('node run-project.ts')).toMatchObject({
    exit: 0,
    out: expect.stringContaining('10000 inserted, 0 updated\norders: loaded\n'),
  })
  expect(await folder.shell('node run-project.ts')).toMatchObject({ exit: 0, out: expect.stringContaining('orders: up-to-date\n') })

  const wanted = await shop.rows('SELECT * FROM orders ORDER BY id')
  // Two CREATE TABLE IF NOT EXISTS at the same moment collide in PostgreSQL's catalog: that is not what is tried here.
  await warehouse.run(
    'CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, status text, amount numeric(10,2), order_date date, updated_at timestamptz)',
  )
  const both = await folder.shell('node own-load.ts & node own-load.ts; wait')
  expect(both).toMatchObject({ exit: 0, err: '' })
  expect(await folder.shell('node own-load.ts')).toMatchObject({ exit: 0, out: expect.stringMatching(/^0 rows;/) })
  expect(await warehouse.rows('SELECT * FROM orders ORDER BY id')).toEqual(wanted)
})
