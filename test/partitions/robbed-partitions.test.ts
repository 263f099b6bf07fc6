// A row that moves is taken from where it was. When it moves back, the partition that lost it looks at the source as it did when it was
// loaded, and must be loaded all the same.

import { describe, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { type Loading, TARGET_KINDS } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { startPartitions, succeed } from './partition-loading.ts'

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.each([
    [
      'hours',
      { by: 'updated_at', unit: 'hour' },
      "updated_at = '2024-01-01 00:01+00'",
      "updated_at = '2024-01-01 02:01+00'",
      '2024-01-01T02',
    ],
    ['ranges', { by: 'amount', size: 100 }, 'amount = 1.25', 'amount = 205.5', '200..299'],
    ['values', { by: 'note', nulls: 'include' }, "note = 'x'", "note = 'xx'", 'xx'],
    ['values and NULL', { by: 'note', nulls: 'include' }, "note = 'x'", 'note = NULL', '(null)'],
    ['NULL and values', { by: 'note', nulls: 'include' }, 'note = NULL', "note = 'x'", 'x'],
    ['buckets', { by: 'customer', buckets: 5 }, "customer = 'customer 1'", "customer = 'customer 2'", 'bucket-1'],
  ])('a row that moves among %s, and back', async (_, partition, here, there, key) => {
    await using loading = await startPartitions({ partition, detect: 'checksum', allow_shrink: true }, { target })
    await makeOrders(loading.source, 200)
    await loading.source.run(`UPDATE orders SET ${here} WHERE id = 1`)
    await succeed(loading)
    await loading.source.run(`UPDATE orders SET ${there} WHERE id = 1`)
    await succeed(loading, { partitions: [key] })
    expect(await loading.compare()).toEqual(same(200))
    expect(await waiting(loading)).toMatchObject([{ status: 'planned', checksum: null }])
    await loading.source.run(`UPDATE orders SET ${here} WHERE id = 1`)
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(200))
  })
})

/** Partitions that a run would load though nothing has changed. */
async function waiting(loading: Loading) {
  await using project = await loading.open()
  return (await project.partitions('orders')).filter(({ status }) => status !== 'committed')
}
