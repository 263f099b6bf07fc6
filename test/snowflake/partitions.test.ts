// Partitions from Postgres into Snowflake (emulated): every way to cut a table, changed, moved, killed in the middle, and shared by two runs.

import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { PARTITION_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { startSnowflake } from './emulated.ts'
import { type SnowflakeLoading, startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
afterAll(() => server.stop())
afterEach(() => server.faults.clear())

type Options = Readonly<Record<string, unknown>>

const ROWS = 600
const BY_ID: Options = { by: 'id', size: 100 }

async function startVisits(partition: Options = BY_ID, more: Options = {}): Promise<SnowflakeLoading> {
  const all = await startSnowflakeLoading(server, {
    visits: { pattern: 'partition', source: { table: 'visits' }, target: { table: 'visits' }, partition, ...more },
  })
  await all.loading.source.run(`
    CREATE TABLE visits (id bigint PRIMARY KEY, at timestamptz NOT NULL, day date NOT NULL, region text, amount numeric(12,2), note text);
    INSERT INTO visits SELECT i, at, (at AT TIME ZONE 'UTC')::date, (ARRAY['EU', 'US', 'ünï', '(null)', 'O''Brien'])[1 + i % 5], i * 1.25, 'note ' || i
    FROM (SELECT i, timestamptz '2024-03-06 00:00:00+00' + i * interval '20 minutes' AS at FROM generate_series(1, ${ROWS}) AS i) AS v;
    UPDATE visits SET region = NULL WHERE id % 11 = 0;
    ANALYZE visits`)
  return all
}

async function ends({ loading, schema }: SnowflakeLoading): Promise<{ source: readonly string[]; target: readonly string[] }> {
  const source = await loading.source.rows(
    `SELECT concat_ws('|', id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), day, coalesce(region, '-'), amount, note) AS line FROM visits ORDER BY id`,
  )
  const target = await schema.query(
    `SELECT id, TO_VARCHAR(at, 'YYYY-MM-DD HH24:MI:SS.FF6'), TO_VARCHAR(day, 'YYYY-MM-DD'), COALESCE(region, '-'), amount, note FROM $.visits ORDER BY id`,
  )
  return { source: source.map(({ line }) => line ?? ''), target: target.map((row) => row.join('|')) }
}

async function same(all: SnowflakeLoading): Promise<void> {
  const { source, target } = await ends(all)
  expect(target).toEqual(source)
}

const EDITS = `UPDATE visits SET note = 'edited' WHERE id = 41; DELETE FROM visits WHERE id = 42;
  INSERT INTO visits SELECT 601, at, day, region, amount, 'new' FROM visits WHERE id = 43`

describe('every way to cut', () => {
  test.each([
    ['days of instants', { by: 'at', unit: 'day', time_zone: 'America/New_York' }],
    ['dates', { by: 'day', unit: 'day' }],
    ['numbers', BY_ID],
    ['values', { by: 'region', nulls: 'include' }],
    ['buckets', { by: 'id', buckets: 4 }],
  ])('%s', async (_, partition) => {
    await using all = await startVisits(partition, { detect: 'checksum' })
    expect(await all.loading.run()).toMatchObject({ error: null, rows: { inserted: ROWS } })
    await same(all)
    expect((await all.loading.run()).rows).toMatchObject({ inserted: 0, deleted: 0 })
    await all.loading.source.run(EDITS)
    expect((await all.loading.run()).error).toBeNull()
    await same(all)
  })
})

test('a row that moved to another partition leaves the one where it was', async () => {
  await using all = await startVisits({ by: 'day', unit: 'day' }, { detect: 'checksum' })
  await all.loading.run()
  await all.loading.source.run('UPDATE visits SET day = day + 2 WHERE id = 10; UPDATE visits SET day = day - 1 WHERE id = 200')
  expect((await all.loading.run()).error).toBeNull()
  await same(all)
  expect(await all.schema.query("SELECT count(*) FROM $.pipeline_partitions WHERE status <> 'committed'")).toEqual([['0']])
})

test('a full refresh takes away what no partition has', async () => {
  await using all = await startVisits()
  await all.loading.run()
  await all.schema.query("INSERT INTO $.visits VALUES (-5, CURRENT_TIMESTAMP(), CURRENT_DATE(), 'x', 1, 'x')")
  expect((await all.loading.run({ fullRefresh: true })).error).toBeNull()
  await same(all)
})

/** What Snowflake does by itself after five minutes: workers of the dead process may have been in the middle of a claim. */
async function endOrphans(): Promise<void> {
  for (const [, , session] of await server.query('SHOW TRANSACTIONS IN ACCOUNT'))
    await server.query(`SELECT SYSTEM$ABORT_SESSION(${session})`)
}

test.each(PARTITION_CRASH_POINTS.map((point) => [point] as const))('killed at %s, and run again', async (point) => {
  await using all = await startVisits({ by: 'id', size: 200 })
  const died = await all.loading.cli(['run'], { ...all.env, TIDEMARK_CRASH_AT: point })
  expect(died.signal).toBe('SIGKILL')
  await endOrphans()
  expect((await all.loading.run()).error).toBeNull()
  await same(all)
  const [rows] = await all.schema.query("SELECT count(*), sum(rows) FROM $.pipeline_partitions WHERE status = 'committed'")
  expect(rows?.[1]).toBe(String(ROWS))
})

test('two runs share the partitions: each row once', async () => {
  await using all = await startVisits({ by: 'id', size: 50 })
  const runs = await Promise.all([all.loading.run({}, { retrySeconds: 0.1 }), all.loading.run({}, { retrySeconds: 0.1 })])
  expect(runs.filter(({ error }) => error === null).length).toBeGreaterThan(0)
  if (runs.some(({ error }) => error !== null)) await all.loading.run()
  await same(all)
})

test.each(['lost-reply', 'lost-session'] as const)('%s at the commit of a partition', async (kind) => {
  await using all = await startVisits({ by: 'id', size: 300 })
  server.faults.add({ kind, sql: /^COMMIT/, times: 2 })
  const first = await all.loading.run({}, { retrySeconds: 0.05 })
  if (first.error !== null) expect((await all.loading.run()).error).toBeNull()
  await same(all)
})
