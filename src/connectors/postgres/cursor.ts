// What kind of order a cursor column has, and how its values are spelled in SQL.

import { LoadError } from '../../core/errors.ts'
import { printSource, type ResolvedPipeline } from '../../core/pipeline.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import { columnNamed } from '../../core/table.ts'
import { identifier, literal } from '../../sql/quote.ts'
import type { PostgresColumn } from './column-types.ts'
import type { PostgresTable } from './describe.ts'
import type { Session } from './session.ts'

export interface Cursor {
  readonly name: string
  readonly column: string
  /** With its modifier, as the source declares it: literals are cast to it. */
  readonly declared: string
  readonly family: 'instant' | 'local-time' | 'date' | 'number'
  /** Declared in seconds or less: values may lie below the time at which they were made, by up to this many microseconds. */
  readonly unitMicros: number
  /** For a local time or a date: the zone in which its values are meant; null: not said. */
  readonly zone: string | null
  readonly nullable: boolean
  readonly indexed: boolean
}

/** Throws `unusable-cursor`. */
export function cursorOf(pipeline: ResolvedPipeline, table: PostgresTable): Cursor {
  const column = columnNamed(table, pipeline.cursor) as PostgresColumn | undefined
  if (column === undefined) throw new LoadError('missing-column', `${printSource(pipeline)} has no column "${pipeline.cursor}".`)
  const family = familyOf(column)
  if (family === null)
    throw new LoadError(
      'unusable-cursor',
      `Cursor "${column.name}" of ${printSource(pipeline)} is ${column.declared}; its values have no order that can be relied on.`,
    )
  return {
    name: column.name,
    column: identifier(column.name),
    declared: column.declared,
    family,
    unitMicros: unitOf(column),
    zone: pipeline.cursorTimeZone,
    nullable: column.nullable,
    indexed: table.indexed.includes(column.name),
  }
}

function familyOf(column: PostgresColumn): Cursor['family'] | null {
  const { type } = column
  if (type.kind === 'timestamp') return type.zoned ? 'instant' : 'local-time'
  if (type.kind === 'date') return 'date'
  if (type.kind === 'integer' || type.kind === 'decimal') return 'number'
  return /^numeric\b/.test(column.declared) ? 'number' : null
}

function unitOf(column: PostgresColumn): number {
  const digits = /^timestamp\((\d)\)/.exec(column.declared)?.[1]
  return digits === undefined ? 1 : 10 ** (6 - Number(digits))
}

/** A value as a literal of the cursor's type. Infinite and huge values are as good as any. */
export function cursorLiteral(cursor: Cursor, value: string): string {
  const type = cursor.family === 'number' ? 'numeric' : withoutPrecision(cursor.declared)
  return `${literal(value)}::${type}`
}

function withoutPrecision(declared: string): string {
  return declared.replace(/\(\d\)/, '')
}

/**
 * The watermark in UTC without zone, for people; undefined where the cursor is no time. Of an adopted watermark (UTC
 * already, without zone) the value is made in the same way, backwards.
 */
export async function position(session: Session, cursor: Cursor, value: string): Promise<WatermarkPosition> {
  const [row] = await session.query(
    `SELECT ${cursorLiteral(cursor, value)}::text AS value, ${utc(cursor, cursorLiteral(cursor, value))} AS time`,
  )
  return watermark(row?.['value'] ?? value, row?.['time'] ?? null)
}

export function watermark(
  value: string | null,
  time: string | null,
  rest: { horizon?: string | undefined; unswept?: number | undefined } = {},
): WatermarkPosition {
  return {
    kind: 'watermark',
    value,
    ...(time === null ? {} : { time }),
    ...(rest.horizon === undefined ? {} : { horizon: rest.horizon }),
    ...(rest.unswept === undefined ? {} : { unswept: rest.unswept }),
  }
}

/** SQL for the UTC text of a cursor expression; infinities and years that no other system knows are NULL. */
export function utc(cursor: Cursor, expression: string): string {
  const sane = (timestamp: string): string =>
    `CASE WHEN ${timestamp} >= '0001-01-01'::timestamp AND ${timestamp} < '10000-01-01'::timestamp THEN to_char(${timestamp}, 'YYYY-MM-DD HH24:MI:SS.US') END`
  if (cursor.family === 'number') return 'NULL::text'
  if (cursor.family === 'instant') return sane(`(${expression} AT TIME ZONE 'UTC')`)
  const local = `(${expression})::timestamp`
  return sane(cursor.zone === null ? local : `((${local} AT TIME ZONE ${literal(cursor.zone)}) AT TIME ZONE 'UTC')`)
}
