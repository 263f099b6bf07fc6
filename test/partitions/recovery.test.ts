// A run in partitions that dies, loses a server or a line. Whatever was committed stays as it was, the rest follows, and nothing is
// left behind.

import { describe, type ExpectStatic, expect, test, vi } from 'vitest'
import { PARTITION_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { startFaultProxy } from '../../src/testing/fault-proxy.ts'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'
import type { Loading } from '../servers/loading.ts'
import { addOrders, makeOrders, ORDER_COLUMNS } from '../servers/orders-table.ts'
import { commits, ledger, startPartitions, succeed } from './partition-loading.ts'

/** Ten partitions and one row. */
const ROWS = 600
const PARTITIONS = 11
/** Reached once a run; the others once a partition, and four workers have finished two of them when the sixth is reached. */
const ONCE: readonly string[] = ['observed', 'planned', 'ledger-prepared', 'before-finish', 'finished']
const AFTER_ALL: readonly string[] = ['before-finish', 'finished']
const WITHOUT_KEY = 'ALTER TABLE orders DROP CONSTRAINT orders_pkey'

describe.each([
  ['with a key', null],
  ['without a key', WITHOUT_KEY],
])('%s', (_, sql) => {
  test.concurrent.for(PARTITION_CRASH_POINTS)('killed at %s, on a first load and on a reload', async (point, { expect: check }) => {
    await using loading = await startPartitions({ workers: 4, detect: 'checksum' })
    await makeOrders(loading.source, ROWS)
    if (sql !== null) await loading.source.run(sql)
    await killedAt(check, loading, point)
    check(await loading.compare()).toEqual(same(ROWS))

    await loading.source.run('UPDATE orders SET amount = amount + 1, note = id; DELETE FROM orders WHERE id % 10 = 0 AND id < 600')
    await killedAt(check, loading, point)
    check(await loading.compare()).toEqual(same(ROWS - 59))

    const [versions, done] = [await rowVersions(loading.target, 'orders'), await commits(loading.target)]
    check((await succeed(loading)).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
    check(await rowVersions(loading.target, 'orders')).toEqual(versions)
    check(await commits(loading.target)).toEqual(done)
    await nothingLeft(check, loading)
    const [index] = await loading.target.rows("SELECT count(*) AS keys FROM pg_index WHERE indrelid = 'orders'::regclass AND indisprimary")
    check(index?.keys).toBe(sql === null ? '1' : '0')
  })
})

/** Dies at the point; then runs to the end, and does nothing again that was done. */
async function killedAt(check: ExpectStatic, loading: Loading, point: string): Promise<void> {
  const earlier = await commits(loading.target)
  const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: ONCE.includes(point) ? point : `${point}:6` })
  check({ exit: died.exit, signal: died.signal }).toEqual({ exit: null, signal: 'SIGKILL' })
  const found = await commits(loading.target)
  const done = Object.keys(found).filter((key) => found[key] !== earlier[key])
  if (AFTER_ALL.includes(point)) check(done).toHaveLength(PARTITIONS)
  else if (ONCE.includes(point)) check(done).toEqual([])
  else check(done.length >= 2 && done.length < PARTITIONS).toBe(true)
  const again = await succeed(loading)
  check(again.partitions).toMatchObject({ total: PARTITIONS, failed: 0 })
  const after = await commits(loading.target)
  check(Object.keys(after)).toHaveLength(PARTITIONS)
  check(done.filter((key) => after[key] !== found[key])).toEqual([])
}

async function sessions(database: FreshDatabase): Promise<number> {
  const [found] = await database.rows(
    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark'",
  )
  return Number(found?.n)
}

async function nothingLeft(check: ExpectStatic, loading: Loading): Promise<void> {
  const relations =
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
  await check
    .poll(async () => (await loading.target.rows(relations)).map(({ relname }) => relname), { timeout: 10_000 })
    .toEqual(['orders', 'pipeline_history', 'pipeline_partitions', 'pipeline_watermarks'])
  await check.poll(async () => (await sessions(loading.source)) + (await sessions(loading.target)), { timeout: 10_000 }).toBe(0)
}

