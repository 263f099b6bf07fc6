// Changes from PostgreSQL's log: after every run the target is the source, row by row, whatever happened to rows and runs.

import { describe, expect, test } from 'vitest'
import { LOG_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { type Comparison, rowVersions } from '../servers/compare-tables.ts'
import { type Loading, TARGET_KINDS } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { COLUMNS, slotOf, startFollowing, useOwnServer } from './following.ts'

useOwnServer()

const HOW: Comparison = { columns: COLUMNS }

async function equal(loading: Loading): Promise<void> {
  for (const table of ['a', 'b']) expect(await loading.compare(table, HOW)).toMatchObject({ lost: [], surplus: [] })
}

async function caughtUp(loading: Loading, status = 'loaded'): Promise<void> {
  const { error, ...result } = await loading.run()
  expect(error).toBeNull()
  expect(result.status).toBe(status)
  await equal(loading)
}

describe.each(TARGET_KINDS)('into %s', (target) => {
  test.concurrent('rows that change in every way', async () => {
    await using loading = await startFollowing(target)
    await caughtUp(loading)
    await caughtUp(loading, 'up-to-date')
    const { source } = loading
    // Left alone, set, set again, and set to nothing: values that are not logged again stay.
    await source.run('UPDATE a SET v = v + 1')
    await source.run("UPDATE a SET s = 'new' WHERE id = 3; UPDATE a SET v = 0 WHERE id = 3; UPDATE a SET z = NULL WHERE id = 4")
    await source.run('DELETE FROM a WHERE id = 5; DELETE FROM b WHERE id > 20')
    await source.run("INSERT INTO a VALUES (100, 1, repeat('q', 9000), 'x'); UPDATE a SET v = 2 WHERE id = 100; DELETE FROM a WHERE id = 7")
    await caughtUp(loading)
    // Keys that change places, also of rows whose other values are not logged; a key that is taken again at once.
    await source.run('UPDATE a SET id = 1000 WHERE id = 1; UPDATE a SET id = 1 WHERE id = 2; UPDATE a SET id = 2 WHERE id = 1000')
    await source.run("UPDATE a SET id = 50 WHERE id = 8; INSERT INTO a VALUES (8, 8, 'other', NULL)")
    await caughtUp(loading)
    await source.run(
      'BEGIN; SAVEPOINT x; INSERT INTO b VALUES (70, 1, NULL, NULL); ROLLBACK TO x; INSERT INTO b VALUES (71, 1, NULL, NULL); COMMIT',
    )
    await source.run('BEGIN; INSERT INTO b VALUES (72, 1, NULL, NULL); ROLLBACK')
    await source.run('TRUNCATE a; INSERT INTO a SELECT i, i, NULL, NULL FROM generate_series(1, 10) AS i')
    await caughtUp(loading)
    await caughtUp(loading, 'up-to-date')
  })

  test.concurrent('columns that come and go', async () => {
    await using loading = await startFollowing(target)
    await caughtUp(loading)
    const { source } = loading
    await source.run("INSERT INTO a VALUES (200, 1, 'before', NULL)")
    await source.run('ALTER TABLE a ADD COLUMN c int DEFAULT 7')
    await source.run("INSERT INTO a VALUES (201, 1, 'after', NULL, 8); ALTER TABLE b DROP COLUMN z; UPDATE b SET v = 0 WHERE id = 4")
    const { error } = await loading.run()
    expect(error).toBeNull()
    expect(await loading.compare('a', { columns: [...COLUMNS, 'c'] })).toMatchObject({ lost: [], surplus: [] })
    expect(await loading.compare('b', { columns: ['id', 'v', 's'] })).toMatchObject({ lost: [], surplus: [] })
  })

  test.concurrent.for(LOG_CRASH_POINTS)('killed at %s', async (point, context) => {
    await using loading = await startFollowing(target)
    if (point !== 'changes-applied') {
      const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: point })
      context.expect(died.signal).toBe('SIGKILL')
    }
    await caughtUp(loading, point === 'slice-done' ? undefined : 'loaded')
    if (['log-begun', 'stage-begun', 'chunk-read', 'chunk-staged', 'observed'].includes(point)) return
    await loading.source.run('UPDATE a SET v = v + 1; DELETE FROM b WHERE id < 5')
    context.expect((await loading.cli(['run'], { TIDEMARK_CRASH_AT: point })).signal).toBe('SIGKILL')
    const { error } = await loading.run()
    context.expect(error).toBeNull()
    await equal(loading)
    await caughtUp(loading, 'up-to-date')
  })

  test.concurrent('every change is kept, and deleted rows are marked', async () => {
    await using kept = await startFollowing(target, { write: 'append' })
    await using soft = await startFollowing(target, { write: 'soft-delete' })
    await kept.source.run('ALTER TABLE b REPLICA IDENTITY FULL')
    for (const loading of [kept, soft]) {
      expect((await loading.run()).error).toBeNull()
      await loading.source.run('UPDATE a SET v = 9 WHERE id = 1; DELETE FROM a WHERE id = 2')
      if (loading === kept) await loading.source.run("UPDATE a SET id = 300 WHERE id = 3; UPDATE b SET s = 'ü' WHERE id = 3")
      expect((await loading.run()).error).toBeNull()
    }
    const log = {
      columns: ['id', 'v', '_tidemark_op', '_tidemark_ordinal', '_tidemark_unchanged'],
      where: "id < 3 AND _tidemark_op <> 'read'",
    }
    await kept.source.run(`CREATE TABLE expected AS SELECT * FROM (VALUES (1, 9, 'update', 0, 's, z'), (2, NULL, 'delete', 1, NULL))
      AS e(id, v, _tidemark_op, _tidemark_ordinal, _tidemark_unchanged)`)
    expect(await kept.compare('expected', { ...log, targetTable: 'a' })).toMatchObject({ lost: [], surplus: [], rows: 2 })
    // What was replaced, as far as the log says it: the key that was left, or the whole row.
    await kept.source.run(`CREATE TABLE moved AS SELECT 300 AS id, '{"id":"3"}' AS _tidemark_old;
      CREATE TABLE replaced AS SELECT 3 AS id, '{"id":"3","v":"-3","s":"short","z":null}' AS _tidemark_old`)
    for (const [expected, from] of [
      ['moved', 'a'],
      ['replaced', 'b'],
    ] as const) {
      const old = { columns: ['id', '_tidemark_old'], where: '_tidemark_old IS NOT NULL', targetTable: from }
      expect(await kept.compare(expected, old)).toMatchObject({ lost: [], surplus: [], rows: 1 })
    }
    expect(await soft.compare('a', { columns: COLUMNS, where: 'id <> 2' })).toMatchObject({ lost: [], surplus: [] })
    await soft.source.run('CREATE TABLE marked AS SELECT 2 AS id, true AS deleted')
    await soft.source.run('ALTER TABLE marked ADD COLUMN _tidemark_deleted_at int DEFAULT 1')
    const where = '_tidemark_deleted_at IS NOT NULL'
    expect(await soft.compare('marked', { columns: ['id'], where, targetTable: 'a' })).toMatchObject({ lost: [], surplus: [], rows: 1 })
  })
})

