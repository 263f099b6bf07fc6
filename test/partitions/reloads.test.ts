// What a later run loads again, and what it leaves alone: chosen partitions, failed and missing ones, those within lookback, changed
// ones, open ones; and what a partition may lose.

import { describe, expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import type { Loading } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { resultOf } from '../servers/run-cli.ts'
import { byHour, commits, ledger, planOf, startPartitions, succeed } from './partition-loading.ts'

/** Eleven hours, of which the last has one row. */
const ROWS = 600
const hour = (number: number): string => `2024-01-01T${String(number).padStart(2, '0')}`

async function startHours(pipeline: Readonly<Record<string, unknown>> = {}): Promise<Loading> {
  const loading = await startPartitions(pipeline)
  await makeOrders(loading.source, ROWS)
  return loading
}

/** Keys of the partitions that were committed again by what is done here. */
async function committedBy(loading: Loading, work: () => Promise<unknown>): Promise<string[]> {
  const before = await commits(loading.target)
  await work()
  const after = await commits(loading.target)
  return Object.keys(after).filter((key) => after[key] !== before[key])
}

describe('chosen partitions', () => {
  test.concurrent.for([
    ['partitions reload', ['partitions', 'reload', 'orders', hour(2), hour(5)], [hour(2), hour(5)]],
    ['--partition', ['run', '--partition', hour(9), '--partition', hour(0)], [hour(0), hour(9)]],
    ['--from and --to', ['run', '--from', hour(2), '--to', hour(4)], [hour(2), hour(3)]],
    ['--from alone', ['run', '--from', `${hour(8)}:30`], [hour(8), hour(9), hour(10)]],
    ['--to alone', ['run', '--to', '2024-01-01 01:00:00.000001'], [hour(0), hour(1)]],
    ['--full-refresh', ['run', '--full-refresh'], Array.from({ length: 11 }, (_, index) => hour(index))],
  ] as const)('%s', async ([, args, keys], { expect: check }) => {
    await using loading = await startHours()
    await succeed(loading)
    await loading.source.run("UPDATE orders SET note = 'changed'")
    const again = await committedBy(loading, async () => {
      const { exit, err } = await loading.cli(args)
      check({ exit, err: exit === 0 ? '' : err }).toEqual({ exit: 0, err: '' })
    })
    check(again).toEqual(keys)
    const attempts = new Map((await ledger(loading.target)).map(({ key, attempt }) => [key, attempt]))
    const isWhole = args.some((arg) => arg === '--full-refresh')
    check([...attempts].filter(([, attempt]) => attempt !== '1').map(([key]) => key)).toEqual(keys)
    const [found] = await loading.target.rows(
      "SELECT count(DISTINCT date_trunc('hour', updated_at)) AS n, count(*) AS rows FROM orders WHERE note = 'changed'",
    )
    check(found).toMatchObject({ n: String(keys.length) })
    if (isWhole) check(await loading.compare()).toEqual(same(ROWS))
  })

  test('a partition whose rows are gone at the source is emptied where it is asked for', async () => {
    await using loading = await startHours({ allow_shrink: true })
    await succeed(loading)
    await loading.source.run("DELETE FROM orders WHERE updated_at < '2024-01-01 01:00+00'")
    expect((await succeed(loading)).rows.deleted).toBe(0)
    expect((await succeed(loading, { partitions: [hour(0)] })).rows).toMatchObject({ deleted: 59, inserted: 0 })
    expect(await loading.compare()).toEqual(same(ROWS - 59))
  })

  test('two first runs of a part each leave the rest to the next', async () => {
    await using loading = await startHours()
    await succeed(loading, { partitions: [hour(4)] })
    await succeed(loading, { from: hour(7), to: hour(9) })
    expect((await ledger(loading.target)).map(({ key }) => key)).toEqual([hour(4), hour(7), hour(8)])
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(ROWS))
    const [key] = await loading.target.rows("SELECT count(*) AS n FROM pg_index WHERE indrelid = 'orders'::regclass AND indisprimary")
    expect(key?.n).toBe('1')
  })
})

