// Partitions by value, by ranges of numbers, by number of rows and by hash: what their keys are, that each row is in one of them, and
// that all that a source can be (a view, a query, a table in parts, filtered, with fewer columns) loads the same way.

import { describe, expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders, ORDER_COLUMNS } from '../servers/orders-table.ts'
import { boundsOf, byHour, ledger, startPartitions, succeed } from './partition-loading.ts'

/** A table `places` with a column `v` of this type, and the partitions of it. */
async function startPlaces(type: string, partition: object, sql: string): Promise<Loading> {
  const loading = await startLoading({
    pipelines: { places: { pattern: 'partition', source: { table: 'places' }, partition: { by: 'v', ...partition } } },
  })
  await loading.source.run(`CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TABLE places (id int, v ${type}); ${sql}`)
  return loading
}

const places = (values: string): string => `INSERT INTO places SELECT row_number() OVER (), v FROM unnest(${values}) AS v`
const keysOf = async (loading: Loading, pipeline = 'places'): Promise<(string | null)[]> =>
  (await ledger(loading.target, pipeline)).map(({ key }) => key)

async function loadsAll(loading: Loading, rows: number): Promise<void> {
  await succeed(loading)
  expect(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(rows))
  const [sum] = await loading.target.rows(
    'SELECT sum("rows") AS rows, bool_and(status = \'committed\') AS committed FROM pipeline_partitions',
  )
  expect(sum).toEqual({ rows: String(rows), committed: 't' })
  // All again, each replaced: nothing is doubled, nothing is left over.
  const keys = (await keysOf(loading)) as string[]
  expect((await succeed(loading, { partitions: keys })).partitions).toMatchObject({ committed: keys.length })
  expect(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(rows))
}

describe('by value', () => {
  const odd = [
    'EU',
    'eu',
    '',
    ' ',
    '(null)',
    '"EU"',
    "O'Brien",
    'a "b" c',
    'ü – 日本',
    'a\tb\u0001c',
    'back\\slash',
    '%',
    "'; DROP TABLE places; --",
  ]
  const values: [type: string, values: string, keys: string[]][] = [
    ['text', `ARRAY[${odd.map((one) => `E'${one.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join(', ')}, NULL]`, []],
    ['varchar(20)', "ARRAY['b', 'a', NULL, 'b']", ['(null)', 'a', 'b']],
    ['int', 'ARRAY[-1, 0, 7, 7, NULL]', ['(null)', '-1', '0', '7']],
    ['boolean', 'ARRAY[true, false, NULL, true]', ['(null)', 'false', 'true']],
    ['mood', "ARRAY['sad', 'happy', NULL]::mood[]", ['(null)', 'happy', 'sad']],
    ['date', "ARRAY['2024-02-29', 'infinity', '0044-03-15 BC']::date[]", ['0044-03-15 BC', '2024-02-29', 'infinity']],
    [
      'uuid',
      "ARRAY['00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff']::uuid[]",
      ['00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    ],
  ]

  test.concurrent.for(values)('%s', async ([type, list, keys], { expect: check }) => {
    for (const index of ['', 'CREATE INDEX ON places (v);']) {
      await using loading = await startPlaces(type, {}, `${index} ${places(list)}`)
      const [rows] = await loading.source.rows('SELECT count(*) AS n FROM places')
      await loadsAll(loading, Number(rows?.n))
      if (keys.length > 0) check(await keysOf(loading)).toEqual(keys)
    }
  })

  test('keys of odd values are those values, but for what passes for NULL', async () => {
    await using loading = await startPlaces('text', {}, `INSERT INTO places VALUES (1, NULL), (2, '(null)'), (3, '"x"'), (4, '')`)
    await succeed(loading)
    expect(await keysOf(loading)).toEqual(['', '""x""', '"(null)"', '(null)'])
    await loading.source.run(`UPDATE places SET id = id + 10`)
    expect((await succeed(loading, { partitions: ['"(null)"', ''] })).rows).toMatchObject({ inserted: 2, deleted: 2 })
    expect((await loading.target.rows('SELECT id FROM places ORDER BY id')).map(({ id }) => id)).toEqual(['1', '3', '12', '14'])
  })

  test('only the given values, and NULL as it is asked for', async () => {
    for (const [nulls, keys, rows] of [
      ['include', ['(null)', '1', '2'], 3],
      ['exclude', ['1', '2'], 2],
    ] as const) {
      await using loading = await startPlaces('int', { values: [1, 2], nulls }, places('ARRAY[1, 2, 3, NULL]'))
      expect((await succeed(loading)).rows.inserted).toBe(rows)
      expect(await keysOf(loading)).toEqual(keys)
    }
  })

  test('a value that came is new, and one that went takes its rows along where that is asked for', async () => {
    await using loading = await startPlaces('text', {}, places("ARRAY['a', 'b']"))
    loading.pipelines({
      places: { pattern: 'partition', source: { table: 'places' }, partition: { by: 'v' }, detect: 'checksum', allow_shrink: true },
    })
    await succeed(loading)
    await loading.source.run(`DELETE FROM places WHERE v = 'a'; INSERT INTO places VALUES (9, 'c')`)
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 1, deleted: 1 })
    expect(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(2))
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 0, deleted: 0 })
  })
})

