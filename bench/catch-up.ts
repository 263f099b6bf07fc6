// W7: a million updates in transactions of a thousand while nobody reads the log, and then how long it takes to catch up with them: for
// tidemark into both kinds of target, for the server's own logical replication, and for pg_recvlogical, which only reads the same log and
// writes nothing: quicker than that the server gives nothing out.

import { join } from 'node:path'
import type { PostgresServer } from '../src/testing/postgres-server.ts'
import { TIDEMARK, type Tool } from './baselines.ts'
import { type Measurement, measure } from './measure.ts'
import { query } from './psql.ts'
import type { Result, Rounds } from './rounds.ts'
import { freshSource, sourceUrl } from './source.ts'
import { Targets } from './targets.ts'

const TRANSACTIONS = 1000
const SUBSCRIBER: Tool = { name: 'native', title: () => '', command: () => [] }

export async function measureCatchUp(rounds: Rounds): Promise<readonly Result[]> {
  const { server, folder, runs, say } = rounds
  const targets = new Targets(server, folder)
  await prepareLog(rounds, targets)
  const rows = Number(await query(sourceUrl(server), 'SELECT count(*) FROM orders'))
  const each = Math.min(1000, Math.floor(rows / TRANSACTIONS))
  const contests: readonly Contest[] = [
    { title: 'tidemark', into: 'postgres', run: () => measure(peer('W7'), targets.variables(TIDEMARK), folder) },
    { title: 'tidemark into DuckDB', into: 'duckdb', run: () => measure(peer('W7d'), targets.variables(TIDEMARK), folder) },
    { title: 'pg_recvlogical, which writes nothing', into: null, run: (end) => measure(receive(server, end), {}, folder) },
    { title: "Postgres' own logical replication", into: 'native', run: (_, run) => measure(subscribe(server, run), {}, folder) },
  ]
  const measured = contests.map((): Measurement[] => [])
  for (let run = 1; run <= runs; run++) {
    say(`W7, run ${run} of ${runs}`)
    const end = await runAhead(server, run, each)
    const wanted = await targets.sourceSum()
    for (let turn = 0; turn < contests.length; turn++) {
      const index = (turn + run) % contests.length
      const { title, into, run: begin } = contests[index] as Contest
      const result = await begin(end, run)
      const found =
        into === null || result.failure !== null
          ? wanted
          : await targets.sum(into === 'native' ? SUBSCRIBER : TIDEMARK, into === 'duckdb' ? into : 'postgres')
      const failure = result.failure ?? (found === wanted ? null : `not equal: source ${wanted}; target ${found}`)
      measured[index]?.push({ ...result, failure })
      say(`  ${title}: ${failure === null ? `${result.seconds.toFixed(2)} s` : `NO RESULT, ${failure}`}`)
    }
    await query(server.url('target_native'), 'ALTER SUBSCRIPTION native DISABLE')
  }
  await dropLog(server)
  return [
    { title: 'Postgres to Postgres, a log that ran ahead', rows: each * TRANSACTIONS, tools: pick([0, 2, 3]) },
    { title: 'Postgres to DuckDB, a log that ran ahead', rows: each * TRANSACTIONS, tools: pick([1, 2, 3]) },
  ]

  function pick(which: readonly number[]): Result['tools'] {
    return which.map((index) => ({ title: contests[index]?.title.replace(/ into DuckDB$/, '') ?? '', runs: measured[index] ?? [] }))
  }
}

