// Values of fixed width in PostgreSQL's binary form → the words of a typed array. One loop per type, nothing allocated per value.
// 64-bit values are written as two 32-bit words, low word first: on the little-endian machines Node runs on, an Int32Array
// over the buffer of a BigInt64Array. NULLs are written as zeros, so that they compress.

import { LoadError } from '../core/errors.ts'
import type { TupleIndex } from './pg-copy-index.ts'

/** For messages: the column, and how many rows of the slice came before this index. */
export interface Place {
  readonly column: string
  rowsBefore: number
}

/** A refusal that names column and row, never the value. */
export function refused(place: Place, row: number, why: string): LoadError {
  return new LoadError('value-refused', `Column "${place.column}", row ${place.rowsBefore + row + 1} of the slice: ${why}.`)
}

/** A value is not as wide as its type. */
export function wrongWidth(place: Place, length: number, expected: number): LoadError {
  return new LoadError('bug', `A value of column "${place.column}" has ${length} bytes where its type has ${expected}.`)
}

export function readBooleans(bytes: Uint8Array, index: TupleIndex, column: number, out: Uint8Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0; row < rows; row++) {
    const length = lengths[from + row] as number
    if (length === 1) out[row] = bytes[positions[from + row] as number] === 0 ? 0 : 1
    else if (length === -1) out[row] = 0
    else throw wrongWidth(place, length, 1)
  }
}

/** int2, into 16 bits or, where they fit, into 8. */
export function readShorts(bytes: Uint8Array, index: TupleIndex, column: number, out: Int16Array | Int8Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  const narrow = out.BYTES_PER_ELEMENT === 1
  for (let row = 0; row < rows; row++) {
    const length = lengths[from + row] as number
    if (length === -1) out[row] = 0
    else if (length === 2) {
      const p = positions[from + row] as number
      const value = (((bytes[p] as number) << 24) >> 16) | (bytes[p + 1] as number)
      if (narrow && (value < -128 || value > 127)) throw refused(place, row, 'an integer is too large for 8 bits')
      out[row] = value
    } else throw wrongWidth(place, length, 2)
  }
}

/** int4, and the bits of float4. */
export function readWords(bytes: Uint8Array, index: TupleIndex, column: number, out: Int32Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0; row < rows; row++) {
    const length = lengths[from + row] as number
    if (length === 4) out[row] = word(bytes, positions[from + row] as number)
    else if (length === -1) out[row] = 0
    else throw wrongWidth(place, length, 4)
  }
}

/** int8, time, and the bits of float8. */
export function readLongs(bytes: Uint8Array, index: TupleIndex, column: number, out: Int32Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0, at = 0; row < rows; row++, at += 2) {
    const length = lengths[from + row] as number
    if (length === 8) {
      const p = positions[from + row] as number
      out[at] = word(bytes, p + 4)
      out[at + 1] = word(bytes, p)
    } else if (length === -1) {
      out[at] = 0
      out[at + 1] = 0
    } else throw wrongWidth(place, length, 8)
  }
}

const MAX = 0x7fffffff
const MIN = -0x80000000
const EPOCH_DAYS = 10_957

/** Days from 1970. `lowest` is what stands for −infinity: the least value, or for systems whose range is symmetric the one after. */
export function readDates(bytes: Uint8Array, index: TupleIndex, column: number, out: Int32Array, place: Place, lowest: number = MIN): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0; row < rows; row++) {
    const length = lengths[from + row] as number
    if (length === -1) out[row] = 0
    else if (length === 4) {
      const days = word(bytes, positions[from + row] as number)
      if (days === MAX) out[row] = MAX
      else if (days === MIN) out[row] = lowest
      else if (days >= MAX - EPOCH_DAYS) throw refused(place, row, 'a date is beyond what 32 bits of days can hold')
      else out[row] = days + EPOCH_DAYS
    } else throw wrongWidth(place, length, 4)
  }
}

// 946,684,800,000,000 microseconds lie between 1970 and 2000, PostgreSQL's zero.
const EPOCH_LOW = 993_517_568
const EPOCH_HIGH = 220_417

/** Microseconds from 1970. `lowestLow` is the low word of what stands for −infinity. */
export function readTimestamps(
  bytes: Uint8Array,
  index: TupleIndex,
  column: number,
  out: Int32Array,
  place: Place,
  lowestLow: 0 | 1 = 0,
): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0, at = 0; row < rows; row++, at += 2) {
    const length = lengths[from + row] as number
    if (length === 8) {
      const p = positions[from + row] as number
      const high = word(bytes, p)
      const low = word(bytes, p + 4)
      const lowSum = (low >>> 0) + EPOCH_LOW
      const highSum = high + EPOCH_HIGH + (lowSum > 0xffffffff ? 1 : 0)
      if (highSum < MAX && high !== MIN) {
        out[at] = lowSum | 0
        out[at + 1] = highSum
      } else if (high === MAX && low === -1) {
        out[at] = -1
        out[at + 1] = MAX
      } else if (high === MIN && low === 0) {
        out[at] = lowestLow
        out[at + 1] = MIN
      } else throw refused(place, row, 'a timestamp is beyond what 64 bits of microseconds from 1970 can hold')
    } else if (length === -1) {
      out[at] = 0
      out[at + 1] = 0
    } else throw wrongWidth(place, length, 8)
  }
}

/** timetz: microseconds × 2^24 + (57599 − seconds east of UTC). */
export function readZonedTimes(bytes: Uint8Array, index: TupleIndex, column: number, out: Int32Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0, at = 0; row < rows; row++, at += 2) {
    const length = lengths[from + row] as number
    if (length === -1) {
      out[at] = 0
      out[at + 1] = 0
    } else if (length === 12) {
      const p = positions[from + row] as number
      const low = word(bytes, p + 4)
      const zone = 57_599 + word(bytes, p + 8)
      if (zone < 0 || zone > 115_198) throw refused(place, row, 'a time has an offset of 16 hours or more')
      out[at] = (low << 24) | zone
      out[at + 1] = (word(bytes, p) << 24) | (low >>> 8)
    } else throw wrongWidth(place, length, 12)
  }
}

/** Four words a row: months, days, low and high word of microseconds. */
export function readIntervals(bytes: Uint8Array, index: TupleIndex, column: number, out: Int32Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0, at = 0; row < rows; row++, at += 4) {
    const length = lengths[from + row] as number
    if (length === -1) out.fill(0, at, at + 4)
    else if (length === 16) {
      const p = positions[from + row] as number
      const months = word(bytes, p + 12)
      const days = word(bytes, p + 8)
      if ((months === MAX && days === MAX) || (months === MIN && days === MIN)) throw refused(place, row, 'an interval is infinite')
      out[at] = months
      out[at + 1] = days
      out[at + 2] = word(bytes, p + 4)
      out[at + 3] = word(bytes, p)
    } else throw wrongWidth(place, length, 16)
  }
}

/** Sixteen bytes a row, in the order in which they are written. */
export function readUuids(bytes: Uint8Array, index: TupleIndex, column: number, out: Uint8Array, place: Place): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  for (let row = 0, at = 0; row < rows; row++, at += 16) {
    const length = lengths[from + row] as number
    if (length === -1) out.fill(0, at, at + 16)
    else if (length === 16) {
      const p = positions[from + row] as number
      for (let i = 0; i < 16; i++) out[at + i] = bytes[p + i] as number
    } else throw wrongWidth(place, length, 16)
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
}
