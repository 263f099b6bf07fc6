// Partitions from Postgres into a DuckDB file: every way to cut a table, loaded again, reloaded, killed in the middle, and shared by two
// runs of one process. The file always ends up with the source's rows, each once.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/core/event.ts'
import { PARTITION_CRASH_POINTS } from '../../src/engine/crash-point.ts'
import { same } from '../servers/compare-tables.ts'
import { duckdbRows, duckdbRun } from '../servers/duckdb-file.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { succeed } from './partition-loading.ts'

type Options = Readonly<Record<string, unknown>>

const COLUMNS = ['id', 'at', 'day', 'region', 'amount', 'note']
const ROWS = 3000

const byId: Options = { partition: { by: 'id', size: 500 } }

/** Visits every 20 minutes around a change of the clocks; every 11th has no region. */
async function startVisits(pipeline: Options = byId, from = '2024-03-06 00:00:00+00', rows = ROWS): Promise<Loading> {
  const loading = await startLoading({
    target: 'duckdb',
    pipelines: { visits: { pattern: 'partition', source: { table: 'visits' }, ...pipeline } },
  })
  await loading.source.run(`
    CREATE TABLE visits (id bigint PRIMARY KEY, at timestamptz NOT NULL, day date NOT NULL, region text, amount numeric(12,2), note text);
    INSERT INTO visits SELECT i, at, (at AT TIME ZONE 'UTC')::date, (ARRAY['EU', 'US', 'ünï', '(null)', 'O''Brien'])[1 + i % 5], i * 1.25, 'note ' || i
    FROM (SELECT i, timestamptz '${from}' + i * interval '20 minutes' AS at FROM generate_series(1, ${rows}) AS i) AS v;
    UPDATE visits SET region = NULL WHERE id % 11 = 0;
    ANALYZE visits`)
  return loading
}

const path = (loading: Loading): string => loading.side as string
const compare = (loading: Loading) => loading.compare('visits', { columns: COLUMNS })
const rowids = (loading: Loading) => duckdbRows(path(loading), 'SELECT rowid, id FROM visits ORDER BY id, rowid')

async function entries(loading: Loading, columns = 'partition_key, status, attempt, "rows"'): Promise<(string | null)[][]> {
  return duckdbRows(path(loading), `SELECT ${columns} FROM pipeline_partitions ORDER BY partition_key`)
}

/** Key, attempt and time of what is committed; none where there is no ledger yet. */
async function committed(loading: Loading): Promise<ReadonlyMap<string | null, string>> {
  const tables = await duckdbRows(path(loading), "SELECT 1 FROM duckdb_tables() WHERE table_name = 'pipeline_partitions'")
  if (tables.length === 0) return new Map()
  const rows = await entries(loading, 'partition_key, attempt, committed_at, status')
  return new Map(rows.filter(([, , , status]) => status === 'committed').map(([key, attempt, at]) => [key ?? '', `${attempt} ${at}`]))
}

/** Nothing is loaded twice, and no row is touched. `open`: so many partitions are looked at again, as rows may still come to them. */
async function runsAgainInVain(loading: Loading, open = 0): Promise<void> {
  const before = await rowids(loading)
  const again = await succeed(loading)
  expect(again).toMatchObject({
    status: 'up-to-date',
    rows: { inserted: 0, updated: 0, deleted: 0 },
    partitions: { committed: open, failed: 0 },
  })
  expect(again.partitions?.skipped).toBe((again.partitions?.total ?? 0) - open)
  expect(await rowids(loading)).toEqual(before)
}

/** Changes that the pipeline is not told of: a changed row, one that is gone, a new one. */
const EDITS = `UPDATE visits SET note = 'edited' WHERE id = 41; DELETE FROM visits WHERE id = 42;
  INSERT INTO visits SELECT 99999, at, day, region, amount, 'new' FROM visits WHERE id = 43`

