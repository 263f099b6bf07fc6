// examples/idempotent-merge.sql does what it teaches: run as a user would paste it, on real engines.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'
import { OLDER_VERSIONS } from '../servers/older-versions.ts'

const text = readFileSync(join(import.meta.dirname, '../../examples/idempotent-merge.sql'), 'utf8')
const sections = new Map(
  [...text.matchAll(/^-- === (\w+) ===$([\s\S]*?)(?=^-- === |(?![\s\S]))/gm)].map(([, name, body]) => [name, body ?? '']),
)
const section = (name: string) => sections.get(name) ?? ''

const LOADED = ['orders_upserted', 'orders_merged', 'orders_rewritten', 'orders_by_day', 'customers', 'pipeline_watermarks']
const CUSTOMERS = [
  { customer_id: '1', name: 'Ada', city: 'Ockham' },
  { customer_id: '3', name: 'Edsger', city: 'Austin' },
  { customer_id: '5', name: 'Barbara', city: null },
]

test('there is a section for each engine', () => {
  expect([...sections.keys()]).toEqual(['PostgreSQL', 'DuckDB', 'Snowflake'])
})

describe('PostgreSQL', () => {
  const script = section('PostgreSQL')
  /** With the version of each row, which any write to it changes. */
  const contents = async (database: FreshDatabase, columns = 'xmin, ctid, *') => {
    const tables: Record<string, unknown> = {}
    for (const table of LOADED) tables[table] = await database.rows(`SELECT ${columns} FROM merge_example.${table} ORDER BY 3`)
    return tables
  }
  const ids = async (database: FreshDatabase, table: string) =>
    (await database.rows(`SELECT order_id FROM merge_example.${table} ORDER BY 1`)).map((row) => Number(row.order_id))

  async function runTwice(database: FreshDatabase, merges: boolean): Promise<void> {
    await database.run(script)
    const first = await contents(database)
    for (const table of ['orders_upserted', 'orders_rewritten', ...(merges ? ['orders_merged'] : [])]) {
      expect(await ids(database, table)).toEqual([1, 2, 3, 4])
    }
    expect(await ids(database, 'orders_by_day')).toEqual([3, 4])
    expect(await database.rows('SELECT * FROM merge_example.customers ORDER BY 1')).toEqual(CUSTOMERS)
    await database.run(script)
    expect(await contents(database)).toEqual(first)
  }

  test('the second run changes nothing, not even a row version', async () => {
    await using database = await freshDatabase()
    await runTwice(database, true)
  })

  test.each(OLDER_VERSIONS)('version %i runs it too, with MERGE only where it exists', async (version) => {
    await using server = await startPostgres({ version })
    await using database = await freshDatabase(server.url())
    await runTwice(database, version >= 15)
  })

  test('loading again from the start writes no row that is equal', async () => {
    await using database = await freshDatabase()
    await database.run(script)
    const versions = (table: string) => database.rows(`SELECT xmin, ctid, * FROM merge_example.${table} ORDER BY 3`)
    const before = [await versions('orders_upserted'), await versions('orders_merged'), await versions('customers')]
    const rewritten = await database.rows('SELECT * FROM merge_example.orders_rewritten ORDER BY 1')
    await database.run('UPDATE merge_example.pipeline_watermarks SET last_watermark = NULL')
    await database.run(script)
    expect([await versions('orders_upserted'), await versions('orders_merged'), await versions('customers')]).toEqual(before)
    expect(await database.rows('SELECT * FROM merge_example.orders_rewritten ORDER BY 1')).toEqual(rewritten)
  })

  test('the next run takes what is new, changed, deleted', async () => {
    await using database = await freshDatabase()
    await database.run(script)
    await database.run(`
      SET search_path TO merge_example;
      -- After the watermark and before the next bound.
      UPDATE pipeline_watermarks SET last_watermark = last_watermark - interval '1 hour' WHERE pipeline_name = 'example_orders';
      INSERT INTO shop_orders VALUES (5, 'Alan', 1, '2024-03-02', (now() AT TIME ZONE 'UTC') - interval '30 minutes');
      UPDATE shop_orders SET amount = 11, updated_at = (now() AT TIME ZONE 'UTC') - interval '20 minutes' WHERE order_id = 1;
      DELETE FROM shop_orders WHERE order_id = 3;
      INSERT INTO customer_changes VALUES (11, '2024-03-02 00:00:00', 'U', 1, 'Ada', 'Bath'), (12, '2024-03-02 00:00:01', 'D', 5, NULL, NULL);`)
    await database.run(script)
    for (const table of ['orders_upserted', 'orders_merged', 'orders_rewritten']) {
      const rows = await database.rows(`SELECT order_id || ' ' || amount AS a FROM ${table} ORDER BY order_id`)
      expect(rows.map(({ a }) => a)).toEqual(['1 11.00', '2 25.50', '3 7.25', '4 99.99', '5 1.00'])
    }
    // A watermark does not see the delete; a replaced partition does.
    expect(await ids(database, 'orders_by_day')).toEqual([4, 5])
    expect(await database.rows('SELECT customer_id, city FROM customers ORDER BY 1')).toEqual([
      { customer_id: '1', city: 'Bath' },
      { customer_id: '3', city: 'Austin' },
    ])
    const counts = await database.rows('SELECT records_processed AS n FROM pipeline_watermarks ORDER BY pipeline_name')
    expect(counts).toEqual([{ n: '2' }, { n: '2' }])
  })

  test('a row that is committed late is not lost', async () => {
    await using database = await freshDatabase()
    await database.run(script)
    const slow = await database.connect()
    await slow.query('BEGIN')
    await slow.query("INSERT INTO merge_example.shop_orders VALUES (6, 'Late', 1, '2024-03-05', now() AT TIME ZONE 'UTC')")
    await database.run(script)
    await slow.query('COMMIT')
    // Once the margin has passed.
    await expect
      .poll(
        async () => {
          await database.run(script)
          return await ids(database, 'orders_upserted')
        },
        { timeout: 20_000, interval: 500 },
      )
      .toEqual([1, 2, 3, 4, 6])
  })

  test('two runs at once: one wins, the other says so or finds nothing to do', async () => {
    await using database = await freshDatabase()
    await database.run(script)
    await database.run("UPDATE merge_example.pipeline_watermarks SET last_watermark = NULL WHERE pipeline_name = 'example_orders'")
    const rivals = await Promise.all([1, 2, 3, 4].map(() => database.connect()))
    const outcomes = await Promise.allSettled(rivals.map((rival: pg.Client) => rival.query(script)))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []))
    expect(failures.length).toBeLessThan(4)
    for (const failure of failures) expect(failure).toMatch(/Another run moved example_orders first/)
    for (const table of ['orders_upserted', 'orders_merged', 'orders_rewritten']) expect(await ids(database, table)).toEqual([1, 2, 3, 4])
  })
})

