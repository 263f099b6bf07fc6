// What can be wrong between the rows and the target table: keys that are none, values that don't fit, constraints, other types.

import { expect, test } from 'vitest'
import type { Side } from '../servers/compare-tables.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { TARGET_KINDS } from '../servers/loading.ts'
import {
  atTarget,
  attempt,
  checkError,
  GOODS,
  MORE_GOODS,
  type Refusal,
  ROW_VALUE,
  refused,
  startGoods,
  succeed,
  targetContent,
} from './refusal.ts'

const NO_KEY = `CREATE TABLE goods (id int, note text, updated_at timestamptz NOT NULL DEFAULT now() - interval '1 hour');
  INSERT INTO goods (id, note) SELECT i, '${ROW_VALUE} ' || i FROM generate_series(1, 5) i`
const EACH_KIND = TARGET_KINDS.flatMap((target) =>
  [true, false].map((loaded) => [target, loaded ? 'a later' : 'the first', loaded] as const),
)

test.each(EACH_KIND)('%s: NULL in a declared key, in %s run', async (target, _, loaded) => {
  await using loading = await startGoods({ key: ['id'] }, { target }, NO_KEY)
  if (loaded) await succeed(loading)
  await loading.source.run(`INSERT INTO goods VALUES (NULL, '${ROW_VALUE}', now()), (NULL, '${ROW_VALUE}', now())`)
  await refused(loading, { code: 'null-key', names: [/NULL in (their key \(id\)|key column "id")/, 'tidemark.yml:', 'Choose a key'] })
})

/** Three of each key: the newest wins, and of equally new ones always the same. */
const REPEATED = `INSERT INTO goods SELECT i, n || ' of ' || i, timestamptz '2024-01-01' + CASE WHEN i < 4 THEN n ELSE 0 END * interval '1 hour'
  FROM generate_series(1, 6) i, generate_series(1, 3) n ORDER BY `

test.each(EACH_KIND)(
  '%s: a key that is none, in %s run: the newest row stays, counted, in whatever order they come',
  async (target, _, loaded) => {
    const kept: string[][] = []
    for (const order of ['n, i', 'n DESC, i']) {
      await using loading = await startGoods({ key: ['id'] }, { target }, NO_KEY)
      if (loaded) await succeed(loading)
      await loading.source.run(`TRUNCATE goods; ${REPEATED}${order}`)
      const { rows } = await succeed(loading, loaded ? { from: '2024-01-01' } : {})
      expect(rows).toMatchObject({ read: 18, deduplicated: 12, inserted: loaded ? 1 : 6 })
      kept.push(await notes(loading.side))
    }
    expect(kept[0]).toHaveLength(6)
    expect(kept[0]?.slice(0, 3)).toEqual(['3 of 1', '3 of 2', '3 of 3'])
    expect(kept[1]).toEqual(kept[0])
  },
)

async function notes(side: Side): Promise<string[]> {
  const sql = 'SELECT note FROM goods ORDER BY id'
  const rows = typeof side === 'string' ? await duckdbRows(side, sql) : (await side.rows(sql)).map(({ note }) => [note])
  return rows.map(([note]) => note ?? '')
}

/** Of the target table before the first load; then rows that it refuses. */
const existing: [what: string, columns: string, rows: string, refusal: Refusal][] = [
  [
    'another unique column',
    'id int PRIMARY KEY, note text UNIQUE, updated_at timestamptz',
    `(100, '${ROW_VALUE}', now()), (101, '${ROW_VALUE}', now())`,
    { code: 'duplicate-key', names: [/unique/i, 'key'] },
  ],
  [
    'a check',
    'id int PRIMARY KEY CHECK (id < 100), note text, updated_at timestamptz',
    `(100, '${ROW_VALUE}', now())`,
    { code: 'constraint-violated', names: [/constraint/i, 'target'] },
  ],
  [
    'a NOT NULL',
    'id int PRIMARY KEY, note text NOT NULL, updated_at timestamptz',
    '(100, NULL, now())',
    { code: 'constraint-violated', names: ['note', 'target'] },
  ],
]

test.each(TARGET_KINDS.flatMap((target) => existing.map((one) => [target, ...one] as const)))(
  '%s: rows against %s of the target',
  async (target, _, columns, rows, refusal) => {
    await using loading = await startGoods({}, { target })
    await atTarget(loading, `CREATE TABLE goods (${columns})`)
    await succeed(loading)
    await loading.source.run(`INSERT INTO goods VALUES ${rows}`)
    await refused(loading, refusal)
    await loading.source.run('DELETE FROM goods WHERE id >= 100')
    await succeed(loading)
  },
)

/** Columns of the target table before the first load. */
const conflicts: [what: string, columns: string, pipeline: object, refusal: Refusal][] = [
  [
    'another type',
    'id int, note int, updated_at timestamptz',
    {},
    { code: 'schema-conflict', names: ['"note"', 'goods', /integer/i, /text|varchar/i] },
  ],
  [
    'a time without zone',
    'id int, note text, updated_at timestamp',
    {},
    { code: 'schema-conflict', names: ['"updated_at"', 'goods', /with time zone/i] },
  ],
  [
    'a missing column, frozen',
    'id int, updated_at timestamptz',
    { on_schema_change: 'freeze' },
    { code: 'schema-frozen', names: ['goods', 'no column "note"', 'tidemark.yml:', 'evolve'] },
  ],
  [
    'a narrower column, frozen',
    'id smallint, note text, updated_at timestamptz',
    { on_schema_change: 'freeze' },
    { code: 'schema-frozen', names: ['goods', 'wider column "id"', 'tidemark.yml:'] },
  ],
  [
    'a narrower column, to be ignored',
    'id smallint, note text, updated_at timestamptz',
    { on_schema_change: 'ignore' },
    { code: 'schema-conflict', names: ['"id"', 'goods', /smallint/i] },
  ],
]

