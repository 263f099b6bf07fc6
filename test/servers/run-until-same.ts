// Rows at the edge of now wait for the safe bound. This runs until all of them have arrived.

import { setTimeout as pause } from 'node:timers/promises'
import type { Comparison, Difference } from './compare-tables.ts'
import type { Loading } from './loading.ts'

const PATIENCE_MS = 30_000

/** The last comparison: equal, or what still differs when patience ends. A failed run throws. */
export async function runUntilSame(loading: Loading, table = 'orders', how?: Comparison): Promise<Difference> {
  const began = performance.now()
  for (;;) {
    const { error } = await loading.run()
    if (error !== null) throw new Error(`${error.code}: ${error.message}`)
    const found = await loading.compare(table, how)
    if (found.lost.length + found.surplus.length === 0 || performance.now() - began > PATIENCE_MS) return found
    await pause(400)
  }
}
