// What can be wrong with a pipeline in partitions: its definition, the column, the rows, the target's column, what is asked for, the
// ledger. Each is refused by name and place, and changes neither target nor ledger.

import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode, type LoadError } from '../../src/core/errors.ts'
import { ledger, planOf } from '../partitions/partition-loading.ts'
import type { Loading } from '../servers/loading.ts'
import {
  type Attempt,
  attempt,
  checkError,
  checkText,
  type Refusal,
  ROW_VALUE,
  refused,
  startGoods,
  succeed,
  targetContent,
} from './refusal.ts'

type Options = Readonly<Record<string, unknown>>

const TABLE = `CREATE TABLE goods (id int PRIMARY KEY, note text, at timestamptz NOT NULL, clock timestamp, day date, price numeric(10,2),
    exact numeric, weight float8, fits boolean, code char(3), doc jsonb, bytes bytea, mark uuid, level smallint);
  INSERT INTO goods SELECT i, '${ROW_VALUE} ' || i, timestamptz '2024-01-01 12:00+00' + i * interval '1 day', timestamp '2024-01-01 12:00' + i * interval '1 day',
    date '2024-01-01' + i, i, i, i, i % 2 = 0, 'c' || i, '{}', '\\x00', md5(i::text)::uuid, i FROM generate_series(1, 5) i`

function byDay(partition: Options = {}): Options {
  return { by: 'at', unit: 'day', ...partition }
}

function start(partition: Options, pipeline: Options = {}): Promise<Loading> {
  return startGoods({ pattern: 'partition', partition, ...pipeline }, {}, TABLE)
}

/** The command line refuses it, in one object on stdout and one line on stderr. */
async function refusedCommand(loading: Loading, args: readonly string[], refusal: Refusal): Promise<void> {
  const before = await targetContent(loading)
  const result = await loading.cli(args)
  expect(result.exit, result.text).toBe(ERRORS[refusal.code].exit)
  checkError(result.json?.error ?? result.json?.pipelines?.[0]?.error, refusal)
  expect(result.err).toContain(`error [${refusal.code}]`)
  checkText(result.text, refusal.hides)
  expect(await targetContent(loading)).toEqual(before)
}

describe('the project file', () => {
  const wrong: [what: string, partition: Options, names: readonly string[], pipeline?: Options][] = [
    ['an unknown unit', byDay({ unit: 'fortnight' }), ['partition.unit', '"fortnight"', 'quarter']],
    ['an unknown zone', byDay({ time_zone: 'Mars/Olympus' }), ['partition.time_zone', 'Mars/Olympus']],
    ['first after last', byDay({ first: '2024-02-01', last: '2024-01-31' }), ['partition.last', 'lies before first (2024-02-01)']],
    ['no date', byDay({ first: '31.12.2024' }), ['partition.first', '31.12.2024', '2024-01-31']],
    ['size 0', { by: 'id', size: 0 }, ['partition.size', 'from 1 on']],
    ['a size that is no number', { by: 'id', size: 'many' }, ['partition.size', 'from 1 on']],
    ['rows 0', { by: 'id', rows: 0 }, ['partition.rows', 'from 1 on']],
    ['buckets 0', { by: 'id', buckets: 0 }, ['partition.buckets', '1']],
    ['a value twice', { by: 'note', values: ['A', 'A'] }, ['partition.values', 'twice']],
    ['no values', { by: 'note', values: [] }, ['partition.values']],
    ['two ways at once', { by: 'id', size: 5, buckets: 3 }, ['partition.buckets', 'beside size']],
    ['a zone without a unit', { by: 'id', size: 5, time_zone: 'UTC' }, ['partition.time_zone', 'needs a unit']],
    ['no share', byDay(), ['max_shrink', '50%'], { max_shrink: 'half' }],
    ['two words on shrinking', byDay(), ['max_shrink', 'allow_shrink'], { max_shrink: '10%', allow_shrink: true }],
    ['lookback and append', byDay(), ['lookback', 'double'], { write: 'append', lookback: 2 }],
    ['rows without a day, and append', byDay({ nulls: 'include' }), ['partition.nulls', 'never over'], { write: 'append' }],
    ['no workers', byDay(), ['workers'], { workers: 0 }],
    [
      'the partition column left out',
      byDay(),
      ['columns.exclude', 'partition column', '"at"'],
      { columns: { exclude: ['at'] }, key: ['id'] },
    ],
  ]

  test('each mistake is named with its place', async () => {
    await using loading = await start(byDay())
    for (const [what, partition, names, pipeline = {}] of wrong) {
      loading.pipelines({ goods: { pattern: 'partition', source: { table: 'goods' }, partition, ...pipeline } })
      const error = await loading.open().then(
        () => null,
        (thrown: unknown) => thrown as LoadError,
      )
      expect({ what, code: error?.code }).toEqual({ what, code: 'bad-project' })
      const { message = '', hint = '', where = null } = error ?? {}
      checkError({ code: 'bad-project', message, hint, where }, { code: 'bad-project', names: [/tidemark\.yml:\d+/, ...names] })
    }
    await refusedCommand(loading, ['run'], { code: 'bad-project', names: ['tidemark.yml:', 'columns.exclude'] })
  })
})

