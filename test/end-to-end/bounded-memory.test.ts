// Ten times the rows take no more memory: chunks pass through, the table never does.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Loading, startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'

/** Measured at 111 and 444. DuckDB alone may use 512 MB to apply rows, whatever the table. */
const LIMIT_MB = { postgres: 150, duckdb: 700 }

/** The most that the process had in memory. */
async function peakOf(loading: Loading): Promise<number> {
  const running = loading.start(['run', '--full-refresh'])
  let peak = 0
  const look = setInterval(() => {
    try {
      const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.pid}/status`, 'utf8'))?.[1]
      peak = Math.max(peak, Number(kilobytes ?? 0) / 1000)
    } catch {
      // It has ended, or this system has no /proc.
    }
  }, 20)
  const result = await running.done
  clearInterval(look)
  expect(resultOf(result).error).toBeNull()
  return Math.round(peak)
}

test.each(TARGET_KINDS)('into %s', async (target) => {
  await using loading = await startLoading({ target })
  await makeOrders(loading.source, 100_000)
  const few = await peakOf(loading)
  await addOrders(loading.source, 100_001, 1_000_000, { at: "timestamptz '2024-06-01 00:00:00+00'" })
  const many = await peakOf(loading)
  console.log(`${target}: ${few} MB with 100,000 rows, ${many} MB with 1,000,000`)
  expect(many).toBeLessThan(LIMIT_MB[target])
})
