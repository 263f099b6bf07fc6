// The target's server, or one backend of either side, dies in the middle of a load. Whatever the run makes of it, the next one
// leaves source and target equal.

import { expect, test } from 'vitest'
import type { RunEvent } from '../../src/core/event.ts'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { same } from '../servers/compare-tables.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'

const ROWS = 30_000
type Phase = 'reading' | 'applying'

/** Does it once, when the run reaches the phase. */
function once(phase: Phase, strike: () => Promise<unknown>): { onEvent: (event: RunEvent) => void; struck: () => Promise<unknown> } {
  let blow: Promise<unknown> | null = null
  return {
    onEvent(event) {
      if (event.kind === 'phase' && event.phase === phase) blow ??= strike()
    },
    struck: async () => {
      expect(blow).not.toBeNull()
      await blow
    },
  }
}

async function loadsUnder(loading: Loading, phase: Phase, strike: () => Promise<unknown>): Promise<void> {
  await makeOrders(loading.source, ROWS)
  const first = once(phase, strike)
  await survives(loading, first, 0)
  expect(await loading.compare()).toEqual(same(ROWS))
  await addOrders(loading.source, ROWS + 1, ROWS + 10_000)
  await changeOrders(loading.source, 1, 5000)
  await survives(loading, once(phase, strike), Number((await loading.state())?.epoch))
  expect(await loading.compare()).toEqual(same(ROWS + 10_000))
}

async function survives(loading: Loading, { onEvent, struck }: ReturnType<typeof once>, epoch: number): Promise<void> {
  const run = await loading.run({ onEvent })
  await struck()
  if (run.error !== null) expect(['connection-lost', 'unreachable', 'try-again']).toContain(run.error.code)
  else expect(run.epoch).toBe(epoch + 1)
  const again = await loading.run()
  expect(again.error).toBeNull()
}

/** Ends every backend of the database but the ones of the test itself. */
async function terminate(database: FreshDatabase): Promise<unknown> {
  const other = await database.connect()
  return other.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark'",
  )
}

test.each(['reading', 'applying'] as const)('the whole target server is killed while the run is %s', async (phase) => {
  await using server = await startPostgres()
  await using loading = await startLoading({ targetServer: server.url() })
  await makeOrders(loading.source, ROWS)
  const { onEvent, struck } = once(phase, () => server.restart('kill'))
  const run = await loading.run({ onEvent })
  await struck()
  if (run.error !== null) expect(['connection-lost', 'unreachable']).toContain(run.error.code)
  expect((await loading.run()).error).toBeNull()
  // The comparison's own connection died with the server.
  const client = await loading.target.connect()
  const { rows } = await client.query('SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, sum(amount)::text AS sum FROM orders')
  const [wanted] = await loading.source.rows('SELECT sum(amount) AS sum FROM orders')
  expect(rows).toEqual([{ rows: ROWS, ids: ROWS, sum: wanted?.sum }])
})

test.each(['reading', 'applying'] as const)("the target's backend is ended while the run is %s", async (phase) => {
  await using loading = await startLoading()
  await loadsUnder(loading, phase, () => terminate(loading.target))
})

test('the backend of the source is ended while the run is reading', async () => {
  await using loading = await startLoading()
  await loadsUnder(loading, 'reading', () => terminate(loading.source))
})

test('append without a key doubles nothing when its backends are ended', async () => {
  for (const side of ['source', 'target'] as const) {
    await using loading = await startLoading({ pipelines: { orders: { write: 'append', late_rows: 'none' } } })
    await makeOrders(loading.source, ROWS)
    const { onEvent, struck } = once('reading', () => terminate(loading[side]))
    await loading.run({ onEvent })
    await struck()
    await loading.run()
    expect({ side, ...(await loading.compare()) }).toEqual({ side, ...same(ROWS) })
  }
})
