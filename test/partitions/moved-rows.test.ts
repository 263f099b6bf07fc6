// A row that moves from one partition to another is in the target once after each load of one of the two.

import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { ledger, startPartitions, succeed } from './partition-loading.ts'

test.each([60, 20_000])('a row moves among %d', async (rows) => {
  await using loading = await startPartitions({ workers: 2 })
  await makeOrders(loading.source, rows)
  await loading.source.run("UPDATE orders SET updated_at = timestamptz '2024-03-01 00:00+00' + (id % 3) * interval '1 hour'")
  await succeed(loading)
  const [first = '', second = '', third = ''] = (await ledger(loading.target)).map(({ key }) => key ?? '')

  await loading.source.run("UPDATE orders SET updated_at = updated_at + interval '1 hour', note = 'moved' WHERE id IN (3, 4, 6)")
  const there = await succeed(loading, { partitions: [second] })
  expect(there.rows.inserted - there.rows.deleted).toBe(-1)
  expect(await loading.target.rows("SELECT id, note FROM orders WHERE note = 'moved' ORDER BY id")).toEqual([
    { id: '3', note: 'moved' },
    { id: '6', note: 'moved' },
  ])
  await succeed(loading, { partitions: [third] })
  expect(await loading.compare()).toEqual(same(rows))
  await succeed(loading, { partitions: [first] })
  expect(await loading.compare()).toEqual(same(rows))
})
