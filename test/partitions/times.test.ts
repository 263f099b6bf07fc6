// Partitions of a time: by each unit, in zones whose days are odd, on each type of column. Bounds are contiguous and half-open; every
// row lies in exactly one.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PARTITION_UNITS, type PartitionUnit } from '../../src/core/partition.ts'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { type Bounds, boundsOf, ledger, succeed } from './partition-loading.ts'

const MAKE = 'CREATE TABLE events (id bigint, instant timestamptz, clock timestamp, day date)'
type Column = 'instant' | 'clock' | 'day'

/** One project with a pipeline for each definition, all of the table `events`. */
async function startEvents(definitions: Readonly<Record<string, object>>): Promise<Loading> {
  const pipelines = Object.fromEntries(
    Object.entries(definitions).map(([name, partition]) => [
      name,
      { pattern: 'partition', source: { table: 'events' }, target: { table: name }, partition: { by: 'instant', ...partition } },
    ]),
  )
  const loading = await startLoading({ pipelines })
  await loading.source.run(MAKE)
  return loading
}

const lines = (bounds: readonly Bounds[]): string[] => bounds.map(({ key, lower, upper }) => `${key} ${lower} ${upper}`)

const odd: [what: string, partition: object, expected: string[]][] = [
  [
    'a day of 23 hours in New York',
    { unit: 'day', time_zone: 'America/New_York', first: '2024-03-10', last: '2024-03-11' },
    ['2024-03-10 2024-03-10T05:00:00Z 2024-03-11T04:00:00Z', '2024-03-11 2024-03-11T04:00:00Z 2024-03-12T04:00:00Z'],
  ],
  [
    'a day of 25 hours in New York',
    { unit: 'day', time_zone: 'America/New_York', first: '2024-11-03', last: '2024-11-03' },
    ['2024-11-03 2024-11-03T04:00:00Z 2024-11-04T05:00:00Z'],
  ],
  [
    'the hour that comes twice in New York',
    { unit: 'hour', time_zone: 'America/New_York', first: '2024-11-03T00', last: '2024-11-03T02' },
    [
      '2024-11-03T00 2024-11-03T04:00:00Z 2024-11-03T05:00:00Z',
      '2024-11-03T01 2024-11-03T05:00:00Z 2024-11-03T06:00:00Z',
      '2024-11-03T01-05:00 2024-11-03T06:00:00Z 2024-11-03T07:00:00Z',
      '2024-11-03T02 2024-11-03T07:00:00Z 2024-11-03T08:00:00Z',
    ],
  ],
  [
    'the hour that is skipped in Berlin',
    { unit: 'hour', time_zone: 'Europe/Berlin', first: '2024-03-31T01', last: '2024-03-31T03' },
    ['2024-03-31T01 2024-03-31T00:00:00Z 2024-03-31T01:00:00Z', '2024-03-31T03 2024-03-31T01:00:00Z 2024-03-31T02:00:00Z'],
  ],
  [
    'the hour that comes twice in Berlin',
    { unit: 'hour', time_zone: 'Europe/Berlin', first: '2024-10-27T02', last: '2024-10-27T02' },
    ['2024-10-27T02 2024-10-27T00:00:00Z 2024-10-27T01:00:00Z', '2024-10-27T02+01:00 2024-10-27T01:00:00Z 2024-10-27T02:00:00Z'],
  ],
  [
    'a week with a change of the clock in Berlin',
    { unit: 'week', time_zone: 'Europe/Berlin', first: '2024-03-31', last: '2024-04-01' },
    ['2024-W13 2024-03-24T23:00:00Z 2024-03-31T22:00:00Z', '2024-W14 2024-03-31T22:00:00Z 2024-04-07T22:00:00Z'],
  ],
  [
    'months in Kolkata',
    { unit: 'month', time_zone: 'Asia/Kolkata', first: '2024-02', last: '2024-02' },
    ['2024-02 2024-01-31T18:30:00Z 2024-02-29T18:30:00Z'],
  ],
  [
    'hours in Kolkata',
    { unit: 'hour', time_zone: 'Asia/Kolkata', first: '2024-02-01T00', last: '2024-02-01T00' },
    ['2024-02-01T00 2024-01-31T18:30:00Z 2024-01-31T19:30:00Z'],
  ],
  [
    'a day without midnight in Havana',
    { unit: 'day', time_zone: 'America/Havana', first: '2024-03-10', last: '2024-03-10' },
    ['2024-03-10 2024-03-10T05:00:00Z 2024-03-11T04:00:00Z'],
  ],
  [
    'two midnights in Havana',
    { unit: 'day', time_zone: 'America/Havana', first: '2024-11-02', last: '2024-11-03' },
    ['2024-11-02 2024-11-02T04:00:00Z 2024-11-03T04:00:00Z', '2024-11-03 2024-11-03T04:00:00Z 2024-11-04T05:00:00Z'],
  ],
  [
    'days of half an hour more and less on Lord Howe',
    { unit: 'day', time_zone: 'Australia/Lord_Howe', first: '2024-04-07', last: '2024-04-07' },
    ['2024-04-07 2024-04-06T13:00:00Z 2024-04-07T13:30:00Z'],
  ],
  [
    'an hour and a half on Lord Howe',
    { unit: 'hour', time_zone: 'Australia/Lord_Howe', first: '2024-04-07T01', last: '2024-04-07T02' },
    ['2024-04-07T01 2024-04-06T14:00:00Z 2024-04-06T15:30:00Z', '2024-04-07T02 2024-04-06T15:30:00Z 2024-04-06T16:30:00Z'],
  ],
  [
    'a day that never was in Apia',
    { unit: 'day', time_zone: 'Pacific/Apia', first: '2011-12-29', last: '2011-12-31' },
    ['2011-12-29 2011-12-29T10:00:00Z 2011-12-30T10:00:00Z', '2011-12-31 2011-12-30T10:00:00Z 2011-12-31T10:00:00Z'],
  ],
  [
    'no midnight in São Paulo',
    { unit: 'day', time_zone: 'America/Sao_Paulo', first: '2018-11-03', last: '2018-11-04' },
    ['2018-11-03 2018-11-03T03:00:00Z 2018-11-04T03:00:00Z', '2018-11-04 2018-11-04T03:00:00Z 2018-11-05T02:00:00Z'],
  ],
  [
    'a day that ends twice in São Paulo',
    { unit: 'day', time_zone: 'America/Sao_Paulo', first: '2018-02-17', last: '2018-02-18' },
    ['2018-02-17 2018-02-17T02:00:00Z 2018-02-18T03:00:00Z', '2018-02-18 2018-02-18T03:00:00Z 2018-02-19T03:00:00Z'],
  ],
  [
    'quarters',
    { unit: 'quarter', first: '2023-Q4', last: '2024-Q1' },
    ['2023-Q4 2023-10-01T00:00:00Z 2024-01-01T00:00:00Z', '2024-Q1 2024-01-01T00:00:00Z 2024-04-01T00:00:00Z'],
  ],
  [
    'years in Berlin',
    { unit: 'year', time_zone: 'Europe/Berlin', first: '2024', last: '2024' },
    ['2024 2023-12-31T23:00:00Z 2024-12-31T23:00:00Z'],
  ],
  [
    'the week that begins a year before it',
    { unit: 'week', first: '2025-W01', last: '2025-W01' },
    ['2025-W01 2024-12-30T00:00:00Z 2025-01-06T00:00:00Z'],
  ],
  [
    'a day named by its week',
    { unit: 'day', first: '2024-W10', last: '2024-03-04' },
    ['2024-03-04 2024-03-04T00:00:00Z 2024-03-05T00:00:00Z'],
  ],
  [
    'local time without a zone',
    { by: 'clock', unit: 'day', time_zone: 'America/New_York', first: '2024-03-10', last: '2024-03-10' },
    ['2024-03-10 2024-03-10T00:00:00 2024-03-11T00:00:00'],
  ],
  [
    'hours of a time without zone',
    { by: 'clock', unit: 'hour', time_zone: 'America/New_York', first: '2024-03-10T01', last: '2024-03-10T02' },
    ['2024-03-10T01 2024-03-10T01:00:00 2024-03-10T02:00:00', '2024-03-10T02 2024-03-10T02:00:00 2024-03-10T03:00:00'],
  ],
  [
    'dates',
    { by: 'day', unit: 'month', time_zone: 'Pacific/Apia', first: '2011-12', last: '2012-01-05' },
    ['2011-12 2011-12-01 2012-01-01', '2012-01 2012-01-01 2012-02-01'],
  ],
]