test('a table copied again, and one that comes later, are of one moment with the others', async () => {
  await using loading = await startFollowing()
  await caughtUp(loading)
  await loading.target.run('DELETE FROM a WHERE id < 9; UPDATE b SET v = 0')
  expect((await loading.run({ resync: ['public.a', 'public.b'] })).error).toBeNull()
  await equal(loading)
  await loading.source.run('CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1)')
  const slot = await slotOf(loading)
  loading.pipelines({
    shop: {
      pattern: 'cdc',
      source: { tables: ['public.a', 'public.b', 'public.c'], slot, publication: slot },
      target: { schema: 'public' },
    },
  })
  await loading.source.run('UPDATE a SET v = v - 1; UPDATE b SET v = v + 1')
  await caughtUp(loading)
  await loading.source.run('INSERT INTO c VALUES (2); UPDATE a SET v = 5 WHERE id = 1')
  await caughtUp(loading)
  expect(await loading.compare('c', { columns: ['id'] })).toMatchObject({ lost: [], surplus: [], rows: 2 })
})

describe('refused, and nothing is changed', () => {
  async function refusedWith(loading: Loading, code: string, exit: number): Promise<void> {
    const before = await rowVersions(loading.target, 'a')
    const result = await loading.cli(['run'])
    expect({ exit: result.exit, code: resultOf(result).error?.code }).toEqual({ exit, code })
    expect(await rowVersions(loading.target, 'a')).toEqual(before)
  }

  test.concurrent('log-lost: a slot that is gone, or further than the target', async () => {
    await using loading = await startFollowing()
    await caughtUp(loading)
    const slot = await slotOf(loading)
    await loading.source.run('UPDATE a SET v = v + 1')
    await loading.source.rows(`SELECT pg_replication_slot_advance('${slot}', pg_current_wal_flush_lsn())`)
    await refusedWith(loading, 'log-lost', 3)
    await loading.source.rows(`SELECT pg_drop_replication_slot('${slot}')`)
    await refusedWith(loading, 'log-lost', 3)
    expect(await loading.source.rows(`SELECT 1 FROM pg_replication_slots WHERE slot_name = '${slot}'`)).toEqual([])
    expect((await loading.run({ fullRefresh: true })).error).toBeNull()
    await equal(loading)
  })

  test.concurrent('row-missing: somebody deleted a row at the target', async () => {
    await using loading = await startFollowing()
    await caughtUp(loading)
    await loading.target.run('DELETE FROM a WHERE id = 3')
    await loading.source.run('UPDATE a SET v = v + 1 WHERE id = 3')
    await refusedWith(loading, 'row-missing', 1)
  })

  test.concurrent('log-unavailable and missing-key: tables that say too little', async () => {
    await using loading = await startFollowing()
    await loading.source.run('ALTER TABLE a REPLICA IDENTITY NOTHING')
    expect((await loading.run()).error?.code).toBe('log-unavailable')
    await loading.source.run('ALTER TABLE a REPLICA IDENTITY DEFAULT; ALTER TABLE b DROP CONSTRAINT b_pkey')
    expect((await loading.run()).error?.code).toBe('missing-key')
    expect(await loading.source.rows('SELECT 1 FROM pg_publication')).toEqual([])
    expect(await loading.source.rows(`SELECT 1 FROM pg_replication_slots WHERE slot_name = '${await slotOf(loading)}'`)).toEqual([])
  })

  test.concurrent('a renamed column', async () => {
    await using loading = await startFollowing()
    await caughtUp(loading)
    await loading.source.run("ALTER TABLE a RENAME COLUMN s TO t; INSERT INTO a VALUES (90, 1, 'x', NULL)")
    await refusedWith(loading, 'schema-conflict', 1)
  })

  test.concurrent('a column renamed at both ends while changes under its old name are in the log', async () => {
    await using loading = await startFollowing()
    await caughtUp(loading)
    await loading.source.run(
      "UPDATE a SET s = 'new' WHERE id = 1; INSERT INTO a VALUES (90, 1, 'x', NULL); ALTER TABLE a RENAME COLUMN s TO t",
    )
    await loading.target.run('ALTER TABLE a RENAME COLUMN s TO t')
    await refusedWith(loading, 'schema-conflict', 1)
    expect((await loading.run({ resync: ['public.a'] })).error).toBeNull()
    expect(await loading.compare('a', { columns: ['id', 'v', 't', 'z'] })).toMatchObject({ lost: [], surplus: [] })
  })
})

test('drop leaves nothing at the source, and the data', async () => {
  await using loading = await startFollowing()
  await caughtUp(loading)
  const slot = await slotOf(loading)
  expect((await loading.cli(['drop', 'shop', '--yes'])).exit).toBe(0)
  expect(await loading.source.rows('SELECT 1 FROM pg_publication')).toEqual([])
  expect(await loading.source.rows(`SELECT 1 FROM pg_replication_slots WHERE slot_name = '${slot}'`)).toEqual([])
  expect(await loading.state()).toBeNull()
  await equal(loading)
})
