// Tables that are not like others, followed by their changes: what a row is, is said by the source alone.

import { expect, test } from 'vitest'
import { TARGET_KINDS } from '../servers/loading.ts'
import { areSame, loadsAll, startTables, useOwnServer } from './following.ts'

useOwnServer()

test.concurrent('names with spaces, capitals and quotes', async () => {
  const schema = '"Odd ""Schema"'
  const name = `${schema}."Big Table; --"`
  await using loading = await startTables(
    `CREATE SCHEMA ${schema}; CREATE TABLE ${name} ("The Key" int, "KEY" text, "Value ""v""" text, PRIMARY KEY ("KEY", "The Key"));
     INSERT INTO ${name} SELECT i, 'k' || i, 'v' FROM generate_series(1, 9) AS i`,
    [name],
    {},
    { target: {} },
  )
  const how = { [name]: ['The Key', 'KEY', 'Value "v"'] }
  await loadsAll(loading, how)
  await loading.source.run(
    `UPDATE ${name} SET "Value ""v""" = 'w' WHERE "The Key" < 4; UPDATE ${name} SET "The Key" = 20 WHERE "KEY" = 'k5';
     DELETE FROM ${name} WHERE "KEY" = 'k6'; INSERT INTO ${name} VALUES (6, 'k6', NULL)`,
  )
  await loadsAll(loading, how)
})

test.concurrent.each(TARGET_KINDS)('columns named as what tidemark would add while it stages rows, into %s', async (target) => {
  await using loading = await startTables(
    `CREATE TABLE w (id int PRIMARY KEY, lacks text, place text, rule text, big text);
     ALTER TABLE w ALTER big SET STORAGE EXTERNAL;
     INSERT INTO w SELECT i, 'l', 'p', 'r', repeat('b', 5000) FROM generate_series(1, 9) AS i`,
    ['public.w'],
    { target },
  )
  const how = { w: ['id', 'lacks', 'place', 'rule', 'big'] }
  await loadsAll(loading, how)
  await loading.source.run("UPDATE w SET lacks = 'm', place = 'q' WHERE id = 1")
  await loadsAll(loading, how)
})

const UNIQUE = `
  CREATE TABLE u (id int PRIMARY KEY, code text UNIQUE NOT NULL, big text);
  ALTER TABLE u ALTER big SET STORAGE EXTERNAL;
  INSERT INTO u SELECT i, 'c' || i, repeat('b' || i, 2000) FROM generate_series(1, 10) AS i;`

test.concurrent('a second unique column whose values change places, while values that are not logged stay', async () => {
  await using loading = await startTables(UNIQUE, ['public.u'])
  const how = { u: ['id', 'code', 'big'] }
  await loadsAll(loading, how)
  await loading.target.run('CREATE UNIQUE INDEX ON u (code)')
  await loading.source.run(
    "UPDATE u SET code = 'x' WHERE id = 1; UPDATE u SET code = 'c1' WHERE id = 2; UPDATE u SET code = 'c2' WHERE id = 1",
  )
  await loadsAll(loading, how)
  await loading.source.run(
    'UPDATE u SET id = 100 WHERE id = 3; UPDATE u SET id = 3 WHERE id = 4; UPDATE u SET id = 4 WHERE id = 5; UPDATE u SET id = 5 WHERE id = 100',
  )
  await loadsAll(loading, how)
  await loading.source.run("DELETE FROM u WHERE id = 6; INSERT INTO u VALUES (60, 'c6', 'n'); UPDATE u SET id = 6 WHERE id = 7")
  await loadsAll(loading, how)
})

test.concurrent.each(TARGET_KINDS)('keys that are checked at the commit, and exchanged before it, into %s', async (target) => {
  await using loading = await startTables(
    `CREATE TABLE x (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
     ALTER TABLE x REPLICA IDENTITY FULL;
     INSERT INTO x SELECT i, 'v' || i FROM generate_series(1, 9) AS i`,
    ['public.x'],
    { target },
  )
  const how = { x: ['id', 'v'] }
  await loadsAll(loading, how)
  await loading.source.run('UPDATE x SET id = 3 - id WHERE id < 3; UPDATE x SET id = id + 1 WHERE id > 5')
  await loadsAll(loading, how)
  await loading.source.run("UPDATE x SET id = 4 WHERE v = 'v3'; DELETE FROM x WHERE v = 'v4'")
  await loadsAll(loading, how)
})

test.concurrent('a partitioned table by its root, with rows that move and partitions that come', async () => {
  await using loading = await startTables(
    `CREATE TABLE p (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
     CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
     CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
     ALTER TABLE p ALTER v SET STORAGE EXTERNAL; ALTER TABLE p1 ALTER v SET STORAGE EXTERNAL;
     INSERT INTO p SELECT i, date '2024-01-01' + i, repeat('v', 3000) FROM generate_series(1, 50) AS i`,
    ['public.p'],
  )
  const how = { p: ['id', 'at', 'v'] }
  await loadsAll(loading, how)
  await loading.source.run(
    "UPDATE p SET at = '2024-02-20' WHERE id = 3; UPDATE p SET at = '2024-01-09' WHERE id = 4; DELETE FROM p WHERE id = 40",
  )
  await loading.source.run(
    "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM ('2024-03-01') TO ('2024-04-01'); INSERT INTO p VALUES (90, '2024-03-05', 'x')",
  )
  await loadsAll(loading, how)
  await loading.source.run("TRUNCATE p; INSERT INTO p VALUES (1, '2024-01-07', 'x')")
  await loadsAll(loading, how)
})

