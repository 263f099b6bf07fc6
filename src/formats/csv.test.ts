import { describe, expect, test } from 'vitest'
import type { ColumnVector } from '../core/columns.ts'
import type { DataType } from '../core/data-type.ts'
import { encodeCsv, withFiller } from './csv.ts'

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const vector = (type: DataType, data: ColumnVector['data'], rows: number): ColumnVector => ({
  type,
  data,
  bytes: null,
  valid: Uint8Array.of(2 ** rows - 1),
})
const texts = (kind: 'text' | 'bytes', values: readonly Uint8Array[]): ColumnVector => {
  const data = new Uint32Array(values.length + 1)
  for (const [at, value] of values.entries()) data[at + 1] = (data[at] ?? 0) + value.length
  return { type: { kind }, data, bytes: Uint8Array.from(values.flatMap((value) => [...value])), valid: null }
}
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('values as they are written', () => {
  const cases: readonly (readonly [string, ColumnVector, readonly string[]])[] = [
    ['booleans', vector({ kind: 'boolean' }, Uint8Array.of(1, 0), 2), ['true', 'false']],
    ['integers', vector({ kind: 'integer', bits: 64 }, BigInt64Array.of(-(2n ** 63n), 1n), 2), ['-9223372036854775808', '1']],
    [
      'doubles',
      vector({ kind: 'float', bits: 64 }, Float64Array.of(0.1, Number.NaN, -Infinity, -0, 1e300), 5),
      ['0.1', 'NaN', '-inf', '-0', '1e+300'],
    ],
    ['floats', vector({ kind: 'float', bits: 32 }, Float32Array.of(1.1, 16777216, 3.4028235e38), 3), ['1.1', '16777216', '3.4028235e+38']],
    ['small decimals', vector({ kind: 'decimal', precision: 9, scale: 2 }, BigInt64Array.of(-5n, 12345n), 2), ['-0.05', '123.45']],
    [
      'large decimals',
      vector({ kind: 'decimal', precision: 38, scale: 1 }, BigInt64Array.of(-1n, -1n, -1n, 0n), 2),
      ['-0.1', '1844674407370955161.5'],
    ],
    ['dates', vector({ kind: 'date' }, Int32Array.of(0, -719162, 2932896), 3), ['1970-01-01', '0001-01-01', '9999-12-31']],
    [
      'instants',
      vector({ kind: 'timestamp', zoned: true }, BigInt64Array.of(-1n, 253402300799999999n), 2),
      ['1969-12-31 23:59:59.999999+00', '9999-12-31 23:59:59.999999+00'],
    ],
    ['local times', vector({ kind: 'timestamp', zoned: false }, BigInt64Array.of(1n), 1), ['1970-01-01 00:00:00.000001']],
    ['times', vector({ kind: 'time', zoned: false }, BigInt64Array.of(86399999999n), 1), ['23:59:59.999999']],
    [
      'uuids',
      vector(
        { kind: 'uuid' },
        Uint8Array.from({ length: 16 }, (_, at) => at),
        1,
      ),
      ['00010203-0405-0607-0809-0a0b0c0d0e0f'],
    ],
    ['bytes', texts('bytes', [Uint8Array.of(0, 255)]), ['00ff']],
    ['texts', texts('text', [utf8(''), utf8('a"b'), utf8('é,\n')]), ['', 'a""b', 'é,\n']],
  ]
  test.each(cases)('%s', (_, column, expected) => {
    expect(decode(encodeCsv({ format: 'columns', rows: expected.length, columns: [column] }))).toBe(
      expected.map((value) => `"${value}"\n`).join(''),
    )
  })
})

test('NULL is nothing, an empty text is in quotes', () => {
  const column = { ...texts('text', [utf8(''), utf8('')]), valid: Uint8Array.of(1) }
  expect(decode(encodeCsv({ format: 'columns', rows: 2, columns: [column, column] }))).toBe('"",""\n,\n')
})

test.each([
  ['infinite', vector({ kind: 'date' }, Int32Array.of(0x7fffffff), 1)],
  ['before the year 1', vector({ kind: 'timestamp', zoned: false }, BigInt64Array.of(-62135596800000001n), 1)],
])('a value that is %s is refused', (_, column) => {
  expect(() => encodeCsv({ format: 'columns', rows: 1, columns: [column] })).toThrow(expect.objectContaining({ code: 'value-refused' }))
})

test('a filler is added to each line, and to no line break inside of quotes', () => {
  expect(decode(withFiller(utf8('"a\n""b"\n\n""\n'), 3))).toBe('"a\n""b",""\n,""\n"",""\n')
})
