// Rows of Snowflake's exact texts → columns in Arrow's layout. A value that the agreed type can't hold is refused, never rounded.

import type { ColumnsChunk } from '../../core/chunk.ts'
import { type ColumnVector, isVariable } from '../../core/columns.ts'
import type { DataType } from '../../core/data-type.ts'
import { LoadError } from '../../core/errors.ts'
import type { Column } from '../../core/table.ts'
import type { Cells } from './session.ts'

const encoder = new TextEncoder()
const INTEGERS = { 8: Int8Array, 16: Int16Array, 32: Int32Array } as const

type DecimalType = DataType & { kind: 'decimal' }

/** For messages. */
interface Place {
  readonly column: string
  readonly row: number
}

/** `before`: how many rows of the slice came before. Throws `value-refused`. */
export function toChunk(columns: readonly Column[], rows: readonly Cells[], before: number): ColumnsChunk {
  return {
    format: 'columns',
    rows: rows.length,
    columns: columns.map((column, place) => {
      const texts = rows.map((row) => row[place] ?? null)
      const valid = texts.includes(null) ? validity(texts) : null
      return { type: column.type, valid, ...values(column, texts, before) }
    }),
  }
}

function validity(texts: readonly (string | null)[]): Uint8Array {
  const valid = new Uint8Array((texts.length + 7) >> 3)
  for (const [at, text] of texts.entries()) if (text !== null) valid[at >> 3] = (valid[at >> 3] ?? 0) | (1 << (at & 7))
  return valid
}

function values(column: Column, texts: readonly (string | null)[], before: number): Pick<ColumnVector, 'data' | 'bytes'> {
  const { type, name } = column
  if (isVariable(type)) return variable(texts, type.kind === 'bytes')
  const each = <T extends ColumnVector['data']>(
    data: T,
    read: (text: string, place: Place) => T[number],
  ): Pick<ColumnVector, 'data' | 'bytes'> => {
    for (const [at, text] of texts.entries()) if (text !== null) data[at] = read(text, { column: name, row: before + at + 1 }) as never
    return { data, bytes: null }
  }
  switch (type.kind) {
    case 'boolean':
      return each(new Uint8Array(texts.length), (text) => (/^(true|1)$/i.test(text) ? 1 : 0))
    case 'float':
      return type.bits === 32 ? each(new Float32Array(texts.length), readFloat) : each(new Float64Array(texts.length), readFloat)
    case 'decimal':
      return type.precision > 18
        ? wideDecimals(texts, type, name, before)
        : each(new BigInt64Array(texts.length), (text, place) => readDecimal(text, type, place))
    case 'integer':
      if (type.bits === 64) return each(new BigInt64Array(texts.length), (text, place) => readInteger(text, 64, place))
      return each(new INTEGERS[type.bits](texts.length), (text, place) => Number(readInteger(text, type.bits, place)))
    case 'date':
      return each(new Int32Array(texts.length), (text, place) => Number(readMicros(`${text} 00:00:00`, place) / 86_400_000_000n))
    case 'timestamp':
      return each(new BigInt64Array(texts.length), readMicros)
    case 'time':
      return each(new BigInt64Array(texts.length), (text, place) => readMicros(`1970-01-01 ${text}`, place))
    default:
  }
  throw new LoadError('bug', `Snowflake was asked for values of type ${type.kind}, which it does not have.`)
}

function variable(texts: readonly (string | null)[], hex: boolean): { data: Uint32Array; bytes: Uint8Array } {
  const encoded = texts.map((text) => (text === null ? null : hex ? Buffer.from(text, 'hex') : encoder.encode(text)))
  const data = new Uint32Array(texts.length + 1)
  const bytes = new Uint8Array(encoded.reduce((sum, one) => sum + (one?.length ?? 0), 0))
  let end = 0
  for (const [at, one] of encoded.entries()) {
    if (one !== null) {
      bytes.set(one, end)
      end += one.length
    }
    data[at + 1] = end
  }
  return { data, bytes }
}

function readFloat(text: string): number {
  const value = text.toLowerCase()
  if (value === 'inf' || value === 'infinity') return Number.POSITIVE_INFINITY
  if (value === '-inf' || value === '-infinity') return Number.NEGATIVE_INFINITY
  return Number(value)
}

function readInteger(text: string, bits: number, place: Place): bigint {
  const value = readNumber(text, 0, place)
  // Arrays of integers take the low bits of a value that is too large, without a word.
  if (BigInt.asIntN(bits, value) !== value) throw refused(place, `an integer is too large for ${bits} bits`)
  return value
}

function readDecimal(text: string, { precision, scale }: DecimalType, place: Place): bigint {
  const value = readNumber(text, scale, place)
  const most = 10n ** BigInt(precision)
  if (value >= most || value <= -most) throw refused(place, `a number has more than ${precision} digits`)
  return value
}

function readNumber(text: string, scale: number, place: Place): bigint {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text)
  const fraction = match?.[3] ?? ''
  if (match === null || /[^0]/.test(fraction.slice(scale))) throw refused(place, `a number has more than ${scale} digits behind its point`)
  const unscaled = BigInt(`${match[2]}${fraction.slice(0, scale).padEnd(scale, '0')}`)
  return match[1] === '-' ? -unscaled : unscaled
}

function wideDecimals(
  texts: readonly (string | null)[],
  type: DecimalType,
  column: string,
  before: number,
): { data: BigInt64Array; bytes: null } {
  const data = new BigInt64Array(texts.length * 2)
  for (const [at, text] of texts.entries()) {
    if (text === null) continue
    const value = readDecimal(text, type, { column, row: before + at + 1 })
    data[at * 2] = BigInt.asIntN(64, value)
    data[at * 2 + 1] = value >> 64n
  }
  return { data, bytes: null }
}

/** `2024-01-31 08:00:00.123456789`, in UTC. */
function readMicros(text: string, place: Place): bigint {
  const match = /^(\d{4,5}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?/.exec(text)
  const seconds = match === null ? Number.NaN : Date.parse(`${(match[1] ?? '').length > 10 ? '+0' : ''}${match[1]}T${match[2]}Z`)
  if (match === null || Number.isNaN(seconds)) throw refused(place, 'a time is none that other systems know')
  const fraction = (match[3] ?? '').padEnd(9, '0')
  if (/[^0]/.test(fraction.slice(6))) throw refused(place, 'a time has nanoseconds, which would be lost')
  return BigInt(seconds) * 1000n + BigInt(fraction.slice(0, 6))
}

function refused({ column, row }: Place, why: string): LoadError {
  return new LoadError('value-refused', `Column "${column}", row ${row} of the slice: ${why}.`, {
    hint: 'Convert it in a `query`, for example to a text or to a type with fewer digits.',
  })
}