describe('by ranges', () => {
  const numbers: [type: string, size: number, values: string, keys: string[]][] = [
    ['int', 10, 'ARRAY[-11, -10, -1, 0, 9, 10]', ['-10..-1', '-20..-11', '0..9', '10..19']],
    ['smallint', 100_000, 'ARRAY[-32768, 0, 32767]', ['-100000..-1', '0..99999']],
    ['int', 1_000_000_000, 'ARRAY[-2147483648, 5, 2147483647]', []],
    [
      'bigint',
      1,
      'ARRAY[9007199254740993, 9007199254740994]',
      ['9007199254740993..9007199254740993', '9007199254740994..9007199254740994'],
    ],
    [
      'bigint',
      1_000_000_000_000,
      'ARRAY[9223372036854775807, 9223372036854775000, 9223371999999999999]',
      ['9223371000000000000..9223371999999999999', '9223372000000000000..9223372999999999999'],
    ],
    ['numeric(20,2)', 1, 'ARRAY[-0.01, 0, 0.99, 1, 1.5]', ['-1..-1', '0..0', '1..1']],
    ['numeric', 10, 'ARRAY[-0.000001, 9.999999999999999999999, 10]', ['-10..-1', '0..9', '10..19']],
    ['int', 5, 'ARRAY[1, 2, 3]', ['0..4']],
  ]

  test.concurrent.for(numbers)('%s in ranges of %s: %s', async ([type, size, list, keys], { expect: check }) => {
    await using loading = await startPlaces(type, { size }, places(list))
    const [rows] = await loading.source.rows('SELECT count(*) AS n FROM places')
    await loadsAll(loading, Number(rows?.n))
    if (keys.length > 0) check(await keysOf(loading)).toEqual(keys)
  })

  test('the highest bigint and the lowest are compared by content, too', async () => {
    await using loading = await startPlaces(
      'bigint',
      { size: '100000000000000000' },
      places('ARRAY[9223372036854775807, -9223372036854775808]'),
    )
    loading.pipelines({
      places: { pattern: 'partition', source: { table: 'places' }, partition: { by: 'v', size: '100000000000000000' }, detect: 'checksum' },
    })
    await succeed(loading)
    await loading.source.run('UPDATE places SET id = 77 WHERE v > 0')
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 1, deleted: 1 })
    expect(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(2))
  })

  test('sparse numbers leave partitions without rows, which are committed too', async () => {
    await using loading = await startPlaces('bigint', { size: 1000 }, places('ARRAY[5, 9500]'))
    expect((await succeed(loading)).partitions).toEqual({ total: 10, committed: 10, skipped: 0, failed: 0 })
    expect(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(2))
    expect((await ledger(loading.target, 'places')).filter(({ rows }) => rows === '0')).toHaveLength(8)
  })
})

