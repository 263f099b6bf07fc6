// Target tables that PostgreSQL itself has partitioned: a partition is emptied or exchanged as a whole. What readers see of each way.

import { describe, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import type { Loading } from '../servers/loading.ts'
import { startPartitions, succeed } from './partition-loading.ts'

const COLUMNS = ['id', 'day', 'region', 'note'] as const
const MAKE = `CREATE TABLE orders (id int, day date, region text, note text, PRIMARY KEY (id, day));
  INSERT INTO orders SELECT i, date '2024-01-01' + i % 5, CASE i % 3 WHEN 0 THEN 'EU' WHEN 1 THEN 'U S' END, 'note ' || i FROM generate_series(1, 300) AS i`
const BY_DAY = 'CREATE TABLE orders (id int, day date, region text, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)'
const BY_REGION = 'CREATE TABLE orders (id int, day date, region text, note text) PARTITION BY LIST (region)'

async function start(make: string, pipeline: object): Promise<Loading> {
  const loading = await startPartitions({ partition: { by: 'day', unit: 'day' }, ...pipeline })
  await loading.source.run(MAKE)
  await loading.target.run(make)
  return loading
}

const compare = (loading: Loading) => loading.compare('orders', { columns: COLUMNS })

async function children(loading: Loading): Promise<readonly (string | null | undefined)[]> {
  const rows = await loading.target.rows(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'orders'::regclass ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

describe.each(['truncate', 'swap'])('replace_by: %s', (replaceBy) => {
  test('makes what is missing, and replaces by day', async () => {
    await using loading = await start(BY_DAY, { replace_by: replaceBy })
    await loading.target.run("CREATE TABLE mine PARTITION OF orders FOR VALUES FROM ('2024-01-03') TO ('2024-01-04')")
    await succeed(loading)
    expect(await compare(loading)).toEqual(same(300))
    expect(await children(loading)).toEqual(['mine', 'orders_2024_01_01', 'orders_2024_01_02', 'orders_2024_01_04', 'orders_2024_01_05'])
    await loading.source.run(
      "UPDATE orders SET note = 'new' WHERE day = '2024-01-03'; DELETE FROM orders WHERE id < 10 AND day < '2024-01-04'",
    )
    await succeed(loading, { partitions: ['2024-01-01', '2024-01-02', '2024-01-03'] })
    expect(await compare(loading)).toMatchObject({ lost: [], surplus: [] })
    expect(await children(loading)).toHaveLength(5)
    const left = await loading.target.rows("SELECT relname FROM pg_class WHERE relname LIKE '\\_tidemark%'")
    expect(left).toEqual([])
  })

  test('by value, with a partition of NULL', async () => {
    await using loading = await start(BY_REGION, { partition: { by: 'region' }, replace_by: replaceBy, key: ['id', 'day'] })
    await succeed(loading)
    await loading.source.run("UPDATE orders SET note = 'x' WHERE region IS NULL")
    await succeed(loading, { partitions: ['(null)', 'U S'] })
    expect(await compare(loading)).toEqual(same(300))
    expect(await children(loading)).toHaveLength(3)
  })

  test('a partition that shrinks too much stays as it was', async () => {
    await using loading = await start(BY_DAY, { replace_by: replaceBy })
    await succeed(loading)
    await loading.source.run("DELETE FROM orders WHERE day = '2024-01-02'")
    const { error } = await loading.run({ partitions: ['2024-01-02'] })
    expect(error?.message).toContain('partition-shrank')
    expect(await loading.target.rows("SELECT count(*) AS n FROM orders WHERE day = '2024-01-02'")).toEqual([{ n: '60' }])
  })

  test('a table that is partitioned otherwise is refused', async () => {
    await using loading = await start(BY_REGION, { replace_by: replaceBy, key: ['id', 'day'] })
    const { error } = await loading.run()
    expect(error?.message).toContain('unusable-partition')
    expect(await loading.target.rows('SELECT 1 FROM orders')).toEqual([])
    expect(await children(loading)).toEqual([])
  })
})

/** What a reader with an older snapshot sees of a partition after it was replaced. */
test.each([
  ['delete', '60'],
  ['truncate', '0'],
  ['swap', '0'],
])('an older snapshot, after replace_by: %s, sees %s rows', async (replaceBy, seen) => {
  await using loading = await start(BY_DAY, { replace_by: replaceBy })
  await loading.target.run(
    [1, 2, 3, 4, 5]
      .map((day) => `CREATE TABLE d${day} PARTITION OF orders FOR VALUES FROM ('2024-01-0${day}') TO ('2024-01-0${day + 1}')`)
      .join(';'),
  )
  await succeed(loading)
  const reader = await loading.target.connect()
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  // Takes the snapshot, and no lock that the reload would wait for.
  await reader.query('SELECT count(*) FROM pipeline_watermarks')
  await loading.source.run("UPDATE orders SET note = 'new' WHERE day = '2024-01-02'")
  await succeed(loading, { partitions: ['2024-01-02'] })
  const { rows } = await reader.query(
    "SELECT count(*)::text AS n, count(*) FILTER (WHERE note = 'new')::text AS new FROM orders WHERE day = '2024-01-02'",
  )
  expect(rows).toEqual([{ n: seen, new: '0' }])
  await reader.query('COMMIT')
  expect(await compare(loading)).toEqual(same(300))
})
