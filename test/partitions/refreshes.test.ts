// A full refresh that is cut short, or comes in the middle of something else: what is gone at the source goes at the target too, and
// nothing that was on its way in before comes on top of it.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'
import { changeOrders, makeOrders } from '../servers/orders-table.ts'
import { byHour, succeed } from './partition-loading.ts'

const ROWS = 600
const PIECES = { first_load: { by: 'id', size: 20_000, workers: 2 } }

async function start(target: TargetKind, pipeline: object = byHour({ workers: 1 })): Promise<Loading> {
  const loading = await startLoading({ target, pipelines: { orders: { ...pipeline } } })
  await makeOrders(loading.source, ROWS)
  return loading
}

async function keys(loading: Loading): Promise<number> {
  return (await loading.target.rows("SELECT 1 FROM pg_constraint WHERE contype = 'p' AND conrelid = 'orders'::regclass")).length
}

async function killed(loading: Loading, at: string): Promise<void> {
  expect((await loading.cli(['run', '--full-refresh'], { TIDEMARK_CRASH_AT: at })).signal).toBe('SIGKILL')
}

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.each(['ledger-prepared', 'partition-done:4', 'before-finish'])('killed at %s', async (point) => {
    await using loading = await start(target)
    await succeed(loading)
    // The first hours are gone as a whole: no partition of the source would clear them.
    await loading.source.run("DELETE FROM orders WHERE updated_at < '2024-01-01 03:00+00'")
    await killed(loading, point)
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(ROWS - 179))
  })

  test('during a first load that is not over', async () => {
    await using loading = await start(target)
    await succeed(loading, { maxSlices: 4 })
    await loading.source.run("DELETE FROM orders WHERE updated_at < '2024-01-01 02:00+00'")
    await killed(loading, 'partition-done:2')
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(ROWS - 119))
    if (target === 'postgres') expect(await keys(loading)).toBe(1)
    await loading.source.run('UPDATE orders SET amount = 0')
    await succeed(loading, { fullRefresh: true })
    expect(await loading.compare()).toEqual(same(ROWS - 119))
  })

  test('during a first load in pieces that stopped', async () => {
    await using loading = await start(target, { first_load: { by: 'id', size: 100 } })
    await succeed(loading, { maxSlices: 2 })
    await changeOrders(loading.source, 1, 50)
    await succeed(loading, { fullRefresh: true })
    expect(await loading.compare()).toEqual(same(ROWS))
    expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
  })
})

test('a first load in pieces that was frozen, and wakes up after a full refresh', async () => {
  await using loading = await startLoading({ pipelines: { orders: PIECES } })
  await makeOrders(loading.source, 200_000)
  const frozen = loading.start(['run'])
  const committed = async (): Promise<number> => {
    const [there] = await loading.target.rows("SELECT to_regclass('pipeline_partitions') AS found")
    if (there?.found == null) return 0
    return Number((await loading.target.rows("SELECT count(*) AS n FROM pipeline_partitions WHERE status = 'committed'"))[0]?.n)
  }
  await expect.poll(committed, { timeout: 30_000, interval: 5 }).toBeGreaterThan(0)
  process.kill(frozen.pid, 'SIGSTOP')
  await loading.source.run(
    'UPDATE orders SET amount = amount + 1, updated_at = now() WHERE id % 7 = 0; DELETE FROM orders WHERE id % 11 = 0',
  )
  const refreshed = loading.run({ fullRefresh: true })
  await pause(1500)
  process.kill(frozen.pid, 'SIGCONT')
  const { error } = await refreshed
  expect([0, 5]).toContain((await frozen.done).exit)
  // Where the other one has ended first, this one has moved nothing, and says so.
  if (error !== null) expect(error.code).toBe('state-conflict')
  if (error !== null) await succeed(loading, { fullRefresh: true })
  expect(await loading.compare()).toEqual(same(200_000 - Math.floor(200_000 / 11)))
  expect(await keys(loading)).toBe(1)
  expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
})
