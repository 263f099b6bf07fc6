// People who read the target while partitions are replaced: each sees a partition as it was or as it is, never a mixture of both,
// never nothing; in one snapshot nothing changes at all.

import type pg from 'pg'
import { expect, test } from 'vitest'
import { makeOrders } from '../servers/orders-table.ts'
import { startPartitions, succeed } from './partition-loading.ts'

const ROWS = 3000
const PARTITIONS = 10
const RELOADS = 6

const GROUPS = `SELECT id / 300 AS part, count(*)::int AS rows, count(DISTINCT note)::int AS notes, min(note) AS note, sum(amount)::text AS amount
  FROM orders WHERE id < ${ROWS} GROUP BY 1 ORDER BY 1`

interface Part {
  readonly part: string
  readonly rows: number
  readonly notes: number
  readonly note: string
  readonly amount: string
}

async function parts(client: pg.Client): Promise<readonly Part[]> {
  return (await client.query<Part>(GROUPS)).rows
}

/** One statement after the other until told to stop; each result is handed over. */
async function readOn(client: pg.Client, stop: AbortSignal, seen: (rows: readonly Part[]) => void): Promise<number> {
  let reads = 0
  while (!stop.aborted) {
    seen(await parts(client))
    reads++
  }
  return reads
}

test.each([
  ['with a key', {}, ''],
  ['without a key', {}, 'ALTER TABLE orders DROP CONSTRAINT orders_pkey'],
  ['each in a snapshot of its own', { consistency: 'partition' }, ''],
] as const)('%s', async (_, pipeline, sql) => {
  await using loading = await startPartitions({ partition: { by: 'id', size: 300 }, detect: 'checksum', ...pipeline })
  await makeOrders(loading.source, ROWS - 1)
  await loading.source.run(`INSERT INTO orders SELECT 0, customer, 1, paid, note, updated_at FROM orders WHERE id = 1; ${sql}`)
  const wanted = new Map<string, string>()
  // Every reload leaves another amount in each partition, and another number of rows.
  const next = async (round: number): Promise<void> => {
    await loading.source.run(`UPDATE orders SET note = 'round ${round}', amount = ${round}`)
    if (round > 0) await loading.source.run(`DELETE FROM orders WHERE id % 300 = ${round}`)
    wanted.set(`round ${round}`, `${300 - round} ${((300 - round) * round).toFixed(2)}`)
  }
  await next(0)
  await succeed(loading)

  const stop = new AbortController()
  const [committed, repeatable] = [await loading.target.connect(), await loading.target.connect()]
  const wrong: string[] = []
  const rounds = new Set<string>()
  const check = (rows: readonly Part[]): void => {
    if (rows.length !== PARTITIONS) wrong.push(`${rows.length} partitions`)
    for (const { part, rows: count, notes, note, amount } of rows) {
      rounds.add(note)
      if (notes !== 1 || wanted.get(note) !== `${count} ${amount}`) wrong.push(`${part}: ${notes} ${note} ${count} ${amount}`)
    }
  }
  await repeatable.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  const frozen = await parts(repeatable)
  const reading = Promise.all([
    readOn(committed, stop.signal, check),
    readOn(repeatable, stop.signal, (rows) => {
      if (JSON.stringify(rows) !== JSON.stringify(frozen)) wrong.push('the snapshot changed')
    }),
  ])
  try {
    for (let round = 1; round <= RELOADS; round++) {
      await next(round)
      expect((await succeed(loading)).partitions?.committed).toBe(PARTITIONS)
    }
  } finally {
    stop.abort()
  }
  const [readsCommitted, readsRepeatable] = await reading
  expect(wrong.slice(0, 5)).toEqual([])
  // Both did look while something happened.
  expect(Math.min(readsCommitted, readsRepeatable)).toBeGreaterThan(20)
  expect(rounds.size).toBeGreaterThan(3)
  expect((await parts(committed)).every(({ note }) => note === `round ${RELOADS}`)).toBe(true)
})
