// Every type with its hardest values, from Postgres to Postgres and to DuckDB: what arrives is what was there, and what did not
// change is not written again.

import { expect, test } from 'vitest'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { OLDER_VERSIONS } from '../servers/older-versions.ts'
import { resultOf } from '../servers/run-cli.ts'
import { runUntilSame } from '../servers/run-until-same.ts'
import { columnName, HARD, makeHard } from './hard-values.ts'

const PIPELINE = { hard: { source: { table: 'hard' } } }

function columnsFor(kept: (column: (typeof HARD)[number]) => boolean) {
  const columns = HARD.filter(kept)
  return { columns, names: ['id', ...columns.map((_, index) => columnName(index)), 'twice'] }
}

test('Postgres to Postgres: every value arrives, a touched cursor changes nothing else, a rerun touches no row', async () => {
  const { columns, names } = columnsFor(() => true)
  await using loading = await startLoading({ pipelines: PIPELINE })
  const rows = await makeHard(loading.source, columns)
  const compared = { columns: [...names, 'updated_at'] }
  expect(await runUntilSame(loading, 'hard', compared)).toEqual(same(rows))

  await loading.source.run('UPDATE hard SET updated_at = now()')
  expect(await runUntilSame(loading, 'hard', compared)).toEqual(same(rows))
  const versions = await rowVersions(loading.target, 'hard')
  for (const request of [{}, { sweep: true }, { from: '2000-01-01', to: '2200-01-01' }, { fullRefresh: true }]) {
    expect(await loading.run(request)).toMatchObject({ error: null, rows: { inserted: 0, updated: 0, deleted: 0 } })
    expect(await rowVersions(loading.target, 'hard')).toEqual(versions)
  }
})

test('values that are equal without being the same are changes', async () => {
  const changes: readonly (readonly [type: string, before: string, after: string])[] = [
    ['numeric', '1.1', '1.10'],
    ['double precision', '0', '-0'],
    ['real', '-0', '0'],
    ['interval', '1 mon', '30 days'],
    ['char(5)', 'a', 'b'],
    ['json', '{"a":1}', '{"a": 1}'],
    ['jsonb', '1.0', '1.00'],
    ['timetz', '12:00:00+00', '13:00:00+01'],
    ['numeric[]', '{1.1}', '{1.10}'],
    ['numrange', '[1.1,2]', '[1.10,2]'],
    ['box', '(1,1),(0,0)', '(2,0.5),(0,0)'],
    ['xml', '<a/>', '<a></a>'],
    ['point', '(0,0)', '(-0,0)'],
    ['text', 'e\u0301', '\u00e9'],
    ['text', '', ' '],
  ]
  await using loading = await startLoading({ pipelines: PIPELINE })
  const names = changes.map((_, index) => columnName(index))
  const literal = (value: string): string => `'${value}'`
  await loading.source.run(`CREATE TABLE hard (id int PRIMARY KEY, ${changes.map(([type], index) => `${names[index]} ${type}`).join(', ')},
      updated_at timestamptz NOT NULL DEFAULT '2024-01-01');
    INSERT INTO hard SELECT i, ${changes.map(([type, before]) => `${literal(before)}::${type}`).join(', ')} FROM generate_series(1, ${changes.length + 1}) i`)
  await loading.run()
  for (const [index, [, , after]] of changes.entries())
    await loading.source.run(`UPDATE hard SET ${names[index]} = ${literal(after)} WHERE id = ${index + 1}`)
  expect((await loading.run({ sweep: true })).rows).toMatchObject({ updated: changes.length, inserted: 0 })
  expect(await loading.compare('hard', { columns: ['id', ...names] })).toEqual(same(changes.length + 1))
})

test('Postgres to DuckDB: what is text there is the text that PostgreSQL prints', async () => {
  const { columns, names } = columnsFor(({ text }) => text === true)
  await using loading = await startLoading({ target: 'duckdb', pipelines: PIPELINE })
  const rows = await makeHard(loading.source, columns)
  expect(await runUntilSame(loading, 'hard', { columns: names })).toEqual(same(rows))
  await loading.source.run('UPDATE hard SET updated_at = now()')
  expect(await runUntilSame(loading, 'hard', { columns: names })).toEqual(same(rows))
  expect((await loading.run({ from: '2000-01-01', to: '2200-01-01' })).rows).toMatchObject({ read: rows, inserted: 0, updated: 0 })
})

