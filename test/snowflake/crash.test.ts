// The command line killed by SIGKILL at each named point of a run into Snowflake (emulated), on a first load and on an increment. Then it
// runs again: source and target are equal.

import { afterAll, describe, test } from 'vitest'
import { SLICE_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { startSnowflake } from './emulated.ts'
import { type SnowflakeLoading, startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

/** Several chunks, so that some are staged and some are not. */
const ROWS = 7000
const COMMITTED_AT: readonly string[] = ['after-commit', 'slice-done']

describe.each(['append', 'merge'] as const)('by %s', (write) => {
  test.for(SLICE_CRASH_POINTS)('killed at %s', async (point, { expect }) => {
    const late = write === 'append' ? { late_rows: 'none' } : {}
    await using all = await startSnowflakeLoading(server, { orders: { write, ...late } })
    await makeOrders(all.loading.source, ROWS)
    const first = await killedAt(all, point)
    expect(first).toMatchObject({ signal: 'SIGKILL', moved: COMMITTED_AT.includes(point) ? 1n : 0n, error: null })
    expect(await all.target()).toEqual(await all.source())

    await addOrders(all.loading.source, ROWS + 1, ROWS + 4500)
    if (write === 'merge') await changeOrders(all.loading.source, 1, 50)
    const second = await killedAt(all, point)
    expect(second).toMatchObject({ signal: 'SIGKILL', moved: COMMITTED_AT.includes(point) ? 1n : 0n, error: null })
    expect(await all.target()).toEqual(await all.source())
    const [history] = await all.schema.query('SELECT sum(inserted) FROM $.pipeline_history')
    expect(history).toEqual([String(ROWS + 4500)])
  })
})

/** `moved`: by how much the epoch did before it ran again. */
async function killedAt({ loading, env }: SnowflakeLoading, point: string) {
  const epoch = async (): Promise<bigint> => (await loading.state())?.epoch ?? 0n
  const before = await epoch()
  const died = await loading.cli(['run'], { ...env, TIDEMARK_CRASH_AT: point === 'chunk-staged' ? 'chunk-staged:2' : point })
  const moved = (await epoch()) - before
  const again = await loading.run()
  return { signal: died.signal, moved, error: again.error }
}
