// Values in columns → lines of CSV, as `csv` in core/chunk.ts promises them; and lines of one column made safe for readers that take an
// empty line for no line.

import type { ColumnsChunk } from '../core/chunk.ts'
import { type ColumnVector, isNull, isVariable } from '../core/columns.ts'
import { describeType } from '../core/data-type.ts'
import { LoadError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import { TextBuilder } from './debezium-text.ts'

/** A chunk as lines. Throws `value-refused` for a value that has no text in CSV, naming the column's place. */
export function encodeCsv(chunk: ColumnsChunk): Uint8Array {
  const lines = new TextBuilder()
  const columns = chunk.columns.map((column, place) => ({ column, put: putter(column, place, lines) }))
  for (let row = 0; row < chunk.rows; row++) {
    for (const [place, { column, put }] of columns.entries()) {
      if (place > 0) lines.byte(COMMA)
      if (isNull(column, row)) continue
      lines.byte(QUOTE)
      put(row)
      lines.byte(QUOTE)
    }
    lines.byte(NEWLINE)
  }
  return lines.bytes.subarray(0, lines.length)
}

/** Quotes are doubled. */
export function putText(lines: TextBuilder, bytes: Uint8Array, from: number, to: number): void {
  let copied = from
  for (let at = from; at < to; at++) {
    if (bytes[at] !== QUOTE) continue
    lines.copy(bytes, copied, at + 1)
    copied = at
  }
  lines.copy(bytes, copied, to)
}

/** Adds an empty text to every line: of one column, NULL is a line without anything. */
export function withFiller(bytes: Uint8Array, rows: number): Uint8Array {
  const result = new Uint8Array(bytes.length + rows * 3)
  let to = 0
  let quoted = false
  for (const byte of bytes) {
    if (byte === QUOTE) quoted = !quoted
    if (byte === NEWLINE && !quoted) {
      result[to++] = COMMA
      result[to++] = QUOTE
      result[to++] = QUOTE
    }
    result[to++] = byte
  }
  return result.subarray(0, to)
}

const QUOTE = 0x22
const COMMA = 0x2c
const NEWLINE = 0x0a

function putter(column: ColumnVector, place: number, lines: TextBuilder): (row: number) => void {
  const { type, data, bytes } = column
  if (isVariable(type) && type.kind !== 'bytes')
    return (row) => putText(lines, bytes as Uint8Array, data[row] as number, data[row + 1] as number)
  const print = printer(column, place)
  return (row) => lines.ascii(print(row))
}

function printer({ type, data, bytes }: ColumnVector, place: number): (row: number) => string {
  switch (type.kind) {
    case 'boolean':
      return (row) => (data[row] === 0 ? 'false' : 'true')
    case 'integer':
      return (row) => String(data[row])
    case 'float':
      return type.bits === 32 ? (row) => float(data[row] as number, shortest) : (row) => float(data[row] as number, String)
    case 'decimal':
      return decimalPrinter(data as BigInt64Array, type)
    case 'date':
      return (row) => datePart(BigInt(data[row] as number) * DAY, place)
    case 'timestamp':
      return (row) => `${datePart(data[row] as bigint, place)} ${timePart(data[row] as bigint)}${type.zoned ? '+00' : ''}`
    case 'time':
      invariant(!type.zoned, 'a time with its zone travels as text')
      return (row) => timePart(data[row] as bigint)
    case 'uuid':
      return (row) => hex(data.subarray(row * 16, row * 16 + 16) as Uint8Array).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    case 'bytes':
      return (row) => hex((bytes as Uint8Array).subarray(data[row] as number, data[row + 1] as number))
    default:
      throw new LoadError('bug', `Values of type ${describeType(type)} have no text in CSV.`)
  }
}

const DAY = 86_400_000_000n
const FIRST = -62_135_596_800_000_000n // 0001-01-01
const LAST = 253_402_300_800_000_000n // 10000-01-01

function datePart(micros: bigint, place: number): string {
  if (micros < FIRST || micros >= LAST) throw refused(place, 'a date or time is infinite, or lies outside of the years 1 to 9999')
  const day = micros / DAY - (micros % DAY < 0n ? 1n : 0n)
  return new Date(Number(day) * 86_400_000).toISOString().slice(0, 10)
}

function timePart(micros: bigint): string {
  const ofDay = ((micros % DAY) + DAY) % DAY
  const seconds = Number(ofDay / 1_000_000n)
  const two = (value: number): string => String(value).padStart(2, '0')
  const fraction = String(ofDay % 1_000_000n).padStart(6, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`
}

function decimalPrinter(data: BigInt64Array, { precision, scale }: { precision: number; scale: number }): (row: number) => string {
  const wide = precision > 18
  return (row) => {
    const unscaled = wide ? ((data[row * 2 + 1] as bigint) << 64n) | BigInt.asUintN(64, data[row * 2] as bigint) : (data[row] as bigint)
    if (scale === 0) return String(unscaled)
    const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
    return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  }
}

function float(value: number, print: (value: number) => string): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Object.is(value, -0)) return '-0'
  return Number.isFinite(value) ? print(value) : value > 0 ? 'inf' : '-inf'
}

/** The shortest text that is the same 32 bits again. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits)
    if (Math.fround(Number(text)) === value) return String(Number(text))
  }
  return String(Number(value.toPrecision(9)))
}

function hex(bytes: Uint8Array): string {
  let result = ''
  for (const byte of bytes) result += byte.toString(16).padStart(2, '0')
  return result
}

function refused(place: number, why: string): LoadError {
  return new LoadError('value-refused', `Column ${place + 1} of the slice: ${why}.`)
}
