// Columns that come, go, grow and shrink at the source between two runs, and what each policy makes of it.

import { expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { duckdbRows, duckdbRun } from '../servers/duckdb-file.ts'
import { type Loading, startLoading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'

const AT = "timestamptz '2024-01-01'"

/** Ten rows loaded; then the source changes by `change`. */
async function loaded(change: string, { column = 'value int', value = 'i', ...more }: Setting = {}): Promise<Loading> {
  const { target = 'postgres', pipeline = {} } = more
  const loading = await startLoading({ target, pipelines: { things: { source: { table: 'things' }, ...pipeline } } })
  await loading.source.run(`CREATE TABLE things (id int PRIMARY KEY, ${column}, updated_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO things SELECT i, ${value}, ${AT} FROM generate_series(1, 10) i`)
  expect((await loading.run()).error).toBe(null)
  await loading.source.run(change)
  return loading
}

interface Setting {
  readonly column?: string
  readonly value?: string
  readonly target?: TargetKind
  readonly pipeline?: Readonly<Record<string, unknown>>
}

/** Names and types of the target's columns. */
async function shape(loading: Loading): Promise<Record<string, string | null>> {
  const sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'things'"
  if (typeof loading.side === 'string') {
    return Object.fromEntries((await duckdbRows(loading.side, sql)).map(([name, type]) => [name, type]))
  }
  const rows = await loading.target.rows(`SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
    WHERE attrelid = 'things'::regclass AND attnum > 0 AND NOT attisdropped`)
  return Object.fromEntries(rows.map(({ attname, type }) => [attname, type]))
}

const addsOne = 'INSERT INTO things (id, value) VALUES (11, 11)'

test.each(TARGET_KINDS)('a new column: a constant default is filled into old rows at %s, without one they have NULL', async (target) => {
  await using loading = await loaded(
    `ALTER TABLE things ADD COLUMN state text DEFAULT 'it''s "new", {odd}\\', ADD COLUMN amount numeric(9,2) DEFAULT 1.50,
      ADD COLUMN since timestamptz DEFAULT '2020-02-29 12:00+00', ADD COLUMN raw bytea DEFAULT '\\x00ff', ADD COLUMN empty text;
     INSERT INTO things (id, value, empty) VALUES (11, 11, 'filled')`,
    { target },
  )
  expect((await loading.run()).rows).toMatchObject({ inserted: 1, updated: 0 })
  expect(await loading.compare('things', { columns: ['id', 'value', 'state', 'amount', 'empty'] })).toEqual(same(11))
  if (target === 'postgres') expect(await loading.compare('things', { columns: ['id', 'since', 'raw'] })).toEqual(same(11))
  else
    expect(await duckdbRows(loading.side as string, 'SELECT DISTINCT since::varchar, hex(raw) FROM things')).toEqual([
      ['2020-02-29 12:00:00+00', '00FF'],
    ])
})

test('a default that is no constant was written into every row, which a sweep finds', async () => {
  await using loading = await loaded('ALTER TABLE things ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()')
  await loading.run({ sweep: true })
  expect(await loading.compare('things', { columns: ['id', 'value', 'token'] })).toEqual(same(10))
})

test.each(TARGET_KINDS)('a column that goes stays at %s, and later rows have NULL there', async (target) => {
  await using loading = await loaded('ALTER TABLE things DROP COLUMN value; INSERT INTO things (id) VALUES (11)', { target })
  expect((await loading.run()).rows).toMatchObject({ inserted: 1, updated: 0 })
  const sql = 'SELECT CAST(sum(value) AS text) AS sum, CAST(count(*) AS text) AS rows FROM things'
  const found =
    typeof loading.side === 'string' ? (await duckdbRows(loading.side, sql))[0] : Object.values((await loading.target.rows(sql))[0] ?? {})
  expect(found).toEqual(['55', '11'])
})

test('a renamed column is a new one beside the old', async () => {
  await using loading = await loaded('ALTER TABLE things RENAME COLUMN value TO worth; UPDATE things SET updated_at = now() WHERE id > 5')
  expect((await loading.run()).rows).toMatchObject({ updated: 5 })
  expect(await shape(loading)).toMatchObject({ value: 'integer', worth: 'integer' })
  const [row] = await loading.target.rows('SELECT count(value) AS old, count(worth) AS new FROM things')
  expect(row).toEqual({ old: '10', new: '5' })
})

const WIDENED: readonly (readonly [was: string, value: string, becomes: string, larger: string, duckdb: string])[] = [
  ['smallint', 'i', 'integer', '2147483647', 'INTEGER'],
  ['int', 'i', 'bigint', '9223372036854775807', 'BIGINT'],
  ['int', 'i', 'numeric(12,2)', '9999999999.99', 'DECIMAL(12,2)'],
  ['real', 'i + 0.5', 'double precision', '0.1', 'DOUBLE'],
  ['character varying(5)', "'x'", 'character varying(10)', "'0123456789'", 'VARCHAR'],
  ['character varying(5)', "'x'", 'text', "repeat('long', 100)", 'VARCHAR'],
  ['numeric(5,2)', '1.25', 'numeric(8,2)', '999999.99', 'DECIMAL(8,2)'],
  ['numeric(5,2)', '1.25', 'numeric(7,4)', '999.9999', 'DECIMAL(7,4)'],
]

test.each(WIDENED)('%s (%s) grows to %s', async (was, value, becomes, larger, duckdb) => {
  for (const target of TARGET_KINDS) {
    const change = `ALTER TABLE things ALTER COLUMN value TYPE ${becomes}; INSERT INTO things (id, value) VALUES (11, ${larger})`
    await using loading = await loaded(change, { column: `value ${was}`, value, target })
    expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 1 } })
    expect(await shape(loading)).toMatchObject({ value: target === 'duckdb' ? duckdb : becomes })
    expect(await loading.compare('things', { columns: ['id', 'value'] })).toEqual(same(11))
  }
})