describe('by number of rows', () => {
  const byRows = { pattern: 'partition', partition: { by: 'id', rows: 100 } }

  test.each([true, false])('statistics: %s', async (analyzed) => {
    await using loading = await startPartitions(byRows)
    await makeOrders(loading.source, 1000)
    if (analyzed) await loading.source.run('ANALYZE orders')
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(1000))
    const sizes = (await ledger(loading.target)).map(({ rows }) => Number(rows))
    expect(sizes.length).toBeGreaterThanOrEqual(8)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(250)

    // Rows below, between and above: what is in the ledger keeps its bounds.
    const before = await ledger(loading.target)
    await addOrders(loading.source, -500, 0)
    await addOrders(loading.source, 1001, 1400)
    if (analyzed) await loading.source.run('ANALYZE orders')
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(1901))
    const after = new Map((await ledger(loading.target)).map((row) => [row.key, row]))
    for (const { key, lower, upper } of before) expect(after.get(key)).toMatchObject({ lower, upper })
    const bounds = await boundsOf(loading, 'orders')
    for (const [index, { upper }] of bounds.slice(0, -1).entries()) expect(bounds[index + 1]?.lower).toBe(upper)
  })

  test('what lies between two ranges that were loaded alone is not forgotten', async () => {
    await using loading = await startPartitions(byRows)
    await makeOrders(loading.source, 1000)
    await loading.source.run('ANALYZE orders')
    await succeed(loading, { from: '100', to: '200' })
    await succeed(loading, { from: '700', to: '800' })
    await succeed(loading)
    expect(await loading.compare()).toEqual(same(1000))
  })

  test('ids far apart', async () => {
    await using loading = await startPartitions(byRows)
    await loading.source.run(`CREATE TABLE orders (id bigint PRIMARY KEY);
      INSERT INTO orders SELECT i FROM generate_series(1, 500) i UNION ALL SELECT 9007199254740993 + i * 3 FROM generate_series(1, 500) i; ANALYZE orders`)
    await succeed(loading)
    expect(await loading.compare('orders', { columns: ['id'] })).toEqual(same(1000))
  })
})

describe('by hash', () => {
  test.concurrent.for([
    ['int', 'ARRAY(SELECT i FROM generate_series(-100, 400) i)'],
    ['bigint', 'ARRAY(SELECT i * 1000000007::bigint FROM generate_series(-100, 400) i)'],
    ['text', `ARRAY(SELECT chr(i + 33) || i FROM generate_series(0, 500) i)`],
    ['uuid', 'ARRAY(SELECT md5(i::text)::uuid FROM generate_series(0, 500) i)'],
  ])('%s', async ([type = '', list = ''], { expect: check }) => {
    await using loading = await startPlaces(type, { buckets: 5 }, places(list))
    await loadsAll(loading, 501)
    const entries = await ledger(loading.target, 'places')
    check(entries.map(({ key }) => key)).toEqual(['bucket-0', 'bucket-1', 'bucket-2', 'bucket-3', 'bucket-4'])
    for (const { rows } of entries) check(Number(rows)).toBeGreaterThan(50)
  })

  test('rows without a value are a part of their own', async () => {
    await using loading = await startPlaces('text', { buckets: 2, nulls: 'include' }, places("ARRAY['a', NULL, 'b', NULL]"))
    await loadsAll(loading, 4)
    expect((await keysOf(loading)).at(0)).toBe('(null)')
  })
})

