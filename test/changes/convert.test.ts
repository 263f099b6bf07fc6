// A pipeline handed over from a watermark to the log, and back: no row is lost, none that is as it should be is written again, and the
// old definition can't run beside the new one.

import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { type Loading, startLoading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { runCli } from '../servers/run-cli.ts'
import { leftAtSource, useOwnServer } from './following.ts'

const server = useOwnServer()

const ROWS = 1000

let made = 0
async function start(target: TargetKind = 'postgres', pipeline: object = {}): Promise<{ loading: Loading; name: string }> {
  // Slots are shared by all databases of the server.
  const name = `orders_${++made}`
  const loading = await startLoading({ target, sourceServer: server().url(), pipelines: { [name]: { ...pipeline } } })
  await makeOrders(loading.source, ROWS)
  expect((await loading.run()).error).toBeNull()
  return { loading, name }
}

/** Converts as a person does, and puts what is printed into the project file. */
async function convert(loading: Loading, name: string, ...flags: readonly string[]): Promise<void> {
  const done = await runCli(loading.folder.path, ['convert', name, '--yes', ...flags], loading.env)
  expect({ exit: done.exit, err: done.exit === 0 ? '' : done.err }).toEqual({ exit: 0, err: '' })
  loading.pipelines((parse(done.out) as { pipelines: Record<string, object> }).pipelines as never)
}

test.each(TARGET_KINDS)('to the log and back, into %s', async (target) => {
  const { loading, name } = await start(target)
  await using _ = loading
  // What no watermark sees: a deleted row, and one whose cursor was left alone.
  await loading.source.run("DELETE FROM orders WHERE id = 5; UPDATE orders SET note = 'unseen' WHERE id = 6")
  await changeOrders(loading.source, 10, 20)
  const versions = target === 'postgres' ? await rowVersions(loading.target, 'orders WHERE id > 20') : null
  await convert(loading, name, '--to', 'cdc')
  expect(await loading.compare()).toEqual(same(ROWS - 1))
  if (versions !== null) expect(await rowVersions(loading.target, 'orders WHERE id > 20')).toEqual(versions)

  await loading.source.run("DELETE FROM orders WHERE id = 7; UPDATE orders SET note = 'logged' WHERE id = 8")
  const followed = await loading.run()
  expect(followed).toMatchObject({ error: null, pattern: 'cdc', rows: { read: 2 } })
  expect(await loading.compare()).toEqual(same(ROWS - 2))
  expect(await leftAtSource(loading)).toHaveLength(2)

  await loading.source.run('DELETE FROM orders WHERE id = 9')
  await convert(loading, name, '--to', 'watermark', '--cursor', 'updated_at')
  expect(await leftAtSource(loading)).toEqual([])
  expect(await loading.compare()).toEqual(same(ROWS - 3))
  if (versions !== null) expect(await rowVersions(loading.target, 'orders WHERE id > 20')).toEqual(versions)
  await addOrders(loading.source, ROWS + 1, ROWS + 10)
  expect(await loading.run()).toMatchObject({ error: null, pattern: 'watermark', rows: { inserted: 10 } })
  expect(await loading.compare()).toEqual(same(ROWS + 7))
})

test('the old definition is refused after the hand-over', async () => {
  const { loading, name } = await start()
  await using _ = loading
  expect((await loading.cli(['convert', name, '--to', 'cdc', '--yes'])).exit).toBe(0)
  expect((await loading.run()).error?.code).toBe('definition-changed')
})

test('a slot that is lost: the watermark takes over with what the log had still to bring', async () => {
  const { loading, name } = await start()
  await using _ = loading
  await convert(loading, name, '--to', 'cdc')
  await loading.source.run(
    `SELECT pg_drop_replication_slot('tidemark_${name}'); DELETE FROM orders WHERE id < 100; UPDATE orders SET note = 'gap'`,
  )
  expect((await loading.run()).error?.code).toBe('log-lost')
  await convert(loading, name, '--to', 'watermark', '--cursor', 'updated_at')
  expect(await loading.compare()).toEqual(same(ROWS - 99))
})

test('where the log can not be had, the watermark goes on', async () => {
  const { loading, name } = await start()
  await using _ = loading
  const before = await loading.state()
  const blocker = await loading.source.connect()
  try {
    await blocker.query('BEGIN; UPDATE orders SET note = NULL WHERE id = 1')
    const stopped = new AbortController()
    await using project = await loading.open()
    const converting = project.convert(name, 'cdc', { cursor: null, signal: stopped.signal })
    await expect.poll(async () => (await loading.state())?.position.kind, { timeout: 20_000 }).toBe('snapshot')
    // Whoever waits for the slot is ended: as good as a server that has none left.
    await expect
      .poll(
        async () =>
          (await loading.source.rows("SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE backend_type = 'walsender'"))
            .length,
        {
          timeout: 20_000,
        },
      )
      .toBeGreaterThan(0)
    stopped.abort()
    expect((await converting).results[0]?.error).not.toBeNull()
  } finally {
    await blocker.end()
  }
  expect((await loading.state())?.position).toEqual(before?.position)
  expect(await leftAtSource(loading)).toEqual([])
  await addOrders(loading.source, ROWS + 1, ROWS + 5)
  expect((await loading.run()).rows.inserted).toBe(5)
})

test.each([
  ['only some rows', { where: 'id > 5' }, ['--to', 'cdc'], 'only some rows'],
  ['only some columns', { columns: { exclude: ['note'] } }, ['--to', 'cdc'], 'only some columns'],
  ['another name', { target: { table: 'others' } }, ['--to', 'cdc'], 'another name'],
  ['every version', { write: 'append' }, ['--to', 'cdc'], 'appends'],
  ['no log yet', {}, ['--to', 'watermark', '--cursor', 'id'], 'does not follow a log'],
] as const)('%s: refused, and nothing is made', async (_, pipeline, flags, why) => {
  const { loading, name } = await start('postgres', pipeline)
  await using __ = loading
  const before = await loading.state()
  const refused = await loading.cli(['convert', name, '--yes', ...flags])
  expect(refused.exit).toBe(2)
  expect(refused.err).toContain(why)
  expect(await loading.state()).toEqual(before)
  expect(await leftAtSource(loading)).toEqual([])
})