describe('the column', () => {
  const unusable: [partition: Options, ...names: string[]][] = [
    [{ by: 'id', unit: 'day' }, '"id"', 'integer', 'units of time'],
    [{ by: 'note', unit: 'day' }, '"note"', 'text', 'units of time'],
    [{ by: 'day', unit: 'hour' }, '"day"', 'date', 'no hours'],
    [{ by: 'note', size: 10 }, '"note"', 'text', 'ranges of numbers'],
    [{ by: 'weight', size: 10 }, '"weight"', 'double precision', 'ranges of numbers'],
    [{ by: 'at', rows: 10 }, '"at"', 'timestamp with time zone', 'ranges of numbers'],
    [{ by: 'at' }, '"at"', 'timestamp with time zone', 'a partition each'],
    [{ by: 'price' }, '"price"', 'numeric(10,2)', 'a partition each'],
    [{ by: 'weight' }, '"weight"', 'double precision', 'a partition each'],
    [{ by: 'doc' }, '"doc"', 'jsonb', 'a partition each'],
    [{ by: 'code' }, '"code"', 'character(3)', 'fixed length'],
    [{ by: 'at', buckets: 3 }, '"at"', 'timestamp with time zone', 'hash alike'],
    [{ by: 'fits', buckets: 3 }, '"fits"', 'boolean', 'hash alike'],
    [{ by: 'bytes', buckets: 3 }, '"bytes"', 'bytea', 'hash alike'],
    [{ by: 'code', buckets: 3 }, '"code"', 'character(3)', 'fixed length'],
  ]

  test.concurrent.for([{}, { consistency: 'partition' }])('each way needs a type of its own: %o', async (pipeline, { expect: check }) => {
    await using loading = await start(byDay())
    for (const [partition, ...names] of unusable) {
      loading.pipelines({ goods: { pattern: 'partition', source: { table: 'goods' }, partition, ...pipeline } })
      await refused(loading, { code: 'unusable-partition', names: ['table goods', ...names] })
    }
    check(await targetContent(loading)).toEqual({})
  })

  test('a column that is not there', async () => {
    await using loading = await start({ by: 'region' })
    await refused(loading, { code: 'missing-column', names: ['partition column "region"', 'table goods', 'id, note'] })
  })

  test('texts that its collation takes for equal', async () => {
    await using loading = await start({ by: 'note' })
    await loading.source.run(`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      ALTER TABLE goods ALTER note TYPE text COLLATE loose`)
    await refused(loading, { code: 'unusable-partition', names: ['"note"', 'table goods', 'collation'] })
  })

  test('numbers that are none', async () => {
    await using loading = await start({ by: 'exact', size: 10 })
    await loading.source.run("UPDATE goods SET exact = 'NaN' WHERE id = 3")
    await refused(loading, { code: 'unusable-partition', names: ['"exact"', 'NaN'] })
  })

  test.concurrent.each([
    ['day', { by: 'clock', unit: 'day' }],
    ['size', { by: 'level', size: 2 }],
    ['rows', { by: 'level', rows: 2 }],
    ['buckets', { by: 'mark', buckets: 2 }],
    ['list', { by: 'note', nulls: 'error' }],
  ] as const)('NULL where nothing was said of it, by %s', async (_, partition) => {
    await using loading = await start(partition)
    await loading.source.run('UPDATE goods SET clock = NULL, level = NULL, mark = NULL, note = NULL WHERE id = 3')
    await refused(loading, { code: 'null-partition', names: ['pipeline goods', 'NULL', `"${partition.by}"`, 'nulls: include', 'exclude'] })
    for (const [nulls, rows] of [
      ['exclude', '4'],
      ['include', '5'],
    ]) {
      loading.pipelines({ goods: { pattern: 'partition', source: { table: 'goods' }, partition: { ...partition, nulls } } })
      await succeed(loading)
      expect(await loading.target.rows('SELECT count(*) AS n FROM goods')).toEqual([{ n: rows }])
    }
  })
})

