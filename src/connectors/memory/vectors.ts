// Rows of plain values ↔ columns in Arrow's layout: the only format that memory speaks.

import type { ColumnsChunk } from '../../core/chunk.ts'
import { type ColumnVector, isNull, isVariable } from '../../core/columns.ts'
import type { DataType } from '../../core/data-type.ts'
import { invariant } from '../../core/invariant.ts'
import type { Value } from './database.ts'

/** Values of one row, in the order of some columns. */
export type Cells = readonly Value[]

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function toChunk(types: readonly DataType[], rows: readonly Cells[]): ColumnsChunk {
  return { format: 'columns', rows: rows.length, columns: types.map((type, place) => toVector(type, rows, place)) }
}

function toVector(type: DataType, rows: readonly Cells[], place: number): ColumnVector {
  const valid = rows.some((row) => row[place] === null) ? validity(rows, place) : null
  if (isVariable(type)) return { type, valid, ...textData(rows, place) }
  invariant(holdsNumbers(type), `memory holds no ${type.kind}`)
  const data = new BigInt64Array(rows.length)
  for (let at = 0; at < rows.length; at++) data[at] = (rows[at]?.[place] ?? 0n) as bigint
  return { type, data, bytes: null, valid }
}

/** Types whose values are 64-bit integers in a vector, as they are in memory. */
function holdsNumbers(type: DataType): boolean {
  return type.kind === 'timestamp' || (type.kind === 'integer' && type.bits === 64)
}

function validity(rows: readonly Cells[], place: number): Uint8Array {
  const valid = new Uint8Array((rows.length + 7) >> 3)
  for (let at = 0; at < rows.length; at++) if (rows[at]?.[place] !== null) valid[at >> 3] = (valid[at >> 3] ?? 0) | (1 << (at & 7))
  return valid
}

function textData(rows: readonly Cells[], place: number): { data: Uint32Array; bytes: Uint8Array } {
  const data = new Uint32Array(rows.length + 1)
  const texts = rows.map((row) => (row[place] ?? '') as string)
  // A character of UTF-16 is at most three bytes of UTF-8.
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + text.length * 3, 0))
  let end = 0
  for (const [at, text] of texts.entries()) {
    end += encoder.encodeInto(text, bytes.subarray(end)).written
    data[at + 1] = end
  }
  return { data, bytes: bytes.subarray(0, end) }
}

export function toRows(chunk: ColumnsChunk): Cells[] {
  return Array.from({ length: chunk.rows }, (_, row) => chunk.columns.map((column) => cell(column, row)))
}

function cell(column: ColumnVector, row: number): Value {
  if (isNull(column, row)) return null
  if (column.bytes === null) return column.data[row] as bigint
  return decoder.decode(column.bytes.subarray(Number(column.data[row]), Number(column.data[row + 1])))
}
