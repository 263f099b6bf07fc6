// A partition that is replaced in Postgres: afterwards it is what the source has, whatever was in its place, and rows that are the same
// were not touched.

import { expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { ledger, startPartitions, succeed } from './partition-loading.ts'

const ALL = { partitions: ['0..999'] }
const BY_ID = { partition: { by: 'id', size: 1000 }, allow_shrink: true }

test('only rows that differ are written, and counted as what they are', async () => {
  await using loading = await startPartitions(BY_ID)
  await makeOrders(loading.source, 500)
  await succeed(loading)
  const versions = await rowVersions(loading.target, 'orders WHERE id > 30')
  await loading.source.run(`UPDATE orders SET note = NULL WHERE id <= 10; UPDATE orders SET note = 'x' WHERE id BETWEEN 11 AND 12;
    DELETE FROM orders WHERE id BETWEEN 21 AND 30; INSERT INTO orders SELECT id + 600, customer, amount, paid, note, updated_at FROM orders WHERE id <= 5`)
  const touched = Number((await loading.source.rows('SELECT count(*) AS n FROM orders WHERE id <= 12'))[0]?.n)
  const { rows } = await succeed(loading, ALL)
  expect(rows).toMatchObject({ read: 495, inserted: 5, deleted: 10 })
  expect(rows.updated).toBeGreaterThan(0)
  expect(rows.updated).toBeLessThanOrEqual(touched)
  expect(rows.inserted + rows.updated + rows.unchanged).toBe(495)
  expect(await loading.compare()).toEqual(same(495))
  expect(await rowVersions(loading.target, 'orders WHERE id BETWEEN 31 AND 600')).toEqual(versions)
  expect(await succeed(loading, ALL)).toMatchObject({ status: 'up-to-date', rows: { inserted: 0, updated: 0, deleted: 0, unchanged: 495 } })
})

test.each([1, 2, 3, 4, 5, 6])('whatever stands at the target, it is replaced (seed %i)', async (seed) => {
  await using loading = await startPartitions(BY_ID)
  await makeOrders(loading.source, 400)
  await succeed(loading)
  const some = (share: number): string => `abs(hashint4(id::int + ${seed} * 1000)) % 100 < ${share}`
  await loading.target.run(`UPDATE orders SET amount = amount + 1 WHERE ${some(10)}; DELETE FROM orders WHERE ${some(seed * 9)};
    INSERT INTO orders SELECT id + 500, customer, amount, paid, note, updated_at FROM orders WHERE ${some(70)} AND id % 7 = ${seed}`)
  await loading.source.run(
    `UPDATE orders SET customer = customer || 'é', note = NULL WHERE id % 11 = ${seed}; DELETE FROM orders WHERE id % 13 = ${seed}`,
  )
  const { rows } = await succeed(loading, ALL)
  const [found] = await loading.source.rows('SELECT count(*) AS n FROM orders')
  expect(rows.inserted + rows.updated + rows.unchanged).toBe(Number(found?.n))
  expect(await loading.compare()).toEqual(same(Number(found?.n)))
})

test('a key that is equal and spelled otherwise is that of the source', async () => {
  await using loading = await startPartitions({ partition: { by: 'part', size: 10 } })
  await loading.source.run(`CREATE TABLE orders (id numeric PRIMARY KEY, part int NOT NULL, note text);
    INSERT INTO orders VALUES (1.0, 1, 'a'), (2, 1, NULL), (3, 1, 'c')`)
  await succeed(loading)
  await loading.source.run("UPDATE orders SET id = 1.00 WHERE id = 1; UPDATE orders SET note = 'b' WHERE id = 2")
  expect((await succeed(loading, { partitions: ['0..9'] })).rows).toMatchObject({ inserted: 1, deleted: 1, updated: 1, unchanged: 1 })
  expect(await loading.target.rows('SELECT id::text, note FROM orders ORDER BY orders.id')).toEqual([
    { id: '1.00', note: 'a' },
    { id: '2', note: 'b' },
    { id: '3', note: 'c' },
  ])
})

test('a table of nothing but its key', async () => {
  await using loading = await startPartitions({ partition: { by: 'a', size: 10 } })
  await loading.source.run(
    'CREATE TABLE orders (a int, b int, PRIMARY KEY (a, b)); INSERT INTO orders SELECT 1, g FROM generate_series(1, 5) g',
  )
  await succeed(loading)
  await loading.source.run('UPDATE orders SET b = 9 WHERE b = 1')
  expect((await succeed(loading, { partitions: ['0..9'] })).rows).toMatchObject({ inserted: 1, deleted: 1, updated: 0, unchanged: 4 })
  expect(await loading.target.rows('SELECT string_agg(b::text, $1 ORDER BY b) AS b FROM orders', [','])).toEqual([{ b: '2,3,4,5,9' }])
})

test.each([
  ['has no key', 'ALTER TABLE orders DROP CONSTRAINT orders_pkey'],
  ['has a column of its own', "ALTER TABLE orders ADD COLUMN seen text DEFAULT 'no'"],
])('all rows are written where the target %s', async (_, sql) => {
  await using loading = await startPartitions(BY_ID)
  await makeOrders(loading.source, 100)
  await succeed(loading)
  await loading.target.run(sql)
  await loading.source.run("UPDATE orders SET note = 'changed' WHERE id = 1")
  expect((await succeed(loading, ALL)).rows).toMatchObject({ inserted: 100, deleted: 100, updated: 0, unchanged: 0 })
  expect(await loading.compare()).toEqual(same(100))
})

test('a key that is twice at the source is refused, and the partition stays', async () => {
  await using loading = await startPartitions({ ...BY_ID, key: ['id'] })
  await makeOrders(loading.source, 100)
  await succeed(loading)
  await loading.source.run('ALTER TABLE orders DROP CONSTRAINT orders_pkey; INSERT INTO orders SELECT * FROM orders WHERE id = 7')
  const versions = await rowVersions(loading.target, 'orders')
  const run = await loading.run(ALL)
  expect(run.error).toMatchObject({ code: 'partitions-failed' })
  expect((await ledger(loading.target))[0]?.error).toContain('duplicate-key')
  expect(await rowVersions(loading.target, 'orders')).toEqual(versions)
})
