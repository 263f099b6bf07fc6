// Killed by SIGKILL where most is under way: inside of a transaction that is larger than a chunk, and while a table is copied again. And a
// slot that moves on between the look at it and the reading.

import { describe, expect, test } from 'vitest'
import { rowVersions } from '../../servers/compare-tables.ts'
import { type Loading, TARGET_KINDS } from '../../servers/loading.ts'
import { areSame, COLUMNS, loadsAll, slotOf, startFollowing, useOwnServer } from '../following.ts'

useOwnServer()

const HOW = { a: COLUMNS, b: COLUMNS }

/** 12 MB in one transaction, of both tables. */
const LARGE = `BEGIN; INSERT INTO a SELECT i, i, repeat('s' || i, 1500), NULL FROM generate_series(100, 1300) AS i;
  UPDATE a SET v = v + 1 WHERE id < 600; UPDATE a SET id = id + 10000 WHERE id BETWEEN 200 AND 400; DELETE FROM a WHERE id = 500;
  UPDATE b SET v = 0; INSERT INTO b SELECT i, 1, repeat('x', 5000), NULL FROM generate_series(100, 1000) AS i; DELETE FROM a WHERE id < 5; COMMIT`

async function killedAt(loading: Loading, point: string, ...args: readonly string[]): Promise<void> {
  const died = await loading.cli(['run', ...args], { TIDEMARK_CRASH_AT: point })
  expect({ point, exit: died.exit, signal: died.signal }).toEqual({ point, exit: null, signal: 'SIGKILL' })
}

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.concurrent('inside of a transaction that is larger than a chunk: none of it is seen', async ({ expect: look }) => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, HOW, {}, look)
    const before = await loading.state()
    await loading.source.run(LARGE)
    const rows = typeof loading.side === 'string' ? null : await rowVersions(loading.target, 'a')
    for (const point of ['changes-applied:1', 'changes-applied:2', 'before-commit']) {
      await killedAt(loading, point)
      look((await loading.state())?.epoch).toBe(before?.epoch)
      if (rows !== null) look(await rowVersions(loading.target, 'a')).toEqual(rows)
    }
    await loadsAll(loading, HOW, {}, look)
    look((await loading.run()).status).toBe('up-to-date')
  })

  test.concurrent('while a table is copied again: the others wait for it, or not', async ({ expect: look }) => {
    await using loading = await startFollowing(target)
    await loadsAll(loading, HOW, {}, look)
    for (const point of ['log-begun', 'stage-begun', 'chunk-staged', 'changes-applied', 'before-commit', 'after-commit']) {
      await loading.source.run('UPDATE a SET v = v + 1; UPDATE b SET v = v - 1; INSERT INTO b SELECT max(id) + 1, 0 FROM b')
      await killedAt(loading, point, '--resync', 'public.a')
    }
    await loadsAll(loading, HOW, {}, look)
    await loading.source.run('UPDATE a SET v = v + 1; DELETE FROM b WHERE id = 3')
    await loadsAll(loading, HOW, {}, look)
    look((await loading.run()).status).toBe('up-to-date')
  })
})

test('a slot that somebody moves on between the look at it and the reading is a gap all the same', async () => {
  await using loading = await startFollowing()
  await loadsAll(loading, HOW)
  await using project = await loading.open()
  const [pipeline] = await project.pipelines()
  if (pipeline?.pattern !== 'cdc') throw new Error('The pipeline follows no log.')
  const { source, target } = await project.ends(pipeline)
  const state = await target.readState('shop')
  const seen = await source.log?.observe(pipeline, state)
  if (state === null || seen === undefined) throw new Error('The pipeline has followed no log.')
  await loading.source.run('UPDATE a SET v = v + 1')
  await loading.source.rows(`SELECT pg_replication_slot_advance('${await slotOf(loading)}', pg_current_wal_flush_lsn())`)
  await expect(source.log?.open(pipeline, seen, state.position, 'pg-binary', null)).rejects.toMatchObject({ code: 'log-lost' })
  await areSame(loading, { b: COLUMNS })
})

test('a process that rested before it made its slot leaves one that another run has made meanwhile', async () => {
  await using loading = await startFollowing()
  await using project = await loading.open()
  const [pipeline] = await project.pipelines()
  if (pipeline?.pattern !== 'cdc') throw new Error('The pipeline follows no log.')
  const { source } = await project.ends(pipeline)
  const seen = await source.log?.observe(pipeline, null)
  if (seen === undefined) throw new Error('The source has no log.')
  await loadsAll(loading, HOW)
  await expect(source.log?.begin(pipeline, seen)).rejects.toMatchObject({ code: 'state-conflict' })
  await loading.source.run('UPDATE a SET v = v + 1')
  await loadsAll(loading, HOW)
})