test('the last partition is the end of the period that it names', async () => {
  const cases: [unit: string, last: string, partitions: number, key: string][] = [
    ['day', '2024-03', 31, '2024-03-31'],
    ['day', '2024-W09', 3, '2024-03-03'],
    ['day', '2024-Q1', 31, '2024-03-31'],
    ['month', '2024', 10, '2024-12'],
    // A day of 23 hours.
    ['hour', '2024-03-10', 239, '2024-03-10T23'],
    ['hour', '2024-03-01T05', 6, '2024-03-01T05'],
    ['day', '2024-03-01 23:59:59', 1, '2024-03-01'],
  ]
  const wanted = cases.map(
    ([unit, last], index) => [`p${index}`, { unit, time_zone: 'America/New_York', first: '2024-03-01', last }] as const,
  )
  await using loading = await startEvents(Object.fromEntries(wanted))
  for (const [index, [unit, last, partitions, key]] of cases.entries()) {
    const keys = (await boundsOf(loading, `p${index}`)).map((one) => one.key)
    expect({ unit, last, partitions: keys.length, key: keys.at(-1) }).toEqual({ unit, last, partitions, key })
  }
})

test('bounds where the clock is odd', async () => {
  await using loading = await startEvents(Object.fromEntries(odd.map(([, partition], index) => [`p${index}`, partition])))
  for (const [index, [what, , expected]] of odd.entries())
    expect({ what, bounds: lines(await boundsOf(loading, `p${index}`)) }).toEqual({ what, bounds: expected })
})

