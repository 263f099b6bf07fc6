// Foreign keys that somebody has made at the target: changes come in an order that holds for them, and where none does, the constraint
// is named and nothing is changed.

import { expect, test } from 'vitest'
import { duckdbRun } from '../servers/duckdb-file.ts'
import { resultOf } from '../servers/run-cli.ts'
import { areSame, loadsAll, startTables, useOwnServer } from './following.ts'

useOwnServer()

const MAKE = `
  CREATE TABLE lines (id int PRIMARY KEY, item int NOT NULL, n int);
  CREATE TABLE items (id int PRIMARY KEY, owner int NOT NULL, code text UNIQUE);
  CREATE TABLE owners (id int PRIMARY KEY, boss int, name text);
  INSERT INTO owners VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 2, 'c');
  INSERT INTO items SELECT i, 1 + i % 3, 'code ' || i FROM generate_series(1, 20) AS i;
  INSERT INTO lines SELECT i, 1 + i % 20, i FROM generate_series(1, 60) AS i;`

const TABLES = ['public.lines', 'public.items', 'public.owners']
const ALL = { lines: ['id', 'item', 'n'], items: ['id', 'owner', 'code'], owners: ['id', 'boss', 'name'] }

const KEYS = (how = ''): string => `
  CREATE UNIQUE INDEX ON items (code);
  ALTER TABLE lines ADD CONSTRAINT lines_item FOREIGN KEY (item) REFERENCES items ${how};
  ALTER TABLE items ADD CONSTRAINT items_owner FOREIGN KEY (owner) REFERENCES owners ${how};
  ALTER TABLE owners ADD CONSTRAINT owners_boss FOREIGN KEY (boss) REFERENCES owners ${how};`

test('new rows after what they refer to, gone ones before it, and those that refer to another', async () => {
  await using loading = await startTables(MAKE, TABLES)
  await loadsAll(loading, ALL)
  await loading.target.run(KEYS())
  const { source } = loading
  await source.run(`INSERT INTO owners VALUES (11, 12, 'x'), (12, 1, 'y'); INSERT INTO items VALUES (100, 12, 'new'); INSERT INTO lines VALUES (500, 100, 1);
    DELETE FROM lines WHERE item = 7; DELETE FROM items WHERE id = 7`)
  await loadsAll(loading, ALL)
  // Rows move to another parent, whose former one goes; a parent gets another key.
  await source.run(`UPDATE lines SET item = 9 WHERE item = 8; DELETE FROM items WHERE id = 8;
    UPDATE owners SET id = 30 WHERE id = 3; UPDATE items SET owner = 30 WHERE owner = 3; UPDATE owners SET boss = 30 WHERE id = 11`)
  await loadsAll(loading, ALL)
  // A unique value is taken over from a row that goes.
  await source.run("DELETE FROM lines WHERE item = 100; DELETE FROM items WHERE id = 100; INSERT INTO items VALUES (101, 1, 'new')")
  await loadsAll(loading, ALL)
  await source.run("TRUNCATE lines, items, owners; INSERT INTO owners VALUES (1, NULL, 'again'); INSERT INTO items VALUES (5, 1, 'again')")
  await loadsAll(loading, ALL)
})

test('soft deletes, and every change as a row of its own, are in nobody’s way', async () => {
  await using loading = await startTables(MAKE, TABLES, {}, { write: 'soft-delete' })
  expect((await loading.run()).error).toBeNull()
  await loading.target.run(KEYS())
  await loading.source.run('DELETE FROM owners; DELETE FROM items')
  expect((await loading.run()).error).toBeNull()
  expect(await loading.target.rows('SELECT count(*) AS n FROM items WHERE _tidemark_deleted_at IS NOT NULL')).toEqual([{ n: '20' }])
})

const CIRCLE = 'ALTER TABLE owners ADD CONSTRAINT owners_line FOREIGN KEY (boss) REFERENCES lines'