describe('the target', () => {
  const lossy: [by: string, source: string, target: string, code: ErrorCode][] = [
    ['at', 'timestamp with time zone', 'date', 'schema-conflict'],
    ['at', 'timestamp with time zone', 'timestamp(0) with time zone', 'lossy-partition'],
    ['at', 'timestamp with time zone', 'timestamp without time zone', 'schema-conflict'],
    ['clock', 'timestamp without time zone', 'timestamp with time zone', 'schema-conflict'],
    ['clock', 'timestamp without time zone', 'timestamp(3) without time zone', 'lossy-partition'],
    ['at', 'timestamp with time zone', 'text', 'lossy-partition'],
  ]

  test.concurrent.each(lossy)('column %s, %s, is %s there: %s', async (by, source, type, code) => {
    await using loading = await start({ by, unit: 'day' }, { columns: { include: ['id', by] } })
    await loading.target.run(`CREATE TABLE goods (id int, ${by} ${type}); INSERT INTO goods VALUES (99, '2020-01-01')`)
    // What can't hold the values at all is refused for that.
    await refused(loading, { code, names: [`"${by}"`, type, source, 'target'] })
    expect(await loading.target.rows('SELECT id FROM goods')).toEqual([{ id: '99' }])
  })

  test('the partition column is not there, and may not be added', async () => {
    await using loading = await start(byDay(), { on_schema_change: 'ignore' })
    await loading.target.run('CREATE TABLE goods (id int, note text)')
    await refused(loading, { code: 'lossy-partition', names: ['no column "at"', 'pipeline goods'] })
  })

  test('more precise or wider than the source is welcome', async () => {
    await using loading = await start({ by: 'level', size: 2 }, { columns: { include: ['id', 'level'] } })
    await loading.target.run('CREATE TABLE goods (id bigint, level numeric)')
    await succeed(loading)
    expect(await loading.compare('goods', { columns: ['id', 'level'] })).toMatchObject({ lost: [], surplus: [], rows: 5 })
  })
})

describe('too many', () => {
  const lots: [partition: Options, sql: string][] = [
    [byDay({ unit: 'hour', first: '2000', last: '2012' }), ''],
    [{ by: 'id', size: 1 }, `INSERT INTO goods (id, at) VALUES (100101, now())`],
    [byDay(), `INSERT INTO goods (id, at) VALUES (99, '1700-01-01')`],
  ]

  test.concurrent.each(lots)('%o', async (partition, sql) => {
    await using loading = await start(partition)
    if (sql !== '') await loading.source.run(sql)
    await refused(loading, { code: 'too-many-partitions', names: [/about 1\d\d,\d{3} partitions/, '--yes'] })
    await refusedCommand(loading, ['plan'], { code: 'too-many-partitions', names: ['partitions', '--yes'] })
    expect((await planOf(loading, 'goods', { agreed: true })).loads.length).toBeGreaterThan(100_000)
  })

  test('--yes agrees on the command line', async () => {
    await using loading = await start(byDay({ unit: 'hour', first: '2000', last: '2012' }))
    const { exit, json } = await loading.cli(['plan', '--yes'])
    expect(exit).toBe(0)
    expect(json.pipelines[0].steps.length).toBeGreaterThan(100_000)
  })
})

