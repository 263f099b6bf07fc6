// A target that keeps the run waiting: the source is still told that somebody is there, keeps what is not committed yet, and nobody who
// was away for a while writes over what another run has done.

import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Loading } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { areSame, COLUMNS, loadsAll, slotOf, startFollowing, useOwnServer } from './following.ts'

const server = useOwnServer({ settings: { wal_sender_timeout: '5s' } })

const BOTH = { a: COLUMNS, b: COLUMNS }

async function untilTrue(look: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 60_000; !(await look()); await pause(50))
    if (Date.now() > until) throw new Error('What was waited for did not happen within a minute.')
}

/** Nobody else comes to the table until what is returned is called. */
async function hold(loading: Loading, table: string): Promise<() => Promise<void>> {
  const holder = await loading.target.connect()
  await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
  return async () => {
    await holder.query('ROLLBACK')
  }
}

async function isHeld(loading: Loading): Promise<boolean> {
  const rows = await loading.target.rows(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()",
  )
  return rows.length > 0
}

async function slotNow(loading: Loading): Promise<{ reader: string | null; confirmed: string | null; behind: number }> {
  const [row] = await loading.source.rows(
    `SELECT active_pid AS reader, confirmed_flush_lsn AS confirmed, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) AS behind
     FROM pg_replication_slots WHERE slot_name = $1`,
    [await slotOf(loading)],
  )
  return { reader: row?.['reader'] ?? null, confirmed: row?.['confirmed'] ?? null, behind: Number(row?.['behind']) }
}

test('held for longer than wal_sender_timeout: the connection stays, and nothing is acknowledged before it is committed', async () => {
  await using loading = await startFollowing()
  await loadsAll(loading, BOTH)
  const release = await hold(loading, 'a')
  await loading.source.run('UPDATE a SET v = v + 1')
  await loading.source.run('UPDATE b SET v = v + 1')
  const before = await slotNow(loading)
  const running = loading.run()
  await untilTrue(() => isHeld(loading))
  const held = await slotNow(loading)
  for (let seconds = 0; seconds < 12; seconds++) {
    await pause(1000)
    expect(await slotNow(loading)).toMatchObject({ reader: held.reader, confirmed: before.confirmed })
  }
  await release()
  expect((await running).error).toBeNull()
  await areSame(loading, BOTH)
  expect(server().log()).not.toContain('replication timeout')
  expect((await slotNow(loading)).confirmed).not.toBe(before.confirmed)
})

test('held under load: what is not applied stays at the source, not in memory', async () => {
  await using loading = await startFollowing()
  await loadsAll(loading, BOTH)
  const release = await hold(loading, 'a')
  await loading.source.run('UPDATE a SET v = v + 1')
  const follower = loading.start(['follow', 'shop'])
  await untilTrue(() => isHeld(loading))
  const before = residentMegabytes(follower.pid)
  await loading.source.run(`DO $$ BEGIN
    FOR t IN 1..100 LOOP
      INSERT INTO a SELECT i, i, repeat(md5(i::text), 50), NULL FROM generate_series(t * 1000, t * 1000 + 999) AS i;
      COMMIT;
    END LOOP; END $$`)
  await pause(2000)
  const { behind } = await slotNow(loading)
  expect(behind).toBeGreaterThan(160 * 2 ** 20)
  expect(residentMegabytes(follower.pid) - before).toBeLessThan(60)
  await release()
  await untilTrue(async () => (await loading.target.rows('SELECT count(*) AS n FROM a'))[0]?.['n'] === '100030')
  follower.child.kill('SIGTERM')
  expect((await follower.done).exit).toBe(0)
  await areSame(loading, BOTH)
})

function residentMegabytes(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', `${pid}`], { encoding: 'utf8' })) / 1024
}

test('state-conflict: a run that was frozen wakes after another one has taken its place', async () => {
  // Rows of a history collide with nobody's: only the fence can tell that they are there already.
  await using loading = await startFollowing('postgres', { write: 'append' })
  expect((await loading.run()).error).toBeNull()
  const release = await hold(loading, 'a')
  await loading.source.run('UPDATE a SET v = v + 1')
  const frozen = loading.start(['run', 'shop'])
  await untilTrue(() => isHeld(loading))
  frozen.child.kill('SIGSTOP')
  // What the source does by itself when it hears nothing.
  await loading.source.rows('SELECT pg_terminate_backend($1)', [(await slotNow(loading)).reader])
  await release()
  expect((await loading.run()).error).toBeNull()
  const after = await loading.state()
  frozen.child.kill('SIGCONT')
  const result = await frozen.done
  expect({ exit: result.exit, code: resultOf(result).error?.code }).toEqual({ exit: 5, code: 'state-conflict' })
  expect(await loading.state()).toEqual(after)
  expect(await loading.target.rows("SELECT count(*) AS n FROM a WHERE _tidemark_op = 'update'")).toEqual([{ n: '30' }])
})
