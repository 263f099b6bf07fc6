// A source that another server takes over, and one that is a standby: what arrives is all of it, or the run says what is missing.

import pg from 'pg'
import { describe, type ExpectStatic, test } from 'vitest'
import { type PostgresServer, type Setting, startPostgres, startStandby } from '../../src/testing/postgres-server.ts'
import type { Loading } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { leftAtSource, loadsAll, slotOf, startTables } from './following.ts'

const MAKE = 'CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT i, i FROM generate_series(1, 20) AS i'
const SAME = { a: ['id', 'v'] }
const ALL = 'SELECT id::text, v::text FROM a ORDER BY a.id'

interface Pair extends AsyncDisposable {
  readonly primary: PostgresServer
  readonly standby: PostgresServer
}

/** The standby has a slot of its own at the primary, and takes the primary's failover slots along. */
async function startPair(settings: Readonly<Record<string, Setting>> = {}): Promise<Pair> {
  const primary = await startPostgres({ settings })
  const standby = await startStandby(primary, {
    primary_slot_name: 'standby',
    hot_standby_feedback: true,
    synchronized_standby_slots: '',
  })
  await ask(primary, "SELECT pg_create_physical_replication_slot('standby')")
  return {
    primary,
    standby,
    async [Symbol.asyncDispose]() {
      await standby[Symbol.asyncDispose]()
      await primary[Symbol.asyncDispose]()
    },
  }
}

async function ask(server: PostgresServer, sql: string, database = 'postgres'): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url(database) })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** The same database at another server, as the pipeline's connection. */
const at = (server: PostgresServer, loading: Loading) => ({ SHOP_URL: server.url(loading.source.name) })

async function caughtUp(loading: Loading, standby: PostgresServer, look: ExpectStatic): Promise<void> {
  const [row] = await loading.source.rows('SELECT pg_current_wal_lsn()::text AS at')
  const isThere = async () => (await ask(standby, `SELECT pg_last_wal_replay_lsn() >= '${row?.['at']}' AS is`))[0]?.['is']
  await look.poll(isThere, { timeout: 30_000 }).toBe(true)
}

/** The standby keeps the slot when the primary's has come as far as what the standby still has. */
async function synced(loading: Loading, standby: PostgresServer, look: ExpectStatic): Promise<void> {
  const slot = await slotOf(loading)
  const isKept = async () => {
    await loading.source.rows('SELECT pg_log_standby_snapshot()')
    await loadsAll(loading, SAME, {}, look)
    await caughtUp(loading, standby, look)
    await ask(standby, 'SELECT pg_sync_replication_slots()')
    return ask(standby, `SELECT synced, temporary FROM pg_replication_slots WHERE slot_name = '${slot}'`)
  }
  await look.poll(isKept, { timeout: 60_000, interval: 200 }).toEqual([{ synced: true, temporary: false }])
}

/** The old primary comes back at the end of the block, so that what the test made there can go. */
function downUntilTheEnd(primary: PostgresServer): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => primary.restart() }
}

async function takeOver({ primary, standby }: Pair): Promise<void> {
  await primary.stop('immediate')
  await ask(standby, 'SELECT pg_promote()')
}