describe('servers', () => {
  test('the process of a worker at the target is killed, and with it the server', async () => {
    await using server = await startPostgres()
    await using loading = await startPartitions({}, { targetServer: server.url() })
    await makeOrders(loading.source, ROWS)
    await loading.source.run(WITHOUT_KEY)
    await succeed(loading)
    await loading.source.run('UPDATE orders SET amount = amount + 1')
    const keys = (await ledger(loading.target)).map(({ key }) => key ?? '')
    let committed = 0
    let victim: Promise<unknown> | null = null
    const run = await loading.run(
      {
        partitions: keys,
        onEvent(event) {
          if (event.kind === 'partition-committed' && ++committed === 3) victim = killWorker(loading.target)
        },
      },
      { retries: 8, retrySeconds: 0.1 },
    )
    await victim
    expect(victim).not.toBeNull()
    if (run.error !== null) expect(['connection-lost', 'unreachable']).toContain(run.error.code)
    await expect.poll(async () => (await loading.run({ partitions: keys })).error, { timeout: 30_000 }).toBeNull()
    const client = await loading.target.connect()
    const { rows } = await client.query(
      'SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, sum(amount)::text AS sum FROM orders',
    )
    const [wanted] = await loading.source.rows('SELECT sum(amount) AS sum FROM orders')
    expect(rows).toEqual([{ rows: ROWS, ids: ROWS, sum: wanted?.sum }])
  })

  test('every process of either side is ended while partitions are on their way', async () => {
    for (const side of ['source', 'target'] as const) {
      await using loading = await startPartitions()
      await makeOrders(loading.source, ROWS)
      await loading.source.run(WITHOUT_KEY)
      const other = await loading[side].connect()
      let struck: Promise<unknown> | null = null
      const run = await loading.run({
        onEvent(event) {
          if (event.kind === 'partition-started')
            struck ??= other.query(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark'",
            )
        },
      })
      await struck
      expect(struck).not.toBeNull()
      if (run.error !== null) expect(['connection-lost', 'unreachable', 'try-again']).toContain(run.error.code)
      await succeed(loading)
      expect(await loading.compare()).toEqual(same(ROWS))
    }
  })
})

/** Kills one process that loads, as the kernel does when memory is short. The server ends all others, and recovers. */
async function killWorker(target: FreshDatabase): Promise<void> {
  const client = await target.connect()
  const { rows } = await client.query(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark' ORDER BY backend_start DESC LIMIT 1",
  )
  process.kill(rows[0].pid, 'SIGKILL')
}

async function sharedPort(): Promise<number> {
  await using database = await freshDatabase()
  return Number(new URL(database.url).port)
}

const QUICK = { retrySeconds: 0.05 }
const BY_ID = { partition: { by: 'id', size: 1500 } }
const MANY = 6000

describe('lines', () => {
  test.concurrent.for([
    ['source', 'to-client', 1],
    ['source', 'to-client', 3],
    ['target', 'to-server', 1],
    ['target', 'to-server', 3],
  ] as const)('the line to the %s is cut in the middle of rows: %s, %s times', async ([side, direction, times], { expect: check }) => {
    await using proxy = await startFaultProxy({ port: await sharedPort() })
    await using loading = await startPartitions(BY_ID, { [`${side}Url`]: (url: string) => proxy.url(url) })
    await makeOrders(loading.source, MANY)
    await loading.source.run(WITHOUT_KEY)
    proxy.set({ kind: 'cut', direction, afterBytes: 40_000, reset: true, times })
    check((await loading.run({}, QUICK)).error).toBeNull()
    check(proxy.fired).toBe(times)
    check(await loading.compare()).toEqual(same(MANY))

    await loading.source.run('UPDATE orders SET amount = amount + 1')
    proxy.set({ kind: 'cut', direction, afterBytes: 40_000, reset: true })
    const keys = (await ledger(loading.target)).map(({ key }) => key ?? '')
    check((await loading.run({ partitions: keys }, { retries: 0 })).error?.code).toBe('connection-lost')
    check(await loading.target.rows('SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM orders')).toEqual([
      { rows: String(MANY), ids: String(MANY) },
    ])
    proxy.set()
    // What was asked for and not done is still to be done.
    await succeed(loading)
    check(await loading.compare()).toEqual(same(MANY))
  })

  test.concurrent.for([
    ['answer', 'the run', [1]],
    ['answer', 'a worker', [2, 3, 4, 5]],
    ['request', 'the run', [1]],
    ['request', 'a worker', [2, 3, 4, 5]],
  ] as const)('the %s of a COMMIT by %s is lost', async ([what, , connections], { expect: check }) => {
    await using proxy = await startFaultProxy({ port: await sharedPort() })
    await using loading = await startPartitions({ partition: { by: 'id', size: 100 } }, { targetUrl: (url) => proxy.url(url) })
    await makeOrders(loading.source, 599)
    await loading.source.run(WITHOUT_KEY)
    proxy.set({ kind: 'lose-commit', what, connections, times: 1 })
    const first = await loading.run({}, QUICK)
    check({ error: first.error, fired: proxy.fired }).toEqual({ error: null, fired: 1 })
    check(first).toMatchObject({ status: 'loaded', rows: { read: 599, inserted: 599 }, partitions: { total: 6, committed: 6, skipped: 0 } })
    check(await loading.compare()).toEqual(same(599))

    await loading.source.run('UPDATE orders SET amount = amount + 1')
    proxy.set({ kind: 'lose-commit', what, connections: connections.map((one) => proxy.connections + one), times: 1 })
    const keys = (await ledger(loading.target)).map(({ key }) => key ?? '')
    const again = await loading.run({ partitions: keys }, QUICK)
    check({ error: again.error, fired: proxy.fired }).toEqual({ error: null, fired: 2 })
    check(again).toMatchObject({ status: 'loaded', rows: { read: 599, inserted: 599 }, partitions: { total: 6, committed: 6, skipped: 0 } })
    check(await loading.compare()).toEqual(same(599))
    check((await ledger(loading.target)).map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 'committed'))
  })
})

