// People who read a natively partitioned target while one of its partitions is replaced over and over. By delete everybody sees the old
// or the new content; by truncate and swap so does every new statement, while a snapshot from before sees the partition empty.

import type pg from 'pg'
import { expect, test } from 'vitest'
import type { Loading } from '../servers/loading.ts'
import { startPartitions, succeed } from './partition-loading.ts'

const ROWS = 3000
const ROUNDS = 8
const ASKED = ['2024-01-02', '2024-01-03']
const SEEN = "SELECT count(*)::int AS rows, min(round) AS first, max(round) AS last FROM orders WHERE day = '2024-01-02'"

interface Seen {
  readonly rows: number
  readonly first: number | null
  readonly last: number | null
}

const look = async (client: pg.Client): Promise<Seen> => (await client.query<Seen>(SEEN)).rows[0] as Seen

async function start(replace_by: string): Promise<Loading> {
  const loading = await startPartitions({ partition: { by: 'day', unit: 'day' }, replace_by })
  const columns = 'id int, day date, round int, PRIMARY KEY (id, day)'
  await loading.source.run(`CREATE TABLE orders (${columns});
    INSERT INTO orders SELECT i, date '2024-01-01' + i % 3, 0 FROM generate_series(1, ${ROWS}) AS i`)
  await loading.target.run(`CREATE TABLE orders (${columns}) PARTITION BY RANGE (day)`)
  for (const day of [1, 2, 3])
    await loading.target.run(`CREATE TABLE d${day} PARTITION OF orders FOR VALUES FROM ('2024-01-0${day}') TO ('2024-01-0${day + 1}')`)
  await succeed(loading)
  return loading
}

test.each(['delete', 'truncate', 'swap'])('statements of their own see old or new rows, by %s', async (replace_by) => {
  await using loading = await start(replace_by)
  const stop = new AbortController()
  const wrong: Seen[] = []
  const rounds = new Set<number | null>()
  const reader = await loading.target.connect()
  let reads = 0
  const reading = (async () => {
    for (; !stop.signal.aborted; reads++) {
      const seen = await look(reader)
      rounds.add(seen.first)
      if (seen.rows !== ROWS / 3 || seen.first !== seen.last) wrong.push(seen)
    }
  })()
  for (let round = 1; round <= ROUNDS; round++) {
    await loading.source.run(`UPDATE orders SET round = ${round}`)
    await succeed(loading, { partitions: ASKED })
  }
  stop.abort()
  await reading
  expect(wrong.slice(0, 3)).toEqual([])
  expect(reads).toBeGreaterThan(20)
  expect(rounds.size).toBeGreaterThan(2)
})

test.each([
  ['delete', { rows: ROWS / 3, first: 0, last: 0 }],
  ['truncate', { rows: 0, first: null, last: null }],
  ['swap', { rows: 0, first: null, last: null }],
])('a snapshot from before, by %s', async (replace_by, afterwards) => {
  await using loading = await start(replace_by)
  const reader = await loading.target.connect()
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  // Takes the snapshot, and no lock that the reload would wait for.
  await reader.query('SELECT count(*) FROM pipeline_watermarks')
  await loading.source.run('UPDATE orders SET round = 1')
  await succeed(loading, { partitions: ASKED })
  expect(await look(reader)).toEqual(afterwards)
  await reader.query('COMMIT')
  expect(await look(reader)).toEqual({ rows: ROWS / 3, first: 1, last: 1 })
})

test.each([
  ['delete', false, false],
  ['truncate', true, true],
  ['swap', false, true],
])('who waits for whom, by %s', async (replace_by, holdsReaders, waitsForReaders) => {
  await using loading = await start(replace_by)
  const [reader, other] = [await loading.target.connect(), await loading.target.connect()]
  // A constraint that is slow keeps the rows of the load on their way.
  await loading.target.run(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$`,
  )
  const slowly = (table: string): string => `CREATE TRIGGER slow BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION slow()`
  if (replace_by !== 'swap') await loading.target.run(slowly('d2'))
  await loading.source.run('UPDATE orders SET round = 1')

  // A reader that holds on to what it has read.
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await look(reader)
  const running = succeed(loading, { partitions: ['2024-01-02'] })
  if (waitsForReaders) {
    const waits = async () => (await other.query(WAITING)).rows.length
    await expect.poll(waits, { timeout: 20_000 }).toBe(1)
    // Whoever comes now stands behind the load.
    await other.query('SET lock_timeout = 200')
    await expect(look(other)).rejects.toThrow(/lock timeout/)
  } else await running
  await reader.query('COMMIT')
  if (holdsReaders) {
    const holds = async () => (await loading.target.rows(HOLDING)).length
    await expect.poll(holds, { timeout: 20_000, interval: 5 }).toBe(1)
    await other.query('SET lock_timeout = 200')
    await expect(look(other)).rejects.toThrow(/lock timeout/)
  }
  await running
  expect(await look(other)).toEqual({ rows: ROWS / 3, first: 1, last: 1 })
})

const WAITING = `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
const HOLDING = `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'd2'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

test.each([
  ['truncate', 't'],
  ['swap', 'f'],
])('a grant on the whole lasts; one on the partition itself, by %s: %s', async (replace_by, part) => {
  await using loading = await start(replace_by)
  const role = `"${loading.target.name} reader"`
  await loading.target.run(`CREATE ROLE ${role}; GRANT SELECT ON orders, d2 TO ${role}`)
  try {
    await succeed(loading, { partitions: ['2024-01-02'] })
    const privileges = `SELECT has_table_privilege($1, 'orders', 'SELECT') AS whole, has_table_privilege($1, 'd2', 'SELECT') AS part`
    expect(await loading.target.rows(privileges, [role.slice(1, -1)])).toEqual([{ whole: 't', part }])
  } finally {
    await loading.target.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
})
