// The log of a Postgres into Snowflake (emulated): every kind of change, faults at every statement, and rivals.

import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { useOwnServer } from '../changes/following.ts'
import { startSnowflake } from './emulated.ts'
import { type SnowflakeFollowing, startSnowflakeFollowing } from './following.ts'

const postgres = useOwnServer()
const server = await startSnowflake()
afterAll(() => server.stop())
afterEach(() => server.faults.clear())

const QUICK = { retrySeconds: 0.05 }
const COLUMNS = ['id', 'v', 's', 'z']

/** Values of `s` and `z` stand outside of the row: an update that leaves them alone does not log them. */
const MAKE = `
  CREATE TABLE a (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  ALTER TABLE a ALTER s SET STORAGE EXTERNAL, ALTER z SET STORAGE EXTERNAL;
  CREATE TABLE b (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  INSERT INTO a SELECT i, i, repeat('s' || i, 1500), repeat('z', 4000 + i) FROM generate_series(1, 30) AS i;
  INSERT INTO b SELECT i, -i, 'short', NULL FROM generate_series(1, 30) AS i;`

function start(more: object = {}, make = MAKE, tables = ['public.a', 'public.b']): Promise<SnowflakeFollowing> {
  return startSnowflakeFollowing(server, postgres().url(), make, tables, more)
}

async function bothAreSame(all: SnowflakeFollowing): Promise<void> {
  await all.areSame('a', COLUMNS)
  await all.areSame('b', COLUMNS)
}

/** Of every kind, over both tables. */
const CHANGES = `
  BEGIN;
  INSERT INTO a VALUES (100, 1, 'new "quoted", with a comma', NULL), (101, 2, '', E'two\\nlines');
  UPDATE a SET v = v + 1000 WHERE id <= 5;
  UPDATE a SET s = 'short' WHERE id = 6;
  UPDATE b SET z = 'came' WHERE id = 7;
  DELETE FROM a WHERE id = 8;
  UPDATE a SET id = 208, v = 9 WHERE id = 9;
  INSERT INTO a VALUES (8, 8, 'back', 'again');
  DELETE FROM b WHERE id < 3;
  COMMIT;
  BEGIN; UPDATE a SET id = -1 WHERE id = 10; UPDATE a SET id = 10 WHERE id = 11; UPDATE a SET id = 11 WHERE id = -1; COMMIT;`

describe.each(['merge', 'soft-delete'] as const)('by %s', (write) => {
  test('rows that come, change, move, swap their keys and go, of several tables', async () => {
    await using all = await start({ write })
    const { loading } = all
    expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 60 } })
    await bothAreSame(all)
    await loading.source.run(CHANGES)
    expect((await loading.run()).error).toBeNull()
    await bothAreSame(all)
    expect((await loading.run()).status).toBe('up-to-date')

    await loading.source.run(`TRUNCATE b; INSERT INTO b VALUES (1, 1, 'after', 'it')`)
    expect((await loading.run()).error).toBeNull()
    await bothAreSame(all)
    const [dead] = write === 'merge' ? [['0']] : await all.schema.query('SELECT count(*) FROM $.b WHERE _tidemark_deleted_at IS NOT NULL')
    expect(dead).toEqual([write === 'merge' ? '0' : '29'])
  })
})

