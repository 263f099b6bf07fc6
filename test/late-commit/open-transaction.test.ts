// One transaction that commits late, step by step: what each way of catching it does, what holds the watermark, and what people
// are told of it.

import { expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'
import { runUntilSame } from '../servers/run-until-same.ts'

/** Order 101 is written first and commits last; order 102 commits in between, and a run sees only that. */
async function commitLate(loading: Loading): Promise<void> {
  await makeOrders(loading.source, 100)
  await loading.run()
  const slow = await loading.source.connect()
  await slow.query('BEGIN')
  await slow.query("INSERT INTO orders (id, customer) VALUES (101, 'slow')")
  await new Promise((resolve) => setTimeout(resolve, 300))
  await addOrders(loading.source, 102, 102)
  await loading.run()
  await slow.query('COMMIT')
}

test('late_rows: none loses a row that commits late, which is why it is not the default', async () => {
  await using loading = await startLoading({ pipelines: { orders: { late_rows: 'none' } } })
  await commitLate(loading)
  expect((await loading.run()).status).toBe('up-to-date')
  expect((await loading.compare()).lost).toHaveLength(1)
})

test('a lag shorter than the longest transaction loses too; a longer one does not', async () => {
  await using short = await startLoading({ pipelines: { orders: { late_rows: { lag: '0.1s' } } } })
  await using long = await startLoading({ pipelines: { orders: { late_rows: { lag: '1m' } } } })
  await Promise.all([commitLate(short), commitLate(long)])
  await Promise.all([short.run(), long.run()])
  expect((await short.compare()).lost).toHaveLength(1)
  expect(await long.compare()).toEqual(same(102))
})

test('with the default the row arrives, and is no rescue', async () => {
  await using loading = await startLoading()
  await commitLate(loading)
  const again = await loading.run()
  expect(again.rows).toMatchObject({ inserted: 1, updated: 0, rescued: 0 })
  expect(await loading.compare()).toEqual(same(102))
})

test('who holds the watermark is named by process, application and age, and never by what it does', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 20)
  await loading.run()
  const holder = await loading.source.connect()
  await holder.query("SET application_name = 'nightly report'")
  await holder.query("BEGIN; INSERT INTO orders (id, customer) VALUES (21, 'the holder''s row')")
  const { rows } = await holder.query('SELECT pg_backend_pid() AS pid')
  // Younger than the margin it holds nothing.
  await expect.poll(async () => (await loading.run()).heldBy.length, { timeout: 20_000, interval: 400 }).toBe(1)
  const run = await loading.cli(['run', '-v'])
  const [hold] = resultOf(run).held_by
  expect(hold).toMatchObject({ kind: 'transaction', pid: rows[0].pid, application: 'nightly report' })
  expect(hold?.['age_seconds']).toBeGreaterThan(2)
  expect(run.err).toContain(`process ${rows[0].pid} (nightly report)`)
  const plan = await loading.cli(['plan'])
  expect(plan.json.pipelines[0].held_by).toEqual([expect.objectContaining({ pid: rows[0].pid, application: 'nightly report' })])
  for (const { text } of [run, plan]) expect(text).not.toMatch(/the holder|INSERT INTO orders \(id/)
  // Others are delivered all the same; only the watermark stays.
  await addOrders(loading.source, 22, 30)
  expect((await loading.run()).rows).toMatchObject({ inserted: 9 })
  const held = await loading.state()
  await addOrders(loading.source, 31, 35)
  expect((await loading.run()).rows).toMatchObject({ inserted: 5, unchanged: 9 })
  expect((await loading.state())?.lastWatermark).toBe(held?.lastWatermark)
  await holder.query('COMMIT')
  await loading.run()
  expect(await loading.compare()).toEqual(same(35))
})

test('append is held back by an open transaction, and says so', async () => {
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } } })
  await makeOrders(loading.source, 20)
  const holder = await loading.source.connect()
  await loading.run()
  await holder.query("BEGIN; INSERT INTO orders (id, customer) VALUES (21, 'x')")
  await addOrders(loading.source, 22, 30)
  await expect.poll(async () => (await loading.run()).status, { timeout: 20_000, interval: 400 }).toBe('held')
  expect((await loading.compare()).lost).toHaveLength(9)
  await holder.query('COMMIT')
  expect(await runUntilSame(loading)).toEqual(same(30))
})

test('a prepared transaction without a process holds too', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 20)
  await loading.run()
  const writer = await loading.source.connect()
  await writer.query("BEGIN; INSERT INTO orders (id, customer) VALUES (21, 'x')")
  await writer.query("PREPARE TRANSACTION 'left behind'")
  const before = await loading.state()
  await addOrders(loading.source, 22, 30)
  const held = await loading.run()
  expect(held.heldBy).toContainEqual(expect.objectContaining({ kind: 'prepared-transaction', pid: null }))
  expect((await loading.state())?.lastWatermark).toBe(before?.lastWatermark)
  await writer.query("COMMIT PREPARED 'left behind'")
  await loading.run()
  expect(await loading.compare()).toEqual(same(30))
})

test('a statement that waits for a lock keeps its early time, and is not lost', async () => {
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } } })
  await loading.source.run(`CREATE TABLE orders (id bigint PRIMARY KEY, customer text, amount numeric(12,2), paid boolean, note text,
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp())`)
  await addOrders(loading.source, 1, 5, { at: 'statement_timestamp()' })
  const locker = await loading.source.connect()
  await locker.query('BEGIN; LOCK TABLE orders IN SHARE MODE')
  const waiting = await loading.source.connect()
  const stuck = waiting.query("INSERT INTO orders (id, customer) VALUES (6, 'waited')")
  await new Promise((resolve) => setTimeout(resolve, 3000))
  await loading.run()
  await locker.query('COMMIT')
  await stuck
  expect(await runUntilSame(loading)).toEqual(same(6))
})

test('a sweep finds what the cursor does not tell, counts it as rescued, and leaves the rest alone', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 200)
  await loading.run()
  await loading.source.run(`UPDATE orders SET note = 'quietly changed' WHERE id <= 7;
    INSERT INTO orders (id, customer, updated_at) SELECT i, 'dated back', '2023-05-05' FROM generate_series(201, 203) i`)
  expect((await loading.run()).rows).toMatchObject({ read: 0 })
  const versions = await rowVersions(loading.target, 'orders')
  const swept = await loading.run({ sweep: true })
  expect(swept.rows).toMatchObject({ inserted: 3, updated: 7, rescued: 10 })
  expect(await loading.compare()).toEqual(same(203))
  const kept = new Set(await rowVersions(loading.target, 'orders'))
  expect(versions.filter((version) => kept.has(version))).toHaveLength(193)
})

test('a clock that stepped back neither moves the watermark back nor loses what comes after', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 20)
  await loading.run()
  const [future] = await loading.source.rows("SELECT (now() + interval '1 hour')::text AS at")
  const set = await loading.cli(['watermark', 'set', 'orders', future?.at ?? '', '--yes'])
  expect(set.exit).toBe(0)
  await addOrders(loading.source, 21, 30)
  const run = await loading.cli(['run', '-v'])
  expect(run.exit).toBe(0)
  expect(resultOf(run).held_by).toContainEqual(expect.objectContaining({ kind: 'clock' }))
  const { position } = (await loading.cli(['watermark', 'get', 'orders'])).json
  expect(position.value).toBe(future?.at)
  await loading.cli(['watermark', 'rewind', 'orders', '--to', '2024-01-01', '--yes'])
  await loading.run()
  expect(await loading.compare()).toEqual(same(30))
})
