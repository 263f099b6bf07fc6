// Large transactions that the source sends before they are committed: what they bring is exactly what comes of them after the commit,
// in the same order, and nothing of what was rolled back.

import { readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parsePostgresConfig } from '../../src/connectors/postgres/config.ts'
import { parseLsn, printLsn } from '../../src/connectors/postgres/lsn.ts'
import { ReplicationStream } from '../../src/connectors/postgres/replication-stream.ts'
import { openSession } from '../../src/connectors/postgres/session.ts'
import type { ChangesChunk } from '../../src/core/changes-chunk.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { TARGET_KINDS } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { areSame, COLUMNS, loadsAll, slotOf, startFollowing, useOwnServer } from './following.ts'

const server = useOwnServer({ settings: { logical_decoding_work_mem: '64kB', max_prepared_transactions: 10, max_wal_senders: 40 } })

const BOTH = { a: COLUMNS, b: COLUMNS }
const rows = (table: string, from: number, to: number): string =>
  `INSERT INTO ${table} SELECT i, i, repeat(md5(i::text), 4), NULL FROM generate_series(${from}, ${to}) AS i`

/** Several at once, each in several pieces, with parts that are rolled back, and small ones between them. */
async function mixed(source: FreshDatabase): Promise<void> {
  // What is rolled back is the first to touch the table: its description goes with it.
  await source.run(`BEGIN; SAVEPOINT x; ${rows('b', 30_000, 32_000)}; ROLLBACK TO x; ${rows('b', 30_000, 33_000)}; COMMIT`)
  const [one, two, three, four] = await Promise.all([source.connect(), source.connect(), source.connect(), source.connect()])
  for (const client of [one, two, three, four]) await client.query('BEGIN')
  await one.query(rows('a', 1000, 3000))
  await two.query(rows('b', 1000, 3000))
  await source.run('UPDATE a SET v = 77 WHERE id = 1')
  await three.query(`SAVEPOINT x; ${rows('b', 10_000, 12_000)}`)
  await three.query(`SAVEPOINT y; ${rows('a', 10_000, 12_000)}`)
  await one.query('SAVEPOINT x; UPDATE a SET v = -v WHERE id >= 1000')
  await one.query('RELEASE SAVEPOINT x; SAVEPOINT y; DELETE FROM a WHERE id > 2000; UPDATE a SET s = NULL WHERE id > 900')
  await one.query('ROLLBACK TO y; UPDATE a SET id = id + 100000 WHERE id BETWEEN 1500 AND 2200')
  await three.query('ROLLBACK TO x')
  await two.query('SAVEPOINT z; UPDATE b SET v = 0, s = NULL WHERE id >= 1000; ROLLBACK TO z')
  await four.query(rows('b', 20_000, 23_000))
  await three.query(rows('b', 10_000, 12_500))
  await three.query(rows('a', 10_000, 12_500))
  await source.run("INSERT INTO b VALUES (90, 1, 'between', NULL)")
  await two.query("PREPARE TRANSACTION 'two'")
  await three.query('COMMIT')
  await source.run("UPDATE b SET v = 78 WHERE id = 10001; UPDATE a SET s = 'after' WHERE id = 10002")
  await four.query('ROLLBACK')
  await one.query('COMMIT')
  await source.run('DELETE FROM a WHERE id = 10003')
  await source.run("COMMIT PREPARED 'two'")
  await source.run('UPDATE b SET v = v + 1 WHERE id % 7 = 0')
}

/** All changes of a slot from a position to another, as text. */
async function readAll(source: FreshDatabase, slot: string, streams: boolean, from: bigint, until: bigint): Promise<readonly string[]> {
  const session = await openSession(parsePostgresConfig({ url: source.url }), 'source', 'log').opened
  const seen: string[] = []
  const stream = new ReplicationStream(session, {
    slot,
    publication: 'all',
    from,
    until,
    binary: true,
    streams,
    chunkBytes: 64 * 1024,
    relation: ({ name, columns }) => ({
      table: name === 'a' ? 0 : 1,
      width: columns.length,
      places: columns.map((_, at) => at),
      missing: [],
    }),
  })
  try {
    await stream.start()
    for (;;) {
      const chunk = await stream.next(1000)
      seen.push(...described(chunk.changes))
      if (chunk.end !== null && chunk.transactions > 0) seen.push(`end of ${chunk.transactions} at ${printLsn(chunk.end)}`)
      stream.recycle(chunk)
      if (chunk.end !== null && chunk.end >= until) return seen
    }
  } finally {
    stream.close()
  }
}

function* described(chunk: ChangesChunk): Generator<string> {
  const width = COLUMNS.length
  const row = (first: number): string =>
    first < 0
      ? '-'
      : Array.from({ length: width }, (_, place) => {
          const [start, length] = [chunk.start[first + place] as number, chunk.length[first + place] as number]
          return length < 0 ? `${length}` : Buffer.from(chunk.bytes.subarray(start, start + length)).toString('hex')
        }).join(' ')
  for (let change = 0; change < chunk.count; change++) {
    const own = chunk.transactions.findLast(({ first }) => first <= change)
    const ordinal = (own?.before ?? 0) + change - (own?.first ?? 0)
    const place = `${own?.position}/${ordinal} ${own?.committedMicros}`
    yield `${place} ${chunk.table[change]} ${chunk.op[change]} ${row(chunk.row[change] as number)} ${row(chunk.old[change] as number)}`
  }
}

