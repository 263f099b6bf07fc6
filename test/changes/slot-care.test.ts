// What a pipeline keeps at its source: it is shown, warned of, and moves on also where nothing comes. A slot or a server that is not the
// one of the position stops the run, and nothing is skipped.

import { expect as always, describe, type ExpectStatic, test } from 'vitest'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { freshRole } from '../servers/fresh-role.ts'
import type { Loading } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { leftAtSource, loadsAll, slotOf, startTables, useOwnServer } from './following.ts'

useOwnServer()

const MAKE = 'CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT i, i FROM generate_series(1, 20) AS i'
const SAME = { a: ['id', 'v'] }

async function followed(options: object = {}, more: object = {}): Promise<Loading> {
  const loading = await startTables(MAKE, ['public.a'], options, more)
  await loadsAll(loading, SAME)
  return loading
}

async function statusOf(loading: Loading) {
  return (await loading.cli(['status'])).json.pipelines[0]
}

describe('status and check', () => {
  test.concurrent('what the source keeps, and how far the target is behind', async ({ expect }) => {
    await using server = await startPostgres({ settings: { max_slot_wal_keep_size: '200MB' } })
    await using loading = await startTables(MAKE, ['public.a'], { sourceServer: server.url() })
    const slot = await slotOf(loading)
    expect((await statusOf(loading)).log).toMatchObject({ slot, state: 'missing', active: false, lag_bytes: null, lag_seconds: null })
    await loadsAll(loading, SAME, {}, expect)
    await loading.source.rows('SELECT pg_sleep(3.1)')
    const changed = Date.now()
    await loading.source.run('UPDATE a SET v = v + 1')
    await loading.source.rows('SELECT pg_sleep(1.1)')
    const behind = await statusOf(loading)
    expect(behind.log).toMatchObject({ slot, state: 'reserved', active: false, invalidation_reason: null })
    expect(behind.log.lag_bytes).toBeGreaterThan(1000)
    expect(behind.log.lag_seconds).toBeGreaterThanOrEqual(2)
    expect(behind.log.lag_seconds).toBeLessThan(60)
    expect(behind.lag).toBe(behind.log.lag_seconds)
    expect(behind.log.retained_bytes).toBeGreaterThanOrEqual(behind.log.lag_bytes)
    expect(behind.log.safe_wal_size).toBeGreaterThan(100_000_000)
    const { out } = await loading.cli(['-o', 'text', 'status'])
    expect(out).toMatch(
      new RegExp(`slot ${slot} is reserved: all of its log is there; the source keeps .* more may be written .*; nobody reads it`),
    )
    await loadsAll(loading, SAME, {}, expect)
    // Not as old as the copy any more; how old the machine decides.
    const { log } = await statusOf(loading)
    expect(log.lag_seconds).toBeLessThanOrEqual((Date.now() - changed) / 1000 + 1)
  })

  test.concurrent('a target that has everything is not behind, however long that is so', async ({ expect }) => {
    // Nothing else writes to its log.
    await using server = await startPostgres({ settings: { autovacuum: false, bgwriter_lru_maxpages: 0 } })
    await using loading = await followed({ sourceServer: server.url() })
    await loading.source.run('CHECKPOINT')
    await expect
      .poll(
        async () => {
          await loadsAll(loading, SAME, {}, expect)
          await loading.source.rows('SELECT pg_sleep(1.2)')
          return (await statusOf(loading)).log
        },
        { timeout: 60_000 },
      )
      .toMatchObject({ lag_bytes: 0, lag_seconds: 0 })
  })

  test.concurrent('limits, and a slot that keeps much of what it may, more than it may, and is given up', async ({ expect }) => {
    // Nothing but the test makes checkpoints, at which a slot is given up.
    await using server = await startPostgres({
      settings: { max_slot_wal_keep_size: '80MB', max_wal_size: '4GB', checkpoint_timeout: '1h', wal_keep_size: 0, wal_sender_timeout: 0 },
    })
    await using loading = await followed({ sourceServer: server.url() })
    const finding = async (code: string) =>
      (await loading.cli(['check'])).json.findings.filter((one: { code: string }) => one.code === code)
    expect(await finding('slot')).toMatchObject([{ severity: 'info', message: expect.stringContaining('is reserved') }])
    expect(await finding('slot-limit')).toEqual([])
    expect(await finding('sender-timeout')).toMatchObject([{ severity: 'warning' }])
    const write = async () => {
      await loading.source.run(
        'CREATE TABLE IF NOT EXISTS noise (t text); INSERT INTO noise SELECT repeat(md5(i::text), 100) FROM generate_series(1, 1000) AS i',
      )
      await loading.source.rows('SELECT pg_switch_wal()')
    }
    const messages: string[] = []
    for (let round = 0; round < 8 && !messages.some((text) => text.includes('the next checkpoint')); round++) {
      await write()
      const [said] = await finding('slot')
      expect(said.severity).toBe(
        said.message.includes('may give it up') && !said.message.includes('more may be written') ? 'warning' : 'info',
      )
      messages.push(said.message)
    }
    expect(messages).toContainEqual(expect.stringContaining('more are written, the source may give it up'))
    expect(messages).toContainEqual(expect.stringContaining('the next checkpoint of the source may give it up'))
    expect((await statusOf(loading)).log).toMatchObject({ state: 'unreserved' })
    for (let round = 0; round < 3; round++) {
      await write()
      await loading.source.run('CHECKPOINT')
    }
    const check = await loading.cli(['check'])
    expect(check.exit).not.toBe(0)
    expect(await finding('slot')).toMatchObject([
      {
        severity: 'error',
        message: expect.stringContaining('max_slot_wal_keep_size'),
        hint: expect.stringMatching(/Two ways on: .*--full-refresh.*; or .*--to watermark/),
      },
    ])
    expect((await statusOf(loading)).log).toMatchObject({ state: 'lost', invalidation_reason: 'wal_removed' })
    expect(resultOf(await loading.cli(['run'])).error).toMatchObject({
      code: 'log-lost',
      message: expect.stringContaining('max_slot_wal_keep_size'),
    })
  })

  test.concurrent('no limit, slots and senders that are all taken, and slots that are given up when idle', async ({ expect }) => {
    await using server = await startPostgres({
      settings: { max_replication_slots: 1, max_wal_senders: 1, idle_replication_slot_timeout: '1d', wal_sender_timeout: '2s' },
    })
    await using loading = await followed({ sourceServer: server.url() })
    const running = loading.start(['follow'])
    await expect.poll(async () => (await statusOf(loading)).log.active, { timeout: 20_000 }).toBe(true)
    const { json } = await loading.cli(['check'])
    running.child.kill('SIGTERM')
    await running.done
    expect(json.findings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ code: 'slot-limit', severity: 'info' }),
        expect.objectContaining({ code: 'slots-used', severity: 'warning', message: expect.stringContaining('All 1 replication slots') }),
        expect.objectContaining({ code: 'senders-used', severity: 'warning' }),
        expect.objectContaining({ code: 'sender-timeout', message: expect.stringContaining('2000 ms') }),
        expect.objectContaining({ code: 'slot-idle-timeout', message: expect.stringContaining('24 h') }),
      ]),
    )
  })
})