describe('by time', () => {
  const days: [what: string, from: string, partition: Options][] = [
    ['a day of 23 hours', '2024-03-06 00:00:00+00', { by: 'at', unit: 'day', time_zone: 'America/New_York' }],
    ['a day of 25 hours', '2024-10-30 00:00:00+00', { by: 'at', unit: 'day', time_zone: 'America/New_York' }],
    ['hours that come twice', '2024-11-02 00:00:00+00', { by: 'at', unit: 'hour', time_zone: 'America/New_York' }],
    ['dates', '2024-03-06 00:00:00+00', { by: 'day', unit: 'day' }],
  ]
  test.each(days)('%s', async (_, from, partition) => {
    await using loading = await startVisits({ partition }, from, 400)
    const first = await succeed(loading)
    expect(first.rows.inserted).toBe(400)
    expect(await compare(loading)).toEqual(same(400))
    await runsAgainInVain(loading)

    const keys = (await entries(loading)).map(([key]) => key ?? '')
    const sums = await duckdbRows(path(loading), 'SELECT sum("rows"), bool_and(status = \'committed\') FROM pipeline_partitions')
    expect(sums).toEqual([['400', 'true']])
    await loading.source.run(EDITS)
    expect((await succeed(loading, { partitions: keys })).partitions).toMatchObject({ committed: keys.length, failed: 0 })
    expect(await compare(loading)).toEqual(same(400))
  })
})

describe('by what else a column has', () => {
  const ways: [what: string, pipeline: Options, keys: string[] | null, open: number][] = [
    ['values and NULL', { partition: { by: 'region' } }, ['"(null)"', '(null)', 'EU', "O'Brien", 'US', 'ünï'], 0],
    ['ranges of ids', { partition: { by: 'id', size: 700 } }, ['0..699', '1400..2099', '2100..2799', '2800..3499', '700..1399'], 2],
    ['a number of rows', { partition: { by: 'id', rows: 800 } }, null, 2],
    ['ranges of a decimal', { partition: { by: 'amount', size: 1000 } }, ['0..999', '1000..1999', '2000..2999', '3000..3999'], 2],
    ['buckets of an id', { partition: { by: 'id', buckets: 3 } }, ['bucket-0', 'bucket-1', 'bucket-2'], 0],
    ['buckets of a text', { partition: { by: 'region', buckets: 3, nulls: 'include' } }, ['(null)', 'bucket-0', 'bucket-1', 'bucket-2'], 0],
    ['buckets of a date', { partition: { by: 'day', buckets: 3 } }, ['bucket-0', 'bucket-1', 'bucket-2'], 0],
  ]
  test.each(ways)('%s', async (_, pipeline, keys, open) => {
    await using loading = await startVisits(pipeline)
    expect((await succeed(loading)).rows.inserted).toBe(ROWS)
    expect(await compare(loading)).toEqual(same(ROWS))
    const found = (await entries(loading)).map(([key]) => key ?? '')
    if (keys !== null) expect(found).toEqual(keys.toSorted())
    await runsAgainInVain(loading, open)

    await loading.source.run(EDITS)
    // The new row's id lies in no range yet.
    expect((await succeed(loading, { partitions: found })).rows.deleted).toBe(ROWS)
    await succeed(loading)
    expect(await compare(loading)).toEqual(same(ROWS))
  })
})

test('a bound beyond what the column can hold', async () => {
  await using loading = await startLoading({
    target: 'duckdb',
    pipelines: { small: { pattern: 'partition', source: { table: 'small' }, partition: { by: 'v', size: '1000000' } } },
  })
  await loading.source.run('CREATE TABLE small (id int PRIMARY KEY, v smallint NOT NULL); INSERT INTO small VALUES (1, -32768), (2, 32767)')
  await succeed(loading)
  const keys = (await entries(loading)).map(([key]) => key ?? '')
  expect((await succeed(loading, { partitions: keys })).rows).toMatchObject({ inserted: 2, deleted: 2 })
  expect(await loading.compare('small', { columns: ['id', 'v'] })).toEqual(same(2))
})