test('by append every change is a row', async () => {
  await using all = await start({ write: 'append' })
  const { loading, schema } = all
  expect((await loading.run()).error).toBeNull()
  await loading.source.run(
    `BEGIN; INSERT INTO b VALUES (50, 1, '', NULL); UPDATE a SET v = 7 WHERE id = 1; DELETE FROM b WHERE id = 2; COMMIT`,
  )
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 3 } })
  const rows = await schema.query(
    `SELECT _tidemark_op, id, v, s, _tidemark_unchanged, _tidemark_ordinal, _tidemark_committed_at IS NULL FROM $.b WHERE _tidemark_op <> 'read'
     UNION ALL SELECT _tidemark_op, id, v, s, _tidemark_unchanged, _tidemark_ordinal, _tidemark_committed_at IS NULL FROM $.a WHERE _tidemark_op <> 'read'`,
  )
  expect(rows.map((row) => row.join('|')).sort()).toEqual(['delete|2||||2|0', 'insert|50|1|||0|0', 'update|1|7||s, z|1|0'])
  const [texts] = await schema.query(`SELECT s IS NULL, z IS NULL FROM $.b WHERE id = 50`)
  expect(texts).toEqual(['0', '1'])
})

test('values of every type, of which each is the one that the first copy brought', async () => {
  const make = `CREATE TABLE kinds (id int PRIMARY KEY, flag boolean, n numeric(30, 8), any_n numeric, f float8, f4 real, d date, t time, ts timestamp, tz timestamptz, bin bytea,
      u uuid, j jsonb, list int[])`
  const values = `'t', 1234567890123456789012.12345678, 1.500, 'NaN', 0.1, '9999-12-31', '23:59:59.999999', '2024-02-29 12:00:00.000001', '2024-03-10 05:00:00.5+02', '\\x00ff22', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": "\\"x\\""}', '{1,2}'`
  await using all = await start({}, make, ['public.kinds'])
  const { loading, schema } = all
  const infinite = values.replace("'NaN'", "'-Infinity'")
  await loading.source.run(
    `INSERT INTO kinds VALUES (1, ${values}); INSERT INTO kinds VALUES (2, ${infinite.replace('0.1,', "'Infinity',")}); INSERT INTO kinds (id) VALUES (3)`,
  )
  expect((await loading.run()).error).toBeNull()
  await loading.source.run(`INSERT INTO kinds SELECT id + 10, flag, n, any_n, f, f4, d, t, ts, tz, bin, u, j, list FROM kinds`)
  expect((await loading.run()).error).toBeNull()
  const rest = 'flag, n, any_n, f, f4, d, t, ts, tz, bin, u, j, list'
  const copied = await schema.query(`SELECT ${rest} FROM $.kinds WHERE id < 10 ORDER BY id`)
  expect(copied).toHaveLength(3)
  expect(copied[0]?.every((value) => value !== null)).toBe(true)
  expect(await schema.query(`SELECT ${rest} FROM $.kinds WHERE id > 10 ORDER BY id`)).toEqual(copied)
})

test('a transaction of many chunks is one of Snowflake, in which nothing is defined', async () => {
  await using all = await start()
  const { loading } = all
  await loading.run()
  await loading.source.run(
    `BEGIN; INSERT INTO a SELECT i, i, repeat('x', 900), NULL FROM generate_series(1000, 20000) AS i; UPDATE a SET v = -v WHERE id % 7 = 0;
     DELETE FROM a WHERE id % 5 = 0; UPDATE b SET v = 0; COMMIT`,
  )
  const before = server.statements.length
  expect((await loading.run()).error).toBeNull()
  await bothAreSame(all)
  const seen = server.statements.slice(before).map(({ sql }) => sql)
  const began = seen.indexOf('BEGIN')
  const inside = seen.slice(began + 1, seen.indexOf('COMMIT', began))
  expect(inside.filter((sql) => /^(CREATE|ALTER|DROP|TRUNCATE|BEGIN)/.test(sql))).toEqual([])
  expect(inside.filter((sql) => /^COPY/.test(sql)).length).toBeGreaterThan(1)
  expect(inside.filter((sql) => /UPDATE .*PIPELINE_FENCE/.test(sql))).toHaveLength(1)
  expect(await all.schema.query("LIST '@~/tidemark/'")).toEqual([])
  const tables = await all.schema.query('SHOW TABLES IN SCHEMA $')
  expect(tables.map((row) => row[1]).filter((name) => name?.startsWith('TIDEMARK'))).toEqual([])
})

