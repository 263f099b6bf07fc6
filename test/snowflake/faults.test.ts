// What goes wrong between tidemark and Snowflake (emulated), at every statement of a load: exactly once, with the right counts.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { startSnowflake } from './emulated.ts'
import { startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
afterAll(() => server.stop())
afterEach(() => server.faults.clear())

const QUICK = { retrySeconds: 0.05 }

const STATEMENTS: readonly (readonly [string, RegExp])[] = [
  ['the upload', /^PUT /],
  ['the copy', /^COPY INTO/],
  ['the begin', /^BEGIN/],
  ['the merge', /^MERGE/],
  ['the lock', /^UPDATE .*"PIPELINE_FENCE"/],
  ['the state', /^UPDATE .*"PIPELINE_WATERMARKS" SET position/],
  ['the history', /^INSERT INTO .*"PIPELINE_HISTORY"/],
  ['the commit', /^COMMIT/],
]

describe.each(['lost-reply', 'unavailable', 'expired-token', 'lost-session'] as const)('%s', (kind) => {
  test.each(STATEMENTS)('at %s', async (_, sql) => {
    await using all = await startSnowflakeLoading(server, { orders: { write: 'merge' } })
    const { loading } = all
    await makeOrders(loading.source, 200)
    expect((await loading.run()).error).toBeNull()
    await addOrders(loading.source, 201, 230)
    await changeOrders(loading.source, 1, 20)
    server.faults.add({ kind, sql })
    const result = await loading.run({}, QUICK)
    expect(server.faults.fired[kind]).toBeGreaterThan(0)
    expect(result).toMatchObject({ error: null, rows: { inserted: 30, updated: 20 } })
    expect(await all.target()).toEqual(await all.source())
    expect((await loading.state())?.recordsProcessed).toBe(50n)
    const [history] = await all.schema.query('SELECT count(*), sum(inserted), sum(updated) FROM $.pipeline_history')
    expect(history).toEqual(['2', '230', '20'])
    server.faults.clear()
  })
})

test('an append whose commit was not answered is not made twice', async () => {
  await using all = await startSnowflakeLoading(server, { orders: { write: 'append', late_rows: 'none' } })
  await makeOrders(all.loading.source, 100)
  server.faults.add({ kind: 'lost-reply', sql: /^COMMIT/ })
  const result = await all.loading.run({}, QUICK)
  expect(result).toMatchObject({ error: null, rows: { inserted: 100 } })
  expect(await all.target()).toEqual(await all.source())
})

test.each([/^COPY INTO/, /^INSERT INTO "[^"]+"\."ORDERS"/])(
  'an append whose transaction the server ends before %s is made once',
  async (sql) => {
    await using all = await startSnowflakeLoading(server, { orders: { write: 'append', late_rows: 'none' } })
    for (const [from, to] of [
      [1, 100],
      [101, 130],
    ] as const) {
      if (from === 1) await makeOrders(all.loading.source, to)
      else await addOrders(all.loading.source, from, to)
      server.faults.add({ kind: 'aborted-transaction', sql })
      expect(await all.loading.run({}, QUICK)).toMatchObject({ error: null, rows: { inserted: to - from + 1 } })
      server.faults.clear()
      expect(await all.target()).toEqual(await all.source())
    }
  },
)

test('statements that take longer than the server holds a request are waited for', async () => {
  const patient = await startSnowflake({ inProgressAfterMs: 200 })
  try {
    await using all = await startSnowflakeLoading(patient, { orders: { write: 'merge' } })
    await makeOrders(all.loading.source, 100)
    patient.faults.add({ kind: 'slow', milliseconds: 1500, sql: /^COPY INTO/ }, { kind: 'slow', milliseconds: 1500, sql: /^COMMIT/ })
    expect(await all.loading.run({}, { retries: 0 })).toMatchObject({ error: null, rows: { inserted: 100 } })
    expect(patient.faults.fired.slow).toBe(2)
    expect(await all.target()).toEqual(await all.source())
  } finally {
    await patient.stop()
  }
})

test('a server that does not answer is unreachable after connect_timeout', async () => {
  const silent = createServer(() => undefined)
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = silent.address() as AddressInfo
    await using all = await startSnowflakeLoading(server, undefined, { access_url: `http://127.0.0.1:${port}`, connect_timeout: '1s' })
    await makeOrders(all.loading.source, 1)
    const began = performance.now()
    expect((await all.loading.run({}, { retries: 0 })).error).toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('within 1 s'),
    })
    expect(performance.now() - began).toBeLessThan(8000)
  } finally {
    silent.closeAllConnections()
    silent.close()
  }
})