describe('what is asked for', () => {
  const asked: [what: string, partition: Options, attempt: Attempt, refusal: Refusal][] = [
    [
      'an unknown partition',
      byDay(),
      { partitions: ['2024-01-03', 'soon'] },
      { code: 'unknown-partition', names: ['soon', 'Pipeline goods', '2024-01-02'] },
    ],
    [
      'an unknown value',
      { by: 'note' },
      { partitions: ['nowhere'] },
      { code: 'unknown-partition', names: ['nowhere', 'tidemark plan goods'], hides: [] },
    ],
    [
      'an end before the beginning',
      byDay(),
      { from: '2024-01-04', to: '2024-01-02' },
      { code: 'bad-value', names: ['2024-01-04', '2024-01-02'] },
    ],
    ['no time', byDay(), { from: 'banana' }, { code: 'bad-value', names: ['2024-01-31'] }],
    ['no number', { by: 'id', size: 2 }, { from: 'banana' }, { code: 'bad-value', names: ['banana'] }],
    ['a range of a list', { by: 'fits' }, { from: 'a' }, { code: 'bad-usage', names: ['pipeline goods', 'no order', '--partition'] }],
    [
      'a range of buckets',
      { by: 'id', buckets: 2 },
      { to: '5' },
      { code: 'bad-usage', names: ['pipeline goods', 'no order', '--partition'] },
    ],
    ['half of a full refresh', byDay(), { fullRefresh: true, from: '2024-01-03' }, { code: 'bad-usage', names: ['full refresh'] }],
    [
      'a partition of a full refresh',
      byDay(),
      { fullRefresh: true, partitions: ['2024-01-03'] },
      { code: 'bad-usage', names: ['full refresh'] },
    ],
  ]

  test.concurrent.each(asked)('%s', async (_, partition, given, refusal) => {
    await using loading = await start(partition)
    // The keys of notes are what the notes are.
    await loading.source.run("UPDATE goods SET note = 'note ' || id")
    await succeed(loading)
    await refused(loading, refusal, given)
  })

  test.concurrent.each([
    ['first after last', byDay({ first: '2024-03', last: '2024-01' }), ['2024-03', '2024-01', 'not lie before']],
    ['a month that is none', byDay({ first: '2024-13' }), ['2024-01-31']],
    ['a value of another type', { by: 'id', values: ['one'] }, ['values of pipeline goods', 'integer']],
  ] as const)('%s', async (_, partition, names) => {
    await using loading = await start(partition)
    await refused(loading, { code: 'bad-value', names })
  })

  test('two spellings of one value', async () => {
    await using loading = await start({ by: 'id', values: [1, '01'] })
    await refused(loading, { code: 'unusable-partition', names: ['"01"', 'pipeline goods', 'same as one before'] })
  })

  test('commands of the other pattern', async () => {
    await using loading = await start(byDay())
    await succeed(loading)
    for (const args of [
      ['watermark', 'set', 'goods', '2024-01-01', '--yes'],
      ['watermark', 'rewind', 'goods', '--to', '2024-01-01', '--yes'],
    ])
      await refusedCommand(loading, args, { code: 'bad-usage', names: ['Pipeline goods', 'no watermark', 'partitions list goods'] })
    await refusedCommand(loading, ['partitions', 'list', 'goods', '--status', 'lost'], {
      code: 'bad-usage',
      names: ['"lost"', 'committed'],
    })
    loading.pipelines({ goods: { source: { table: 'goods' }, cursor: 'at' } })
    await refusedCommand(loading, ['partitions', 'list', 'goods'], { code: 'bad-usage', names: ['Pipeline goods', 'watermark'] })
  })
})

