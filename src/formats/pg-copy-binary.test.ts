import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ColumnsChunk } from '../core/chunk.ts'
import { type ColumnVector, isNull, isVariable } from '../core/columns.ts'
import type { DataType } from '../core/data-type.ts'
import { LoadError } from '../core/errors.ts'
import type { Column } from '../core/table.ts'
import { columnsDecoder, encodeColumns } from './pg-copy-binary.ts'

const LEAST = -(2n ** 63n)
const GREATEST = 2n ** 63n - 1n
const EPOCH = 946_684_800_000_000n

type Value = number | bigint | Uint8Array

const types: fc.Arbitrary<DataType> = fc.oneof(
  fc.constantFrom<DataType>(
    { kind: 'boolean' },
    { kind: 'text' },
    { kind: 'bytes' },
    { kind: 'date' },
    { kind: 'uuid' },
    { kind: 'interval' },
    { kind: 'other', native: 'point' },
    { kind: 'time', zoned: false },
    { kind: 'time', zoned: true },
    { kind: 'timestamp', zoned: true },
    { kind: 'float', bits: 32 },
    { kind: 'float', bits: 64 },
  ),
  fc.constantFrom<8 | 16 | 32 | 64>(8, 16, 32, 64).map((bits): DataType => ({ kind: 'integer', bits })),
  fc
    .integer({ min: 1, max: 38 })
    .chain((precision) => fc.integer({ min: 0, max: precision }).map((scale): DataType => ({ kind: 'decimal', precision, scale }))),
)

function arbitraryValue(type: DataType): fc.Arbitrary<Value> {
  // From 4713 BC, as PostgreSQL, to the last whole hour that 64 bits hold.
  const dates = { min: -211_813_488_000_000_000n, max: GREATEST - 2n ** 32n }
  switch (type.kind) {
    case 'boolean':
      return fc.integer({ min: 0, max: 1 })
    case 'integer':
      return type.bits === 64
        ? fc.bigInt({ min: LEAST, max: GREATEST })
        : fc.integer({ min: -(2 ** (type.bits - 1)), max: 2 ** (type.bits - 1) - 1 })
    case 'float':
      return type.bits === 64 ? fc.double() : fc.float()
    case 'date':
      return fc.oneof(fc.integer({ min: -2_400_000, max: 2_100_000_000 }), fc.constantFrom(0x7fffffff, -0x80000000))
    case 'timestamp':
      return fc.oneof(fc.bigInt(dates), fc.constantFrom(LEAST, GREATEST, 0n, -1n, EPOCH, EPOCH - 1n))
    case 'time':
      return type.zoned
        ? fc
            .tuple(fc.bigInt({ min: 0n, max: 86_400_000_000n }), fc.bigInt({ min: 0n, max: 115_198n }))
            .map(([time, zone]) => (time << 24n) | zone)
        : fc.bigInt({ min: 0n, max: 86_400_000_000n })
    case 'decimal': {
      const limit = 10n ** BigInt(type.precision) - 1n
      return fc.oneof(fc.bigInt({ min: -limit, max: limit }), fc.constantFrom(0n, limit, -limit))
    }
    case 'uuid':
      return fc.uint8Array({ minLength: 16, maxLength: 16 })
    case 'interval':
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((bytes) => bytes[3] !== 0x7f && bytes[3] !== 0x80)
    default:
      return fc.uint8Array({ maxLength: 90 })
  }
}

function vectorOf(type: DataType, values: readonly (Value | null)[]): ColumnVector {
  const rows = values.length
  const valid = new Uint8Array((rows + 7) >> 3).fill(255)
  for (const [row, value] of values.entries()) if (value === null) valid[row >> 3] = (valid[row >> 3] as number) & ~(1 << (row & 7))
  const bits = values.includes(null) ? valid : null
  if (isVariable(type)) {
    const offsets = new Uint32Array(rows + 1)
    const parts = values.map((value) => [...((value ?? []) as Uint8Array)])
    for (const [row, part] of parts.entries()) offsets[row + 1] = (offsets[row] as number) + part.length
    return { type, data: offsets, bytes: Uint8Array.from(parts.flat()), valid: bits }
  }
  const bigs = (perRow: number): BigInt64Array => {
    const data = new BigInt64Array(rows * perRow)
    for (const [row, value] of values.entries())
      for (let i = 0; i < perRow; i++) data[row * perRow + i] = BigInt.asIntN(64, ((value ?? 0n) as bigint) >> BigInt(64 * i))
    return data
  }
  const numbers = <Data extends Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array>(data: Data): Data => {
    for (const [row, value] of values.entries()) data[row] = (value ?? 0) as number
    return data
  }
  const sixteens = (): Uint8Array => {
    const data = new Uint8Array(rows * 16)
    for (const [row, value] of values.entries()) if (value !== null) data.set(value as Uint8Array, row * 16)
    return data
  }
  const data = ((): ColumnVector['data'] => {
    switch (type.kind) {
      case 'boolean':
        return numbers(new Uint8Array(rows))
      case 'integer':
        return type.bits === 64 ? bigs(1) : numbers(new { 8: Int8Array, 16: Int16Array, 32: Int32Array }[type.bits](rows))
      case 'float':
        return numbers(new (type.bits === 32 ? Float32Array : Float64Array)(rows))
      case 'date':
        return numbers(new Int32Array(rows))
      case 'uuid':
        return sixteens()
      case 'interval':
        return new Int32Array(sixteens().buffer)
      case 'decimal':
        return bigs(type.precision > 18 ? 2 : 1)
      default:
        return bigs(1)
    }
  })()
  return { type, data, bytes: null, valid: bits }
}

