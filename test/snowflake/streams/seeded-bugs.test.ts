// Known mistakes, put back one at a time: each must be noticed by a history that passes without it.

import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { startSnowflake } from '../emulated.ts'
import { ORDERS, type Streaming, startStreaming } from './streaming.ts'

type Bug =
  | 'halves of updates that are left out'
  | 'an old row that wins over the new one'
  | 'a stream that is believed to have nothing'
  | 'keys that stand twice, and one of them taken'
  | 'a pull in the outbox that is not looked for'
  | 'first rows under a number too low'

const on = vi.hoisted(() => ({ bug: null as string | null }))

vi.mock('../../../src/connectors/snowflake/stream-outbox.ts', async (original) => {
  const real = await original<typeof import('../../../src/connectors/snowflake/stream-outbox.ts')>()
  return {
    ...real,
    reducedRows: (...given: Parameters<typeof real.reducedRows>): string => {
      const sql = real.reducedRows(...given)
      if (on.bug === 'halves of updates that are left out') return sql.replace(' QUALIFY', ` AND _TIDEMARK_ACTION = 'INSERT' QUALIFY`)
      if (on.bug === 'an old row that wins over the new one') return sql.replace('0, 1', '1, 0')
      return sql
    },
    refuseRepeated: async (...given: Parameters<typeof real.refuseRepeated>): Promise<void> => {
      if (on.bug !== 'keys that stand twice, and one of them taken') await real.refuseRepeated(...given)
    },
    readOutbox: async (...given: Parameters<typeof real.readOutbox>) => {
      const found = await real.readOutbox(...given)
      return found !== null && on.bug === 'a pull in the outbox that is not looked for' ? { ...found, rows: 0 } : found
    },
    takeAll: async (...[session, tables, pull, owner]: Parameters<typeof real.takeAll>): Promise<void> =>
      real.takeAll(session, tables, on.bug === 'first rows under a number too low' ? pull - 1n : pull, owner),
  }
})

vi.mock('../../../src/connectors/snowflake/stream-facts.ts', async (original) => {
  const real = await original<typeof import('../../../src/connectors/snowflake/stream-facts.ts')>()
  return {
    ...real,
    hasData: async (...given: Parameters<typeof real.hasData>): Promise<boolean> =>
      on.bug !== 'a stream that is believed to have nothing' && (await real.hasData(...given)),
  }
})

const server = await startSnowflake()
afterAll(() => server.stop())
afterEach(() => {
  on.bug = null
})

const BUGS: readonly Bug[] = [
  'halves of updates that are left out',
  'an old row that wins over the new one',
  'a stream that is believed to have nothing',
  'keys that stand twice, and one of them taken',
  'a pull in the outbox that is not looked for',
  'first rows under a number too low',
]

test('without a mistake the history passes', async () => {
  expect(await noticed()).toBeNull()
})

test.each(BUGS)('noticed: %s', async (bug) => {
  on.bug = bug
  expect(await noticed()).not.toBeNull()
})

/** What was wrong, in a word; null where nothing was. */
async function noticed(): Promise<string | null> {
  await using all = await startStreaming(server)
  await all.change(ORDERS, `INSERT INTO $.orders VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')`)
  const first = await differs(all)
  if (first !== null) return first
  await all.change(`UPDATE $.orders SET v = 9 WHERE id = 1`, `UPDATE $.orders SET id = 5 WHERE id = 2`)
  // Consumed, and not delivered.
  server.faults.add({
    kind: 'error',
    code: '000630',
    sqlState: '57014',
    message: 'Statement reached its timeout.',
    sql: /^SELECT .*QUALIFY/,
  })
  await all.loading.run()
  server.faults.clear()
  const second = await differs(all)
  if (second !== null) return second
  await all.change(`INSERT INTO $.orders VALUES (7, 1, 'x'), (7, 2, 'y')`)
  const { error } = await all.loading.run()
  return error?.code === 'duplicate-key' ? null : 'keys that stand twice were taken'
}

async function differs(all: Streaming): Promise<string | null> {
  const { error } = await all.loading.run()
  if (error !== null) return error.code
  return JSON.stringify(await all.source()) === JSON.stringify(await all.target()) ? null : 'rows differ'
}
