// Sources that can't be followed, or can't any more: each is named, nothing is changed at the target, and nothing is left at the source.

import pg from 'pg'
import { describe, type ExpectStatic, expect, test } from 'vitest'
import type { PipelineResult } from '../../src/core/event.ts'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { rowVersions } from '../servers/compare-tables.ts'
import { freshRole } from '../servers/fresh-role.ts'
import type { Loading } from '../servers/loading.ts'
import { OLDER_VERSIONS } from '../servers/older-versions.ts'
import { type RunningCli, resultOf } from '../servers/run-cli.ts'
import { startFakePooler } from './fake-pooler.ts'
import { areSame, leftAtSource, loadsAll, slotOf, startTables, useOwnServer } from './following.ts'

useOwnServer()

const MAKE = `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int);
  INSERT INTO a SELECT i, i FROM generate_series(1, 20) AS i; INSERT INTO b SELECT i, i FROM generate_series(1, 20) AS i`
const SAME = { a: ['id', 'v'], b: ['id', 'v'] }

const start = (options: object = {}): Promise<Loading> => startTables(MAKE, ['public.a', 'public.b'], options)

async function refused(loading: Loading, code: string, exit: number, says: string): Promise<PipelineResult> {
  const before = await leftAtSource(loading)
  const versions = (await loading.state()) === null ? null : await rowVersions(loading.target, 'a')
  const state = await loading.state()
  const result = await loading.cli(['run'])
  const { error } = resultOf(result)
  expect({ exit: result.exit, code: error?.code, message: error?.message }).toEqual({ exit, code, message: expect.stringContaining(says) })
  expect(await leftAtSource(loading)).toEqual(before)
  expect((await loading.state())?.position ?? null).toEqual(state?.position ?? null)
  if (versions !== null) expect(await rowVersions(loading.target, 'a')).toEqual(versions)
  return resultOf(result)
}