const chunks: fc.Arbitrary<{ columns: Column[]; chunk: ColumnsChunk }> = fc
  .tuple(fc.array(types, { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 20 }))
  .chain(([kinds, rows]) =>
    fc
      .tuple(...kinds.map((type) => fc.array(fc.option(arbitraryValue(type), { freq: 4 }), { minLength: rows, maxLength: rows })))
      .map((values) => ({
        columns: kinds.map((type, i): Column => ({ name: `c${i}`, type, native: null, nullable: true })),
        chunk: { format: 'columns', rows, columns: kinds.map((type, i) => vectorOf(type, values[i] ?? [])) },
      })),
  )

const bytesOf = (data: ColumnVector['data']): number[] => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]

test('what is encoded is decoded again, bit for bit', () => {
  fc.assert(
    fc.property(chunks, ({ columns, chunk }) => {
      const decoded = columnsDecoder(columns)({ format: 'pg-copy-binary', rows: chunk.rows, bytes: encodeColumns(chunk) })
      expect(decoded.rows).toBe(chunk.rows)
      for (const [i, column] of decoded.columns.entries()) {
        const wanted = chunk.columns[i] as ColumnVector
        for (let row = 0; row < chunk.rows; row++) expect(isNull(column, row)).toBe(isNull(wanted, row))
        expect(bytesOf(column.data)).toEqual(bytesOf(wanted.data))
        expect(column.bytes && [...column.bytes]).toEqual(wanted.bytes && [...wanted.bytes])
      }
    }),
    { numRuns: 300 },
  )
})

test('damaged data ends in an error of ours, or in values, never outside the bytes', () => {
  const damaged = fc.tuple(chunks, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }), fc.option(fc.nat()))
  fc.assert(
    fc.property(damaged, ([{ columns, chunk }, changes, cut]) => {
      let bytes = encodeColumns(chunk)
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value
      if (cut !== null && bytes.length > 0) bytes = bytes.subarray(0, cut % bytes.length)
      try {
        columnsDecoder(columns)({ format: 'pg-copy-binary', rows: chunk.rows, bytes })
      } catch (error) {
        expect(error).toBeInstanceOf(LoadError)
        expect(['short-read', 'bug', 'value-refused']).toContain((error as LoadError).code)
      }
    }),
    { numRuns: 500 },
  )
})

describe('one value', () => {
  const decode = (type: DataType, ...value: number[]): ColumnsChunk => {
    const length = [value.length >> 24, value.length >> 16, value.length >> 8, value.length].map((byte) => byte & 255)
    const columns = [{ name: 'c', type, native: null, nullable: true }]
    return columnsDecoder(columns)({ format: 'pg-copy-binary', rows: 1, bytes: Uint8Array.from([0, 1, ...length, ...value]) })
  }
  const decimal: DataType = { kind: 'decimal', precision: 6, scale: 2 }

  test('a numeric of PostgreSQL: digits, weight, sign, scale', () => {
    // 1234.56 and −0.05
    expect(decode(decimal, 0, 2, 0, 0, 0, 0, 0, 2, 4, 210, 21, 224).columns[0]?.data[0]).toBe(123_456n)
    expect(decode(decimal, 0, 1, 255, 255, 64, 0, 0, 2, 1, 244).columns[0]?.data[0]).toBe(-5n)
  })

  test.each([
    ['NaN', [0, 0, 0, 0, 192, 0, 0, 0]],
    ['infinity', [0, 0, 0, 0, 208, 0, 0, 32]],
    ['a digit beyond the scale', [0, 1, 255, 255, 0, 0, 0, 4, 0, 1]],
    ['digits beyond the scale that would add up to a whole', [0, 2, 255, 254, 0, 0, 0, 8, 19, 136, 19, 136]],
    ['too many digits', [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]],
    ['more than any column has', [0, 1, 127, 255, 0, 0, 0, 0, 0, 1]],
  ])('a decimal column refuses %s, naming column and row', (_, bytes) => {
    expect(() => decode(decimal, ...bytes)).toThrow(/Column "c", row 1 of the slice/)
    expect(() => decode(decimal, ...bytes)).toThrow(expect.objectContaining({ code: 'value-refused' }))
  })

  test('a timestamp of the year 294276 is refused, infinity is not', () => {
    const zoned: DataType = { kind: 'timestamp', zoned: true }
    expect(() => decode(zoned, 0x7f, 0xff, 0xf0, 0, 0, 0, 0, 0)).toThrow(expect.objectContaining({ code: 'value-refused' }))
    expect(decode(zoned, 0x7f, 255, 255, 255, 255, 255, 255, 255).columns[0]?.data[0]).toBe(GREATEST)
  })

  test('jsonb loses its version byte', () => {
    expect([...(decode({ kind: 'json' }, 1, 0x7b, 0x7d).columns[0]?.bytes ?? [])]).toEqual([0x7b, 0x7d])
    expect([...(decode({ kind: 'json' }, 0x7b, 0x7d).columns[0]?.bytes ?? [])]).toEqual([0x7b, 0x7d])
  })
})