test('first and last as people write them, by the clock of the source in the zone of the pipeline', async () => {
  const zone = 'Pacific/Apia'
  const cases: [first: string, last: string, from: string, to: string][] = [
    ['today', 'today', '0 days', '0 days'],
    ['yesterday', 'tomorrow', '-1 days', '1 days'],
    ['-7d', 'yesterday', '-7 days', '-1 days'],
    ['-2w', '-1w', '-14 days', '-7 days'],
    ['-1mo', 'now', '-1 month', '0 days'],
  ]
  await using loading = await startEvents(
    Object.fromEntries(cases.map(([first, last], index) => [`p${index}`, { unit: 'day', time_zone: zone, first, last }])),
  )
  for (const [index, [first, last, from, to]] of cases.entries()) {
    const days = (): Promise<Record<string, string | null>[]> =>
      loading.source.rows(
        `SELECT to_char(d, 'YYYY-MM-DD') AS day FROM date_trunc('day', now() AT TIME ZONE '${zone}') AS today,
         generate_series(today + interval '${from}', today + interval '${to}', interval '1 day') AS d`,
      )
    let expected = (await days()).map(({ day }) => day)
    let keys = (await boundsOf(loading, `p${index}`)).map(({ key }) => key)
    // Midnight may lie between the two questions.
    if (keys.join() !== expected.join())
      [expected, keys] = [(await days()).map(({ day }) => day), (await boundsOf(loading, `p${index}`)).map(({ key }) => key)]
    expect({ first, last, keys }).toEqual({ first, last, keys: expected })
  }
})

const KEY_FORMATS: Readonly<Record<PartitionUnit, string>> = {
  hour: 'YYYY-MM-DD"T"HH24',
  day: 'YYYY-MM-DD',
  week: 'IYYY-"W"IW',
  month: 'YYYY-MM',
  quarter: 'YYYY-"Q"Q',
  year: 'YYYY',
}
const ZONES = [
  'UTC',
  'America/New_York',
  'Europe/Berlin',
  'Asia/Kolkata',
  'America/Havana',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/Sao_Paulo',
]
/** Changes of the clock in these zones, beside which rows are sown. */
const CHANGES = [
  '2024-03-10T07:00:00Z',
  '2024-11-03T06:00:00Z',
  '2024-03-31T01:00:00Z',
  '2024-10-27T01:00:00Z',
  '2024-03-10T05:00:00Z',
  '2024-11-03T05:00:00Z',
  '2024-04-06T15:00:00Z',
  '2024-10-05T15:30:00Z',
  '2011-12-30T10:00:00Z',
  '2018-11-04T03:00:00Z',
  '2018-02-18T02:00:00Z',
]
const SPAN_HOURS: Readonly<Record<PartitionUnit, number>> = { hour: 72, day: 400, week: 2000, month: 9000, quarter: 20_000, year: 60_000 }