describe('before the first copy', () => {
  test.concurrent('a view, an unlogged table, a table without a key', async () => {
    await using loading = await start()
    const { source } = loading
    await source.run('ALTER TABLE b SET UNLOGGED')
    await refused(loading, 'log-unavailable', 3, 'unlogged')
    await source.run('DROP TABLE b; CREATE VIEW b AS SELECT * FROM a')
    await refused(loading, 'log-unavailable', 3, 'is no table')
    await source.run('DROP VIEW b; CREATE TABLE b (id int UNIQUE, v int)')
    await refused(loading, 'missing-key', 2, 'public.b')
    await source.run('DROP TABLE b')
    await refused(loading, 'missing-table', 3, 'public.b')
  })

  test.concurrent('wal_level = replica', async () => {
    await using server = await startPostgres({ settings: { wal_level: 'replica' } })
    await using loading = await start({ sourceServer: server.url() })
    await refused(loading, 'log-unavailable', 3, 'wal_level = replica')
  })

  test.concurrent('a role that may not replicate, and one that may not publish', async () => {
    await using loading = await start()
    await using role = await freshRole(loading.source, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO ROLE')
    const env = { SHOP_URL: role.url }
    const first = resultOf(await loading.cli(['run'], env))
    expect(first.error).toMatchObject({ code: 'log-unavailable', hint: expect.stringContaining('REPLICATION') })
    await loading.source.run(`ALTER ROLE ${role.name} REPLICATION`)
    const second = await loading.cli(['run'], env)
    expect(second.exit).toBe(3)
    expect(resultOf(second).error).toMatchObject({ code: 'log-unavailable', hint: expect.stringContaining('CREATE PUBLICATION') })
    expect(await leftAtSource(loading)).toEqual([])
    expect(await loading.state()).toBeNull()
    // What the hint says is enough.
    const slot = await slotOf(loading)
    await loading.source.run(`CREATE PUBLICATION ${slot} FOR TABLE public.a, public.b WITH (publish_via_partition_root = true)`)
    expect((await loading.cli(['run'], env)).exit).toBe(0)
    await loading.source.run('UPDATE a SET v = v + 1')
    expect((await loading.cli(['run'], env)).exit).toBe(0)
    await areSame(loading, SAME)
    const dropped = await loading.cli(['drop', 'shop', '--yes'], env)
    expect(dropped.json).toMatchObject({ removed: [`slot ${slot}`, 'state of shop'], left: [`publication ${slot}`] })
    expect(await leftAtSource(loading)).toEqual([slot])
  })

  test.concurrent('a slot that somebody else has made', async () => {
    await using loading = await start()
    const slot = await slotOf(loading)
    await loading.source.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    await refused(loading, 'log-unavailable', 3, 'exists already')
    expect((await loading.cli(['check'])).out).toContain('exists already')
    expect((await loading.cli(['plan'])).exit).toBe(3)
    await loadsAll(loading, SAME, { fullRefresh: true })
    await loading.source.run('UPDATE a SET v = 0')
    await loadsAll(loading, SAME)
  })

  test.concurrent.for([
    ['lacks a table', 'FOR TABLE a', 'does not hold table public.b'],
    ['lacks an operation', "FOR TABLE a, b WITH (publish = 'insert, update, truncate')", 'publishes only insert, update, truncate,'],
    ['leaves out rows', 'FOR TABLE a, b WHERE (id > 3)', 'leaves out rows of table public.b'],
    ['leaves out columns', 'FOR TABLE a, b (id)', 'leaves out column "v" of table public.b'],
  ] as const)('a publication of somebody else that %s', async ([, what, says]) => {
    await using loading = await start()
    const slot = await slotOf(loading)
    await loading.source.run(`CREATE PUBLICATION ${slot} ${what}`)
    await refused(loading, 'log-unavailable', 3, says)
    expect(await leftAtSource(loading)).toEqual([slot])
  })

  test.concurrent('no slot is free', async () => {
    await using server = await startPostgres({ settings: { max_replication_slots: 1 } })
    await using loading = await start({ sourceServer: server.url() })
    await loading.source.rows("SELECT pg_create_logical_replication_slot('taken', 'pgoutput')")
    const result = await loading.cli(['run'])
    expect(result.exit).toBe(3)
    expect(resultOf(result).error).toMatchObject({ code: 'log-unavailable', message: expect.stringContaining('no free replication slot') })
    expect(await leftAtSource(loading)).toEqual(['taken'])
    await loading.source.rows("SELECT pg_drop_replication_slot('taken')")
    await loadsAll(loading, SAME)
  })
})

describe('who may read, and how it is reached', () => {
  test.concurrent('a role that may not read a table, a column, or rows of it', async () => {
    await using loading = await start()
    const { source } = loading
    await source.run(`CREATE PUBLICATION ${await slotOf(loading)} FOR TABLE a, b WITH (publish_via_partition_root = true)`)
    await using role = await freshRole(source, 'ALTER USER ROLE REPLICATION; GRANT SELECT ON a TO ROLE')
    const env = { SHOP_URL: role.url }
    const refusedTo = async (says: string, hint: string): Promise<void> => {
      const before = await leftAtSource(loading)
      const result = await loading.cli(['run'], env)
      expect(result.exit).toBe(3)
      expect(resultOf(result).error).toMatchObject({
        code: 'missing-privilege',
        message: expect.stringContaining(says),
        hint: expect.stringContaining(hint),
      })
      expect(await leftAtSource(loading)).toEqual(before)
      expect(await loading.state()).toBeNull()
    }
    await refusedTo('may not read table public.b', `GRANT SELECT ON "public"."b" TO "${role.name}"`)
    await source.run(`GRANT SELECT (id) ON b TO ${role.name}`)
    await refusedTo('may not read column "v" of table public.b', 'GRANT SELECT ON')
    await source.run(`GRANT SELECT ON b TO ${role.name}; ALTER TABLE b ENABLE ROW LEVEL SECURITY`)
    await refusedTo('hides rows of table public.b', 'BYPASSRLS')
    await source.run(`ALTER ROLE ${role.name} BYPASSRLS`)
    expect((await loading.cli(['run'], env)).exit).toBe(0)
    await areSame(loading, SAME)
  })

  test.concurrent('no sender of the log is free', async ({ expect }) => {
    await using server = await startPostgres({ settings: { max_wal_senders: 1 } })
    await using loading = await start({ sourceServer: server.url() })
    const reader = await replicating(loading.source.url)
    const result = await loading.run({}, { retries: 0 })
    expect(result.error).toMatchObject({ code: 'unreachable', hint: expect.stringContaining('max_wal_senders') })
    expect(await leftAtSource(loading)).toEqual([])
    expect((await loading.cli(['check'])).json.findings).toContainEqual(
      expect.objectContaining({ code: 'senders-used', severity: 'error' }),
    )
    await reader.end()
    await expect.poll(() => loading.source.rows('SELECT pid FROM pg_stat_replication'), { timeout: 10_000 }).toEqual([])
    await loadsAll(loading, SAME, {}, expect)
  })

  test.concurrent.for(['refuses', 'ignores'] as const)('a pooler that %s the log', async (how, { expect }) => {
    await using pooler = await startFakePooler(how)
    await using loading = await start({ sourceUrl: pooler.url })
    const result = await loading.cli(['run'])
    expect(result.exit).toBe(3)
    expect(resultOf(result).error).toMatchObject({
      code: 'log-unavailable',
      message: expect.stringContaining('through a pooler'),
      hint: expect.stringContaining('the server itself'),
    })
    expect(await leftAtSource(loading)).toEqual([])
    const check = await loading.cli(['check'])
    expect(check.exit).toBe(3)
    expect(check.json.findings).toContainEqual(
      expect.objectContaining({ severity: 'error', code: 'log-unavailable', message: expect.stringContaining('through a pooler') }),
    )
    const direct = { SHOP_URL: loading.source.url }
    expect((await loading.cli(['run'], direct)).exit).toBe(0)
    const followed = await loading.cli(['run'])
    expect({ exit: followed.exit, code: resultOf(followed).error?.code }).toEqual({ exit: 3, code: 'log-unavailable' })
  })

  test.concurrent('a pooler that knows no settings of a session', async () => {
    await using pooler = await startFakePooler('knows nothing')
    await using loading = await start({ sourceUrl: pooler.url })
    await refused(loading, 'unsupported-server', 3, 'unsupported startup parameter: options')
    expect((await loading.cli(['check'])).json.findings).toContainEqual(
      expect.objectContaining({ code: 'unsupported-server', hint: expect.stringContaining('pooler') }),
    )
  })

  test.concurrent('time limits of the server end neither the wait for a slot nor the copy', async () => {
    await using loading = await start()
    const { source } = loading
    await source.run(
      `ALTER DATABASE "${source.name}" SET statement_timeout = '20ms'; ALTER DATABASE "${source.name}" SET lock_timeout = '20ms'`,
    )
    const writer = await source.connect()
    await writer.query('SET statement_timeout = 0; BEGIN; UPDATE a SET v = v + 1')
    const running = loading.cli(['run'])
    await source.rows('SELECT pg_sleep(3)')
    await writer.query('COMMIT')
    expect((await running).exit).toBe(0)
    await areSame(loading, SAME)
  })

  test.concurrent.for(OLDER_VERSIONS)('PostgreSQL %i', async (version) => {
    await using server = await startPostgres({ version })
    await using loading = await start({ sourceServer: server.url() })
    await refused(loading, 'unsupported-server', 3, `is PostgreSQL ${version}; the oldest whose log is read is 14`)
    expect((await loading.cli(['check'])).text).toContain('the oldest whose log is read is 14')
  })
})

/** Takes a sender of the log. */
async function replicating(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, replication: 'database' } as pg.ClientConfig)
  await client.connect()
  return client
}