describe('failed partitions', () => {
  test('the others are committed, and a retry loads only what failed or is missing', async () => {
    await using loading = await startHours()
    await loading.target.run(`CREATE TABLE orders (id bigint, customer text, amount numeric(12,2), paid boolean, note text, updated_at timestamptz,
      CONSTRAINT not_today CHECK (id <> 130))`)
    const run = await loading.cli(['run'])
    expect(run.exit).toBe(1)
    const { status, partitions, error } = resultOf(run)
    expect({ status, partitions }).toEqual({ status: 'partial', partitions: { total: 11, committed: 10, skipped: 0, failed: 1 } })
    expect(error).toMatchObject({
      code: 'partitions-failed',
      message: expect.stringMatching(/1 of 11 .*2024-01-01T02.*constraint-violated.*not_today/),
    })
    const [failed] = (await ledger(loading.target)).filter((row) => row.status !== 'committed')
    expect(failed).toMatchObject({ key: hour(2), status: 'failed', error: expect.stringMatching(/^constraint-violated: .*not_today/) })
    const listed = await loading.cli(['partitions', 'list', 'orders', '--status', 'failed'])
    expect(listed.json.partitions.map(({ key }: { key: string }) => key)).toEqual([hour(2)])
    expect(await loading.compare('orders', { columns: ['id'], where: "date_trunc('hour', updated_at) <> '2024-01-01 02:00+00'" })).toEqual(
      same(540),
    )

    // Mended; and what changed in partitions that are committed is none of a retry's business.
    await loading.target.run('ALTER TABLE orders DROP CONSTRAINT not_today')
    await loading.source.run("UPDATE orders SET note = 'changed' WHERE id < 60")
    await addOrders(loading.source, 1000, 1009, { at: "timestamptz '2024-01-01 12:30+00'" })
    const again = await committedBy(loading, async () => expect((await loading.cli(['partitions', 'retry', 'orders'])).exit).toBe(0))
    expect(again).toEqual([hour(2), hour(11), hour(12)])
    expect(await loading.compare('orders', { columns: ['id'] })).toEqual(same(ROWS + 10))
    const [changed] = await loading.target.rows("SELECT count(*) AS n FROM orders WHERE note = 'changed'")
    expect(changed?.n).toBe('0')
  })

  test('an ordinary run, too, loads what failed before', async () => {
    await using loading = await startHours()
    await loading.target.run(
      `CREATE TABLE orders (id bigint CHECK (id NOT IN (130, 200)), customer text, amount numeric(12,2), paid boolean, note text, updated_at timestamptz)`,
    )
    const { error } = await loading.run()
    expect(error?.message).toContain('2 of 11')
    await loading.target.run('ALTER TABLE orders DROP CONSTRAINT orders_id_check')
    expect((await planOf(loading, 'orders')).loads.map(({ partition, reason }) => [partition.key, reason])).toEqual([
      [hour(2), 'failed'],
      [hour(3), 'failed'],
    ])
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(ROWS))
  })
})

