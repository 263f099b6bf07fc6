// Partitions of every kind that PostgreSQL itself has, replaced by truncate or by swap: afterwards they are what the source is, or,
// where anything is in the way, exactly what they were; and no table is left over.

import { describe, type ExpectStatic, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import type { Loading } from '../servers/loading.ts'
import { ledger, startPartitions, succeed } from './partition-loading.ts'

const WAYS = ['truncate', 'swap'] as const
const COLUMNS = ['id', 'day', 'at', 'region', 'amount'] as const
const DAYS = 30
const ROWS = DAYS * 40

const TABLE = 'id bigint NOT NULL, day date NOT NULL, at timestamptz NOT NULL, region text, amount numeric(12,2)'

interface Kind {
  readonly partition: Readonly<Record<string, unknown>>
  readonly by: string
  readonly key: string
  /** A condition for one partition, its key, and the name of its table. */
  readonly one: string
  readonly named: string
  readonly table: string
}

const DATE: Kind = {
  partition: { by: 'day', unit: 'day' },
  by: 'RANGE (day)',
  key: 'id, day',
  one: "day = '2024-03-10'",
  named: '2024-03-10',
  table: 'facts_2024_03_10',
}
const TEXT: Kind = { partition: { by: 'region' }, by: 'LIST (region)', key: '', one: "region = 'EU'", named: 'EU', table: 'facts_EU' }

const KINDS: readonly (readonly [string, Kind])[] = [
  ['date', DATE],
  [
    'timestamptz',
    {
      partition: { by: 'at', unit: 'day', time_zone: 'America/New_York' },
      by: 'RANGE (at)',
      key: 'id, at',
      one: "at >= '2024-03-10 00:00 America/New_York' AND at < '2024-03-11 00:00 America/New_York'",
      named: '2024-03-10',
      table: 'facts_2024_03_10',
    },
  ],
  [
    'bigint',
    {
      partition: { by: 'id', size: 100 },
      by: 'RANGE (id)',
      key: 'id',
      one: 'id BETWEEN 500 AND 599',
      named: '500..599',
      table: 'facts_500_599',
    },
  ],
  ['text', TEXT],
]

/** Forty rows a day, the first of them at midnight in New York; regions are EU, US, an odd one and NULL. */
async function makeFacts(source: FreshDatabase): Promise<void> {
  await source.run(`CREATE TABLE facts (${TABLE}, PRIMARY KEY (id));
    INSERT INTO facts SELECT i, date '2024-03-01' + (i / 40), timestamptz '2024-03-01 00:00 America/New_York' + i * interval '36 minutes',
      (ARRAY['EU', 'US', 'o''dd key', NULL])[1 + i % 4], i FROM generate_series(0, ${ROWS - 1}) AS i`)
}

async function makeTarget(target: FreshDatabase, { by, key }: Kind, more = ''): Promise<void> {
  await target.run(`CREATE TABLE facts (${TABLE}${key === '' ? '' : `, PRIMARY KEY (${key})`}) PARTITION BY ${by};
    CREATE INDEX ON facts (amount); ${more}`)
}

async function startFacts(pipeline: Readonly<Record<string, unknown>>): Promise<Loading> {
  const facts = { pattern: 'partition', source: { table: 'facts' }, workers: 4, ...pipeline }
  const loading = await startPartitions({}, { pipelines: { facts } })
  await makeFacts(loading.source)
  return loading
}

const compare = (loading: Loading) => loading.compare('facts', { columns: COLUMNS })

/** Every table and index of the target but the ledger's, with the bounds of each partition. */
async function relations(target: FreshDatabase): Promise<readonly string[]> {
  const rows = await target.rows(
    `SELECT c.relname || COALESCE(' ' || pg_get_expr(c.relpartbound, c.oid), '') AS line FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'i', 'I') AND NOT starts_with(c.relname, 'pipeline_')
     ORDER BY c.relname COLLATE "C"`,
  )
  return rows.map(({ line }) => line ?? '')
}

async function childrenOf(target: FreshDatabase): Promise<readonly string[]> {
  const rows = await target.rows(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'facts'::regclass ORDER BY 1`,
  )
  return rows.map(({ name }) => name ?? '')
}

/** Those that belong to an index of the whole table. */
async function indexesOf(target: FreshDatabase, table: string): Promise<readonly string[]> {
  const rows = await target.rows(
    `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_inherits p ON p.inhrelid = c.oid
     WHERE i.indrelid = $1::regclass ORDER BY 1`,
    [`"${table}"`],
  )
  return rows.map(({ name }) => name ?? '')
}

/** Every row as it lies in its table. */
async function footprint(target: FreshDatabase): Promise<readonly unknown[]> {
  return target.rows('SELECT tableoid::regclass AS part, ctid, xmin, facts.* FROM facts ORDER BY 1, 2')
}

async function staysAsItIs(check: ExpectStatic, loading: Loading, partition: string, code: string): Promise<void> {
  const [before, tables] = [await footprint(loading.target), await relations(loading.target)]
  const { error } = await loading.run({ partitions: [partition] })
  check(error).toMatchObject({ code: 'partitions-failed', message: expect.stringContaining(code) })
  check(await footprint(loading.target)).toEqual(before)
  check(await relations(loading.target)).toEqual(tables)
}

async function noSessions(check: ExpectStatic, target: FreshDatabase): Promise<void> {
  const sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tidemark'"
  await check.poll(() => target.rows(sql), { timeout: 10_000 }).toEqual([])
}

describe.each(WAYS)('replace_by: %s', (replace_by) => {
  test.for(KINDS)('by %s, the first load makes the partitions, and a reload fills them anew', async ([, kind], { expect: check }) => {
    await using loading = await startFacts({ partition: kind.partition, replace_by })
    const { target } = loading
    await makeTarget(target, kind)
    await succeed(loading)
    check(await compare(loading)).toEqual(same(ROWS))
    const keys = (await ledger(target, 'facts')).map(({ key }) => key ?? '')
    check(await childrenOf(target)).toHaveLength(keys.length)
    check(await childrenOf(target)).toContain(kind.table)
    const indexes = await indexesOf(target, kind.table)
    check(indexes).toEqual([`${kind.table}_amount_idx`, ...(kind.key === '' ? [] : [`${kind.table}_pkey`])])
    const before = await relations(target)

    await loading.source.run(`UPDATE facts SET amount = amount + 1 WHERE ${kind.one}; DELETE FROM facts WHERE ${kind.one} AND id % 8 = 0;
      UPDATE facts SET amount = -1 WHERE region IS NULL AND (${kind.one}) IS NOT TRUE`)
    const { rows } = await succeed(loading, { partitions: [kind.named] })
    check(rows.deleted).toBeGreaterThan(rows.inserted)
    check(await loading.compare('facts', { columns: COLUMNS, where: kind.one })).toEqual(same(rows.inserted))
    // The others were not asked for.
    check((await compare(loading)).surplus).not.toEqual([])
    await succeed(loading, { partitions: keys })
    check(await compare(loading)).toMatchObject({ lost: [], surplus: [] })
    check(await relations(target)).toEqual(before)
    check(await indexesOf(target, kind.table)).toEqual(indexes)
  })

  test('partitions that were made by hand are used, whatever their names', async () => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by })
    const made = `CREATE TABLE "The Tenth" PARTITION OF facts FOR VALUES FROM ('2024-03-10') TO ('2024-03-11')`
    await makeTarget(loading.target, DATE, `${made}; INSERT INTO facts VALUES (99999, '2024-03-10', now(), 'old', 1)`)
    await succeed(loading)
    expect(await compare(loading)).toEqual(same(ROWS))
    expect(await childrenOf(loading.target)).toContain('The Tenth')
    expect(await childrenOf(loading.target)).not.toContain(DATE.table)
    expect(await indexesOf(loading.target, 'The Tenth')).toEqual(['The Tenth_amount_idx', 'The Tenth_pkey'])
  })

  test('a partition that would lose too many rows is left as it was', async () => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by })
    await makeTarget(loading.target, DATE)
    await succeed(loading)
    await loading.source.run(`DELETE FROM facts WHERE ${DATE.one} AND id % 4 <> 0`)
    await staysAsItIs(expect, loading, DATE.named, 'partition-shrank')
  })

  test('keys that are long or odd have tables of their own', async () => {
    await using loading = await startFacts({ partition: TEXT.partition, replace_by, detect: 'all' })
    const long = 'a region whose name is so long that no table can be called like it, and '
    const short = ['a b', 'a_b', 'a-b', 'a--b', 'A_B', '-a', 'a', '1..2', '1-2', "it's", 'back\\slash', 'ä', 'ö', '', ' ']
    const odd = [...short, '(null)', '"quoted"', `${long}one`, `${long}other`, '😀'.repeat(30)]
    for (const [at, key] of odd.entries())
      await loading.source.client.query(`INSERT INTO facts VALUES ($1, '2024-05-01', now(), $2, 1)`, [90_000 + at, key])
    await makeTarget(loading.target, TEXT)
    await succeed(loading)
    expect(await compare(loading)).toEqual(same(ROWS + odd.length))
    const children = await childrenOf(loading.target)
    expect(children).toHaveLength(odd.length + 4)
    expect(children.filter((name) => Buffer.byteLength(name) > 63 || name.includes('\uFFFD'))).toEqual([])
    const tables = await relations(loading.target)
    await loading.source.run('UPDATE facts SET amount = amount + 1')
    await succeed(loading)
    expect(await compare(loading)).toEqual(same(ROWS + odd.length))
    expect(await relations(loading.target)).toEqual(tables)
  })

  test('thirty days by four workers, again and again', async () => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by, detect: 'all' })
    await makeTarget(loading.target, DATE)
    const failed: string[] = []
    const onEvent = (event: { readonly kind: string }): unknown => event.kind === 'partition-failed' && failed.push(JSON.stringify(event))
    for (let round = 0; round < 3; round++) {
      await loading.source.run(`UPDATE facts SET amount = ${round}`)
      const { partitions } = await succeed(loading, { onEvent })
      expect({ round, committed: partitions?.committed, failed }).toEqual({ round, committed: DAYS, failed: [] })
      expect(await compare(loading)).toEqual(same(ROWS))
    }
    expect((await relations(loading.target)).filter((line) => line.startsWith('_tidemark'))).toEqual([])
  })

  test.for(['stage-begun', 'before-commit', 'after-commit'])(
    'killed at %s, it leaves no table behind',
    async (point, { expect: check }) => {
      await using loading = await startFacts({ partition: DATE.partition, replace_by, detect: 'all' })
      await makeTarget(loading.target, DATE)
      for (const round of ['a first load', 'a reload']) {
        await loading.source.run('UPDATE facts SET amount = amount + 1')
        const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: `${point}:6` })
        check({ round, signal: died.signal }).toEqual({ round, signal: 'SIGKILL' })
        await noSessions(check, loading.target)
        check((await relations(loading.target)).filter((line) => line.startsWith('_tidemark'))).toEqual([])
        await succeed(loading)
        check(await compare(loading)).toEqual(same(ROWS))
        check(await childrenOf(loading.target)).toHaveLength(DAYS)
        check((await relations(loading.target)).filter((line) => line.startsWith('_tidemark'))).toEqual([])
      }
    },
  )

  const old = "VALUES (1, '2024-03-10', now(), 'old', 1)"
  test.for([
    ['not at all', `CREATE TABLE facts (${TABLE}); INSERT INTO facts ${old}`],
    ['by another column', `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE (at)`],
    ['by two columns', `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE (day, id)`],
    ['by an expression', `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE ((day + 1))`],
    ['by value', `CREATE TABLE facts (${TABLE}) PARTITION BY LIST (day)`],
    ['by hash', `CREATE TABLE facts (${TABLE}) PARTITION BY HASH (day)`],
    [
      'by the month',
      `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE (day);
       CREATE TABLE march PARTITION OF facts FOR VALUES FROM ('2024-03-01') TO ('2024-04-01'); INSERT INTO facts ${old}`,
    ],
    [
      'with rows of the day in its default partition',
      `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE (day); CREATE TABLE rest PARTITION OF facts DEFAULT; INSERT INTO facts ${old}`,
    ],
    [
      'with another table under the name of the partition',
      `CREATE TABLE facts (${TABLE}) PARTITION BY RANGE (day); CREATE TABLE facts_2024_03_10 (${TABLE})`,
    ],
  ])('a target partitioned %s is refused, and stays as it was', async ([, sql = ''], { expect: check }) => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by })
    await loading.target.run(sql)
    await staysAsItIs(check, loading, DATE.named, 'unusable-partition')
  })

  test('a target that is not there is refused before anything is made', async () => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by })
    expect((await loading.run()).error?.code).toBe('unusable-partition')
    expect(await loading.target.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")).toEqual([])
  })

  test.for(['2024-03-01', '2024-03-11'])('a key that comes twice in one partition is called so: %s was loaded', async (loaded) => {
    await using loading = await startFacts({ partition: DATE.partition, key: ['id'], replace_by })
    await makeTarget(loading.target, DATE)
    await succeed(loading, { partitions: [loaded] })
    await loading.source.run('ALTER TABLE facts DROP CONSTRAINT facts_pkey; INSERT INTO facts SELECT * FROM facts WHERE id = 400')
    await staysAsItIs(expect, loading, '2024-03-11', 'duplicate-key')
  })

  test('columns of the target that number and compute themselves', async () => {
    await using loading = await startFacts({ partition: DATE.partition, replace_by, detect: 'all' })
    const own = 'number bigint GENERATED ALWAYS AS IDENTITY, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED'
    await loading.target.run(`CREATE TABLE facts (${TABLE}, ${own}) PARTITION BY RANGE (day)`)
    for (const times of [1, 2]) {
      await loading.source.run('UPDATE facts SET amount = amount + 1')
      await succeed(loading)
      expect(await compare(loading)).toEqual(same(ROWS))
      const [seen] = await loading.target.rows(
        'SELECT count(DISTINCT number) AS numbers, max(number) AS last, bool_and(doubled = amount * 2) AS doubled FROM facts',
      )
      expect(seen).toEqual({ numbers: String(ROWS), last: String(ROWS * times), doubled: 't' })
    }
    await loading.target.run("INSERT INTO facts VALUES (1, '2024-03-10', now(), 'EU', 1)")
    expect(await loading.target.rows('SELECT max(number) AS last FROM facts')).toEqual([{ last: String(ROWS * 2 + 1) }])
  })
})