const caseOf = fc.record({
  column: fc.constantFrom<Column>('instant', 'clock', 'day'),
  unit: fc.constantFrom(...PARTITION_UNITS),
  zone: fc.constantFrom(...ZONES),
  around: fc.constantFrom(...CHANGES),
  seed: fc.nat(1_000_000),
  given: fc.boolean(),
})

test('every row lies in exactly one partition, and in the one that its local time names', async () => {
  await using loading = await startEvents({ any: { unit: 'day' } })
  await fc.assert(
    fc.asyncProperty(caseOf, async ({ column, unit: wanted, zone, around, seed, given }) => {
      const unit = column === 'day' && wanted === 'hour' ? 'day' : wanted
      const half = SPAN_HOURS[unit] / 2
      await loading.source.run(`SELECT setseed(${seed / 1_000_000}); TRUNCATE events;
        INSERT INTO events SELECT i, at, at AT TIME ZONE '${zone}', (at AT TIME ZONE '${zone}')::date FROM (
          SELECT i, timestamptz '${around}' + CASE WHEN i % 3 = 0 THEN interval '15 minutes' * (i % 40 - 20) - interval '1 microsecond' * (i % 2)
            ELSE interval '1 second' * ((random() * 2 - 1) * ${half * 3600})::int END AS at FROM generate_series(1, 240) i) AS x`)
      const limits = given ? await outerLimits(loading, column, zone) : {}
      loading.pipelines({
        any: {
          pattern: 'partition',
          source: { table: 'events' },
          target: { table: 'any' },
          partition: { by: column, unit, time_zone: zone, ...limits },
        },
      })
      const bounds = await boundsOf(loading, 'any')
      for (const [index, { upper }] of bounds.slice(0, -1).entries()) expect(bounds[index + 1]?.lower).toBe(upper)
      expect(new Set(bounds.map(({ key }) => key)).size).toBe(bounds.length)
      const type = column === 'instant' ? 'timestamptz' : column === 'clock' ? 'timestamp' : 'date'
      const local = column === 'instant' ? `(e.instant AT TIME ZONE '${zone}')` : `e.${column}`
      const [found] = await loading.source.rows(
        `SELECT count(*) FILTER (WHERE n <> 1) AS "not once", count(*) FILTER (WHERE n = 1 AND NOT starts_with(key, wanted)) AS elsewhere, count(*) AS rows
         FROM (SELECT e.id, to_char(${local}, '${KEY_FORMATS[unit]}') AS wanted, count(p.key) AS n, min(p.key) AS key FROM events e
           LEFT JOIN jsonb_to_recordset($1::jsonb) AS p(key text, lower ${type}, upper ${type}) ON e.${column} >= p.lower AND e.${column} < p.upper
           GROUP BY 1, 2) AS each`,
        [JSON.stringify(bounds)],
      )
      expect(found).toEqual({ 'not once': '0', elsewhere: '0', rows: '240' })
    }),
    { numRuns: 40, examples: examples() },
  )
})

/** Each zone and unit once, beside its own changes. */
function examples() {
  const places: [zone: string, around: string][] = [
    ['America/Havana', '2024-11-03T05:00:00Z'],
    ['Australia/Lord_Howe', '2024-04-06T15:00:00Z'],
    ['Pacific/Apia', '2011-12-30T10:00:00Z'],
    ['America/Sao_Paulo', '2018-02-18T02:00:00Z'],
    ['America/New_York', '2024-11-03T06:00:00Z'],
  ]
  return places.flatMap(([zone, around]) =>
    (['hour', 'day'] as const).map((unit) => [{ column: 'instant' as Column, unit, zone, around, seed: 1, given: false }] as [never]),
  )
}

/** Days that enclose all rows. */
async function outerLimits(loading: Loading, column: Column, zone: string) {
  const local = column === 'instant' ? `(instant AT TIME ZONE '${zone}')` : column
  const [found] = await loading.source.rows(
    `SELECT to_char(min(${local}), 'YYYY-MM-DD') AS first, to_char(max(${local}) + interval '1 day', 'YYYY-MM-DD') AS last FROM events`,
  )
  return { first: found?.first, last: found?.last }
}

