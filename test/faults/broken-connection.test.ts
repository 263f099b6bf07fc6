// A proxy between tidemark and each end cuts, resets and stalls the connection after so many bytes. A run under it fails by name
// or succeeds whole; the plain run after it leaves both sides equal. Never is a short read taken for the end.

import { describe, expect, test } from 'vitest'
import { type Fault, type FaultProxy, startFaultProxy } from '../../src/testing/fault-proxy.ts'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'

const ROWS = 12_000
/** A run's retries would only repeat the failure. */
const ONCE = { retries: 0 }
const LOST = ['connection-lost', 'unreachable', 'short-read', 'try-again']

const port = (url: string): number => Number(new URL(url).port)

interface Broken extends AsyncDisposable {
  readonly loading: Loading
  readonly proxy: FaultProxy
}

/** A loading with the proxy in front of one side. */
async function behindProxy(side: 'source' | 'target', pipeline: Readonly<Record<string, unknown>> = {}): Promise<Broken> {
  // Both ends are on the shared server: its port is known once the first url is.
  let proxy: FaultProxy | null = null
  const probe = await startLoading()
  proxy = await startFaultProxy({ port: port(probe.source.url) })
  await probe[Symbol.asyncDispose]()
  const url = (given: string): string => proxy.url(given)
  const loading = await startLoading({ pipelines: { orders: pipeline }, ...(side === 'source' ? { sourceUrl: url } : { targetUrl: url }) })
  return {
    loading,
    proxy,
    async [Symbol.asyncDispose]() {
      await loading[Symbol.asyncDispose]()
      await proxy.close()
    },
  }
}

/** Fails under the fault without a trace, and loads all of it without. */
async function failsThenLoads({ loading, proxy }: Broken, fault: Fault, rows: number): Promise<void> {
  const before = await loading.target.rows("SELECT to_regclass('orders') IS NOT NULL AS made")
  const fired = proxy.fired
  proxy.set(fault)
  const { error } = await loading.run({}, ONCE)
  proxy.set()
  expect({ fault, fired: proxy.fired > fired, lost: LOST.includes(error?.code ?? '') }).toEqual({ fault, fired: true, lost: true })
  expect(await loading.target.rows("SELECT to_regclass('orders') IS NOT NULL AS made")).toEqual(before)
  expect((await loading.run({}, ONCE)).error).toBeNull()
  expect(await loading.compare()).toEqual(same(rows))
}

describe.each([
  ['source', 'to-client', [0, 60, 400, 3000, 20_000, 300_000, 700_000]],
  ['source', 'to-server', [0, 40, 500, 2500]],
  ['target', 'to-client', [0, 60, 400, 900]],
  ['target', 'to-server', [0, 40, 500, 20_000, 300_000, 700_000]],
] as const)('%s, %s', (side, direction, places) => {
  test.each(places)('cut after %i bytes', async (afterBytes) => {
    await using broken = await behindProxy(side)
    await makeOrders(broken.loading.source, ROWS)
    await failsThenLoads(broken, { kind: 'cut', direction, afterBytes }, ROWS)
    await addOrders(broken.loading.source, ROWS + 1, ROWS * 2)
    await changeOrders(broken.loading.source, 1, 100)
    await failsThenLoads(broken, { kind: 'cut', direction, afterBytes, reset: true }, ROWS * 2)
  })
})

test.each(['source', 'target'] as const)('a %s that breaks once is tried again by the run itself', async (side) => {
  await using broken = await behindProxy(side, { write: 'append', late_rows: 'none' })
  const { loading, proxy } = broken
  await makeOrders(loading.source, ROWS)
  proxy.set({ kind: 'cut', direction: side === 'source' ? 'to-client' : 'to-server', afterBytes: 200_000, times: 1 })
  const run = await loading.run({}, { retrySeconds: 0.05 })
  expect(run).toMatchObject({ error: null, status: 'loaded', rows: { read: ROWS, inserted: ROWS } })
  expect(proxy.fired).toBe(1)
  expect(await loading.compare()).toEqual(same(ROWS))
})

test.each(['source', 'target'] as const)('a %s that never answers is given up after connect_timeout', async (side) => {
  await using broken = await behindProxy(side)
  const { loading, proxy } = broken
  await makeOrders(loading.source, 10)
  proxy.set({ kind: 'stall', direction: 'to-client', afterBytes: 0 })
  const url = side === 'source' ? 'SHOP_URL' : 'WAREHOUSE_URL'
  loading.pipelines(
    { orders: {} },
    { [side === 'source' ? 'shop' : 'warehouse']: { type: 'postgres', url: `\${env:${url}}`, connect_timeout: '1s' } },
  )
  const { error } = await loading.run({}, ONCE)
  expect(error).toMatchObject({ code: 'unreachable', where: expect.stringContaining(side) })
  proxy.set()
  expect((await loading.run()).error).toBeNull()
  expect(await loading.compare()).toEqual(same(10))
})

test.each(['source', 'target'] as const)('a %s that stalls in the middle does not keep a stopped run from ending', async (side) => {
  await using broken = await behindProxy(side)
  const { loading, proxy } = broken
  await makeOrders(loading.source, ROWS)
  proxy.set({ kind: 'stall', direction: side === 'source' ? 'to-client' : 'to-server', afterBytes: 100_000 })
  const running = loading.start(['run'])
  await expect.poll(() => proxy.fired, { timeout: 30_000 }).toBe(1)
  const asked = performance.now()
  running.child.kill('SIGTERM')
  const { exit } = await running.done
  expect(exit).toBe(143)
  // Its own grace is below five seconds.
  expect(performance.now() - asked).toBeLessThan(15_000)
  proxy.set()
  proxy.cutAll('reset')
  expect((await loading.run()).error).toBeNull()
  expect(await loading.compare()).toEqual(same(ROWS))
})