/** Type, value, and what DuckDB prints of it. */
const CANONICAL: readonly (readonly [type: string, value: string, printed: string])[] = [
  ['boolean', 't', 'true'],
  ['smallint', '-32768', '-32768'],
  ['bigint', '-9223372036854775808', '-9223372036854775808'],
  ['oid', '4294967295', '4294967295'],
  ['numeric(38,0)', `-${'9'.repeat(38)}`, `-${'9'.repeat(38)}`],
  ['numeric(38,38)', `0.${'9'.repeat(38)}`, `.${'9'.repeat(38)}`],
  ['numeric(4,2)', '-0.01', '-0.01'],
  ['numeric(18,3)', '999999999999999.999', '999999999999999.999'],
  ['numeric(3,-2)', '99900', '99900'],
  ['numeric(2,5)', '0.00099', '.00099'],
  ['real', '3.4028235e38', '3.4028235e+38'],
  ['real', '-0', '-0.0'],
  ['double precision', 'NaN', 'nan'],
  ['double precision', '-Infinity', '-inf'],
  ['double precision', '5e-324', '5e-324'],
  ['double precision', '0.30000000000000004', '0.30000000000000004'],
  ['date', '4713-01-01 BC', '4713-01-01 (BC)'],
  ['date', '5874897-12-31', '5874897-12-31'],
  ['date', '-infinity', '-infinity'],
  ['time', '24:00:00', '24:00:00'],
  ['time', '23:59:59.999999', '23:59:59.999999'],
  ['timetz', '12:34:56.654321-04:56:02', '12:34:56.654321-04:56:02'],
  ['timetz', '00:00:00+15:59:59', '00:00:00+15:59:59'],
  ['timestamp', '0001-12-31 23:59:59.999999 BC', '0001-12-31 (BC) 23:59:59.999999'],
  ['timestamp', 'infinity', 'infinity'],
  ['timestamptz', '1883-11-18 12:03:57-04:56:02', '1883-11-18 16:59:59+00'],
  ['timestamptz', '-infinity', '-infinity'],
  ['interval', '1 year 2 mons -3 days 04:05:06.789', '1 year 2 months -3 days 04:05:06.789'],
  ['interval', '720:00:00', '720:00:00'],
  ['uuid', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  ['uuid', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
  ['bytea', '\\x00ff275c', '\\x00\\xFF\\x27\\x5C'],
  ['json', '{"a": 1,  "a":2}', '{"a": 1,  "a":2}'],
  ['jsonb', '{"b":1,"a":9007199254740993.10}', '{"a": 9007199254740993.10, "b": 1}'],
  ['char(6)', 'ab', 'ab'],
]

test('Postgres to DuckDB: typed values keep every digit', async () => {
  await using loading = await startLoading({ target: 'duckdb', pipelines: PIPELINE })
  const names = CANONICAL.map((_, index) => columnName(index))
  await loading.source.run(`CREATE TABLE hard (id int PRIMARY KEY, ${CANONICAL.map(([type], index) => `${names[index]} ${type}`).join(', ')},
    updated_at timestamptz NOT NULL DEFAULT '2024-01-01')`)
  const literals = CANONICAL.map(([, value]) => `'${value}'`)
  await loading.source.run(`INSERT INTO hard VALUES (1, ${literals.join(', ')}); INSERT INTO hard VALUES (2)`)
  expect((await loading.run()).error).toBe(null)
  const printed = await duckdbRows(
    loading.side as string,
    `SELECT ${names.map((name) => `${name}::varchar`).join(', ')} FROM hard ORDER BY id`,
  )
  const found = CANONICAL.map(([type, value], index) => [type, value, printed[0]?.[index]])
  expect(found).toEqual(CANONICAL)
  expect(printed[1]).toEqual(CANONICAL.map(() => null))
})

test('a NaN that DuckDB has no place for is refused, and nothing is loaded', async () => {
  await using loading = await startLoading({ target: 'duckdb', pipelines: PIPELINE })
  await loading.source.run(`CREATE TABLE hard (id int PRIMARY KEY, amount numeric(12,2), updated_at timestamptz NOT NULL DEFAULT '2024-01-01');
    INSERT INTO hard VALUES (1, 5), (2, 'NaN')`)
  const { error } = await loading.run()
  expect(error).toMatchObject({ code: 'value-refused', message: expect.stringContaining('amount') })
  expect(await loading.state()).toBe(null)
})

test.each(['UTC', 'America/New_York', 'Asia/Kolkata'])('no value depends on the time zone of the machine: %s', async (zone) => {
  for (const target of TARGET_KINDS) {
    await using loading = await startLoading({ target, pipelines: PIPELINE })
    await loading.source.run(`ALTER DATABASE "${loading.source.name}" SET timezone = 'Australia/Lord_Howe';
      CREATE TABLE hard (id int PRIMARY KEY, day date, local timestamp, at timestamptz, clock timetz, updated_at timestamptz NOT NULL);
      INSERT INTO hard SELECT i, '2024-03-09'::date + i, timestamp '2024-03-10 00:30' + i * interval '1 hour',
        timestamptz '2024-11-03 04:30+00' + i * interval '1 hour', '23:30:00-04:56:02', timestamptz '2024-11-03 04:30+00' + i * interval '1 hour' FROM generate_series(0, 5) i`)
    for (let n = 0; n < 2; n++) {
      const result = await loading.cli(['run'], { TZ: zone, PGTZ: zone })
      expect(resultOf(result).error).toBe(null)
    }
    const utc = (name: string): string => `to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || '+00'`
    const atSource = target === 'duckdb' ? { at: utc('at'), updated_at: utc('updated_at') } : {}
    expect(await loading.compare('hard', { columns: ['id', 'day', 'local', 'at', 'clock', 'updated_at'], atSource })).toEqual(same(6))
    // The safe bound of the last run, in UTC.
    const age = Date.now() - Date.parse(`${(await loading.state())?.lastWatermark?.replace(' ', 'T')}Z`)
    expect(Math.abs(age)).toBeLessThan(60_000)
  }
})

const WEIRD = [
  'qu"ote',
  'dot.ted',
  'two words',
  ' ',
  'new\nline',
  'x'.repeat(63),
  `${'é'.repeat(31)}y`,
  '__proto__',
  'constructor',
  '🚀',
  'SELECT',
  "a'b",
  'semi;--',
  '*',
  '$1',
  '\\',
]
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

test.each(TARGET_KINDS)('odd names of schemas, tables and columns mean nothing else at %s', async (target) => {
  const schema = 'sch"e.ma\n;🚀'
  const columns = WEIRD.map(quoted)
  const tables = target === 'duckdb' ? WEIRD.filter((name) => name !== ' ') : WEIRD
  const pipelines = tables.map((table, index) => [
    `odd-${index}`,
    {
      source: { table: `${quoted(schema)}.${quoted(table)}` },
      target: { schema: quoted(schema) },
      cursor: WEIRD[index],
      key: [WEIRD[(index + 1) % WEIRD.length]],
    },
  ])
  await using loading = await startLoading({ target, pipelines: Object.fromEntries(pipelines) })
  await loading.source.run(`CREATE SCHEMA ${quoted(schema)}`)
  for (const table of tables)
    await loading.source.run(`CREATE TABLE ${quoted(schema)}.${quoted(table)} (${columns.map((name) => `${name} bigint NOT NULL`).join(', ')});
      INSERT INTO ${quoted(schema)}.${quoted(table)} SELECT ${columns.map(() => 'i').join(', ')} FROM generate_series(1, 5) i`)
  await using project = await loading.open()
  for (const more of [5, 0]) {
    const { pipelines: results } = await project.run()
    expect(results.map(({ error, rows }) => ({ error, inserted: rows.inserted }))).toEqual(
      tables.map(() => ({ error: null, inserted: more })),
    )
  }
  await project.close()
  for (const table of tables) expect(await loading.compare(`${quoted(schema)}.${quoted(table)}`, { columns: WEIRD })).toEqual(same(5))
})

const CHANGED = `UPDATE "public".base SET note = 'changed', updated_at = now() WHERE id % 10 = 0`

test.each([
  [
    'a partitioned table',
    'CREATE TABLE shown (id int, note text, updated_at timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);\n' +
      'CREATE TABLE low PARTITION OF shown FOR VALUES FROM (0) TO (50); CREATE TABLE high PARTITION OF shown FOR VALUES FROM (50) TO (1000);\n' +
      'CREATE VIEW base AS SELECT * FROM shown',
    {},
  ],
  [
    'an inherited table',
    'CREATE TABLE shown (id int, note text, updated_at timestamptz NOT NULL); CREATE TABLE child () INHERITS (shown);\n' +
      'CREATE VIEW base AS SELECT * FROM child',
    { key: ['id'] },
  ],
  [
    'a view',
    'CREATE TABLE base (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL); CREATE VIEW shown AS SELECT * FROM base',
    { key: ['id'] },
  ],
  [
    'a query',
    'CREATE TABLE base (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL); CREATE VIEW shown AS SELECT * FROM base',
    { key: ['id'], source: { query: 'SELECT * FROM base -- and a comment at its end' }, target: { table: 'shown' } },
  ],
] as const)('%s is a source like any other', async (_what, made, more) => {
  await using loading = await startLoading({ pipelines: { shown: { source: { table: 'shown' }, ...more } } })
  await loading.source.run(made)
  await loading.source.run(
    "INSERT INTO base SELECT i, 'first', timestamptz '2024-01-01' + i * interval '1 minute' FROM generate_series(1, 100) i",
  )
  const columns = ['id', 'note', 'updated_at']
  expect((await loading.run()).rows).toMatchObject({ inserted: 100, updated: 0 })
  await loading.source.run(CHANGED)
  expect((await loading.run()).rows).toMatchObject({ inserted: 0, updated: 10 })
  await loading.source.run("INSERT INTO base SELECT i, 'more', now() FROM generate_series(101, 120) i")
  expect((await loading.run()).rows).toMatchObject({ inserted: 20, updated: 0 })
  expect(await loading.compare('shown', { columns })).toEqual(same(120))
})

test('a materialised view is a source: what a refresh brings in arrives', async () => {
  await using loading = await startLoading({ pipelines: { shown: { source: { table: 'shown' }, key: ['id'] } } })
  await loading.source.run(`CREATE TABLE base (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL);
    INSERT INTO base SELECT i, 'first', timestamptz '2024-01-01' + i * interval '1 minute' FROM generate_series(1, 100) i;
    CREATE MATERIALIZED VIEW shown AS SELECT * FROM base`)
  expect((await loading.run()).rows).toMatchObject({ inserted: 100 })
  await loading.source.run(`${CHANGED}; INSERT INTO base VALUES (101, 'new', now())`)
  await loading.run()
  await loading.source.run('REFRESH MATERIALIZED VIEW shown')
  await loading.run({ sweep: true })
  expect(await loading.compare('shown', { columns: ['id', 'note', 'updated_at'] })).toEqual(same(101))
})

test('a partitioned table is a target like any other, also where a row moves to another partition', async () => {
  await using loading = await startLoading({ pipelines: { shown: { source: { table: 'shown' }, key: ['id'] } } })
  await loading.source.run(`CREATE TABLE shown (id int PRIMARY KEY, region text, updated_at timestamptz NOT NULL);
    INSERT INTO shown SELECT i, CASE WHEN i % 2 = 0 THEN 'north' ELSE 'south' END, timestamptz '2024-01-01' + i * interval '1 minute' FROM generate_series(1, 100) i`)
  await loading.target.run(`CREATE TABLE shown (id int, region text, updated_at timestamptz NOT NULL) PARTITION BY LIST (region);
    CREATE TABLE north PARTITION OF shown FOR VALUES IN ('north'); CREATE TABLE south PARTITION OF shown FOR VALUES IN ('south')`)
  expect((await loading.run()).rows).toMatchObject({ inserted: 100, updated: 0, deleted: 0 })
  await loading.source.run(
    "UPDATE shown SET region = 'south', updated_at = now() WHERE id <= 10; INSERT INTO shown SELECT i, 'north', now() FROM generate_series(101, 105) i",
  )
  expect((await loading.run()).rows).toMatchObject({ inserted: 5, updated: 10, deleted: 0 })
  expect(await loading.compare('shown', { columns: ['id', 'region', 'updated_at'] })).toEqual(same(105))
  expect(await loading.target.rows('SELECT (SELECT count(*) FROM north) AS north, (SELECT count(*) FROM south) AS south')).toEqual([
    { north: '50', south: '55' },
  ])
})

test.each(OLDER_VERSIONS)('PostgreSQL %i is source and target', async (version) => {
  await using server = await startPostgres({ version })
  const { columns, names } = columnsFor(({ since = 0 }) => since <= version)
  const compared = { columns: [...names, 'updated_at'] }
  for (const side of [{ sourceServer: server.url() }, { targetServer: server.url() }]) {
    await using loading = await startLoading({ ...side, pipelines: PIPELINE })
    const rows = await makeHard(loading.source, columns)
    expect(await runUntilSame(loading, 'hard', compared)).toEqual(same(rows))
    await loading.source.run('UPDATE hard SET c1 = 77, updated_at = now() WHERE id <= 3; INSERT INTO hard (c1) VALUES (78)')
    expect((await loading.run()).rows).toMatchObject({ inserted: 1, updated: 3 })
    expect(await runUntilSame(loading, 'hard', compared)).toEqual(same(rows + 1))
  }
})
