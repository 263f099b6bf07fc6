// Several processes load the partitions of one pipeline: they share the work, and each partition is committed once, also when one of
// them dies and one is frozen; when the target asks to repeat a transaction; when rows move from partition to partition meanwhile.

import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { expect, test } from 'vitest'
import { ledger, startPartitions, succeed } from '../partitions/partition-loading.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import type { Loading } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'

const WITHOUT_KEY = 'ALTER TABLE orders DROP CONSTRAINT orders_pkey'
const FROZEN_MS = 15_000

async function committed(loading: Loading): Promise<number> {
  const [there] = await loading.target.rows("SELECT to_regclass('pipeline_partitions') AS found")
  if (there?.found == null) return 0
  const [found] = await loading.target.rows("SELECT count(*) AS n FROM pipeline_partitions WHERE status = 'committed'")
  return Number(found?.n)
}

test('four processes share the first load of a thousand partitions; one is killed, one is frozen and wakes up', async () => {
  await using loading = await startPartitions({ partition: { by: 'id', size: 10 }, workers: 2 })
  await makeOrders(loading.source, 9999)
  await loading.source.run(WITHOUT_KEY)
  const [killed, frozen, ...others] = Array.from({ length: 4 }, () => loading.start(['run']))
  if (killed === undefined || frozen === undefined) throw new Error('unreachable')
  await expect.poll(() => committed(loading), { timeout: 60_000, interval: 10 }).toBeGreaterThan(100)
  process.kill(frozen.pid, 'SIGSTOP')
  process.kill(killed.pid, 'SIGKILL')
  const began = performance.now()
  const ends = await Promise.all(others.map(({ done }) => done))
  const left = (await ledger(loading.target)).filter(({ status }) => status !== 'committed')
  await pause(Math.max(0, FROZEN_MS - (performance.now() - began)))
  process.kill(frozen.pid, 'SIGCONT')
  const woken = await frozen.done
  expect({ signal: (await killed.done).signal, left }).toEqual({ signal: 'SIGKILL', left: [] })
  expect(ends.map(({ exit }) => exit)).toEqual([0, 0])
  expect([0, 5]).toContain(woken.exit)
  expect(await loading.compare()).toEqual(same(9999))
  const entries = await ledger(loading.target)
  expect(entries).toHaveLength(1000)
  expect(entries.every(({ status }) => status === 'committed')).toBe(true)
  // Only what the dead and the frozen one had in hand was claimed a second time.
  expect(entries.filter(({ attempt }) => attempt !== '1').length).toBeLessThanOrEqual(4)
  expect(entries.reduce((sum, { rows }) => sum + Number(rows), 0)).toBe(9999)
  // Both that lived to the end did a share of it.
  for (const end of ends) expect(resultOf(end).partitions?.committed).toBeGreaterThan(50)
  const versions = (await rowVersions(loading.target, 'orders WHERE id < 9900')).join()
  await succeed(loading)
  expect((await rowVersions(loading.target, 'orders WHERE id < 9900')).join() === versions).toBe(true)
})

test('two processes at once on the same reload, ten times', async () => {
  await using loading = await startPartitions({ partition: { by: 'id', size: 100 }, detect: 'checksum' })
  await makeOrders(loading.source, 999)
  await loading.source.run(WITHOUT_KEY)
  await succeed(loading)
  for (let race = 1; race <= 10; race++) {
    await loading.source.run(`UPDATE orders SET amount = ${race}; DELETE FROM orders WHERE id = ${race}`)
    for (const { exit, err } of await Promise.all([loading.cli(['run']), loading.cli(['run'])]))
      if (exit !== 0 && exit !== 5) throw new Error(`exit ${exit}: ${err}`)
    expect(await loading.compare()).toEqual(same(999 - race))
  }
})

test.each([
  ['40P01', 'deadlocks'],
  ['40001', 'serialization failures'],
])('%s, %s, are tried again and come right', async (state) => {
  await using loading = await startPartitions({ partition: { by: 'id', size: 100 }, detect: 'checksum' })
  await makeOrders(loading.source, 999)
  await loading.source.run(WITHOUT_KEY)
  await succeed(loading)
  await loading.target.run(`CREATE SEQUENCE insertions; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('insertions') <= 5 THEN RAISE EXCEPTION 'once more' USING ERRCODE = '${state}'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`)
  await loading.source.run("UPDATE orders SET note = 'changed'")
  const told: string[] = []
  const run = await loading.run(
    { onEvent: (event) => event.kind === 'partition-failed' && told.push(`${event.code} ${event.again}`) },
    { retries: 5, retrySeconds: 0.05 },
  )
  expect(run).toMatchObject({ error: null, partitions: { total: 10, committed: 10, failed: 0 } })
  expect(told).toEqual(Array.from({ length: 5 }, () => 'try-again true'))
  expect(await loading.compare()).toEqual(same(999))
})