test('a run that is stopped gives its partitions back at once', async () => {
  await using loading = await startPartitions(BY_ID)
  await makeOrders(loading.source, MANY * 5)
  const stop = new AbortController()
  const run = await loading.run({
    signal: stop.signal,
    onEvent(event) {
      if (event.kind === 'partition-committed') stop.abort()
    },
  })
  expect(run.error?.code).toBe('stopped')
  const statuses = (await ledger(loading.target)).map(({ status }) => status)
  expect(statuses).toContain('committed')
  expect(statuses).toContain('planned')
  expect(statuses).not.toContain('failed')
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(MANY * 5))
})

test('a run that is stopped while it commits a partition has committed it whole, or not at all', async () => {
  await using loading = await startPartitions(BY_ID)
  await makeOrders(loading.source, 10)
  await succeed(loading)
  await loading.source.run("UPDATE orders SET note = 'changed' WHERE id > 5; UPDATE orders SET id = 20 WHERE id = 1")
  await loading.target.run(`CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
    CREATE TRIGGER rest BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION rest()`)
  const stop = new AbortController()
  const [{ key = '' } = {}] = await loading.target.rows('SELECT partition_key AS key FROM pipeline_partitions')
  const run = loading.run({ partitions: [key ?? ''], signal: stop.signal })
  const sleeping = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
  await vi.waitUntil(async () => (await loading.target.rows(sleeping)).length > 0, 10_000)
  stop.abort()
  expect((await run).error?.code).toBe('stopped')
  await vi.waitUntil(async () => (await loading.target.rows(sleeping)).length === 0, 10_000)
  expect(await ledger(loading.target)).not.toContainEqual(expect.objectContaining({ status: 'committed' }))
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(10))
})

test('a process killed by the signal of its terminal ends in time, and the next one goes on', async () => {
  await using loading = await startPartitions({ ...BY_ID, workers: 2 })
  await makeOrders(loading.source, MANY * 5)
  const running = loading.start(['run'])
  await expect.poll(async () => Object.keys(await commits(loading.target)).length, { timeout: 30_000, interval: 5 }).toBeGreaterThan(0)
  running.child.kill('SIGTERM')
  const { exit } = await running.done
  expect([0, 143]).toContain(exit)
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(MANY * 5))
})

test('the day has changed and rows came before a run that died is followed by another', async () => {
  const days = (first: string, last: string) => ({
    pattern: 'partition',
    partition: { by: 'updated_at', unit: 'day', first, last },
  })
  await using loading = await startPartitions(days('-9d', '-2d'))
  await makeOrders(loading.source, 0)
  for (let day = 1; day <= 10; day++)
    await addOrders(loading.source, day * 10, day * 10 + 9, { at: `date_trunc('day', now()) - interval '${day} days' + interval '1 hour'` })
  // What is to be done was written down two days ago, so to speak.
  const died = await loading.cli(['run', '--workers', '1'], { TIDEMARK_CRASH_AT: 'partition-done:3' })
  expect(died.signal).toBe('SIGKILL')
  const before = await ledger(loading.target)
  expect(before.map(({ status }) => status).filter((status) => status === 'committed')).toHaveLength(3)
  await addOrders(loading.source, 500, 509, { at: "date_trunc('day', now()) - interval '1 days' + interval '2 hours'" })

  loading.pipelines({ orders: days('-7d', 'yesterday') })
  const found = await commits(loading.target)
  await succeed(loading)
  const after = await commits(loading.target)
  expect(Object.keys(found).filter((key) => after[key] !== found[key])).toEqual([])
  const wanted = "updated_at >= date_trunc('day', now()) - interval '7 days'"
  expect(await loading.compare('orders', { columns: ORDER_COLUMNS, where: wanted })).toEqual(same(80))
  // Bounds are those that were stored; nothing was cut anew.
  const now = new Map((await ledger(loading.target)).map((row) => [row.key, row]))
  for (const { key, lower, upper } of before) expect(now.get(key)).toMatchObject({ lower, upper })
  // What the window has left behind unfinished waits for who asks for it.
  await succeed(loading, { retryOnly: true })
  expect((await ledger(loading.target)).filter(({ status }) => status !== 'committed')).toEqual([])
  const all = "updated_at >= date_trunc('day', now()) - interval '9 days'"
  expect(await loading.compare('orders', { columns: ORDER_COLUMNS, where: all })).toEqual(same(100))
})