describe('a row that moved', () => {
  test('is there once after each reload', async () => {
    await using loading = await startVisits({ partition: { by: 'region' } })
    await succeed(loading)
    await loading.source.run("UPDATE visits SET region = 'US' WHERE region = 'EU' AND id < 1000")
    const reload = async (key: string): Promise<void> => {
      await succeed(loading, { partitions: [key], workers: 1 })
      expect(await duckdbRows(path(loading), 'SELECT count(*), count(DISTINCT id) FROM visits')).toEqual([[String(ROWS), String(ROWS)]])
      expect(await compare(loading)).toEqual(same(ROWS))
    }
    // Where it went to takes it away from where it was.
    await reload('US')
    await reload('EU')
  })

  test('while the first load went on is found at its end', async () => {
    await using loading = await startVisits({ partition: { by: 'region' } })
    await succeed(loading, { maxSlices: 1 })
    const [[key, value]] = (await entries(loading, 'partition_key, lower_bound')) as [[string, string]]
    expect((await loading.state())?.position).toMatchObject({ kind: 'partitions', table: expect.any(String) })
    const other = value === 'US' ? 'EU' : 'US'
    await loading.source.run(`UPDATE visits SET region = '${other}' WHERE region = '${value}' AND id < 500`)
    const warnings: string[] = []
    const onEvent = (event: RunEvent): void => {
      if (event.kind === 'warning') warnings.push(`${event.code}: ${event.message}`)
    }
    await succeed(loading, { onEvent })
    expect(warnings).toEqual([expect.stringContaining(`${[key, other].toSorted().join(', ')} are loaded again`)])
    expect(warnings[0]).toMatch(/^moved-rows: /)
    expect(await compare(loading)).toEqual(same(ROWS))
    expect((await loading.state())?.position).toEqual({ kind: 'partitions' })
    await runsAgainInVain(loading)
  })
})

describe('other ways to write', () => {
  const byDay: Options = { partition: { by: 'at', unit: 'day' } }

  test.each(['merge', 'delete-insert'])('%s touches only what differs', async (write) => {
    await using loading = await startVisits({ ...byId, write })
    expect((await succeed(loading)).rows).toMatchObject({ inserted: ROWS, updated: 0 })
    expect(await compare(loading)).toEqual(same(ROWS))
    await runsAgainInVain(loading, 2)
    await loading.source.run("UPDATE visits SET note = 'edited' WHERE id IN (1, 600)")
    const keys = (await entries(loading)).map(([key]) => key ?? '')
    expect((await succeed(loading, { partitions: keys })).rows).toMatchObject({ inserted: 0, updated: 2, deleted: 0, unchanged: ROWS - 2 })
    expect(await compare(loading)).toEqual(same(ROWS))
  })

  test('append adds each closed partition once', async () => {
    await using loading = await startVisits({ ...byDay, write: 'append' })
    expect((await succeed(loading)).rows.inserted).toBe(ROWS)
    await runsAgainInVain(loading)
    await loading.source.run("INSERT INTO visits VALUES (99999, '2024-06-01 10:00:00+00', '2024-06-01', 'EU', 1, 'a day later')")
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 1, deleted: 0 })
    expect(await compare(loading)).toEqual(same(ROWS + 1))
  })

  test('a full refresh by another rule takes away what is in no partition', async () => {
    await using loading = await startVisits()
    await succeed(loading)
    loading.pipelines({
      visits: { pattern: 'partition', source: { table: 'visits' }, partition: { by: 'region', values: ['EU', 'US'], nulls: 'exclude' } },
    })
    const result = await succeed(loading, { fullRefresh: true })
    expect(result.error).toBeNull()
    const where = "region IN ('EU', 'US')"
    const [wanted] = await loading.source.rows(`SELECT count(*) AS n FROM visits WHERE ${where}`)
    expect(await duckdbRows(path(loading), 'SELECT count(*) FROM visits')).toEqual([[wanted?.n]])
    expect(await loading.compare('visits', { columns: COLUMNS, where })).toEqual(same(Number(wanted?.n)))
    await runsAgainInVain(loading)
  })

  test('replace_by needs partitions of the table itself', async () => {
    await using loading = await startVisits({ ...byId, replace_by: 'truncate' })
    const { error } = await loading.run()
    expect(error?.message).toContain('replace_by: truncate')
  })
})

