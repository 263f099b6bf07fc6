// A run is frozen in the middle of its load (SIGSTOP, as a paused machine would be), another one passes it, and it wakes up: it
// finds that the pipeline has moved on and writes nothing.

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { startLoading, WATERMARK_WRITES } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'

const FROZEN_MS = 3000

test.each(WATERMARK_WRITES)('frozen while it loads by %s, passed by another, then woken', async (write) => {
  const late = write === 'append' ? { late_rows: 'none' } : {}
  await using loading = await startLoading({ pipelines: { orders: { write, ...late } } })
  await makeOrders(loading.source, 1000)
  await loading.run()
  await addOrders(loading.source, 1001, 150_000)

  const frozen = loading.start(['run'])
  const copying =
    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark' AND query LIKE 'COPY%'"
  await expect.poll(async () => Number((await loading.target.rows(copying))[0]?.n), { timeout: 30_000, interval: 5 }).toBe(1)
  process.kill(frozen.pid, 'SIGSTOP')
  const began = performance.now()
  const rival = await loading.run()
  expect(rival).toMatchObject({ error: null, rows: { inserted: 149_000 } })
  await pause(Math.max(0, FROZEN_MS - (performance.now() - began)))
  process.kill(frozen.pid, 'SIGCONT')
  const woken = await frozen.done
  expect({ exit: woken.exit, status: resultOf(woken).status }).toEqual({ exit: 5, status: 'conflict' })
  expect(resultOf(woken).error?.code).toBe('state-conflict')
  expect(await loading.compare()).toEqual(same(150_000))
  expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
})
