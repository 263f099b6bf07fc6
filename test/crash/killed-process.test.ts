// The command line killed by SIGKILL at each named point of a run, on a first load and on an increment, with each way of
// writing, into each target. Then it runs again: source and target are equal, and nothing is left behind.

import { readdirSync } from 'node:fs'
import { describe, type ExpectStatic, test } from 'vitest'
import { SLICE_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { type Loading, startLoading, TARGET_KINDS, WATERMARK_WRITES } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'

/** Several chunks, so that some are staged and some are not. */
const ROWS = 7000
const COMMITTED_AT: readonly string[] = ['after-commit', 'slice-done']

describe.each(TARGET_KINDS)('into %s', (target) => {
  describe.each(WATERMARK_WRITES)('by %s', (write) => {
    test.concurrent.for(SLICE_CRASH_POINTS)('killed at %s', async (point, { expect }) => {
      // Only the table is alive here, so that append needs no waiting for the bound.
      const late = write === 'append' ? { late_rows: 'none' } : {}
      await using loading = await startLoading({ target, pipelines: { orders: { write, ...late } } })
      await makeOrders(loading.source, ROWS)
      await killedAt(expect, loading, point)
      expect(await loading.compare()).toEqual(same(ROWS))

      await addOrders(loading.source, ROWS + 1, ROWS + 4500)
      if (write !== 'append') await changeOrders(loading.source, 1, 50)
      await killedAt(expect, loading, point)
      expect(await loading.compare()).toEqual(same(ROWS + 4500))

      const versions = await versionsOf(loading)
      expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
      expect((await versionsOf(loading)) === versions).toBe(true)
      await nothingLeft(expect, loading)
    })
  })
})

/** Dies at the point, having committed exactly when the point lies behind the commit; then runs to the end. */
async function killedAt(expect: ExpectStatic, loading: Loading, point: string): Promise<void> {
  const before = await epochOf(loading)
  const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: point === 'chunk-staged' ? 'chunk-staged:2' : point })
  expect({ exit: died.exit, signal: died.signal }).toEqual({ exit: null, signal: 'SIGKILL' })
  const committed = COMMITTED_AT.includes(point)
  expect(await epochOf(loading)).toBe(committed ? before + 1 : before)
  const again = await loading.run()
  expect(again.error).toBeNull()
  expect(again.rows.inserted > 0).toBe(!committed)
}

async function epochOf(loading: Loading): Promise<number> {
  return Number((await loading.state())?.epoch ?? 0)
}

/** One text; the whole rows would drown what differs. */
async function versionsOf(loading: Loading): Promise<string> {
  if (typeof loading.side === 'string') return (await duckdbRows(loading.side, 'SELECT rowid FROM orders ORDER BY id')).join()
  return (await rowVersions(loading.target, 'orders')).join()
}

async function nothingLeft(expect: ExpectStatic, loading: Loading): Promise<void> {
  expect(readdirSync(loading.folder.path).filter((name) => name !== 'tidemark.yml' && name !== 'warehouse.duckdb')).toEqual([])
  if (typeof loading.side === 'string') {
    const tables = await duckdbRows(loading.side, 'SELECT table_name FROM duckdb_tables() ORDER BY 1')
    expect(tables.flat()).toEqual(['orders', 'pipeline_history', 'pipeline_watermarks'])
    return
  }
  const relations =
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
  await expect
    .poll(async () => (await loading.target.rows(relations)).map(({ relname }) => relname), { timeout: 10_000 })
    .toEqual(['orders', 'pipeline_history', 'pipeline_watermarks'])
}
