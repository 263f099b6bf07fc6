// Partitions of a time column. The database itself computes every boundary, by its own time zone rules: a day of 23 or 25 hours is
// one day. Instants are printed in UTC; values of a column without zone stay as they are.

import { LoadError } from '../../core/errors.ts'
import type { PartitionBy, PartitionUnit } from '../../core/partition.ts'
import { literal } from '../../sql/quote.ts'
import type { PartitionColumn } from './partition-column.ts'
import type { Session } from './session.ts'

type TimeBy = Extract<PartitionBy, { kind: 'time' }>

interface Unit {
  readonly step: string
  readonly seconds: number
  readonly key: string
}

const UNITS: Readonly<Record<PartitionUnit, Unit>> = {
  hour: { step: '1 hour', seconds: 3600, key: 'YYYY-MM-DD"T"HH24' },
  day: { step: '1 day', seconds: 86_400, key: 'YYYY-MM-DD' },
  week: { step: '7 days', seconds: 604_800, key: 'IYYY-"W"IW' },
  month: { step: '1 month', seconds: 2_629_746, key: 'YYYY-MM' },
  quarter: { step: '3 months', seconds: 7_889_238, key: 'YYYY-"Q"Q' },
  year: { step: '1 year', seconds: 31_556_952, key: 'YYYY' },
}

const SPANS: Readonly<Record<string, string>> = { h: 'hours', d: 'days', w: 'weeks', mo: 'months', y: 'years' }

export interface TimePartition {
  readonly key: string
  readonly lower: string
  readonly upper: string
  readonly closed: boolean
}

/** The wanted time, as an SQL expression of local time in the zone of the pipeline. `end`: the moment after the last row wanted. */
interface Limits {
  readonly first: string
  readonly last: string
  /** Lowest and highest value as SQL, where rows are the limit: clocks that go back may put one outside of the time that it reads as. */
  readonly lowest: string | null
  readonly highest: string | null
}

export interface TimeQuestion {
  readonly session: Session
  readonly by: TimeBy
  readonly column: PartitionColumn
  /** FROM item and condition of the rows that count. */
  readonly from: string
  readonly where: string
  /** An instant: rows of an earlier time come no more. */
  readonly settledBefore: string
  readonly range: { readonly from: string | null; readonly to: string | null }
  readonly most: number
}

/** In order. Throws `bad-value`, `too-many-partitions`, `unusable-partition`. */
export async function timePartitions(question: TimeQuestion): Promise<readonly TimePartition[]> {
  const limits = await findLimits(question)
  if (limits === null) return []
  const { session, by, most, range } = question
  const [span] = await query(
    session,
    `SELECT extract(epoch FROM date_trunc('${by.unit}', ${limits.last}) - date_trunc('${by.unit}', ${limits.first})) AS seconds`,
  )
  const seconds = Number(span?.['seconds'])
  if (seconds < 0)
    throw new LoadError(
      'bad-value',
      `The partitions end before they begin: first ${range.from ?? by.first ?? 'of the rows'}, last ${range.to ?? by.last ?? 'of the rows'}.`,
      {
        hint: 'Both are included; `last` must not lie before `first`.',
      },
    )
  const expected = Math.floor(seconds / UNITS[by.unit].seconds) + 1
  if (expected > most) throw tooMany(expected)
  const rows = await query(
    session,
    by.unit === 'hour' && question.column.family === 'instant' ? hours(question, limits) : units(question, limits),
  )
  return distinctKeys(
    rows.map((row) => ({ key: row['key'] ?? '', lower: row['lower'] ?? '', upper: row['upper'] ?? '', closed: row['closed'] === 't' })),
  )
}

export function tooMany(expected: number): LoadError {
  return new LoadError('too-many-partitions', `The pipeline would be cut into about ${expected.toLocaleString('en')} partitions.`)
}

