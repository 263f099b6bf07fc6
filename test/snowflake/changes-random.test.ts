// Random workloads from real connections into Snowflake (emulated), with faults at random statements; then the target is the source row by
// row. Replay one: TIDEMARK_SEED=7 vitest run --project servers test/snowflake/changes-random.test.ts

import { afterAll, expect, test } from 'vitest'
import { useOwnServer } from '../changes/following.ts'
import { makeTables, TABLES, Workload } from '../changes/proof/workload.ts'
import { Random } from '../simulate/random.ts'
import { startSnowflake } from './emulated.ts'
import { type SnowflakeFollowing, startSnowflakeFollowing } from './following.ts'

const postgres = useOwnServer()
const server = await startSnowflake()
afterAll(() => server.stop())

const SEEDS = 20
const FAULTS = ['lost-reply', 'lost-session', 'aborted-transaction', 'unavailable'] as const
const AT = [/^PUT/, /^COPY/, /^BEGIN/, /^DELETE/, /^MERGE/, /^UPDATE/, /^COMMIT/]
const MAY_FAIL = ['connection-lost', 'unreachable', 'try-again', 'state-conflict']

const asked = process.env['TIDEMARK_SEED']
const seeds = asked === undefined ? Array.from({ length: SEEDS }, (_, at) => at + 1) : [Number(asked)]

test.each(seeds)('seed %i', { timeout: 120_000 }, async (seed) => {
  const random = new Random(seed)
  const name = `seed_${seed}`
  const more = { write: seed % 4 === 0 ? 'soft-delete' : 'merge' }
  const tables = TABLES.map((table) => `${name}.${table}`)
  await using all = await startSnowflakeFollowing(server, postgres().url(), makeTables(name), tables, more)
  const workload = await Workload.open(all.loading.source, random, name, { moves: true, alters: true })
  try {
    expect((await all.loading.run()).error).toBeNull()
    for (let round = 0; round < 3; round++) {
      await workload.act(10 + random.below(30))
      if (random.chance(0.7)) server.faults.add({ kind: random.of(FAULTS), sql: random.of(AT) })
      const running = all.loading.run({}, { retries: 10, retrySeconds: 0.02 })
      await workload.act(random.below(20))
      // A table that is copied again waits for all that are open.
      await workload.quiesce()
      const { error } = await running
      if (error !== null && !MAY_FAIL.includes(error.code)) throw new Error(`${error.code}: ${error.message}`)
      server.faults.clear()
    }
    await workload.quiesce()
    expect((await all.loading.run()).error).toBeNull()
    for (const table of tables) await all.areSame(table, await columnsOf(all, table))
  } finally {
    await workload.close()
  }
})

async function columnsOf({ loading }: SnowflakeFollowing, table: string): Promise<readonly string[]> {
  const found = await loading.source.rows(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped',
    [table],
  )
  return found.map((row) => row['name'] ?? '')
}
