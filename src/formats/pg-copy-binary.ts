// Tuples of PostgreSQL's binary COPY ↔ columns. Text stays the bytes it is. A JSON value that begins with jsonb's version byte
// loses it: JSON text never begins with a byte of 1.

import type { BytesChunk, ColumnsChunk } from '../core/chunk.ts'
import { type ColumnVector, isNull } from '../core/columns.ts'
import type { DataType } from '../core/data-type.ts'
import { LoadError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import type { Column } from '../core/table.ts'
import { createTupleIndex, indexTuples, readValidity, type TupleIndex } from './pg-copy-index.ts'
import {
  type Place,
  readBooleans,
  readDates,
  readIntervals,
  readLongs,
  readShorts,
  readTimestamps,
  readUuids,
  readWords,
  readZonedTimes,
} from './pg-copy-values.ts'
import { numericDigits, readDecimals } from './pg-numeric.ts'

/** A decoder for the chunks of one slice, in order. Each value is expected in the natural type of its column. */
export function columnsDecoder(columns: readonly Column[]): (chunk: BytesChunk) => ColumnsChunk {
  const places = columns.map((column): Place => ({ column: column.name, rowsBefore: 0 }))
  let index = createTupleIndex(columns.length, 0)
  return ({ bytes, rows }) => {
    if (index.capacity < rows) index = createTupleIndex(columns.length, rows)
    const end = indexTuples(index, bytes, 0)
    if (index.rows !== rows || end !== bytes.length) throw wrongCount(rows, index.rows)
    const vectors = columns.map((column, i) => readColumn(column.type, bytes, index, i, places[i] as Place))
    for (const place of places) place.rowsBefore += rows
    return { format: 'columns', rows, columns: vectors }
  }
}

function wrongCount(said: number, found: number): LoadError {
  return new LoadError('short-read', `A chunk of binary COPY said it had ${said} rows, but has ${found} or more.`)
}

function readColumn(type: DataType, bytes: Uint8Array, index: TupleIndex, column: number, place: Place): ColumnVector {
  const bits = new Uint8Array((index.rows + 7) >> 3)
  const valid = readValidity(index, column, bits) === 0 ? null : bits
  const { data, bytes: text } = readData(type, bytes, index, column, place)
  return { type, data, bytes: text, valid }
}

function readData(
  type: DataType,
  bytes: Uint8Array,
  index: TupleIndex,
  column: number,
  place: Place,
): Pick<ColumnVector, 'data' | 'bytes'> {
  const { rows } = index
  const filled = <Data extends ColumnVector['data']>(data: Data, read: (data: Data) => void): Pick<ColumnVector, 'data' | 'bytes'> => {
    read(data)
    return { data, bytes: null }
  }
  const longs = (perRow: number, read: (out: Int32Array) => void): Pick<ColumnVector, 'data' | 'bytes'> =>
    filled(new BigInt64Array(rows * perRow), (data) => read(new Int32Array(data.buffer)))
  switch (type.kind) {
    case 'boolean':
      return filled(new Uint8Array(rows), (out) => readBooleans(bytes, index, column, out, place))
    case 'integer':
      if (type.bits === 8) return filled(new Int8Array(rows), (out) => readShorts(bytes, index, column, out, place))
      if (type.bits === 16) return filled(new Int16Array(rows), (out) => readShorts(bytes, index, column, out, place))
      if (type.bits === 32) return filled(new Int32Array(rows), (out) => readWords(bytes, index, column, out, place))
      return longs(1, (out) => readLongs(bytes, index, column, out, place))
    case 'float':
      if (type.bits === 32)
        return filled(new Float32Array(rows), (out) => readWords(bytes, index, column, new Int32Array(out.buffer), place))
      return filled(new Float64Array(rows), (out) => readLongs(bytes, index, column, new Int32Array(out.buffer), place))
    case 'decimal':
      if (type.precision <= 18) return longs(1, (out) => readDecimals(bytes, index, column, out, 2, type, place))
      return longs(2, (out) => readDecimals(bytes, index, column, out, 4, type, place))
    case 'date':
      return filled(new Int32Array(rows), (out) => readDates(bytes, index, column, out, place))
    case 'timestamp':
      return longs(1, (out) => readTimestamps(bytes, index, column, out, place))
    case 'time':
      return longs(1, (out) => (type.zoned ? readZonedTimes : readLongs)(bytes, index, column, out, place))
    case 'interval':
      return filled(new Int32Array(rows * 4), (out) => readIntervals(bytes, index, column, out, place))
    case 'uuid':
      return filled(new Uint8Array(rows * 16), (out) => readUuids(bytes, index, column, out, place))
    default:
      return readTexts(bytes, index, column, type.kind === 'json')
  }
}

function readTexts(bytes: Uint8Array, index: TupleIndex, column: number, json: boolean): Pick<ColumnVector, 'data' | 'bytes'> {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  let total = 0
  for (let row = 0; row < rows; row++) total += Math.max(lengths[from + row] as number, 0)
  const offsets = new Uint32Array(rows + 1)
  const out = new Uint8Array(total)
  let at = 0
  for (let row = 0; row < rows; row++) {
    const length = lengths[from + row] as number
    let p = positions[from + row] as number
    const end = p + length
    if (json && length > 0 && bytes[p] === 1) p++
    // A call of `set` costs as much as some 60 bytes one by one.
    if (end - p > 60) {
      out.set(bytes.subarray(p, end), at)
      at += end - p
    } else while (p < end) out[at++] = bytes[p++] as number
    offsets[row + 1] = at
  }
  return { data: offsets, bytes: at === total ? out : out.subarray(0, at) }
}

/** Writes one value at `at`, its length first, and returns where the next begins. */
type Write = (view: DataView, row: number, at: number) => number

/** All rows of the chunk, without header and trailer. */
export function encodeColumns(chunk: ColumnsChunk): Uint8Array {
  const writers = chunk.columns.map(writer)
  const bytes = new Uint8Array(chunk.rows * 2 + chunk.columns.reduce((sum, column) => sum + roomFor(column, chunk.rows), 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (let row = 0; row < chunk.rows; row++) {
    view.setInt16(at, writers.length)
    at += 2
    for (let i = 0; i < writers.length; i++) {
      if (isNull(chunk.columns[i] as ColumnVector, row)) {
        view.setInt32(at, -1)
        at += 4
      } else at = (writers[i] as Write)(view, row, at)
    }
  }
  return bytes.subarray(0, at)
}

function roomFor(column: ColumnVector, rows: number): number {
  if (column.bytes !== null) return rows * 4 + column.bytes.length
  // The longest: a numeric of 38 digits and a scale that cuts a group.
  return rows * (column.type.kind === 'decimal' ? 36 : 20)
}

function fixed(width: number, set: (view: DataView, at: number, row: number) => void): Write {
  return (view, row, at) => {
    view.setInt32(at, width)
    set(view, at + 4, row)
    return at + 4 + width
  }
}

const EPOCH_MICROSECONDS = 946_684_800_000_000n
const LEAST = -(2n ** 63n)
const GREATEST = 2n ** 63n - 1n

function writer({ type, data, bytes }: ColumnVector): Write {
  const big = data as BigInt64Array
  const small = data as Int32Array
  switch (type.kind) {
    case 'boolean':
      return fixed(1, (view, at, row) => view.setUint8(at, small[row] as number))
    case 'integer':
      if (type.bits === 64) return fixed(8, (view, at, row) => view.setBigInt64(at, big[row] as bigint))
      if (type.bits === 32) return fixed(4, (view, at, row) => view.setInt32(at, small[row] as number))
      return fixed(2, (view, at, row) => view.setInt16(at, small[row] as number))
    case 'float': {
      // Bits, not numbers: a NaN keeps its payload.
      const words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >> 2)
      if (type.bits === 32) return fixed(4, (view, at, row) => view.setUint32(at, words[row] as number))
      return fixed(8, (view, at, row) => {
        view.setUint32(at, words[row * 2 + 1] as number)
        view.setUint32(at + 4, words[row * 2] as number)
      })
    }
    case 'decimal':
      return decimalWriter(big, type.precision > 18, type.scale)
    case 'date':
      return fixed(4, (view, at, row) => {
        const days = small[row] as number
        view.setInt32(at, days === 0x7fffffff || days === -0x80000000 ? days : days - 10_957)
      })
    case 'timestamp':
      return fixed(8, (view, at, row) => {
        const value = big[row] as bigint
        view.setBigInt64(at, value === GREATEST || value === LEAST ? value : value - EPOCH_MICROSECONDS)
      })
    case 'time':
      if (!type.zoned) return fixed(8, (view, at, row) => view.setBigInt64(at, big[row] as bigint))
      return fixed(12, (view, at, row) => {
        const value = big[row] as bigint
        view.setBigInt64(at, value >> 24n)
        view.setInt32(at + 8, Number(value & 0xffffffn) - 57_599)
      })
    case 'interval':
      return fixed(16, (view, at, row) => {
        // On the wire everything stands the other way round: high and low word of microseconds, days, months.
        for (let i = 0; i < 4; i++) view.setInt32(at + 12 - 4 * i, small[row * 4 + i] as number)
      })
    case 'uuid':
      return fixed(16, (view, at, row) => {
        for (let i = 0; i < 16; i++) view.setUint8(at + i, small[row * 16 + i] as number)
      })
    default:
      invariant(bytes !== null, 'a column of text has no bytes')
      return textWriter(data as Uint32Array, bytes)
  }
}

function textWriter(offsets: Uint32Array, bytes: Uint8Array): Write {
  return (view, row, at) => {
    const start = offsets[row] as number
    const end = offsets[row + 1] as number
    view.setInt32(at, end - start)
    new Uint8Array(view.buffer).set(bytes.subarray(start, end), at + 4)
    return at + 4 + end - start
  }
}

function decimalWriter(data: BigInt64Array, wide: boolean, scale: number): Write {
  return (view, row, at) => {
    const scaled = wide ? ((data[row * 2 + 1] as bigint) << 64n) | BigInt.asUintN(64, data[row * 2] as bigint) : (data[row] as bigint)
    const { digits, weight } = numericDigits(scaled, scale)
    view.setInt32(at, 8 + 2 * digits.length)
    view.setInt16(at + 4, digits.length)
    view.setInt16(at + 6, weight)
    view.setUint16(at + 8, scaled < 0n ? 0x4000 : 0)
    view.setInt16(at + 10, Math.max(scale, 0))
    for (let i = 0; i < digits.length; i++) view.setInt16(at + 12 + 2 * i, digits[i] as number)
    return at + 12 + 2 * digits.length
  }
}
