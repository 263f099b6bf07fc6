// The transaction of TPC-B, as pgbench runs it, from several connections while a pipeline follows: at every moment that a reader of the
// target can see, accounts, tellers, branches and history have the same sum.

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FreshDatabase } from '../../servers/fresh-database.ts'
import { TARGET_KINDS } from '../../servers/loading.ts'
import { Random } from '../../simulate/random.ts'
import { areSame, startTables, useOwnServer } from '../following.ts'

useOwnServer()

const SECONDS = 12
const [BRANCHES, TELLERS, ACCOUNTS] = [3, 30, 600]
/** As pgbench makes them; but the history has a key, which a table needs that is followed. */
const MAKE = `
  CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
  CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
  CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
  CREATE TABLE pgbench_history (hid bigserial PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
  INSERT INTO pgbench_branches SELECT i, 0, '' FROM generate_series(1, ${BRANCHES}) AS i;
  INSERT INTO pgbench_tellers SELECT i, 1 + i % ${BRANCHES}, 0, '' FROM generate_series(1, ${TELLERS}) AS i;
  INSERT INTO pgbench_accounts SELECT i, 1 + i % ${BRANCHES}, 0, '' FROM generate_series(1, ${ACCOUNTS}) AS i`
const COLUMNS = {
  pgbench_branches: ['bid', 'bbalance'],
  pgbench_tellers: ['tid', 'bid', 'tbalance'],
  pgbench_accounts: ['aid', 'bid', 'abalance'],
  pgbench_history: ['hid', 'tid', 'bid', 'aid', 'delta'],
}
const SUMS = `SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts, (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
  (SELECT sum(bbalance) FROM pgbench_branches) AS branches, (SELECT coalesce(sum(delta), 0) FROM pgbench_history) AS history,
  (SELECT count(*) FROM pgbench_history) AS done`

/** Until it is aborted; how many transactions there were. */
async function transact(source: FreshDatabase, seed: number, signal: AbortSignal): Promise<number> {
  const client = await source.connect()
  const random = new Random(seed)
  let done = 0
  for (; !signal.aborted; done++) {
    const [aid, tid, bid] = [1 + random.below(ACCOUNTS), 1 + random.below(TELLERS), 1 + random.below(BRANCHES)]
    const delta = random.below(10_001) - 5_000
    await client.query(`BEGIN;
      UPDATE pgbench_accounts SET abalance = abalance + ${delta} WHERE aid = ${aid};
      SELECT abalance FROM pgbench_accounts WHERE aid = ${aid};
      UPDATE pgbench_tellers SET tbalance = tbalance + ${delta} WHERE tid = ${tid};
      UPDATE pgbench_branches SET bbalance = bbalance + ${delta} WHERE bid = ${bid};
      INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (${tid}, ${bid}, ${aid}, ${delta}, CURRENT_TIMESTAMP);
      END`)
  }
  return done
}

test.each(TARGET_KINDS)('into %s the four sums agree', { timeout: 120_000 }, async (target) => {
  const tables = Object.keys(COLUMNS).map((table) => `public.${table}`)
  await using loading = await startTables(MAKE, tables, { target })
  expect((await loading.run()).error).toBeNull()
  const stop = new AbortController()
  const following = new AbortController()
  const run = loading.run({ follows: true, signal: following.signal })
  const clients = [1, 2, 3, 4].map((seed) => transact(loading.source, seed, stop.signal))
  const seen = new Set<string | null | undefined>()
  const end = performance.now() + SECONDS * 1000
  while (performance.now() < end) {
    await pause(5)
    // The file of DuckDB is open in this process alone, for the pipeline.
    if (target === 'duckdb') continue
    // One statement, and so one snapshot.
    const [sums] = await loading.target.rows(SUMS)
    expect(sums).toMatchObject({ tellers: sums?.['accounts'], branches: sums?.['accounts'], history: sums?.['accounts'] })
    seen.add(sums?.['done'])
  }
  stop.abort()
  const done = (await Promise.all(clients)).reduce((sum, one) => sum + one, 0)
  following.abort()
  expect((await run).error).toBeNull()
  expect((await loading.run()).error).toBeNull()
  await areSame(loading, COLUMNS)
  const [{ rows } = { rows: '' }] = await loading.source.rows('SELECT count(*) AS rows FROM pgbench_history')
  expect(rows).toBe(String(done))
  if (target === 'postgres') expect(seen.size).toBeGreaterThan(10)
})