describe('the ledger', () => {
  const changed: [what: string, partition: Options, sum: number][] = [
    ['another unit', byDay({ unit: 'month' }), 15],
    ['another zone', byDay({ time_zone: 'Asia/Kolkata' }), 15],
    ['another column', { by: 'clock', unit: 'day' }, 15],
    ['another way', { by: 'id', size: 2 }, 15],
    ['another range besides', byDay({ unit: 'month', first: '2024-01', last: '2024-01' }), 15],
  ]

  test.concurrent.each(changed)('%s: refused until a full refresh, which takes what is outside away', async (_, partition, sum) => {
    await using loading = await start(byDay())
    await succeed(loading)
    loading.pipelines({ goods: { pattern: 'partition', source: { table: 'goods' }, partition } })
    await refused(loading, { code: 'definition-changed', names: ['Pipeline goods', 'another partition than', '--full-refresh'] })
    // Rows of nobody, inside and outside of what is wanted now.
    await loading.target.run(
      "INSERT INTO goods (id, at, clock) VALUES (990, '2019-01-01', '2019-01-01'), (-991, '2024-01-03', '2024-01-03')",
    )
    await succeed(loading, { fullRefresh: true })
    expect(await loading.target.rows('SELECT count(*) AS n, sum(id) AS sum FROM goods')).toEqual([{ n: '5', sum: String(sum) }])
    const keys = (await ledger(loading.target, 'goods')).map(({ key }) => key)
    expect(keys).toEqual((await planOf(loading, 'goods')).partitions.map(({ partition: one }) => one.key).toSorted())
    expect((await succeed(loading)).status).toBe('up-to-date')
  })

  const spoiled: [what: string, sql: string, names: readonly string[]][] = [
    [
      'a status that nobody knows',
      "UPDATE pipeline_partitions SET status = 'lost' WHERE partition_key = '2024-01-03'",
      ['pipeline_partitions', '"lost"'],
    ],
    [
      'no lower bound',
      "UPDATE pipeline_partitions SET lower_bound = NULL WHERE partition_key = '2024-01-03'",
      ['2024-01-03', 'no bounds', 'pipeline_partitions'],
    ],
    [
      'no upper bound',
      "UPDATE pipeline_partitions SET upper_bound = NULL WHERE partition_key = '2024-01-03'",
      ['2024-01-03', 'no bounds', 'pipeline_partitions'],
    ],
  ]

  test.concurrent.each(spoiled)('%s', async (_, sql, names) => {
    await using loading = await start(byDay())
    await succeed(loading)
    await loading.target.run(sql)
    await refused(loading, { code: 'state-corrupted', names })
    await refused(loading, { code: 'state-corrupted', names }, { partitions: ['2024-01-02'] })
    await succeed(loading, { fullRefresh: true })
    expect(await loading.target.rows('SELECT count(*) AS n FROM goods')).toEqual([{ n: '5' }])
  })

  test('a partition that would shrink too much keeps its rows, and the ledger says why', async () => {
    await using loading = await start({ by: 'id', size: 10 })
    await succeed(loading)
    const goods = async () =>
      (await loading.target.rows('SELECT xmin, ctid, id FROM goods ORDER BY id')).map((row) => Object.values(row).join())
    const before = await goods()
    await loading.source.run('DELETE FROM goods WHERE id > 2')
    const { result, told } = await attempt(loading, { partitions: ['0..9'] })
    checkText(told)
    checkError(result.error, {
      code: 'partitions-failed',
      names: ['1 of 1', '0..9', 'partition-shrank', 'pipeline goods', '5 rows', '50 %', 'allow_shrink'],
    })
    expect(result.status).toBe('failed')
    expect(await goods()).toEqual(before)
    const [row] = await ledger(loading.target, 'goods')
    expect(row?.error?.split(':')[0]).toBe('partition-shrank')
  })
})