/** So that the databases can go. */
export async function dropLog(server: PostgresServer): Promise<void> {
  await query(
    server.url('target_native'),
    'ALTER SUBSCRIPTION native DISABLE',
    'ALTER SUBSCRIPTION native SET (slot_name = NONE)',
    'DROP SUBSCRIPTION native',
  )
  const free = `DO $$ BEGIN WHILE EXISTS (SELECT 1 FROM pg_replication_slots WHERE active) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$`
  await query(sourceUrl(server), free, 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots')
}

interface Contest {
  readonly title: string
  readonly into: 'postgres' | 'duckdb' | 'native' | null
  /** `end`: how far the log is to be read. */
  run(end: string, run: number): Promise<Measurement>
}

function peer(name: string): readonly string[] {
  return ['bash', join(import.meta.dirname, 'peer.sh'), name]
}

/** First copies, and slots for all. */
export async function prepareLog({ server, folder }: Rounds, targets: Targets): Promise<void> {
  await freshSource(server)
  const source = sourceUrl(server)
  await query(
    source,
    'CREATE TABLE progress (writer int PRIMARY KEY, n bigint NOT NULL)',
    'INSERT INTO progress SELECT i, 0 FROM generate_series(0, 3) AS i',
    'CREATE PUBLICATION log FOR TABLE orders, progress WITH (publish_via_partition_root = true)',
  )
  await targets.empty(TIDEMARK, 'postgres')
  await targets.empty(TIDEMARK, 'duckdb')
  await targets.empty(SUBSCRIBER, 'postgres')
  for (const name of ['W7', 'W7d']) {
    const { failure } = await measure(peer(name), targets.variables(TIDEMARK), folder)
    if (failure !== null) throw new Error(`The first copy failed: ${failure}`)
  }
  await subscriber(server)
}

/** The tables of the same names, and a subscription that reads nothing yet. */
async function subscriber(server: PostgresServer): Promise<void> {
  const [source, target] = [sourceUrl(server), server.url('target_native')]
  const columns = await query(
    source,
    `SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute
     WHERE attrelid = 'orders'::regclass AND attnum > 0`,
  )
  await query(target, `CREATE TABLE orders (${columns})`, 'CREATE TABLE progress (writer int PRIMARY KEY, n bigint NOT NULL)')
  await query(source, "SELECT pg_create_logical_replication_slot('native', 'pgoutput')")
  const copied = `set -o pipefail; for t in orders progress; do psql -XAtqc "COPY $t TO STDOUT (FORMAT binary)" "$0" | psql -XAtqc "COPY $t FROM STDIN (FORMAT binary)" "$1"; done`
  const { failure } = await measure(['bash', '-c', copied, source, target], {}, import.meta.dirname)
  if (failure !== null) throw new Error(`The copy for the subscription failed: ${failure}`)
  // A subscription knows tables by the names that they have at the source.
  await query(target, 'ALTER TABLE orders ADD PRIMARY KEY (id)', 'CREATE VIEW bench.orders AS SELECT * FROM orders')
  await query(
    target,
    `CREATE SUBSCRIPTION native CONNECTION '${source}' PUBLICATION log WITH (copy_data = false, enabled = false, create_slot = false, slot_name = native)`,
  )
}

/** The updates, and where the log is then. */
async function runAhead(server: PostgresServer, run: number, each: number): Promise<string> {
  const source = sourceUrl(server)
  await query(
    source,
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'alone'",
    "SELECT pg_copy_logical_replication_slot('log', 'alone')",
    `DO $$ BEGIN
       FOR t IN 0..${TRANSACTIONS - 1} LOOP
         FOR i IN 1..${each} LOOP
           UPDATE orders SET amount = (amount + 1) % 90000, updated_at = clock_timestamp() WHERE id = (t * ${each} + i)::bigint * 7919 % (SELECT max(id) FROM orders) + 1;
         END LOOP;
         COMMIT;
       END LOOP;
     END $$`,
    `UPDATE progress SET n = ${run} WHERE writer = 0`,
    'CHECKPOINT',
  )
  return query(source, 'SELECT pg_current_wal_flush_lsn()')
}

function receive(server: PostgresServer, end: string): readonly string[] {
  const options = ['proto_version=1', 'publication_names=log', 'binary=true'].flatMap((option) => ['-o', option])
  return [
    'pg_recvlogical',
    '-d',
    sourceUrl(server),
    '--slot=alone',
    '--start',
    `--endpos=${end}`,
    '--no-loop',
    '-f',
    '/dev/null',
    ...options,
  ]
}

/** Ends when the last update has arrived. */
function subscribe(server: PostgresServer, run: number): readonly string[] {
  const wait = `DO $$ BEGIN WHILE (SELECT n FROM progress WHERE writer = 0) < ${run} LOOP PERFORM pg_sleep(0.02); END LOOP; END $$`
  return ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', 'ALTER SUBSCRIPTION native ENABLE', '-c', wait, server.url('target_native')]
}
