// What kind of order a cursor column of Snowflake has, and how its values are spelled in SQL.

import { LoadError } from '../../core/errors.ts'
import { printSource, type ResolvedPipeline } from '../../core/pipeline.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import { columnNamed, type Table } from '../../core/table.ts'
import type { SnowflakeColumn } from './describe.ts'
import { identifier, literal } from './names.ts'
import type { Session } from './session.ts'

export interface Cursor {
  readonly name: string
  readonly column: string
  /** Its type, as Snowflake prints it. */
  readonly declared: string
  readonly family: 'instant' | 'local-time' | 'date' | 'number'
  /** For a local time or a date: the zone in which its values are meant; null: not said. */
  readonly zone: string | null
  readonly nullable: boolean
}

/** Throws `unusable-cursor`. */
export function cursorOf(pipeline: ResolvedPipeline, table: Table): Cursor {
  const column = columnNamed(table, pipeline.cursor) as SnowflakeColumn | undefined
  if (column === undefined) throw new LoadError('missing-column', `${printSource(pipeline)} has no column "${pipeline.cursor}".`)
  const family = familyOf(column)
  if (family === null)
    throw new LoadError(
      'unusable-cursor',
      `Cursor "${column.name}" of ${printSource(pipeline)} is ${column.declared}; its values have no order that can be relied on.`,
    )
  const { name, nullable, declared } = column
  return { name, column: identifier(name), declared, family, zone: pipeline.cursorTimeZone, nullable }
}

function familyOf({ type }: SnowflakeColumn): Cursor['family'] | null {
  if (type.kind === 'timestamp') return type.zoned ? 'instant' : 'local-time'
  if (type.kind === 'date') return 'date'
  return type.kind === 'decimal' ? 'number' : null
}

/** A value as a literal of the cursor's type. */
export function cursorLiteral({ family }: Cursor, value: string): string {
  switch (family) {
    case 'instant':
      return `${literal(value)}::TIMESTAMP_LTZ`
    case 'local-time':
      return `${literal(value)}::TIMESTAMP_NTZ`
    case 'date':
      return `${literal(value)}::DATE`
    case 'number':
      if (!/^-?\d+(\.\d+)?$/.test(value)) throw new LoadError('bad-value', `"${value}" is no number.`)
      return value
  }
}

/** The exact text of an expression of the cursor's type, the same for every session. */
export function cursorText({ family, declared }: Cursor, expression: string): string {
  switch (family) {
    case 'instant':
      return `TO_VARCHAR((${expression})::TIMESTAMP_LTZ, 'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM')`
    case 'local-time':
      return `TO_VARCHAR(${expression}, 'YYYY-MM-DD HH24:MI:SS.FF9')`
    case 'date':
      return `TO_VARCHAR(${expression}, 'YYYY-MM-DD')`
    case 'number':
      return `TO_VARCHAR((${expression})::${declared})`
  }
}

/** An instant, given as text with its zone, as the cursor would show it. */
export function cursorTime({ family, zone }: Cursor, instant: string): string {
  const at = `${literal(instant)}::TIMESTAMP_LTZ`
  if (family === 'instant') return at
  // The session's time zone is UTC.
  const local = isUtc(zone) ? `${at}::TIMESTAMP_NTZ` : `CONVERT_TIMEZONE(${literal(zone)}, ${at})::TIMESTAMP_NTZ`
  return family === 'date' ? `(${local})::DATE` : local
}

/** SQL for the text in UTC, for people; NULL for a number. */
function utcText({ family, zone }: Cursor, expression: string): string {
  const format = "'YYYY-MM-DD HH24:MI:SS.FF6'"
  if (family === 'number') return 'NULL'
  if (family === 'instant') return `TO_VARCHAR((${expression})::TIMESTAMP_LTZ, ${format})`
  const local = `(${expression})::TIMESTAMP_NTZ`
  return isUtc(zone) ? `TO_VARCHAR(${local}, ${format})` : `TO_VARCHAR(CONVERT_TIMEZONE(${literal(zone)}, 'UTC', ${local}), ${format})`
}

function isUtc(zone: string | null): zone is null | 'UTC' {
  return zone === null || /^(Etc\/)?UTC$/i.test(zone)
}

/** The watermark at an expression of the cursor's type. Throws `bad-value` where that is none. */
export async function watermarkAt(session: Session, cursor: Cursor, expression: string): Promise<WatermarkPosition> {
  const [row] = await session.rows(`SELECT ${cursorText(cursor, expression)} AS value, ${utcText(cursor, expression)} AS time`)
  const time = row?.['time'] ?? null
  return { kind: 'watermark', value: row?.['value'] ?? null, ...(time === null ? {} : { time }) }
}

/** Throws `bad-value` for a text that is no value of the cursor's type. */
export async function watermarkOfText(session: Session, cursor: Cursor, text: string): Promise<WatermarkPosition> {
  try {
    return await watermarkAt(session, cursor, cursorLiteral(cursor, text))
  } catch (thrown) {
    if (thrown instanceof LoadError && (thrown.code === 'value-refused' || thrown.code === 'bad-value'))
      throw new LoadError('bad-value', `"${text}" is no value of cursor "${cursor.name}", which is ${cursor.declared}.`, { cause: thrown })
    throw thrown
  }
}
