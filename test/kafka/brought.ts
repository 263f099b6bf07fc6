import { expect } from 'vitest'
import type { Loading } from '../servers/loading.ts'

/** Runs until the connector has brought everything: before that a run finds less than there is. `tables`: their columns. */
export async function isBrought(loading: Loading, tables: Readonly<Record<string, readonly string[]>>): Promise<void> {
  await expect
    .poll(
      async () => {
        const { error } = await loading.run()
        if (error !== null && error.code !== 'missing-table') throw new Error(`${error.code}: ${error.message}`)
        const found = []
        for (const [table, columns] of Object.entries(tables)) {
          const { lost, surplus } = await loading.compare(table, { columns }).catch(() => ({ lost: ['no table'], surplus: [] }))
          found.push(...lost, ...surplus)
        }
        return found
      },
      { timeout: 60_000, interval: 500 },
    )
    .toEqual([])
}