describe('a quiet database of a busy server', () => {
  /** Another database writes; the slot has to follow it, though nothing in it is of the pipeline. */
  async function letsGo(loading: Loading, serverUrl: string, look: ExpectStatic, run: () => Promise<unknown>): Promise<void> {
    await using busy = await freshDatabase(serverUrl)
    await busy.run('CREATE TABLE noise (t text); ALTER TABLE noise ALTER t SET STORAGE EXTERNAL')
    const slot = await slotOf(loading)
    const kept = async () => {
      const [row] = await loading.source.rows(
        `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes FROM pg_replication_slots WHERE slot_name = '${slot}'`,
      )
      return Number(row?.['bytes'])
    }
    await busy.run('INSERT INTO noise SELECT repeat(md5(i::text), 100) FROM generate_series(1, 10000) AS i')
    await busy.run('CHECKPOINT')
    look(await kept()).toBeGreaterThan(20_000_000)
    const sees = async () => {
      await busy.run('CHECKPOINT')
      await run()
      return kept()
    }
    await look.poll(sees, { timeout: 60_000, interval: 1000 }).toBeLessThan(1_000_000)
  }

  test.concurrent('follow holds nothing back', async ({ expect }) => {
    await using server = await startPostgres()
    await using loading = await followed({ sourceServer: server.url() })
    const { child, done } = loading.start(['follow'])
    await expect.poll(async () => (await statusOf(loading)).log.active, { timeout: 20_000 }).toBe(true)
    await letsGo(loading, server.url(), expect, async () => {})
    expect((await statusOf(loading)).log.lag_seconds).toBeLessThan(30)
    child.kill('SIGTERM')
    expect((await done).exit).toBe(0)
  })

  test.concurrent('nor do runs now and then', async ({ expect }) => {
    await using server = await startPostgres()
    await using loading = await followed({ sourceServer: server.url() })
    await letsGo(loading, server.url(), expect, () => loadsAll(loading, SAME, {}, expect))
  })
})