test('the same changes in the same order as after the commit', async () => {
  await using source = await freshDatabase(server().url())
  await source.run(`CREATE TABLE a (id int PRIMARY KEY, v int NOT NULL, s text, z text); CREATE TABLE b (LIKE a INCLUDING ALL);
    CREATE PUBLICATION "all" FOR TABLE a, b`)
  const lsn = async (sql: string): Promise<bigint> => parseLsn((await source.rows(`SELECT (${sql}) AS at`))[0]?.['at'] ?? '') ?? 0n
  const from = await lsn("SELECT lsn FROM pg_create_logical_replication_slot('whole', 'pgoutput')")
  await source.run("SELECT pg_copy_logical_replication_slot('whole', 'pieces')")
  await mixed(source)
  const until = await lsn('SELECT pg_current_wal_flush_lsn()')
  const whole = await readAll(source, 'whole', false, from, until)
  const pieces = await readAll(source, 'pieces', true, from, until)
  const changes = (seen: readonly string[]): readonly string[] => seen.filter((one) => !one.startsWith('end'))
  expect(changes(pieces).length).toBeGreaterThan(8000)
  expect(changes(pieces)).toEqual(changes(whole))
  const [statistics] = await source.rows("SELECT stream_txns AS streamed FROM pg_stat_replication_slots WHERE slot_name = 'pieces'")
  expect(Number(statistics?.['streamed'])).toBeGreaterThanOrEqual(4)
})

describe.each(TARGET_KINDS)('into %s', (target) => {
  test('several at once, in parts rolled back, prepared, or rolled back altogether', async () => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, BOTH)
    await mixed(loading.source)
    await loadsAll(loading, BOTH)
  })

  test('one that is open when a run ends comes whole with a later one', async () => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, BOTH)
    const client = await loading.source.connect()
    await client.query(`BEGIN; ${rows('a', 1000, 4000)}`)
    await loading.source.run('UPDATE b SET v = 5')
    expect((await loading.run()).error).toBeNull()
    await areSame(loading, { b: COLUMNS })
    await client.query(`${rows('b', 1000, 4000)}; COMMIT`)
    await loadsAll(loading, BOTH)
  })

  test('a column that was added and taken back within a transaction', async () => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, BOTH)
    await loading.source.run(`BEGIN; ${rows('a', 1000, 1500)}; SAVEPOINT x; ALTER TABLE a ADD COLUMN c int DEFAULT 3;
      INSERT INTO a SELECT i, i, repeat(md5(i::text), 4), NULL, 1 FROM generate_series(2000, 3000) AS i; ROLLBACK TO x; ${rows('a', 2000, 2600)};
      ALTER TABLE b ADD COLUMN d int DEFAULT 4; INSERT INTO b SELECT i, i, repeat(md5(i::text), 4), NULL, i FROM generate_series(2000, 3000) AS i;
      COMMIT`)
    await loadsAll(loading, { a: COLUMNS, b: [...COLUMNS, 'd'] })
  })

  test('types of the user, and changes that come from another origin', async () => {
    await using loading = await startFollowing(target)
    await loading.source.run("CREATE TYPE mood AS ENUM ('well', 'not'); ALTER TABLE a ADD COLUMN m mood DEFAULT 'well'")
    const columns = { a: [...COLUMNS, 'm'], b: COLUMNS }
    await loadsAll(loading, columns)
    const origin = loading.source.name
    await loading.source.rows('SELECT pg_replication_origin_create($1)', [origin])
    await loading.source.rows('SELECT pg_replication_origin_session_setup($1)', [origin])
    await loading.source.run("BEGIN; SELECT pg_replication_origin_xact_setup('0/5', now()); UPDATE a SET m = 'not' WHERE id < 9; COMMIT")
    await loading.source.run(
      `BEGIN; SELECT pg_replication_origin_xact_setup('0/6', now()); ${rows('b', 1000, 4000)}; UPDATE a SET m = NULL; COMMIT`,
    )
    await loading.source.run('SELECT pg_replication_origin_session_reset()')
    await loading.source.run("SELECT pg_logical_emit_message(true, 'note', 'x'), pg_logical_emit_message(false, 'note', 'y')")
    await loading.source.rows('SELECT pg_replication_origin_drop($1)', [origin])
    await loadsAll(loading, columns)
  })

  test('killed in the middle of one: nothing of it stays, not even in the temporary folder', async () => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, BOTH)
    const folder = join(loading.folder.path, 'tmp')
    await mkdir(folder)
    // More than what is handed out at once.
    await loading.source.run('INSERT INTO a SELECT i, i, repeat(md5(i::text), 30), NULL FROM generate_series(1000, 15000) AS i')
    const before = await loading.state()
    const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: 'changes-applied:2', TMPDIR: folder })
    expect(died.signal).toBe('SIGKILL')
    expect(readdirSync(folder)).toEqual([])
    expect((await loading.state())?.position).toEqual(before?.position)
    await loadsAll(loading, BOTH)
  })
})

test('disk-failed: no temporary folder', async () => {
  await using loading = await startFollowing()
  await loadsAll(loading, BOTH)
  await loading.source.run(rows('a', 1000, 4000))
  const slot = await slotOf(loading)
  const result = await loading.cli(['run'], { TMPDIR: join(loading.folder.path, 'nowhere') })
  expect({ exit: result.exit, code: resultOf(result).error?.code }).toEqual({ exit: 3, code: 'disk-failed' })
  expect(await loading.source.rows('SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()')).toEqual([
    { name: slot },
  ])
  await loadsAll(loading, BOTH)
})
