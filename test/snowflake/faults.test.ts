// What goes wrong between tidemark and Snowflake (emulated), at every statement of a load: exactly once, with the right counts.

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