const REFUSED: readonly (readonly [was: string, value: string, becomes: string])[] = [
  ['bigint', 'i', 'text'],
  ['timestamptz', 'now()', 'text'],
  ['bigint', 'i', 'double precision'],
  ['double precision', 'i', 'bigint'],
  ['boolean', 'true', 'int USING value::int'],
  ['date', 'current_date', 'timestamp'],
]

test.each(REFUSED)('%s (%s) that becomes %s is refused, and nothing changes', async (was, value, becomes) => {
  await using loading = await loaded(`ALTER TABLE things ALTER COLUMN value TYPE ${becomes}; UPDATE things SET updated_at = now()`, {
    column: `value ${was}`,
    value,
  })
  const [before, versions, state] = [await shape(loading), await rowVersions(loading.target, 'things'), await loading.state()]
  expect((await loading.run()).error).toMatchObject({ code: 'schema-conflict', message: expect.stringMatching(/"value".*things/) })
  expect(await shape(loading)).toEqual(before)
  expect(await rowVersions(loading.target, 'things')).toEqual(versions)
  expect(await loading.state()).toEqual(state)
})

test.each(TARGET_KINDS)('a column that shrinks at the source fits into what %s has, without any change', async (target) => {
  for (const [was, becomes] of [
    ['bigint', 'int'],
    ['numeric(8,2)', 'numeric(5,2)'],
    ['varchar(10)', 'varchar(5)'],
    ['text', 'varchar(5)'],
  ]) {
    await using loading = await loaded(`ALTER TABLE things ALTER COLUMN value TYPE ${becomes}; ${addsOne}`, {
      column: `value ${was}`,
      target,
    })
    const before = await shape(loading)
    expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 1 } })
    expect(await shape(loading)).toEqual(before)
    expect(await loading.compare('things', { columns: ['id', 'value'] })).toEqual(same(11))
  }
})

test.each(TARGET_KINDS)("a user's own wider table at %s is filled as it is", async (target) => {
  await using loading = await startLoading({ target, pipelines: { things: { source: { table: 'things' } } } })
  await loading.source.run(`CREATE TABLE things (id int PRIMARY KEY, value numeric(5,2), note varchar(5), updated_at timestamptz NOT NULL);
    INSERT INTO things SELECT i, i, 'n' || i, ${AT} FROM generate_series(1, 10) i`)
  const own = 'CREATE TABLE things (note text, own_column text, id bigint NOT NULL, value numeric(12,2), updated_at timestamptz)'
  if (target === 'duckdb') await duckdbRun(loading.side as string, own)
  else await loading.target.run(own)
  const before = await shape(loading)
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 10 } })
  await loading.source.run("UPDATE things SET note = 'new', updated_at = now() WHERE id < 4")
  expect((await loading.run()).rows).toMatchObject({ updated: 3, inserted: 0 })
  expect(await loading.compare('things', { columns: ['id', 'value', 'note'] })).toEqual(same(10))
  expect(await shape(loading)).toEqual(before)
})

test('freeze refuses what would change the target; ignore leaves new columns out', async () => {
  const added = `ALTER TABLE things ADD COLUMN extra text DEFAULT 'x'; ${addsOne}`
  await using frozen = await loaded(added, { pipeline: { on_schema_change: 'freeze' } })
  expect((await frozen.run()).error).toMatchObject({ code: 'schema-frozen', message: expect.stringContaining('extra') })
  expect(await shape(frozen)).not.toHaveProperty('extra')
  await frozen.source.run('ALTER TABLE things DROP COLUMN extra')
  expect((await frozen.run()).rows).toMatchObject({ inserted: 1 })
  await frozen.source.run('ALTER TABLE things ALTER COLUMN value TYPE bigint; UPDATE things SET updated_at = now()')
  expect((await frozen.run()).error).toMatchObject({ code: 'schema-frozen', message: expect.stringContaining('value') })

  await using ignoring = await loaded(added, { pipeline: { on_schema_change: 'ignore' } })
  expect((await ignoring.run()).rows).toMatchObject({ inserted: 1 })
  expect(await shape(ignoring)).not.toHaveProperty('extra')
  expect(await ignoring.compare('things', { columns: ['id', 'value'] })).toEqual(same(11))
  await ignoring.source.run('ALTER TABLE things ALTER COLUMN value TYPE bigint; UPDATE things SET updated_at = now()')
  expect((await ignoring.run()).error).toMatchObject({ code: 'schema-conflict' })
})