describe('sources', () => {
  const columns = ORDER_COLUMNS
  const made: [
    what: string,
    pipeline: Readonly<Record<string, unknown>>,
    sql: string,
    where?: string | undefined,
    loaded?: readonly string[],
  ][] = [
    ['a view', { source: { table: 'shown' }, target: { table: 'orders' } }, 'CREATE VIEW shown AS SELECT * FROM orders'],
    ['a query', { source: { query: 'SELECT * FROM orders -- all of them' } }, ''],
    ['a query with a key', { source: { query: 'SELECT * FROM orders' }, key: ['id'] }, ''],
    ['a condition', { where: 'id % 2 = 0 -- half of them' }, '', 'id % 2 = 0'],
    ['fewer columns', { columns: { exclude: ['note', 'amount'] } }, '', undefined, ['id', 'customer', 'paid', 'updated_at']],
    ['one worker', { workers: 1 }, ''],
    ['each in a snapshot of its own', { consistency: 'partition' }, ''],
    ['merged by key', { write: 'merge' }, ''],
    ['deleted and inserted by key', { write: 'delete-insert' }, ''],
    ['appended', { write: 'append' }, ''],
  ]

  test.concurrent.for(made)('%s', async ([, pipeline, sql, where, loaded = columns], { expect: check }) => {
    await using loading = await startPartitions(pipeline)
    await makeOrders(loading.source, 400)
    if (sql !== '') await loading.source.run(sql)
    await succeed(loading)
    const how = { columns: loaded, ...(where === undefined ? {} : { where }) }
    const rows = where === undefined ? 400 : 200
    check(await loading.compare('orders', how)).toEqual(same(rows))
    const [all] = await loading.target.rows('SELECT count(*) AS n FROM orders')
    check(all?.n).toBe(String(rows))
    check((await succeed(loading)).status).toBe('up-to-date')
    if (where === undefined && loaded === columns && !('write' in pipeline)) {
      await succeed(loading, { partitions: ['2024-01-01T01', '2024-01-01T03'] })
      check(await loading.compare()).toEqual(same(400))
    }
  })

  test('a table in parts', async () => {
    await using loading = await startPartitions({ partition: { by: 'id', size: 100 } })
    await loading.source.run(`CREATE TABLE orders (id int, note text) PARTITION BY RANGE (id);
      CREATE TABLE orders_low PARTITION OF orders FOR VALUES FROM (MINVALUE) TO (250); CREATE TABLE orders_high PARTITION OF orders DEFAULT;
      INSERT INTO orders SELECT i, 'n' || i FROM generate_series(1, 500) i; ANALYZE orders`)
    await succeed(loading)
    expect(await loading.compare('orders', { columns: ['id', 'note'] })).toEqual(same(500))
  })

  test('nothing in it, and then something', async () => {
    await using loading = await startPartitions(byHour())
    await makeOrders(loading.source, 0)
    expect(await succeed(loading)).toMatchObject({ status: 'loaded', partitions: { total: 0 } })
    await addOrders(loading.source, 1, 10, { at: "timestamptz '2024-05-05 05:05+00'" })
    expect((await succeed(loading)).rows.inserted).toBe(10)
    expect(await loading.compare()).toEqual(same(10))
  })
})

describe('compared by content', () => {
  test.concurrent.for([
    ['date', "date '2024-01-01' + i", { unit: 'day' }, 2],
    ['timestamp(3)', "timestamp '2024-01-01' + i * interval '1 day'", { unit: 'day' }, 2],
    ['int', 'i * 10', { size: 10 }, 2],
    ['numeric(12,3)', 'i * 10 + 0.001', { size: 10 }, 2],
    ['text', "'t' || i", {}, 2],
    ['uuid', 'md5(i::text)::uuid', { buckets: 6 }, 2],
  ] as const)('%s', async ([type, value, by, changed], { expect: check }) => {
    const partition = { ...by, nulls: 'include' }
    await using loading = await startPlaces(
      type,
      partition,
      `INSERT INTO places SELECT i, ${value} FROM generate_series(1, 6) i; INSERT INTO places VALUES (100, NULL), (101, NULL)`,
    )
    loading.pipelines({
      places: {
        pattern: 'partition',
        source: { table: 'places' },
        partition: { by: 'v', ...partition },
        detect: 'checksum',
        allow_shrink: true,
      },
    })
    await succeed(loading)
    await loading.source.run('UPDATE places SET id = id + 1000 WHERE id IN (3, 100); DELETE FROM places WHERE id = 101')
    check((await succeed(loading)).partitions).toMatchObject({ committed: changed })
    check(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(7))
    await loading.source.run('DELETE FROM places WHERE v IS NULL')
    check((await succeed(loading)).rows).toMatchObject({ deleted: 1, inserted: 0 })
    check(await loading.compare('places', { columns: ['id', 'v'] })).toEqual(same(6))
  })
})
