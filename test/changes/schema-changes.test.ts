// Columns that come, go and grow at the source while its log is followed, before and between changes that wait in it.

import { describe, expect, test } from 'vitest'
import { type Loading, TARGET_KINDS } from '../servers/loading.ts'
import { areSame, leftAtSource, loadsAll, startTables, useOwnServer } from './following.ts'

useOwnServer()

const MAKE = `CREATE TABLE t (id int PRIMARY KEY, v int, s text); ALTER TABLE t ALTER s SET STORAGE EXTERNAL;
  INSERT INTO t SELECT i, i, repeat('s' || i, 1500) FROM generate_series(1, 20) AS i`

async function followed(target: 'postgres' | 'duckdb'): Promise<Loading> {
  const loading = await startTables(MAKE, ['public.t'], { target })
  await loadsAll(loading, { t: ['id', 'v', 's'] })
  return loading
}

test.concurrent.each(TARGET_KINDS)('columns with and without a default between changes of the same rows, into %s', async (target) => {
  await using loading = await followed(target)
  const { source } = loading
  await source.run('UPDATE t SET v = -1 WHERE id < 5; INSERT INTO t VALUES (30, 1, NULL)')
  await source.run("ALTER TABLE t ADD COLUMN c text, ADD COLUMN d int DEFAULT 7, ADD COLUMN e text NOT NULL DEFAULT 'it''s'")
  await source.run("UPDATE t SET v = -2 WHERE id < 4; UPDATE t SET c = 'c', d = NULL WHERE id = 2; INSERT INTO t VALUES (31, 1, NULL)")
  await source.run(
    "ALTER TABLE t ADD COLUMN f timestamptz DEFAULT '2024-01-01 00:00+00'; DELETE FROM t WHERE id = 3; UPDATE t SET id = 40 WHERE id = 4",
  )
  await loadsAll(loading, { t: ['id', 'v', 's', 'c', 'd', 'e'] })
  if (target === 'postgres') await loadsAll(loading, { t: ['id', 'f'] })
  await source.run('UPDATE t SET v = 0')
  await loadsAll(loading, { t: ['id', 'v', 's', 'c', 'd', 'e'] })
})

test.concurrent.each(TARGET_KINDS)('a column that grows between changes, into %s', async (target) => {
  await using loading = await followed(target)
  const { source } = loading
  await source.run('UPDATE t SET v = 5 WHERE id = 1; INSERT INTO t VALUES (30, 2147483647, NULL)')
  await source.run('ALTER TABLE t ALTER v TYPE bigint')
  await source.run('UPDATE t SET v = 9223372036854775807 WHERE id = 2; INSERT INTO t VALUES (31, -5, NULL)')
  await loadsAll(loading, { t: ['id', 'v', 's'] })
  await source.run('UPDATE t SET v = v - 1 WHERE id = 2')
  await loadsAll(loading, { t: ['id', 'v', 's'] })
})

test.concurrent('a key that grows between changes', async () => {
  await using loading = await followed('postgres')
  await loading.source.run('UPDATE t SET v = 5 WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET id = 50 WHERE id = 3')
  await loading.source.run('ALTER TABLE t ALTER id TYPE bigint; UPDATE t SET v = 6 WHERE id = 1; UPDATE t SET id = 9000000000 WHERE id = 4')
  await loadsAll(loading, { t: ['id', 'v', 's'] })
})

test.concurrent('a column that is dropped and comes back as another', async () => {
  await using loading = await followed('postgres')
  await loading.source.run("UPDATE t SET v = 77 WHERE id = 1; ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (50, 'x')")
  await loadsAll(loading, { t: ['id', 's'] })
  await loading.source.run("DELETE FROM t WHERE id = 2; UPDATE t SET s = 'y' WHERE id = 3; UPDATE t SET id = 51 WHERE id = 4")
  await loadsAll(loading, { t: ['id', 's'] })
})