describe('DuckDB', () => {
  const script = section('DuckDB')
  const rows = async (connection: DuckDBConnection, sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJson()
  const contents = async (connection: DuckDBConnection) => {
    const tables: Record<string, unknown> = {}
    for (const table of LOADED) tables[table] = await rows(connection, `SELECT rowid, * FROM merge_example.${table} ORDER BY 2`)
    return tables
  }
  const open = async () => await (await DuckDBInstance.create(':memory:')).connect()

  test('the second run changes nothing', async () => {
    const connection = await open()
    await connection.run(script)
    const first = await contents(connection)
    const ids = async (table: string) => (await rows(connection, `SELECT order_id FROM ${table} ORDER BY 1`)).map((row) => row.order_id)
    for (const table of ['orders_upserted', 'orders_merged', 'orders_rewritten']) expect(await ids(table)).toEqual([1, 2, 3, 4])
    expect(await ids('orders_by_day')).toEqual([3, 4])
    const customers = CUSTOMERS.map((customer) => ({ ...customer, customer_id: Number(customer.customer_id) }))
    expect(await rows(connection, 'SELECT * FROM customers ORDER BY 1')).toEqual(customers)
    await connection.run(script)
    expect(await contents(connection)).toEqual(first)
    connection.closeSync()
  })

  test('the next run takes what is new, changed, deleted', async () => {
    const connection = await open()
    await connection.run(script)
    await connection.run(`
      UPDATE pipeline_watermarks SET last_watermark = last_watermark - INTERVAL 1 HOUR WHERE pipeline_name = 'example_orders';
      INSERT INTO shop_orders VALUES (5, 'Alan', 1, '2024-03-02', (now() AT TIME ZONE 'UTC') - INTERVAL 30 MINUTES);
      UPDATE shop_orders SET amount = 11, updated_at = (now() AT TIME ZONE 'UTC') - INTERVAL 20 MINUTES WHERE order_id = 1;
      DELETE FROM shop_orders WHERE order_id = 3;
      INSERT INTO customer_changes VALUES (11, '2024-03-02 00:00:00', 'U', 1, 'Ada', 'Bath'), (12, '2024-03-02 00:00:01', 'D', 5, NULL, NULL)`)
    await connection.run(script)
    for (const table of ['orders_upserted', 'orders_merged', 'orders_rewritten']) {
      const amounts = await rows(connection, `SELECT order_id || ' ' || amount AS a FROM ${table} ORDER BY order_id`)
      expect(amounts.map(({ a }) => a)).toEqual(['1 11.00', '2 25.50', '3 7.25', '4 99.99', '5 1.00'])
    }
    expect(await rows(connection, 'SELECT order_id FROM orders_by_day ORDER BY 1')).toEqual([{ order_id: 4 }, { order_id: 5 }])
    expect(await rows(connection, 'SELECT customer_id, city FROM customers ORDER BY 1')).toEqual([
      { customer_id: 1, city: 'Bath' },
      { customer_id: 3, city: 'Austin' },
    ])
    connection.closeSync()
  })

  test('a run that finds the watermark moved writes nothing', async () => {
    const connection = await open()
    await connection.run(script)
    const before = await contents(connection)
    const moved = script.replace(
      '-- Step 3:',
      "UPDATE pipeline_watermarks SET last_watermark = '2000-01-01' WHERE pipeline_name = 'example_orders';\n-- Step 3:",
    )
    await expect(connection.run(moved)).rejects.toThrow('Another run moved example_orders first')
    await connection.run('ROLLBACK')
    expect(await contents(connection)).toEqual(before)
    connection.closeSync()
  })
})