test('a partition that shrank too far stays as it was', async () => {
  await using loading = await startVisits({ partition: { by: 'region' } })
  await succeed(loading)
  await loading.source.run("DELETE FROM visits WHERE region = 'EU' AND id > 500")
  const before = await rowids(loading)
  const counts = await entries(loading, 'partition_key, "rows"')
  const { error } = await loading.run({ partitions: ['EU'] })
  expect(error?.code).toBe('partitions-failed')
  expect(error?.message).toContain('partition-shrank')
  expect(await rowids(loading)).toEqual(before)
  expect(await entries(loading, 'partition_key, "rows"')).toEqual(counts)
  expect((await entries(loading)).find(([key]) => key === 'EU')?.[1]).toBe('failed')

  loading.pipelines({ visits: { pattern: 'partition', source: { table: 'visits' }, partition: { by: 'region' }, allow_shrink: true } })
  await succeed(loading)
  const [left] = await loading.source.rows('SELECT count(*) AS n FROM visits')
  expect(await compare(loading)).toEqual(same(Number(left?.n)))
})

describe('killed', () => {
  /** Reached once a run; the others once a partition. */
  const ONCE: readonly string[] = ['observed', 'planned', 'ledger-prepared', 'before-finish', 'finished']
  const AFTER_ALL: readonly string[] = ['before-finish', 'finished']
  const PARTITIONS = 11

  /** Dies at the point; then runs to the end, and does nothing again that was done. */
  async function killedAt(loading: Loading, point: string): Promise<void> {
    const earlier = await committed(loading)
    const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: ONCE.includes(point) ? point : `${point}:6` })
    expect({ exit: died.exit, signal: died.signal }).toEqual({ exit: null, signal: 'SIGKILL' })
    const found = await committed(loading)
    const done = [...found.keys()].filter((key) => found.get(key) !== earlier.get(key))
    if (AFTER_ALL.includes(point)) expect(done).toHaveLength(PARTITIONS)
    else if (ONCE.includes(point)) expect(done).toEqual([])
    else expect(done.length >= 2 && done.length < PARTITIONS).toBe(true)
    await succeed(loading)
    const after = await committed(loading)
    expect(after.size).toBe(PARTITIONS)
    expect(done.filter((key) => after.get(key) !== found.get(key))).toEqual([])
  }

  test.each(PARTITION_CRASH_POINTS)('at %s, on a first load and on a reload', async (point) => {
    await using loading = await startVisits({ partition: { by: 'id', size: 300 }, workers: 4, detect: 'checksum' })
    await killedAt(loading, point)
    expect(await compare(loading)).toEqual(same(ROWS))
    await loading.source.run("UPDATE visits SET amount = amount + 1, note = 'edited'; DELETE FROM visits WHERE id % 10 = 5")
    await killedAt(loading, point)
    expect(await compare(loading)).toEqual(same(ROWS - 300))
    await runsAgainInVain(loading)
    const tables = await duckdbRows(path(loading), 'SELECT table_name FROM duckdb_tables() ORDER BY 1')
    expect(tables.flat()).toEqual(['pipeline_history', 'pipeline_partitions', 'pipeline_watermarks', 'visits'])
  })
})