test.concurrent('columns that come and grow while the log is followed', async ({ expect }) => {
  await using loading = await followed('postgres')
  const following = loading.start(['follow', '--every', '1s'])
  const { source } = loading
  await source.run('UPDATE t SET v = 50 WHERE id = 1')
  const at = async (id: number): Promise<string | null | undefined> =>
    (await loading.target.rows(`SELECT v FROM t WHERE id = ${id}`))[0]?.['v']
  await expect.poll(() => at(1), { timeout: 20_000 }).toBe('50')
  await source.run("ALTER TABLE t ADD COLUMN w varchar(3) DEFAULT 'abc'; UPDATE t SET v = 51 WHERE id = 1")
  await expect.poll(() => at(1), { timeout: 20_000 }).toBe('51')
  await source.run('ALTER TABLE t ALTER v TYPE bigint, ALTER w TYPE varchar(9)')
  await source.run("UPDATE t SET v = 5000000000, w = 'abcdefghi' WHERE id = 2")
  await expect.poll(() => at(2), { timeout: 20_000 }).toBe('5000000000')
  following.child.kill('SIGTERM')
  expect((await following.done).exit).toBe(0)
  await loadsAll(loading, { t: ['id', 'v', 's', 'w'] })
})

describe('rows that ALTER TABLE rewrites, of which the log tells nothing', () => {
  const rewrites: [what: string, sql: string, copied: boolean, columns?: readonly string[]][] = [
    ['another value under the same type', 'ALTER TABLE t ALTER v TYPE int USING v * 10', true],
    ['a default of its own for each row', 'ALTER TABLE t ADD COLUMN r float8 DEFAULT random()', true, ['id', 'v', 's', 'r']],
    ['numbers for rows that had none', 'ALTER TABLE t ADD COLUMN n serial', true, ['id', 'v', 's', 'n']],
    ['a default that a rewrite has hidden', 'ALTER TABLE t ADD COLUMN d int DEFAULT 7; VACUUM FULL t', true, ['id', 'v', 's', 'd']],
    ['VACUUM FULL, which changes nothing', 'VACUUM FULL t', false],
    ['a new default, which changes no row', 'ALTER TABLE t ALTER v SET DEFAULT 5', false],
  ]
  for (const target of TARGET_KINDS)
    test.concurrent.for(rewrites)(`%s, into ${target}`, async ([, sql, copied, columns = ['id', 'v', 's']], { expect: look }) => {
      await using loading = await followed(target)
      await loading.source.run('UPDATE t SET v = v + 1 WHERE id < 5')
      for (const statement of sql.split('; ')) await loading.source.run(statement)
      await loading.source.run('UPDATE t SET v = v + 1 WHERE id > 15; DELETE FROM t WHERE id = 9')
      const { error, rows } = await loading.run()
      look(error).toBeNull()
      look(rows.read >= 19).toBe(copied)
      await areSame(loading, { t: columns }, look)
      look((await loading.run()).rows.read).toBe(0)
    })

  test.concurrent('while the log is followed', async ({ expect: look }) => {
    await using loading = await followed('postgres')
    const following = loading.start(['follow', '--every', '1s'])
    const at = async (id: number): Promise<string | null | undefined> =>
      (await loading.target.rows(`SELECT v FROM t WHERE id = ${id}`))[0]?.['v']
    await loading.source.run('UPDATE t SET v = 50 WHERE id = 1')
    await look.poll(() => at(1), { timeout: 20_000 }).toBe('50')
    await loading.source.run('ALTER TABLE t ALTER v TYPE int USING v * 10; UPDATE t SET v = 1 WHERE id = 1')
    await look.poll(() => at(2), { timeout: 20_000 }).toBe('20')
    await look.poll(() => at(1), { timeout: 20_000 }).toBe('1')
    following.child.kill('SIGTERM')
    look((await following.done).exit).toBe(0)
    await loadsAll(loading, { t: ['id', 'v', 's'] }, {}, look)
  })
})

test.concurrent('a table that is dropped and made again under its name is copied again', async () => {
  await using loading = await followed('postgres')
  const before = await leftAtSource(loading)
  await loading.source.run(`DROP TABLE t; ${MAKE}; DELETE FROM t WHERE id > 3`)
  await loadsAll(loading, { t: ['id', 'v', 's'] })
  expect(await leftAtSource(loading)).toEqual(before)
  await loading.source.run('UPDATE t SET v = 100')
  await loadsAll(loading, { t: ['id', 'v', 's'] })
})