async function findLimits({ session, by, column, from, where, range }: TimeQuestion): Promise<Limits | null> {
  const given = { first: range.from ?? by.first, last: range.to ?? by.last }
  const type = column.family === 'instant' ? 'timestamptz' : 'timestamp'
  const seen = async (way: 'min' | 'max'): Promise<string | null> => {
    const [row] = await session.query(`SELECT ${way}(${column.column})::${type}::text AS value FROM ${from} WHERE ${where}`)
    if (row?.['value']?.endsWith('infinity') === true)
      throw new LoadError('unusable-partition', `Column "${column.name}" has values without end (infinity): they lie in no partition.`, {
        hint: 'Give `first` and `last`, or leave such rows out with `where`.',
      })
    if (row?.['value']?.endsWith(' BC') === true)
      throw new LoadError(
        'unusable-partition',
        `Column "${column.name}" has values before the year 1: partitions have no names for them.`,
        {
          hint: 'Give `first`, or leave such rows out with `where`.',
        },
      )
    return row?.['value'] == null ? null : `${literal(row['value'])}::${type}`
  }
  const lowest = given.first === null ? await seen('min') : null
  const highest = given.last === null ? await seen('max') : null
  const first = given.first === null ? lowest && local(column, by.zone, lowest) : moment(given.first, by.zone)
  const last = given.last === null ? highest && local(column, by.zone, highest) : lastOf(given.last, by.zone, range.to !== null)
  if (first === null || last === null) return null
  return { first, last, lowest, highest }
}

/** Values of the column as local time in the zone; those without zone are meant in it. */
function local(column: PartitionColumn, zone: string, expression: string): string {
  return column.family === 'instant' ? `(${expression} AT TIME ZONE ${literal(zone)})` : `(${expression})::timestamp`
}

/** What people write for a moment → local time as SQL. A day of the calendar is the one in the pipeline's zone. */
function moment(text: string, zone: string): string {
  const now = `(now() AT TIME ZONE ${literal(zone)})`
  if (text === 'now') return now
  const day = { today: 0, yesterday: -1, tomorrow: 1 }[text]
  if (day !== undefined) return `(date_trunc('day', ${now}) + interval '${day} days')`
  const span = /^([+-]\d{1,6})(h|d|w|mo|y)$/.exec(text)
  if (span !== null) {
    const trunc = span[2] === 'h' ? 'hour' : 'day'
    return `(date_trunc('${trunc}', ${now}) + interval '${Number(span[1])} ${SPANS[span[2] ?? 'd']}')`
  }
  const week = /^(\d{4})-W(\d\d)$/.exec(text)
  if (week !== null) return `to_date(${literal(`${week[1]} ${week[2]}`)}, 'IYYY IW')::timestamp`
  const quarter = /^(\d{4})-Q([1-4])$/.exec(text)
  if (quarter !== null) return `make_date(${quarter[1]}, ${Number(quarter[2]) * 3 - 2}, 1)::timestamp`
  if (/^\d{4}$/.test(text)) return `make_date(${text}, 1, 1)::timestamp`
  if (/^\d{4}-\d\d$/.test(text)) return `${literal(`${text}-01`)}::timestamp`
  if (/^\d{4}-\d\d-\d\dT\d\d$/.test(text)) return `${literal(`${text}:00`)}::timestamp`
  // With a zone of its own it is an instant; without, it is meant in the pipeline's.
  return /[+-]\d\d(:?\d\d)?$|Z$/.test(text) && /:/.test(text)
    ? `(${literal(text)}::timestamptz AT TIME ZONE ${literal(zone)})`
    : `${literal(text)}::timestamp`
}

/**
 * The last moment that is wanted. `last: 2024-03` means all of March, whatever the unit; `--to` itself is not included: the last
 * partition is the one that holds the moment before it.
 */
function lastOf(text: string, zone: string, isExcluded: boolean): string {
  const end = isExcluded ? null : lengthOf(text)
  const at = moment(text, zone)
  if (end !== null) return `(${at} + interval '${end}' - interval '1 microsecond')`
  return isExcluded ? `(${at} - interval '1 microsecond')` : at
}

/** How long the period is that a text names; null for a moment. */
function lengthOf(text: string): string | null {
  if (/^(today|yesterday|tomorrow)$/.test(text) || /^[+-]\d+(d|w|mo|y)$/.test(text) || /^\d{4}-\d\d-\d\d$/.test(text)) return '1 day'
  if (/^[+-]\d+h$/.test(text) || /T\d\d$/.test(text)) return '1 hour'
  if (/^\d{4}-W\d\d$/.test(text)) return '7 days'
  if (/^\d{4}-Q[1-4]$/.test(text)) return '3 months'
  if (/^\d{4}-\d\d$/.test(text)) return '1 month'
  return /^\d{4}$/.test(text) ? '1 year' : null
}