test('a circle: held where its constraints can wait; otherwise constraint-violated, with the constraint and what to do', async () => {
  await using loading = await startTables(MAKE, TABLES)
  await loadsAll(loading, ALL)
  await loading.target.run(`${KEYS().replace(/ALTER TABLE owners.*/, '')} ${CIRCLE}`)
  await loading.source.run(
    "INSERT INTO owners VALUES (40, 600, 'z'); INSERT INTO items VALUES (140, 40, 'z'); INSERT INTO lines VALUES (600, 140, 1)",
  )
  const before = await loading.state()
  const result = await loading.cli(['run'])
  expect({ exit: result.exit, code: resultOf(result).error?.code }).toEqual({ exit: 1, code: 'constraint-violated' })
  expect(result.text).toMatch(
    /ALTER TABLE "public"\."(lines|items|owners)" ALTER CONSTRAINT "(lines_item|items_owner|owners_line)" DEFERRABLE/,
  )
  expect((await loading.state())?.position).toEqual(before?.position)
  await loading.target.run('ALTER TABLE owners ALTER CONSTRAINT owners_line DEFERRABLE')
  await loadsAll(loading, ALL)
})

test('rows that exchange unique values do not take with them what refers to them', async () => {
  await using loading = await startTables(MAKE, TABLES)
  await loadsAll(loading, ALL)
  await loading.target.run(KEYS('ON DELETE CASCADE'))
  await loading.source.run(
    "UPDATE items SET code = 'x' WHERE id = 1; UPDATE items SET code = 'code 1' WHERE id = 2; UPDATE items SET code = 'code 2' WHERE id = 1",
  )
  const { error } = await loading.run()
  expect(error?.code).toBe('constraint-violated')
  expect(error?.message).toContain('lines_item')
  await areSame(loading, { lines: ALL.lines })
  await loading.target.run(
    `ALTER TABLE lines DROP CONSTRAINT lines_item, ADD CONSTRAINT lines_item FOREIGN KEY (item) REFERENCES items DEFERRABLE`,
  )
  await loadsAll(loading, ALL)
})

test('copied again, referred to or not: rows that are the same stay', async () => {
  await using loading = await startTables(MAKE, TABLES)
  await loadsAll(loading, ALL)
  await loading.target.run(KEYS())
  await loading.source.run("UPDATE items SET code = 'other' WHERE id = 3; DELETE FROM lines WHERE id = 4")
  await loadsAll(loading, ALL, { fullRefresh: true })
  await loading.source.run("UPDATE items SET code = 'third' WHERE id = 3; DELETE FROM lines WHERE id = 5")
  await loadsAll(loading, ALL, { resync: ['public.items'] })
})

test('constraint-violated: a table that the pipeline does not write refers to a row that goes', async () => {
  await using loading = await startTables(MAKE, TABLES)
  await loadsAll(loading, ALL)
  await loading.target.run('CREATE TABLE notes (owner int CONSTRAINT notes_owner REFERENCES owners); INSERT INTO notes VALUES (3)')
  await loading.source.run('DELETE FROM owners WHERE id = 3')
  const { error } = await loading.run()
  expect(error?.code).toBe('constraint-violated')
  expect(error?.message).toContain('notes_owner')
})

test('constraint-violated: into DuckDB, whose foreign keys can not wait', async () => {
  await using loading = await startTables(MAKE, ['public.owners', 'public.items', 'public.lines'], { target: 'duckdb' })
  await duckdbRun(
    loading.side as string,
    `CREATE TABLE owners (id int PRIMARY KEY, boss int, name text);
     CREATE TABLE items (id int, owner int REFERENCES owners (id), code text)`,
  )
  await loadsAll(loading, ALL)
  await loading.source.run("INSERT INTO items VALUES (30, 2, 'd'); DELETE FROM items WHERE id = 3")
  await loadsAll(loading, ALL)
  await loading.source.run("UPDATE owners SET name = 'other' WHERE id = 1")
  const { error } = await loading.run()
  expect(error).toMatchObject({ code: 'constraint-violated', message: expect.stringContaining('foreign key') })
  expect(error?.hint).toContain('Drop the foreign key')
})
