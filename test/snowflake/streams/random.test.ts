// Random changes of two tables (emulated), consumed at random moments while things go wrong at random: after every run without an error
// both ends are the same, row by row.

import { afterAll, expect, test } from 'vitest'
import { Random } from '../../simulate/random.ts'
import { startSnowflake } from '../emulated.ts'
import { type Streaming, startStreaming } from './streaming.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

const SEEDS = 50
const ROUNDS = 3
const TABLES = ['a', 'b'] as const

test.for(Array.from({ length: SEEDS }, (_, seed) => seed + 1))('seed %i', { timeout: 120_000 }, async (seed, { expect: look }) => {
  const chance = new Random(seed)
  const next = (below: number): number => chance.below(below)
  await using all = await startStreaming(server, { tables: TABLES })
  for (const table of TABLES) await all.change(`CREATE TABLE $.${table} (id NUMBER(10,0) NOT NULL PRIMARY KEY, v NUMBER(10,0), s VARCHAR)`)
  for (let round = 0; round < ROUNDS; round++) {
    await changeAtRandom(all, next)
    if (next(2) === 0) breakSomething(next)
    const during = next(2) === 0 ? changeAtRandom(all, next) : null
    const { error } = await all.loading.run()
    await during
    look({ seed, round, error: error?.code ?? null }).toEqual({ seed, round, error: null })
  }
  server.faults.clear()
  look((await all.loading.run()).error).toBeNull()
  for (const table of TABLES) look({ seed, table, rows: await all.target(table) }).toEqual({ seed, table, rows: await all.source(table) })
})

test('things did go wrong', () => {
  for (const kind of ['lost-reply', 'unavailable', 'lost-session'] as const) expect(server.faults.fired[kind] ?? 0).toBeGreaterThan(0)
})

/** Keys are unique whatever happens: a new one comes from a row that goes, or from above all others. */
async function changeAtRandom({ change }: Streaming, next: (below: number) => number): Promise<void> {
  for (let step = next(6); step >= 0; step--) {
    const table = `$.${TABLES[next(2)]}`
    const [low, text] = [next(12), `t${next(1000)}`]
    const statement = [
      `INSERT INTO ${table} SELECT ${low}, ${next(100)}, '${text}' WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE id = ${low})`,
      `UPDATE ${table} SET v = v + 1, s = ${next(3) === 0 ? 'NULL' : `'${text}'`} WHERE MOD(id, ${next(3) + 1}) = 0`,
      `DELETE FROM ${table} WHERE id = ${low}`,
      `UPDATE ${table} SET id = id + 100 WHERE id >= ${low}`,
      `UPDATE ${table} SET id = 11 - id WHERE id BETWEEN 0 AND 11`,
      `INSERT OVERWRITE INTO ${table} SELECT id, v, s FROM ${table} WHERE id <> ${low}`,
    ][next(6)] as string
    await change(statement)
  }
}

function breakSomething(next: (below: number) => number): void {
  const kind = (['lost-reply', 'unavailable', 'lost-session'] as const)[next(3)] as 'lost-reply' | 'unavailable' | 'lost-session'
  const sql = [/^COMMIT/, /^INSERT INTO .*OUTBOX/, /^UPDATE .*CONSUMER/, /^SELECT .*OUTBOX/, /^DELETE FROM .*OUTBOX/][next(5)] as RegExp
  server.faults.add({ kind, sql, times: 1 })
}