/** Of a local time that comes twice, the first; one that is skipped is the moment of the jump. */
function earliest(expression: string, zone: string): string {
  const z = literal(zone)
  const at = `(${expression} AT TIME ZONE ${z})`
  const before = (minutes: number): string =>
    `CASE WHEN (${at} - interval '${minutes} minutes') AT TIME ZONE ${z} = ${expression} THEN ${at} - interval '${minutes} minutes' END`
  return `least(${at}, ${before(60)}, ${before(30)})`
}

function units({ by, column, settledBefore }: TimeQuestion, { first, last, lowest, highest }: Limits): string {
  const { step, key } = UNITS[by.unit]
  const zoned = column.family === 'instant'
  const bound = zoned ? earliest('l', by.zone) : 'l'
  const print = zoned
    ? (value: string) => `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
    : column.family === 'date'
      ? (value: string) => `to_char(${value}, 'YYYY-MM-DD')`
      : (value: string) => `to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SS')`
  const instant = `${literal(settledBefore)}::timestamptz`
  const settled = zoned ? instant : `(${instant} AT TIME ZONE ${literal(by.zone)})`
  const [from, to] = [`date_trunc('${by.unit}', ${first})`, `date_trunc('${by.unit}', ${last})`]
  return `
    WITH l AS (SELECT generate_series(${from} - interval '${step}', ${to} + 2 * interval '${step}', interval '${step}') AS l),
    b AS (SELECT l, to_char(l, '${key}') AS key, ${bound} AS lower FROM l),
    p AS (SELECT l, key, lower, lead(lower) OVER (ORDER BY lower, key) AS upper FROM b)
    SELECT key, ${print('lower')} AS lower, ${print('upper')} AS upper, upper <= ${settled} AS closed FROM p
    WHERE upper IS NOT NULL AND lower < upper AND ${lowest === null ? `l >= ${from}` : `upper > ${lowest}`} AND ${highest === null ? `l <= ${to}` : `lower <= ${highest}`}
    ORDER BY lower`
}

/** Every moment at which the local clock shows a full hour, by quarters of an hour: zones jump by an hour, half an hour, or less. */
function hours({ by, settledBefore }: TimeQuestion, { first, last, highest }: Limits): string {
  const z = literal(by.zone)
  const print = (value: string): string => `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
  return `
    WITH q AS (SELECT generate_series(${earliest(`date_trunc('hour', ${first})`, by.zone)}, (date_trunc('hour', ${last}) AT TIME ZONE ${z}) + interval '2 hours', interval '15 minutes') AS q),
    b AS (SELECT q, q AT TIME ZONE ${z} AS l FROM q WHERE date_trunc('hour', q AT TIME ZONE ${z}) = q AT TIME ZONE ${z}),
    p AS (SELECT to_char(l, '${UNITS.hour.key}') AS key, l, q AS lower, lead(q) OVER (ORDER BY q) AS upper FROM b)
    SELECT key, ${print('lower')} AS lower, ${print('upper')} AS upper, upper <= ${literal(settledBefore)}::timestamptz AS closed FROM p
    WHERE upper IS NOT NULL AND ${highest === null ? `l <= date_trunc('hour', ${last})` : `lower <= ${highest}`} ORDER BY lower`
}

/** The hour that comes twice when clocks go back: the second one is named with its distance from UTC. */
function distinctKeys(partitions: readonly TimePartition[]): readonly TimePartition[] {
  return partitions.map((one, index) => {
    if (partitions[index - 1]?.key !== one.key) return one
    const minutes = Math.round((Date.parse(`${one.key}:00:00Z`) - Date.parse(one.lower)) / 60_000)
    const text = `${String(Math.trunc(Math.abs(minutes) / 60)).padStart(2, '0')}:${String(Math.abs(minutes) % 60).padStart(2, '0')}`
    return { ...one, key: `${one.key}${minutes < 0 ? '-' : '+'}${text}` }
  })
}

/** A text of the user's that is no time is his to mend. */
async function query(session: Session, sql: string) {
  try {
    return await session.query(sql)
  } catch (error) {
    if (!(error instanceof LoadError) || error.code !== 'value-refused') throw error
    throw new LoadError('bad-value', 'The first or last partition is given as something that is no date or time.', {
      cause: error,
      hint: 'Write it like 2024-01-31, 2024-01-31T08, 2024-03, today, yesterday or -7d.',
    })
  }
}
