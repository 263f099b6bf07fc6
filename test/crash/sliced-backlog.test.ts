// A backlog that is loaded in slices is killed between and inside of them: what was committed stays, the rest follows, nothing is
// loaded twice.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'

const ROWS = 5000
const SLICE_ROWS = 500
const PROGRAM = join(import.meta.dirname, 'run-in-slices.ts')

/** Resolves with the signal that ended it, or null. */
function runInSlices(loading: Loading, crashAt?: string): Promise<string | null> {
  const env = { ...process.env, ...loading.env, ...(crashAt === undefined ? {} : { TIDEMARK_CRASH_AT: crashAt }) }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [PROGRAM, loading.folder.file, String(SLICE_ROWS)], { env }, (error, _, stderr) => {
      if (error !== null && error.signal == null) reject(new Error(stderr))
      else resolve(error?.signal ?? null)
    })
  })
}

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.each([
    ['merge', {}],
    ['append', { write: 'append', late_rows: 'none' }],
    ['numbers', { cursor: 'id', late_rows: 'sweep' }],
  ])('by %s', async (_, pipeline) => {
    await using loading = await startLoading({ target, pipelines: { orders: pipeline } })
    await makeOrders(loading.source, ROWS)
    await loading.source.run('ANALYZE orders')
    let epoch = 0
    for (const [point, committed] of [
      ['before-commit:2', 1],
      ['slice-done:1', 1],
      ['stage-begun:2', 1],
      ['after-commit:1', 1],
    ] as const) {
      expect({ point, signal: await runInSlices(loading, point) }).toEqual({ point, signal: 'SIGKILL' })
      epoch += committed
      expect({ point, epoch: Number((await loading.state())?.epoch) }).toEqual({ point, epoch })
      const part = await loading.compare()
      expect({ point, surplus: part.surplus, complete: part.lost.length === 0 }).toEqual({ point, surplus: [], complete: false })
    }
    expect(await runInSlices(loading)).toBe(null)
    expect(await loading.compare()).toEqual(same(ROWS))
  })
})