test('columns that come are there before the rows', async () => {
  await using all = await start()
  const { loading } = all
  await loading.run()
  await loading.source.run(`ALTER TABLE b ADD COLUMN kind text DEFAULT 'old'; UPDATE b SET kind = 'new' WHERE id = 4`)
  expect((await loading.run()).error).toBeNull()
  await all.areSame('b', [...COLUMNS, 'kind'])
})

test('a row that the target lacks stops the pipeline, and nothing of the commit is there', async () => {
  await using all = await start()
  const { loading, schema } = all
  await loading.run()
  await schema.query('DELETE FROM $.a WHERE id = 3')
  await loading.source.run('BEGIN; UPDATE b SET v = 77; UPDATE a SET v = 77 WHERE id = 3; COMMIT')
  expect((await loading.run({}, { retries: 0 })).error?.code).toBe('row-missing')
  expect(await schema.query('SELECT count(*) FROM $.b WHERE v = 77')).toEqual([['0']])
  expect((await loading.run({ resync: ['public.a'] })).error).toBeNull()
  await bothAreSame(all)
})

test('on_bad_row: quarantine is refused before anything is made', async () => {
  await using all = await start({ on_bad_row: 'quarantine' })
  const { error } = await all.loading.run({}, { retries: 0 })
  expect(error).toMatchObject({ code: 'strategy-unsupported', hint: expect.stringContaining('on_bad_row') })
  expect(await all.schema.query('SHOW TABLES IN SCHEMA $')).toEqual([])
})

const STATEMENTS: readonly (readonly [string, RegExp])[] = [
  ['a temporary table', /^CREATE TEMPORARY/],
  ['the upload', /^PUT /],
  ['the copy', /^COPY INTO/],
  ['the begin', /^BEGIN/],
  ['the completion', /^UPDATE .* AS p SET/],
  ['the deletes', /^DELETE FROM .* USING/],
  ['the merge', /^MERGE/],
  ['the lock', /^UPDATE .*"PIPELINE_FENCE"/],
  ['the state', /^UPDATE .*"PIPELINE_WATERMARKS" SET position/],
  ['the commit', /^COMMIT/],
]

describe.each(['lost-reply', 'lost-session'] as const)('%s', (kind) => {
  test.each(STATEMENTS)('at %s', async (_, sql) => {
    await using all = await start()
    await all.loading.run()
    await all.loading.source.run(CHANGES)
    server.faults.add({ kind, sql })
    expect((await all.loading.run({}, QUICK)).error).toBeNull()
    expect(server.faults.fired[kind]).toBeGreaterThan(0)
    await bothAreSame(all)
  })
})

describe.each([
  ['lost-reply', /^COMMIT/],
  ['aborted-transaction', /^INSERT/],
  ['aborted-transaction', /^UPDATE .*"PIPELINE_FENCE"/],
  ['aborted-transaction', /^COMMIT/],
] as const)('%s at %s', (kind, sql) => {
  test('appends every change once', async () => {
    await using all = await start({ write: 'append' })
    await all.loading.run()
    await all.loading.source.run('UPDATE b SET v = 5')
    server.faults.add({ kind, sql })
    expect((await all.loading.run({}, QUICK)).error).toBeNull()
    expect(server.faults.fired[kind]).toBeGreaterThan(0)
    expect(await all.schema.query(`SELECT count(*), count(DISTINCT id) FROM $.b WHERE _tidemark_op = 'update'`)).toEqual([['30', '30']])
  })

  test('merges every change', async () => {
    await using all = await start()
    await all.loading.run()
    await all.loading.source.run(CHANGES)
    server.faults.add({ kind, sql: /INSERT/.test(sql.source) ? /^MERGE/ : sql })
    expect((await all.loading.run({}, QUICK)).error).toBeNull()
    await bothAreSame(all)
  })
})