describe('a standby takes over', () => {
  test.concurrent('with a failover slot the pipeline goes on there, and nothing is missing', async ({ expect }) => {
    await using pair = await startPair({ synchronized_standby_slots: 'standby' })
    const { primary, standby } = pair
    await using loading = await startTables(MAKE, ['public.a'], { sourceServer: primary.url() }, { source: { failover: true } })
    await loadsAll(loading, SAME, {}, expect)
    await loading.source.run('UPDATE a SET v = v + 1 WHERE id < 10')
    await loadsAll(loading, SAME, {}, expect)
    await synced(loading, standby, expect)
    // Whoever follows is there before it takes over, and waits for that.
    const { child, done } = loading.start(['-o', 'ndjson', 'follow', '--every', '1s'], at(standby, loading))
    let said = ''
    child.stderr?.on('data', (text: string) => {
      said += text
    })
    await expect.poll(() => said, { timeout: 20_000 }).toContain("is the copy of its primary's")
    await standby.stop()
    expect((await loading.cli(['check'])).out).toContain('until standby has it')
    await loading.source.run('UPDATE a SET v = v + 1 WHERE id = 20')
    const waiting = await loading.run({}, { retries: 0 })
    expect(waiting.error).toMatchObject({ code: 'unreachable', message: expect.stringContaining('until standby has it') })
    await standby.restart()
    await loading.source.run('DELETE FROM a WHERE id = 3; INSERT INTO a VALUES (100, 1)')
    await caughtUp(loading, standby, expect)
    await using _ = downUntilTheEnd(primary)
    await takeOver(pair)
    await ask(standby, 'UPDATE a SET v = 0 WHERE id > 10; INSERT INTO a VALUES (101, 1)', loading.source.name)
    await expect.poll(() => loading.target.rows(ALL), { timeout: 30_000 }).toEqual(await ask(standby, ALL, loading.source.name))
    child.kill('SIGTERM')
    expect((await done).exit).toBe(0)
    expect((await loading.state())?.position).toMatchObject({ kind: 'log', at: expect.stringMatching(/^2:/) })
    await ask(standby, 'UPDATE a SET v = 7 WHERE id = 1', loading.source.name)
    expect(resultOf(await loading.cli(['run'], at(standby, loading))).error).toBeNull()
    expect(await loading.target.rows(ALL)).toEqual(await ask(standby, ALL, loading.source.name))
  })

  test.concurrent('a slot that does not go along: the run says so, and changes nothing', async ({ expect }) => {
    await using pair = await startPair()
    await using loading = await startTables(MAKE, ['public.a'], { sourceServer: pair.primary.url() })
    await loadsAll(loading, SAME, {}, expect)
    await caughtUp(loading, pair.standby, expect)
    await using _ = downUntilTheEnd(pair.primary)
    await takeOver(pair)
    const before = { rows: await loading.target.rows(ALL), state: await loading.state() }
    const result = await loading.cli(['run'], at(pair.standby, loading))
    expect(result.exit).toBe(3)
    expect(resultOf(result).error).toMatchObject({
      code: 'log-lost',
      message: expect.stringMatching(/does not exist: another server has taken over \(timeline 2, the position is on 1\)/),
      hint: expect.stringContaining('--full-refresh'),
    })
    expect({ rows: await loading.target.rows(ALL), state: await loading.state() }).toEqual(before)
    expect(await ask(pair.standby, "SELECT * FROM pg_replication_slots WHERE slot_type = 'logical'")).toEqual([])
    expect(resultOf(await loading.cli(['run', '--full-refresh'], at(pair.standby, loading))).error).toBeNull()
  })

  test.concurrent('the target is ahead of it: the run says so, and changes nothing', async ({ expect }) => {
    await using pair = await startPair()
    const { primary, standby } = pair
    await using loading = await startTables(MAKE, ['public.a'], { sourceServer: primary.url() }, { source: { failover: true } })
    await loadsAll(loading, SAME, {}, expect)
    expect((await loading.cli(['check'])).out).toContain('synchronized_standby_slots is empty')
    await synced(loading, standby, expect)
    await standby.stop()
    await loading.source.run('UPDATE a SET v = 1000')
    await loadsAll(loading, SAME, {}, expect)
    await using _ = downUntilTheEnd(primary)
    await primary.stop('immediate')
    await standby.restart()
    await ask(standby, 'SELECT pg_promote()')
    const before = { rows: await loading.target.rows(ALL), state: await loading.state() }
    const result = await loading.cli(['run'], at(standby, loading))
    expect(result.exit).toBe(3)
    expect(resultOf(result).error).toMatchObject({
      code: 'log-lost',
      message: expect.stringContaining('changes that this server never had'),
    })
    expect({ rows: await loading.target.rows(ALL), state: await loading.state() }).toEqual(before)
  })
})

test.concurrent('a slot is made one that goes along by the next run that is asked to', async ({ expect }) => {
  await using server = await startPostgres()
  await using loading = await startTables(MAKE, ['public.a'], { sourceServer: server.url() })
  await loadsAll(loading, SAME, {}, expect)
  const slot = await slotOf(loading)
  const source = { tables: ['public.a'], slot, publication: slot }
  loading.pipelines({ shop: { pattern: 'cdc', source: { ...source, failover: true }, target: { schema: 'public' } } })
  expect((await loading.cli(['check'])).out).toContain('the next run makes it one')
  await loading.source.run('UPDATE a SET v = 0')
  await loadsAll(loading, SAME, {}, expect)
  expect(await loading.source.rows('SELECT failover::text FROM pg_replication_slots')).toEqual([{ failover: 'true' }])
})

test.concurrent('a standby is followed, with a publication of its primary', async ({ expect }) => {
  await using pair = await startPair()
  const { primary, standby } = pair
  await using loading = await startTables(MAKE, ['public.a'], { sourceServer: primary.url() })
  const slot = await slotOf(loading)
  await caughtUp(loading, standby, expect)
  const refused = resultOf(await loading.cli(['run'], at(standby, loading)))
  expect(refused.error).toMatchObject({ code: 'log-unavailable', hint: expect.stringContaining('At the primary') })
  await loading.source.run(`CREATE PUBLICATION ${slot} FOR TABLE a WITH (publish_via_partition_root = true)`)
  await caughtUp(loading, standby, expect)
  const first = loading.cli(['run'], at(standby, loading))
  // The slot waits for what the primary writes now and then by itself.
  await expect.poll(() => ask(standby, 'SELECT 1 FROM pg_replication_slots'), { timeout: 20_000 }).toHaveLength(1)
  await loading.source.rows('SELECT pg_log_standby_snapshot()')
  expect(resultOf(await first).error).toBeNull()
  await loading.source.run('UPDATE a SET v = v + 1; DELETE FROM a WHERE id = 5')
  await caughtUp(loading, standby, expect)
  expect(resultOf(await loading.cli(['run'], at(standby, loading))).error).toBeNull()
  expect(await loading.target.rows(ALL)).toEqual(await loading.source.rows(ALL))
  expect(await leftAtSource(loading)).toEqual([slot])
  const heartbeat = {
    pattern: 'cdc',
    source: { tables: ['public.a'], slot, publication: slot, heartbeat: '1s' },
    target: { schema: 'public' },
  }
  loading.pipelines({ shop: heartbeat })
  expect(resultOf(await loading.cli(['run'], at(standby, loading))).error).toMatchObject({
    code: 'log-unavailable',
    message: expect.stringContaining('to whose log nobody can write'),
  })
})