/** Moves rows between partitions and amounts between rows, in one transaction each: their sum never changes. */
async function moveOn(client: pg.Client, stop: AbortSignal): Promise<number> {
  let moves = 0
  while (!stop.aborted) {
    const [from, to] = [1 + Math.floor(Math.random() * 1000), Math.floor(Math.random() * 10)]
    await client.query(`BEGIN; UPDATE orders SET paid = NOT paid, customer = 'part ${to}' WHERE id BETWEEN ${from} AND ${from + 20};
      UPDATE orders SET amount = amount - 1 WHERE id = ${from}; UPDATE orders SET amount = amount + 1 WHERE id = ${1001 - from}; COMMIT`)
    moves++
  }
  return moves
}

const MOVING = { partition: { by: 'customer' }, allow_shrink: true, detect: 'all' }
/** Swapping partitions may have to be tried more than once. */
const PATIENT = { retries: 12, retrySeconds: 0.02 }
const SUM = 'SELECT count(*) AS rows, count(DISTINCT id) AS ids, sum(amount) AS amount FROM orders'

async function startMoving(pipeline: Readonly<Record<string, unknown>>, sql: string): Promise<Loading> {
  const loading = await startPartitions({ ...MOVING, ...pipeline })
  await makeOrders(loading.source, 1000)
  await loading.source.run(`UPDATE orders SET customer = 'part ' || id % 10, amount = 100; ${sql}`)
  // Two partitions that swap rows under a key wait for each other, until the server sees it.
  await loading.target.run(`ALTER DATABASE "${loading.target.name}" SET deadlock_timeout = '20ms'`)
  return loading
}

test.each([
  ['with a key', ''],
  ['without a key', WITHOUT_KEY],
])('rows that move while a run loads in one snapshot are there once: %s', async (_, sql) => {
  await using loading = await startMoving({}, sql)
  const stop = new AbortController()
  const moving = moveOn(await loading.source.connect(), stop.signal)
  try {
    for (let round = 0; round < 8; round++) {
      expect((await succeed(loading, {}, PATIENT)).partitions).toMatchObject({ committed: 10 })
      expect(await loading.target.rows(SUM)).toEqual([{ rows: '1000', ids: '1000', amount: '100000.00' }])
    }
  } finally {
    stop.abort()
  }
  expect(await moving).toBeGreaterThan(20)
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(1000))
})

test('with a key, rows that move while each partition has its own snapshot are there once after the next reload', async () => {
  await using loading = await startMoving({ consistency: 'partition' }, '')
  const stop = new AbortController()
  const moving = moveOn(await loading.source.connect(), stop.signal)
  try {
    for (let round = 0; round < 3; round++) {
      const { error } = await loading.run({}, PATIENT)
      // Rows may collide as long as they are on the move; nobody is told that all is well then.
      if (error !== null) expect(['duplicate-key', 'partitions-failed']).toContain(error.code)
    }
  } finally {
    stop.abort()
  }
  expect(await moving).toBeGreaterThan(20)
  await succeed(loading)
  expect(await loading.compare()).toEqual(same(1000))
})

test('with a key, partitions loaded on different days keep a row that moved only once', async () => {
  await using loading = await startMoving({ detect: 'none' }, '')
  await succeed(loading)
  for (let round = 0; round < 5; round++) {
    const [from, to] = [`part ${round}`, `part ${round + 5}`]
    await loading.source.run(`UPDATE orders SET customer = '${to}', note = 'moved' WHERE customer = '${from}' AND id % 3 = 0`)
    // Where it went is loaded, where it was is not: its old self gives way.
    await succeed(loading, { partitions: [to] })
    const [found] = await loading.target.rows(SUM)
    expect(found).toMatchObject({ rows: '1000', ids: '1000' })
    await succeed(loading, { partitions: [from] })
    expect(await loading.compare()).toEqual(same(1000))
  }
})
