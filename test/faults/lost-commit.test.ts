// The line breaks at COMMIT: before the server heard it, or before the client heard that it was done. The run looks again,
// settles which of the two it was, and reports counts as if nothing had happened.

import { describe, expect, test } from 'vitest'
import { startFaultProxy } from '../../src/testing/fault-proxy.ts'
import { same } from '../servers/compare-tables.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { startLoading, WATERMARK_WRITES } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'

const QUICK = { retrySeconds: 0.05 }

async function sharedPort(): Promise<number> {
  await using database = await freshDatabase()
  return Number(new URL(database.url).port)
}

describe.each(WATERMARK_WRITES)('%s', (write) => {
  test.each(['answer', 'request'] as const)('the %s is lost: exactly once, with the right counts', async (what) => {
    await using proxy = await startFaultProxy({ port: await sharedPort() })
    const late = write === 'append' ? { late_rows: 'none' } : {}
    await using loading = await startLoading({ pipelines: { orders: { write, ...late } }, targetUrl: (url) => proxy.url(url) })
    await makeOrders(loading.source, 500)
    proxy.set({ kind: 'lose-commit', what, times: 1 })
    const first = await loading.run({}, QUICK)
    expect(first).toMatchObject({ error: null, status: 'loaded', rows: { inserted: 500, updated: 0 } })
    expect(first.rows.read).toBe(first.rows.inserted + first.rows.unchanged)
    expect(proxy.fired).toBe(1)
    expect(await loading.compare()).toEqual(same(500))

    await addOrders(loading.source, 501, 530)
    if (write !== 'append') await changeOrders(loading.source, 1, 20)
    proxy.set({ kind: 'lose-commit', what, times: 1 })
    const second = await loading.run({}, QUICK)
    expect(proxy.fired).toBe(2)
    expect(second).toMatchObject({ error: null, status: 'loaded', rows: { inserted: 30, updated: write === 'append' ? 0 : 20 } })
    expect(second.rows.read).toBe(second.rows.inserted + second.rows.updated + second.rows.unchanged)
    expect(await loading.compare()).toEqual(same(530))
    const state = await loading.state()
    expect(state?.recordsProcessed).toBe(write === 'append' ? 30n : 50n)
    const [history] = await loading.target.rows('SELECT count(*) AS commits, sum(inserted) AS inserted FROM pipeline_history')
    expect(history?.inserted).toBe('530')
  })

  test('the answer is lost and nobody asks again: the next run finds it done', async () => {
    await using proxy = await startFaultProxy({ port: await sharedPort() }, { kind: 'lose-commit', what: 'answer' })
    const late = write === 'append' ? { late_rows: 'none' } : {}
    await using loading = await startLoading({ pipelines: { orders: { write, ...late } }, targetUrl: (url) => proxy.url(url) })
    await makeOrders(loading.source, 500)
    expect((await loading.run({}, { retries: 0 })).error?.code).toBe('connection-lost')
    proxy.set()
    expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
    expect(await loading.compare()).toEqual(same(500))
  })
})

test('the command line settles it too, and exits 0', async () => {
  await using proxy = await startFaultProxy({ port: await sharedPort() }, { kind: 'lose-commit', what: 'answer', times: 1 })
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } }, targetUrl: (url) => proxy.url(url) })
  await makeOrders(loading.source, 500)
  const run = await loading.cli(['run'])
  expect({ exit: run.exit, fired: proxy.fired }).toEqual({ exit: 0, fired: 1 })
  expect(resultOf(run)).toMatchObject({ status: 'loaded', epoch: 1, rows: { read: 500, inserted: 500 } })
  expect(run.err).toContain('Trying again')
  expect(await loading.compare()).toEqual(same(500))
})

test('the end of the snapshot at the source may be lost as well', async () => {
  await using proxy = await startFaultProxy({ port: await sharedPort() })
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } }, sourceUrl: (url) => proxy.url(url) })
  await makeOrders(loading.source, 500)
  for (const what of ['answer', 'request'] as const) {
    proxy.set({ kind: 'lose-commit', what, times: 1 })
    expect((await loading.run({}, QUICK)).error).toBeNull()
  }
  expect(await loading.compare()).toEqual(same(500))
})
