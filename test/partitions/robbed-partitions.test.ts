// A row that moves is taken from where it was. When it moves back, the partition that lost it looks at the source as it did when it was
// loaded, and must be loaded all the same.

import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { ledger, startPartitions, succeed } from './partition-loading.ts'

test.each([
  ['hours', { by: 'updated_at', unit: 'hour' }, "updated_at = '2024-01-01 00:01+00'", "updated_at = '2024-01-01 02:01+00'"],
  ['ranges', { by: 'amount', size: 100 }, 'amount = 1.25', 'amount = 205.5'],
  ['values', { by: 'note', nulls: 'include' }, "note = 'x'", "note = 'xx'"],
  ['values and NULL', { by: 'note', nulls: 'include' }, "note = 'x'", 'note = NULL'],
  ['NULL and values', { by: 'note', nulls: 'include' }, 'note = NULL', "note = 'x'"],
  ['buckets', { by: 'customer', buckets: 5 }, "customer = 'customer 1'", "customer = 'customer 2'"],
])('a row that moves among %s, and back', async (_, partition, here, there) => {
  await using loading = await startPartitions({ partition, detect: 'checksum', allow_shrink: true })
  await makeOrders(loading.source, 200)
  await loading.source.run(`UPDATE orders SET ${here} WHERE id = 1`)
  await succeed(loading)
  const committed = async (): Promise<readonly string[]> =>
    (await ledger(loading.target)).filter(({ status }) => status === 'committed').map(({ key }) => key ?? '')
  const all = await committed()
  await loading.source.run(`UPDATE orders SET ${there} WHERE id = 1`)
  const rows = async (): Promise<unknown> =>
    (await loading.target.rows('SELECT count(*) AS n, count(*) FILTER (WHERE id = 1) AS one FROM orders'))[0]
  // Each partition alone, until the row has come over: then one of the others was robbed.
  const robbed: string[] = []
  for (const key of all) {
    await succeed(loading, { partitions: [key] })
    const now = await committed()
    robbed.push(...all.filter((one) => !now.includes(one)))
    expect(await rows()).not.toMatchObject({ one: '2' })
    if (robbed.length > 0) break
  }
  await loading.source.run(`UPDATE orders SET ${here} WHERE id = 1`)
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(200))
  expect(robbed.length).toBeLessThanOrEqual(1)
})