test.each(['instant', 'clock', 'day'] as const)(
  'rows of column %s are loaded, and end up in the partitions that the ledger names',
  async (by) => {
    await using loading = await startEvents({ loaded: { by, unit: 'day', time_zone: 'America/Havana' } })
    await loading.source.run(`INSERT INTO events SELECT i, at, at AT TIME ZONE 'America/Havana', (at AT TIME ZONE 'America/Havana')::date FROM
    (SELECT i, timestamptz '2024-11-01 00:00+00' + i * interval '20 minutes' AS at FROM generate_series(1, 400) i) AS x`)
    const result = await succeed(loading)
    expect(result).toMatchObject({ status: 'loaded', pattern: 'partition', rows: { read: 400, inserted: 400 } })
    expect(await loading.compare('events', { columns: ['id', 'instant', 'clock', 'day'], targetTable: 'loaded' })).toEqual(same(400))
    const wanted = await loading.source.rows(
      "SELECT to_char(instant AT TIME ZONE 'America/Havana', 'YYYY-MM-DD') AS key, count(*) AS rows FROM events GROUP BY 1 ORDER BY 1",
    )
    expect((await ledger(loading.target, 'loaded')).map(({ key, rows }) => ({ key, rows }))).toEqual(wanted)
  },
)

test('a row of the hour that comes again after midnight in St. John’s is in a partition, too', async () => {
  const zone = 'America/St_Johns'
  await using loading = await startEvents({ days: { unit: 'day', time_zone: zone }, hours: { unit: 'hour', time_zone: zone } })
  // One minute after midnight the clocks went back to 23:01 of the day before.
  const last: string[] = []
  for (const instant of ['2010-11-07 02:30:30+00', '2010-11-07 03:00+00', '2010-11-07 03:45+00']) {
    await loading.source.run(`TRUNCATE events; INSERT INTO events (id, instant) VALUES (1, '2010-11-06 12:00+00'), (2, '${instant}')`)
    for (const name of ['days', 'hours']) {
      const bounds = await boundsOf(loading, name)
      const [found] = await loading.source.rows(
        `SELECT count(*) AS n FROM jsonb_to_recordset($1::jsonb) AS p(lower timestamptz, upper timestamptz) WHERE lower <= '${instant}' AND upper > '${instant}'`,
        [JSON.stringify(bounds)],
      )
      last.push(`${name} ${instant}: ${found?.n}`)
    }
  }
  expect(last.filter((one) => !one.endsWith(': 1'))).toEqual([])
})

test('a row at infinity, or before the year 1, is not left out in silence', async () => {
  await using loading = await startEvents({ ending: { unit: 'day' }, given: { unit: 'day', last: '2024-01-02' } })
  for (const [instant, name, code] of [
    ['infinity', 'ending', 'unusable-partition'],
    ['-infinity', 'ending', 'unusable-partition'],
    ['-infinity', 'given', 'unusable-partition'],
    ['infinity', 'given', null],
    ['0002-05-05 00:00:00+00 BC', 'ending', 'unusable-partition'],
  ] as const) {
    await loading.source.run(`TRUNCATE events; INSERT INTO events (id, instant) VALUES (1, '2024-01-01'), (2, '${instant}')`)
    await using project = await loading.open()
    const { pipelines } = await project.run(name)
    expect({ instant, name, code: pipelines[0]?.error?.code ?? null }).toEqual({ instant, name, code })
  }
})

test('the first row lies in a partition, too, where a whole day came twice', async () => {
  await using loading = await startEvents({ days: { unit: 'day', time_zone: 'Pacific/Kwajalein' } })
  // 1969: the clocks went back by 23 hours.
  for (const first of ['1969-09-29 14:00+00', '1969-09-30 12:30+00', '1969-09-30 13:30+00']) {
    await loading.source.run(`TRUNCATE events; INSERT INTO events (id, instant) VALUES (1, '${first}'), (2, '1969-10-02 12:00+00')`)
    const bounds = await boundsOf(loading, 'days')
    const [found] = await loading.source.rows(
      `SELECT count(*) AS n FROM jsonb_to_recordset($1::jsonb) AS p(lower timestamptz, upper timestamptz), events WHERE instant >= lower AND instant < upper`,
      [JSON.stringify(bounds)],
    )
    expect({ first, rows: found?.n }).toEqual({ first, rows: '2' })
  }
})