describe('a heartbeat', () => {
  test.concurrent('is written while it is followed, and is no change of a row', async ({ expect }) => {
    await using loading = await followed({}, { source: { heartbeat: '200ms' } })
    await loading.source.rows("SELECT pg_create_logical_replication_slot('heard_' || pg_backend_pid(), 'test_decoding')")
    const { child, done } = loading.start(['follow'])
    const heard = async () => {
      const rows = await loading.source.rows(
        "SELECT data FROM pg_logical_slot_peek_changes('heard_' || pg_backend_pid(), NULL, NULL) WHERE data LIKE '%prefix: tidemark%'",
      )
      return rows.length
    }
    await expect.poll(heard, { timeout: 20_000 }).toBeGreaterThan(3)
    await loading.source.run('UPDATE a SET v = 0')
    await expect.poll(async () => (await loading.target.rows('SELECT DISTINCT v FROM a'))[0]?.['v'], { timeout: 20_000 }).toBe('0')
    child.kill('SIGTERM')
    expect((await done).exit).toBe(0)
    await loading.source.rows("SELECT pg_drop_replication_slot('heard_' || pg_backend_pid())")
  })

  test.concurrent('of a role that may not write it is refused before anything is made', async ({ expect }) => {
    await using loading = await startTables(MAKE, ['public.a'], {}, { source: { heartbeat: '1s' } })
    await loading.source.run(
      "DO $$ DECLARE one text; BEGIN FOR one IN SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || one || ' FROM PUBLIC'; END LOOP; END $$",
    )
    await using role = await freshRole(loading.source, 'ALTER USER ROLE REPLICATION; GRANT SELECT ON a TO ROLE')
    const result = await loading.cli(['run'], { SHOP_URL: role.url })
    expect(result.exit).toBe(3)
    expect(resultOf(result).error).toMatchObject({
      code: 'missing-privilege',
      hint: expect.stringContaining('GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean,text,text'),
    })
    expect(await leftAtSource(loading)).toEqual([])
  })
})

describe('not the slot, or not the server, of the position', () => {
  async function refused(loading: Loading, code: string, exit: number, says: string, env = {}): Promise<void> {
    const before = {
      rows: await loading.target.rows('SELECT * FROM a ORDER BY id'),
      state: await loading.state(),
      left: await leftAtSource(loading),
    }
    for (const command of ['plan', 'check', 'run']) {
      const result = await loading.cli([command], env)
      always({ command, isZero: result.exit === 0, says: result.text }).toEqual({
        command,
        isZero: false,
        says: always.stringContaining(says),
      })
      if (command === 'run') {
        always({ exit: result.exit, ...resultOf(result).error }).toMatchObject({ exit, code })
        always(resultOf(result).error?.hint).toMatch(/; or copy the tables again with `--full-refresh`/)
      }
    }
    always({
      rows: await loading.target.rows('SELECT * FROM a ORDER BY id'),
      state: await loading.state(),
      left: await leftAtSource(loading),
    }).toEqual(before)
  }

  test.concurrent('it is missing; it is physical, of another database, temporary, or further', async ({ expect }) => {
    await using server = await startPostgres()
    await using loading = await followed({ sourceServer: server.url() })
    const slot = await slotOf(loading)
    const { source } = loading
    await source.run('UPDATE a SET v = v + 1')
    const drop = () => source.rows(`SELECT pg_drop_replication_slot('${slot}')`)
    await drop()
    await refused(loading, 'log-lost', 3, 'does not exist')
    await source.rows(`SELECT pg_create_physical_replication_slot('${slot}', true)`)
    await refused(loading, 'log-lost', 3, 'physical replication')
    await drop()
    await using other = await freshDatabase(server.url())
    await other.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    await refused(loading, 'log-lost', 3, `is one of database \\"${other.name}\\"`)
    await other.rows(`SELECT pg_drop_replication_slot('${slot}')`)
    await source.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput', true)`)
    await refused(loading, 'log-lost', 3, 'temporary')
    await drop()
    await source.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    await refused(loading, 'log-lost', 3, 'already')
    await loadsAll(loading, SAME, { fullRefresh: true }, expect)
  })

  test.concurrent('another server, and another database, under the same connection', async () => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    const make = `${MAKE}; CREATE PUBLICATION ${slot} FOR TABLE a WITH (publish_via_partition_root = true)`
    // Servers from one template have one system identifier.
    await using server = await startPostgres({ templates: loading.folder.path })
    await using there = await freshDatabase(server.url())
    await there.run(make)
    await there.rows(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    await refused(loading, 'log-lost', 3, 'another server: its system identifier is', { SHOP_URL: there.url })
    const beside = new URL(loading.source.url)
    beside.pathname = '/'
    await using other = await freshDatabase(beside.href.replace(/\/$/, '/postgres'))
    await other.run(make)
    await refused(loading, 'log-lost', 3, 'The source is another database', { SHOP_URL: other.url })
  })

  test.concurrent('the project names another slot', async () => {
    await using loading = await followed()
    const slot = await slotOf(loading)
    const source = { tables: ['public.a'], slot: `${slot}_2`, publication: slot }
    loading.pipelines({ shop: { pattern: 'cdc', source, target: { schema: 'public' } } })
    await refused(loading, 'definition-changed', 2, `was loaded from slot ${slot}`)
  })

  test.concurrent('the source was put back to an older state', async () => {
    await using server = await startPostgres()
    await using loading = await followed({ sourceServer: server.url() })
    await loading.target.run(
      `UPDATE pipeline_watermarks SET position = regexp_replace(position, '"1:[^"]*"', '"1:FFFF/0"') WHERE pipeline_name = 'shop'`,
    )
    await refused(loading, 'log-lost', 3, 'the source went back to an older state')
  })
})
