// The first load of a watermark pipeline in pieces: killed anywhere it goes on with the pieces that are missing, and the watermark comes
// with the last one. What changes meanwhile comes by watermark.

import { describe, expect, test } from 'vitest'
import { watermarkOf } from '../../src/core/position.ts'
import { PARTITION_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { changeOrders, makeOrders } from '../servers/orders-table.ts'
import { runCli } from '../servers/run-cli.ts'

const ROWS = 2000
const PIECES = { first_load: { by: 'id', size: 300, workers: 4 } }

async function start(target: (typeof TARGET_KINDS)[number], more: object = {}): Promise<Loading> {
  const loading = await startLoading({ target, pipelines: { orders: { ...PIECES, ...more } } })
  await makeOrders(loading.source, ROWS)
  return loading
}

async function attempts(loading: Loading): Promise<readonly string[]> {
  await using project = await loading.open()
  return (await project.partitions('orders')).map(({ key, attempt, committedAt }) => `${key} ${attempt} ${committedAt}`)
}

const hasWatermark = async (loading: Loading): Promise<boolean> => watermarkOf((await loading.state())?.position ?? null) !== null

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.concurrent.for(PARTITION_CRASH_POINTS)('killed at %s', async (point, { expect: expects }) => {
    await using loading = await start(target)
    expects((await loading.cli(['run'], { TIDEMARK_CRASH_AT: point })).signal).toBe('SIGKILL')
    expects(await hasWatermark(loading)).toBe(point === 'finished')
    const before = (await attempts(loading)).filter((entry) => !entry.endsWith('null'))
    await changeOrders(loading.source, 1, 40)
    expects((await loading.run()).error).toBeNull()
    expects(await loading.compare()).toEqual(same(ROWS))
    expects(await hasWatermark(loading)).toBe(true)
    expects(await attempts(loading)).toEqual(expect.arrayContaining(before))
    expects((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0 })
  })

  test('a first load that is taken out of the project, or cut otherwise, in the middle', async () => {
    await using loading = await start(target)
    expect((await loading.run({ maxSlices: 2 })).error).toBeNull()
    expect(await hasWatermark(loading)).toBe(false)
    loading.pipelines({ orders: {} })
    expect((await loading.run()).error?.code).toBe('definition-changed')
    loading.pipelines({ orders: { first_load: { by: 'id', size: 500 } } })
    expect((await loading.run()).error?.code).toBe('definition-changed')
    loading.pipelines({ orders: PIECES })
    expect((await loading.run()).error).toBeNull()
    expect(await loading.compare()).toEqual(same(ROWS))
  })
})

test.each(TARGET_KINDS)('a row that moved from one piece to another, unseen by the cursor, is there once: %s', async (target) => {
  await using loading = await start(target, { first_load: { by: 'place', size: 300 } })
  await loading.source.run('ALTER TABLE orders ADD place bigint; UPDATE orders SET place = id')
  expect((await loading.run({ maxSlices: 2 })).error).toBeNull()
  await loading.source.run('UPDATE orders SET place = 1950, note = NULL WHERE id BETWEEN 10 AND 20')
  expect((await loading.run()).error).toBeNull()
  expect(await loading.compare()).toEqual(same(ROWS))
  expect(await hasWatermark(loading)).toBe(true)
})

test.each(['append', 'merge'])('a first load into a table that is there already, by %s', async (write) => {
  await using loading = await start('postgres', { write, first_load: { by: 'place', size: 300 } })
  // Some are in the piece of rows without a value.
  await loading.source.run('ALTER TABLE orders ADD place bigint; UPDATE orders SET place = CASE WHEN id % 10 > 0 THEN id END')
  await makeOrders(loading.target, 0)
  await loading.target.run('ALTER TABLE orders ADD place bigint')
  expect((await loading.run({ maxSlices: 2 })).error).toBeNull()
  expect((await loading.run()).error).toBeNull()
  expect(await loading.compare()).toEqual(same(ROWS))
})

test('status shows the pieces of a first load, and no watermark can be set before the last one', async () => {
  await using loading = await start('postgres')
  expect((await loading.run({ maxSlices: 2 })).error).toBeNull()
  const shown = await loading.cli(['status'])
  expect(JSON.parse(shown.out).pipelines[0]).toMatchObject({ pipeline: 'orders', partitions: { total: 7, committed: 2, planned: 5 } })
  expect((await runCli(loading.folder.path, ['status'], loading.env)).out).toContain('2 of 7 pieces')
  const set = await loading.cli(['watermark', 'set', 'orders', '2024-01-01 00:00:00+00', '--yes'])
  expect(set.exit).toBe(2)
  expect(set.err).toContain('first load')
  expect((await loading.run()).error).toBeNull()
  expect(await loading.compare()).toEqual(same(ROWS))
})

test('a first load in slices goes straight in, and gets its key with the last one', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, ROWS)
  // Without statistics nobody knows that there is something to cut.
  await loading.source.run('ANALYZE orders')
  const keys = async (): Promise<number> =>
    (await loading.target.rows("SELECT 1 FROM pg_constraint WHERE contype = 'p' AND conrelid = 'orders'::regclass")).length
  expect((await loading.run({ maxSlices: 2 }, { sliceRows: 300 })).error).toBeNull()
  expect(await keys()).toBe(0)
  // Rows that are in already come again with a later slice.
  await changeOrders(loading.source, 1, 500)
  expect((await loading.run({ maxSlices: 1 }, { sliceRows: 300 })).error).toBeNull()
  expect(await keys()).toBe(0)
  expect((await loading.run({}, { sliceRows: 300 })).error).toBeNull()
  expect(await keys()).toBe(1)
  expect(await loading.compare()).toEqual(same(ROWS))
})