test.concurrent('REPLICA IDENTITY FULL', async () => {
  await using loading = await startTables(
    `CREATE TABLE f (id int PRIMARY KEY, v text, w text); ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE f ALTER v SET STORAGE EXTERNAL;
     INSERT INTO f SELECT i, repeat('v' || i, 2000), NULL FROM generate_series(1, 20) AS i`,
    ['public.f'],
  )
  const how = { f: ['id', 'v', 'w'] }
  await loadsAll(loading, how)
  await loading.source.run("UPDATE f SET w = 'w' WHERE id < 5; UPDATE f SET id = id + 100 WHERE id > 15; DELETE FROM f WHERE id = 7")
  await loading.source.run("UPDATE f SET v = NULL WHERE id = 8; UPDATE f SET w = 'z' WHERE id = 8")
  await loadsAll(loading, how)
})

test.concurrent('columns that are computed, identities, and rows that are a key and no more', async () => {
  await using loading = await startTables(
    `CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, w text DEFAULT 'd');
     CREATE TABLE k (a int, b text, PRIMARY KEY (b, a));
     INSERT INTO g (v) SELECT i FROM generate_series(1, 10) AS i; INSERT INTO k SELECT i, 'b' FROM generate_series(1, 10) AS i`,
    ['public.g', 'public.k'],
  )
  const how = { g: ['id', 'v', 'w'], k: ['a', 'b'] }
  await loadsAll(loading, how)
  await loading.source.run('UPDATE g SET v = v + 1; INSERT INTO g (v) VALUES (50); DELETE FROM g WHERE id = 3')
  await loading.source.run("UPDATE k SET a = a + 100 WHERE a < 4; INSERT INTO k VALUES (1, 'b'); DELETE FROM k WHERE a = 9")
  await loadsAll(loading, how)
})

test.concurrent('keys that are equal and not the same', async () => {
  await using loading = await startTables(
    `CREATE TABLE n (id numeric PRIMARY KEY, v text); CREATE TABLE e (id float8 PRIMARY KEY, v text);
     INSERT INTO n VALUES (1.0, 'a'), (2, 'b'), ('NaN', 'c'); INSERT INTO e VALUES (0, 'a'), ('Infinity', 'b'), ('NaN', 'c')`,
    ['public.n', 'public.e'],
  )
  const how = { n: ['id', 'v'], e: ['id', 'v'] }
  await loadsAll(loading, how)
  await loading.source.run(
    "UPDATE n SET id = 1.00 WHERE id = 1; UPDATE n SET id = 2.000, v = 'x' WHERE id = 2; UPDATE n SET v = 'y' WHERE id = 'NaN'",
  )
  await loading.source.run("UPDATE e SET id = '-0' WHERE id = 0; UPDATE e SET v = 'y' WHERE id = 'NaN'")
  await loadsAll(loading, how)
  await loading.source.run(
    "DELETE FROM n WHERE id = 1; INSERT INTO n VALUES (1, 'again'); UPDATE n SET id = 1.000 WHERE id = 1; DELETE FROM e",
  )
  await loadsAll(loading, how)
})

test.concurrent('values of 60 MB', async () => {
  await using loading = await startTables(`CREATE TABLE h (id int PRIMARY KEY, v text); INSERT INTO h VALUES (1, 'a')`, ['public.h'])
  await loadsAll(loading, { h: ['id', 'v'] })
  await loading.source.run("INSERT INTO h SELECT i, repeat('x', 60000000 + i) FROM generate_series(2, 3) AS i")
  expect((await loading.run()).rows).toMatchObject({ read: 2, inserted: 2 })
  const values = 'SELECT id, length(v), md5(v) FROM h ORDER BY id'
  expect(await loading.target.rows(values)).toEqual(await loading.source.rows(values))
})

test.concurrent('many tables in one transaction, and a table emptied together with another', async () => {
  const names = Array.from({ length: 12 }, (_, index) => `t${index}`)
  await using loading = await startTables(
    names
      .map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} SELECT i, i FROM generate_series(1, 20) AS i;`)
      .join(''),
    names.map((name) => `public.${name}`),
  )
  const how = Object.fromEntries(names.map((name) => [name, ['id', 'v']]))
  await loadsAll(loading, how)
  await loading.source.run(
    `BEGIN; ${names.map((name) => `UPDATE ${name} SET v = v * 2 WHERE id > 3;`).join('')} TRUNCATE t0, t3; INSERT INTO t3 VALUES (1, 7); COMMIT`,
  )
  await loadsAll(loading, how)
  expect((await loading.run()).status).toBe('up-to-date')
  await areSame(loading, how)
})

test.concurrent.each(TARGET_KINDS)(
  'texts of a fixed width are what they were in the copy when they come by the log, into %s',
  async (target) => {
    await using loading = await startTables(
      "CREATE TABLE c (code char(4) PRIMARY KEY, s char(6), v int); INSERT INTO c VALUES ('a', 'one', 1), ('b', 'two', 2), ('c', NULL, 3)",
      ['public.c'],
      { target },
    )
    const how = { c: ['code', 's', 'v'] }
    await loadsAll(loading, how)
    await loading.source.run("UPDATE c SET v = 10 WHERE code = 'a'; DELETE FROM c WHERE code = 'b'; INSERT INTO c VALUES ('d', 'four', 4)")
    await loadsAll(loading, how)
  },
)
