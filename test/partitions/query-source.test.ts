// Partitions of a query: cut, read and compared as those of a table.

import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { startPartitions, succeed } from './partition-loading.ts'

test.each([
  ['partitions that are open', { partition: { by: 'id', size: 50 } }],
  ['partitions that are looked at again', { lookback: 3 }],
  ['partitions with a checksum', { detect: 'checksum' }],
])('%s', async (_, pipeline) => {
  await using loading = await startPartitions({ source: { query: 'SELECT * FROM orders' }, key: ['id'], ...pipeline })
  await makeOrders(loading.source, 200)
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(200))
  expect((await succeed(loading)).status).toBe('up-to-date')
  await loading.source.run("UPDATE orders SET note = 'changed' WHERE id = 180")
  expect((await succeed(loading)).status).toBe('loaded')
  expect(await loading.compare()).toEqual(same(200))
})
