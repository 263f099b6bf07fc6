// A cursor column of a memory table, and its values as text: whole numbers, for a time the microseconds.

import { LoadError } from '../../core/errors.ts'
import { printSource, type ResolvedPipeline } from '../../core/pipeline.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import { columnNamed, type Table } from '../../core/table.ts'

export interface Cursor {
  readonly name: string
  readonly family: 'time' | 'number'
}

/** Throws `unusable-cursor`. */
export function cursorOf(pipeline: ResolvedPipeline, table: Table): Cursor {
  const column = columnNamed(table, pipeline.cursor)
  if (column === undefined) throw new LoadError('missing-column', `${printSource(pipeline)} has no column "${pipeline.cursor}".`)
  if (column.type.kind === 'timestamp') return { name: column.name, family: 'time' }
  if (column.type.kind === 'integer') return { name: column.name, family: 'number' }
  throw new LoadError(
    'unusable-cursor',
    `Cursor "${column.name}" of ${printSource(pipeline)} is ${column.type.kind}; its values have no order that can be relied on.`,
  )
}

/** Throws `bad-value`. */
export function readValue(cursor: Cursor, text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw new LoadError('bad-value', `"${text}" is no value of cursor "${cursor.name}".`)
  return BigInt(text)
}

export function watermark(cursor: Cursor, value: bigint | null, horizon: number | undefined): WatermarkPosition {
  return {
    kind: 'watermark',
    value: value === null ? null : String(value),
    ...(value === null || cursor.family === 'number' ? {} : { time: timeText(value) }),
    ...(horizon === undefined ? {} : { horizon: String(horizon) }),
  }
}

function timeText(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
  const second = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ')
  return `${second}.${String(fraction).padStart(6, '0')}`
}
