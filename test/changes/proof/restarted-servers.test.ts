// Both servers are stopped as by a crash while a pipeline follows under load, again and again: the source recovers its log, the target
// its last commit, and they are the same in the end.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { startPostgres } from '../../../src/testing/postgres-server.ts'
import type { FreshDatabase } from '../../servers/fresh-database.ts'
import { COLUMNS, startFollowing, useOwnServer } from '../following.ts'

/** What is acknowledged is on the disk, as a crash of the machine would need it too. */
const source = useOwnServer({ settings: { fsync: true } })

/** Writes until it is stopped; what a crash of the source undoes is undone for everybody. */
async function write(url: string, signal: AbortSignal): Promise<number> {
  let done = 0
  while (!signal.aborted) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      for (; !signal.aborted; done++)
        await client.query(
          `UPDATE a SET v = v + 1 WHERE id = ${1 + (done % 30)}; UPDATE b SET v = v - 1, s = 's ${done}' WHERE id = ${1 + (done % 30)};
           INSERT INTO b VALUES (${1000 + done}, 1, NULL, NULL) ON CONFLICT DO NOTHING; DELETE FROM b WHERE id = ${1000 + done - 20}`,
        )
    } catch {
      // The server is down, or starting.
      await pause(50)
    } finally {
      await client.end().catch(() => {})
    }
  }
  return done
}

/** The connections of the test have died with their servers. */
async function rowsOf(database: FreshDatabase, table: string): Promise<unknown[]> {
  const client = await database.connect()
  return (await client.query(`SELECT ${COLUMNS.join(', ')} FROM ${table} ORDER BY id`)).rows
}

test('source and target are stopped at once and start again, in the middle of following', { timeout: 180_000 }, async () => {
  await using target = await startPostgres({ settings: { fsync: true } })
  await using loading = await startFollowing('postgres', {}, { targetServer: target.url() })
  expect((await loading.run()).error).toBeNull()
  const stop = new AbortController()
  const writing = write(loading.source.url, stop.signal)
  const errors: (string | undefined)[] = []
  const following = (async () => {
    while (!stop.signal.aborted) {
      const { error } = await loading.run({ follows: true, signal: stop.signal }, { retries: 0 })
      errors.push(error?.code)
      await pause(50)
    }
  })()
  for (const server of [source(), target, source(), target]) {
    await pause(700)
    await server.restart('immediate')
  }
  await pause(700)
  await Promise.all([source().restart('immediate'), target.restart('immediate')])
  await pause(700)
  stop.abort()
  await following
  expect(await writing).toBeGreaterThan(100)
  expect(errors.filter((code) => code !== undefined).length).toBeGreaterThan(2)
  for (const code of errors) expect([undefined, 'stopped', 'connection-lost', 'unreachable', 'try-again', 'state-conflict']).toContain(code)
  expect((await loading.run({}, { retries: 5 })).error).toBeNull()
  for (const table of ['a', 'b']) {
    const [wanted, found] = await Promise.all([rowsOf(loading.source, table), rowsOf(loading.target, table)])
    expect({ table, rows: found }).toEqual({ table, rows: wanted })
  }
})