describe('while it is followed', () => {
  async function followed(options: object = {}): Promise<Loading> {
    const loading = await start(options)
    await loadsAll(loading, SAME)
    await loading.source.run('UPDATE a SET v = v + 1; DELETE FROM b WHERE id = 3')
    return loading
  }

  /** Follows in a process of its own until its first change has arrived. */
  async function following(loading: Loading, look: ExpectStatic): Promise<RunningCli> {
    const running = loading.start(['follow', '--every', '1s'])
    await look.poll(() => valueAt(loading, 1), { timeout: 20_000 }).toBe('2')
    return running
  }

  async function valueAt(loading: Loading, id: number): Promise<string | null | undefined> {
    return (await loading.target.rows(`SELECT v FROM a WHERE id = ${id}`))[0]?.['v']
  }

  test.concurrent('somebody else reads the slot', async ({ expect }) => {
    await using loading = await followed()
    const { child, done } = await following(loading, expect)
    // Frozen, so that it moves nothing meanwhile.
    child.kill('SIGSTOP')
    await refused(loading, 'state-conflict', 5, 'is being read by process')
    expect((await loading.cli(['drop', 'shop', '--yes'])).exit).toBe(5)
    child.kill('SIGCONT')
    child.kill('SIGTERM')
    expect((await done).exit).toBe(0)
    await loadsAll(loading, SAME)
  })

  test.concurrent('the server ends the stream, and goes down', async ({ expect }) => {
    await using server = await startPostgres()
    await using loading = await followed({ sourceServer: server.url() })
    const { child, done } = await following(loading, expect)
    await loading.source.rows('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active')
    await loading.source.run('UPDATE a SET v = 50 WHERE id = 1')
    await expect.poll(() => valueAt(loading, 1), { timeout: 20_000 }).toBe('50')
    await server.restart('immediate')
    const source = await loading.source.connect()
    await source.query('UPDATE a SET v = 51 WHERE id = 1; DELETE FROM a WHERE id = 9')
    await expect.poll(() => valueAt(loading, 1), { timeout: 20_000 }).toBe('51')
    child.kill('SIGTERM')
    expect((await done).exit).toBe(0)
    const all = 'SELECT id::text, v::text FROM a ORDER BY a.id'
    expect(await loading.target.rows(all)).toEqual((await source.query(all)).rows)
  })

  test.concurrent('a slot that the server gave up, and one of another plugin', async () => {
    await using server = await startPostgres({
      settings: { max_slot_wal_keep_size: '1MB', min_wal_size: '32MB', max_wal_size: '32MB', wal_keep_size: 0 },
    })
    await using loading = await followed({ sourceServer: server.url() })
    const slot = await slotOf(loading)
    await loading.source.run('CREATE TABLE noise (t text)')
    for (let round = 0; round < 5; round++) {
      await loading.source.run('INSERT INTO noise SELECT repeat(md5(i::text), 100) FROM generate_series(1, 2000) AS i')
      await loading.source.rows('SELECT pg_switch_wal()')
      await loading.source.run('CHECKPOINT')
    }
    await refused(loading, 'log-lost', 3, 'invalidated')
    await loading.source.rows(`SELECT pg_drop_replication_slot('${slot}')`)
    await loading.source.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'test_decoding')`)
    await refused(loading, 'log-lost', 3, 'is one of test_decoding')
    await loadsAll(loading, SAME, { fullRefresh: true })
  })

  test.concurrent('a publication that no longer holds a table', async () => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    await loading.source.run(`ALTER PUBLICATION ${slot} DROP TABLE b; UPDATE b SET v = 1 WHERE id = 1`)
    const { error } = await refused(loading, 'log-lost', 3, 'does not hold table public.b')
    expect(error?.hint).toContain('--resync public.b')
    await loadsAll(loading, SAME, { resync: ['public.b'] })
    await loading.source.run('UPDATE b SET v = 2; UPDATE a SET v = 2')
    await loadsAll(loading, SAME)
  })

  test.concurrent.for([
    ['leaves out rows', 'SET TABLE a, b WHERE (id > 3)', 'leaves out rows of table public.b'],
    ['leaves out columns', 'SET TABLE a, b (id)', 'leaves out column "v" of table public.b'],
    ['leaves out an operation', "SET (publish = 'insert, update')", 'publishes only insert, update.'],
  ] as const)('a publication that now %s', async ([, how, says]) => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    await loading.source.run(`ALTER PUBLICATION ${slot} ${how}; UPDATE b SET v = 1 WHERE id = 1; DELETE FROM a WHERE id = 2`)
    await refused(loading, 'log-lost', 3, says.replace(/\.$/, ''))
    await loading.source.run(`ALTER PUBLICATION ${slot} SET (publish = 'insert, update, delete, truncate')`)
    await loading.source.run(`ALTER PUBLICATION ${slot} SET TABLE a, b`)
    await loadsAll(loading, SAME, { fullRefresh: true })
  })

  test.concurrent('a publication that is gone, and a column that a list of columns leaves out', async () => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    await loading.source.run(`ALTER PUBLICATION ${slot} SET TABLE a (id, v), b (id, v)`)
    await loadsAll(loading, SAME)
    await loading.source.run('ALTER TABLE b ADD COLUMN w int; UPDATE b SET w = 1')
    await refused(loading, 'log-lost', 3, 'leaves out column "w" of table public.b')
    await loading.source.run(`DROP PUBLICATION ${slot}`)
    await refused(loading, 'log-lost', 3, 'does not exist')
    await loadsAll(loading, { ...SAME, b: ['id', 'v', 'w'] }, { fullRefresh: true })
  })

  test.concurrent('follow ends where the log has a gap', async () => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    await loading.source.rows(`SELECT pg_drop_replication_slot('${slot}')`)
    const { exit, err } = await loading.cli(['follow', '--every', '1s'])
    expect(exit).toBe(3)
    expect(err.match(/log-lost/g)).toHaveLength(1)
  })
})