test.each(TARGET_KINDS.flatMap((target) => conflicts.map((one) => [target, ...one] as const)))(
  '%s: a target table with %s',
  async (target, _, columns, pipeline, refusal) => {
    await using loading = await startGoods({ ...pipeline }, { target })
    await atTarget(loading, `CREATE TABLE goods (${columns})`)
    await refused(loading, refusal)
    expect(await loading.state()).toBe(null)
  },
)

test.each(TARGET_KINDS)('%s: a frozen table, and the source gets a column', async (target) => {
  await using loading = await startGoods({ on_schema_change: 'freeze' }, { target })
  await succeed(loading)
  await loading.source.run(`ALTER TABLE goods ADD size int; ${MORE_GOODS}`)
  await refused(loading, { code: 'schema-frozen', names: ['goods', 'no column "size"', 'tidemark.yml:'] })
})

test('a varchar that is too short is widened, not cut', async () => {
  await using loading = await startGoods()
  await atTarget(loading, 'CREATE TABLE goods (id int PRIMARY KEY, note varchar(5), updated_at timestamptz)')
  await succeed(loading)
  expect(await loading.compare('goods', { columns: ['id', 'note'] })).toEqual({ lost: [], surplus: [], rows: 5 })
})

test('a varchar that is too short, and frozen, takes nothing', async () => {
  await using loading = await startGoods({ on_schema_change: 'freeze' })
  await atTarget(loading, 'CREATE TABLE goods (id int PRIMARY KEY, note varchar(5), updated_at timestamptz)')
  await refused(loading, { code: 'schema-frozen', names: ['goods', 'wider column "note"'] })
})

test('DuckDB: NaN in a DECIMAL names the column', async () => {
  await using loading = await startGoods({}, { target: 'duckdb' })
  await loading.source.run('ALTER TABLE goods ADD amount numeric(10,2)')
  await succeed(loading)
  await loading.source.run(`INSERT INTO goods VALUES (100, '${ROW_VALUE}', now(), 'NaN')`)
  await refused(loading, { code: 'value-refused', names: ['"amount"', 'row', 'columns: { exclude'] })
})

test('DuckDB: a numeric of any size does not go into a DECIMAL', async () => {
  await using loading = await startGoods({}, { target: 'duckdb' })
  await loading.source.run('ALTER TABLE goods ADD amount numeric')
  await atTarget(loading, 'CREATE TABLE goods (id int, note text, updated_at timestamptz, amount decimal(10,2))')
  await refused(loading, { code: 'schema-conflict', names: ['"amount"', 'goods', 'DECIMAL(10,2)'] })
})

test('Postgres: a character that the target database has not', async () => {
  await using loading = await startGoods()
  const name = `${loading.target.name} latin`
  await using admin = await freshDatabase()
  await admin.run(`CREATE DATABASE "${name}" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
  try {
    const url = new URL(loading.target.url)
    url.pathname = `/${encodeURIComponent(name)}`
    const env = { WAREHOUSE_URL: url.href }
    await succeed(loading, { env })
    await loading.source.run(`INSERT INTO goods VALUES (100, '${ROW_VALUE} €uro', now())`)
    const { result } = await attempt(loading, { env })
    checkError(result.error, { code: 'value-refused', names: ['target warehouse', 'character'], hides: ['€', '0xe2'] })
    await loading.source.run('DELETE FROM goods WHERE id = 100')
    expect((await succeed(loading, { env })).rows).toMatchObject({ inserted: 0, updated: 0 })
  } finally {
    await admin.run(`DROP DATABASE "${name}" WITH (FORCE)`)
  }
})

test('two pipelines with one target table', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  const before = await targetContent(loading)
  loading.pipelines({ goods: GOODS, wares: { source: { table: 'wares' }, target: { table: 'public.goods' } } })
  const error = await loading.open().catch((thrown: unknown) => thrown)
  checkError(error as never, { code: 'shared-target', names: ['goods', 'wares', 'tidemark.yml:'] })
  expect(await targetContent(loading)).toEqual(before)
})

test.each(TARGET_KINDS)('%s: what is compared before and after a refusal holds rows, position and history', async (target) => {
  await using loading = await startGoods({}, { target })
  expect(await targetContent(loading)).toEqual({})
  await succeed(loading)
  const content = Object.entries(await targetContent(loading)).map(([table, rows]) => [/goods|pipeline_\w+/.exec(table)?.[0], rows.length])
  expect(content.sort()).toEqual([
    ['goods', 5],
    ['pipeline_history', 1],
    ['pipeline_watermarks', 1],
  ])
  expect(JSON.stringify(await targetContent(loading))).toContain(ROW_VALUE)
})