describe('changes at the source', () => {
  test('lookback compares the newest closed partitions, and touches no row of one that is the same', async () => {
    await using loading = await startHours({ lookback: 3 })
    await succeed(loading)
    await loading.source.run("UPDATE orders SET note = 'old' WHERE id = 70; UPDATE orders SET note = 'young' WHERE id = 550")
    const versions = await rowVersions(
      loading.target,
      "orders WHERE updated_at < '2024-01-01 09:00+00' OR updated_at >= '2024-01-01 10:00+00'",
    )
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 0, updated: 1, unchanged: 59, deleted: 0 })
    expect(
      await rowVersions(loading.target, "orders WHERE updated_at < '2024-01-01 09:00+00' OR updated_at >= '2024-01-01 10:00+00'"),
    ).toEqual(versions)
    expect((await loading.compare()).lost).toEqual([expect.stringContaining('old')])
    const all = await rowVersions(loading.target, 'orders')
    expect((await succeed(loading)).status).toBe('up-to-date')
    expect(await rowVersions(loading.target, 'orders')).toEqual(all)
  })

  test.each(['checksum', 'all'])('detect: %s finds changed, new and deleted rows wherever they are', async (detect) => {
    await using loading = await startHours({ detect })
    await succeed(loading)
    await loading.source.run(`UPDATE orders SET amount = amount + 0.01 WHERE id = 70; DELETE FROM orders WHERE id = 130;
      INSERT INTO orders SELECT 9000, customer, amount, paid, note, updated_at FROM orders WHERE id = 190;
      UPDATE orders SET updated_at = updated_at + interval '2 hours' WHERE id = 250`)
    const again = await committedBy(loading, () => succeed(loading))
    const changed = [1, 2, 3, 4, 6].map(hour)
    expect(again).toEqual(detect === 'all' ? Array.from({ length: 11 }, (_, index) => hour(index)) : changed)
    expect(await loading.compare()).toEqual(same(ROWS))
    const versions = await rowVersions(loading.target, 'orders')
    await succeed(loading)
    expect(await rowVersions(loading.target, 'orders')).toEqual(versions)
    expect(await loading.compare()).toEqual(same(ROWS))
  })

  test('an open partition is loaded again when rows came, and left alone when none did', async () => {
    await using loading = await startPartitions({ partition: { by: 'updated_at', unit: 'day' } })
    await makeOrders(loading.source, 0)
    await addOrders(loading.source, 1, 50, { at: "now() - interval '3 days'" })
    await addOrders(loading.source, 51, 100, { at: "now() - interval '1 second'" })
    await succeed(loading)
    const closed = async () => (await loading.target.rows('SELECT count(*) AS n FROM pipeline_partitions WHERE closed'))[0]?.n
    expect(await closed()).toBe('3')
    const versions = await rowVersions(loading.target, 'orders')
    expect(await succeed(loading)).toMatchObject({ status: 'up-to-date', rows: { inserted: 0, deleted: 0 } })
    expect(await rowVersions(loading.target, 'orders')).toEqual(versions)

    const old = await rowVersions(loading.target, 'orders WHERE id <= 50')
    await addOrders(loading.source, 101, 110)
    await loading.source.run("UPDATE orders SET note = 'changed' WHERE id = 51")
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 10, updated: 1, unchanged: 49, deleted: 0 })
    expect(await loading.compare()).toEqual(same(110))
    expect(await rowVersions(loading.target, 'orders WHERE id <= 50')).toEqual(old)
  })

  test('a partition that was open once is loaded once more when its time is over', async () => {
    await using loading = await startPartitions({ partition: { by: 'id', size: 100 } })
    await makeOrders(loading.source, 150)
    await succeed(loading)
    await addOrders(loading.source, 151, 450)
    await loading.source.run('INSERT INTO orders SELECT 0, customer, amount, paid, note, updated_at FROM orders WHERE id = 5')
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(451))
    expect((await planOf(loading, 'orders')).loads.map(({ partition }) => partition.key)).toEqual(['300..399', '400..499'])
  })

  test('appended partitions are never loaded a second time', async () => {
    await using loading = await startPartitions({ write: 'append', partition: { by: 'updated_at', unit: 'day' } })
    await makeOrders(loading.source, 0)
    await addOrders(loading.source, 1, 300, { at: "now() - interval '3 days'" })
    await addOrders(loading.source, 301, 600, { at: "now() - interval '2 days'" })
    await loading.source.run('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
    await succeed(loading)
    await loading.source.run("UPDATE orders SET note = 'changed'")
    await addOrders(loading.source, 601, 650, { at: 'now()' })
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 0, deleted: 0 })
    const [found] = await loading.target.rows('SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM orders')
    expect(found).toEqual({ rows: '600', ids: '600' })
  })
})

describe('what a partition may lose', () => {
  const LOSE = (share: number): string =>
    `DELETE FROM orders WHERE updated_at < '2024-01-01 02:00+00' AND updated_at >= '2024-01-01 01:00+00' AND id % 10 < ${share}`

  test.each([
    ['half of it', {}, 5, true],
    ['more than half of it', {}, 6, false],
    ['more than max_shrink', { max_shrink: '20%' }, 3, false],
    ['as much as max_shrink', { max_shrink: '70%' }, 7, true],
    ['all of it', { allow_shrink: true }, 10, true],
    ['all but a little', { max_shrink: '99%' }, 10, false],
  ] as const)('%s', async (_, pipeline, share, allowed) => {
    await using loading = await startHours(pipeline)
    await succeed(loading)
    const versions = await rowVersions(loading.target, 'orders')
    await loading.source.run(`${LOSE(share)}; UPDATE orders SET note = 'changed' WHERE id < 60`)
    const run = await loading.run({ partitions: [hour(0), hour(1)] })
    const row = (await ledger(loading.target)).find(({ key }) => key === hour(1))
    if (allowed) {
      expect(run.error).toBeNull()
      expect(await loading.compare()).toEqual(same(ROWS - 6 * share))
      return
    }
    expect(run).toMatchObject({ status: 'partial', partitions: { committed: 1, failed: 1 }, error: { code: 'partitions-failed' } })
    expect(run.error?.message).toMatch(/partition-shrank: Partition 2024-01-01T01 .* has 60 rows at the target and \d+ at the source/)
    expect(row).toMatchObject({ status: 'failed', error: expect.stringContaining('partition-shrank') })
    expect((await rowVersions(loading.target, 'orders')).filter((one) => versions.includes(one))).toHaveLength(ROWS - 59)
    // The user who knows better says so.
    loading.pipelines({ orders: byHour({ allow_shrink: true }) })
    await succeed(loading, { retryOnly: true })
    expect(await loading.compare()).toEqual(same(ROWS - 6 * share))
  })
})
