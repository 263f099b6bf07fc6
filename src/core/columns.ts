// Values of one column in Arrow's physical layout, so that bytes read from a socket reach the target without becoming
// JavaScript values on the way.

import type { DataType } from './data-type.ts'

/**
 * `data` by type, one element a row, undefined content where the row is NULL:
 * - boolean Uint8Array (0 or 1) · integer and float the typed array of their width
 * - date Int32Array, days from 1970-01-01; timestamp BigInt64Array, microseconds from 1970-01-01 (UTC where zoned);
 *   the extreme values of the array are the infinities
 * - time BigInt64Array, microseconds from midnight; zoned: those × 2^24 + (57599 − seconds east of UTC), DuckDB's layout
 * - decimal up to 18 digits BigInt64Array, scaled; up to 38 digits BigInt64Array of two per row, low word first
 * - uuid Uint8Array, 16 a row · interval Int32Array, 4 a row: months, days, low and high word of microseconds
 * - text, json, bytes, other: Uint32Array of rows + 1 offsets into `bytes`
 */
export interface ColumnVector {
  readonly type: DataType
  readonly data: Uint8Array | Int8Array | Int16Array | Int32Array | Uint32Array | BigInt64Array | Float32Array | Float64Array
  readonly bytes: Uint8Array | null
  /** Bit i of byte i >> 3 is set where row i has a value; null where no row is NULL. */
  readonly valid: Uint8Array | null
}

export function isNull(column: ColumnVector, row: number): boolean {
  return column.valid !== null && ((column.valid[row >> 3] ?? 0) & (1 << (row & 7))) === 0
}

/** True for types whose values are bytes of any length. */
export function isVariable(type: DataType): boolean {
  return type.kind === 'text' || type.kind === 'json' || type.kind === 'bytes' || type.kind === 'other'
}