test('two runs in one process share the partitions', async () => {
  await using loading = await startVisits({ partition: { by: 'id', size: 100 }, detect: 'checksum' })
  let isShared = false
  let round = 0
  // One may be done before the other has looked; not every time.
  while (!isShared && round < 8) {
    const runs = await Promise.all([loading.run(), loading.run()])
    expect(runs.map(({ error }) => error)).toEqual([null, null])
    expect(await compare(loading)).toEqual(same(ROWS))
    const done = runs.map(({ partitions }) => partitions?.committed ?? 0)
    expect((done[0] ?? 0) + (done[1] ?? 0)).toBe(31)
    isShared = done.every((count) => count > 0)
    round += 1
    expect((await entries(loading, 'DISTINCT attempt, status')).toString()).toBe(`${round},committed`)
    await loading.source.run(`UPDATE visits SET note = 'edited ${round}'`)
  }
  expect(isShared).toBe(true)
})

test('two pipelines at once load side by side', async () => {
  await using loading = await startVisits()
  const one = { pattern: 'partition', source: { table: 'visits' }, partition: { by: 'id', size: 100 } }
  loading.pipelines({ visits: one, copies: { ...one, target: { table: 'copies' } } })
  await using project = await loading.open()
  await using other = await loading.open()
  const results = await Promise.all([project.run('visits'), other.run('copies')])
  expect(results.map(({ ok }) => ok)).toEqual([true, true])
  await Promise.all([project.close(), other.close()])
  expect(await compare(loading)).toEqual(same(ROWS))
  expect(await loading.compare('visits', { columns: COLUMNS, targetTable: 'copies' })).toEqual(same(ROWS))
})

test('a bucket holds the same values on both sides', async () => {
  await using loading = await startVisits()
  await loading.source.run(`
    CREATE TABLE hashed (i bigint, t text, d date, u uuid);
    INSERT INTO hashed SELECT i, repeat('ü日𝄞 ', i::int % 7) || i, date '1969-12-01' + i::int, md5(i::text)::uuid FROM generate_series(1, 400) AS i;
    INSERT INTO hashed VALUES (-1, '', '0044-03-15 BC', '00000000-0000-0000-0000-000000000000'), (-9223372036854775808, 'x (BC)', 'infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
      (9223372036854775807, 'A' || chr(769), '20240-03-10', md5('a')::uuid), (0, E'tab\\t\\n', '0001-01-01', md5('b')::uuid)`)
  for (const by of ['i', 't', 'd', 'u']) {
    const target = { table: `hashed_${by}` }
    loading.pipelines({
      hashed: { pattern: 'partition', source: { table: 'hashed' }, target, partition: { by, buckets: 5, nulls: 'error' } },
    })
    await succeed(loading)
    const keys = Array.from({ length: 5 }, (_, bucket) => `bucket-${bucket}`)
    // A row that its own bucket did not find would be there twice: the table has no key.
    expect((await succeed(loading, { partitions: keys })).rows).toMatchObject({ inserted: 404, deleted: 404 })
    await duckdbRun(path(loading), 'DELETE FROM pipeline_partitions; DELETE FROM pipeline_watermarks; DELETE FROM pipeline_history')
  }
})

test('four workers take no more memory than their limit', async () => {
  await using loading = await startVisits({ partition: { by: 'id', size: 100_000 }, workers: 4 }, '2020-01-01 00:00:00+00', 1_200_000)
  await loading.source.run("UPDATE visits SET note = repeat('x', 100) || id")
  for (const args of [['run'], ['run', '--full-refresh']]) {
    const running = loading.start(args)
    let peak = 0
    const look = setInterval(() => {
      peak = Math.max(peak, residentMegabytes(running.pid))
    }, 20)
    const { exit, text } = await running.done
    clearInterval(look)
    expect(exit, text).toBe(0)
    console.log(`${args.join(' ')}: ${Math.round(peak)} MB`)
    expect(peak).toBeLessThan(LIMIT_MB)
  }
  expect(await duckdbRows(path(loading), 'SELECT count(*), count(DISTINCT id) FROM visits')).toEqual([['1200000', '1200000']])
})

/** DuckDB alone may use 512 MB to replace rows, whatever the table. */
const LIMIT_MB = 800

/** The most that the process had in memory; 0 where the system does not tell. */
function residentMegabytes(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1000
  } catch {
    return 0
  }
}
