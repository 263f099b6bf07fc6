import { expect, test } from 'vitest'
import type { DataType } from '../../core/data-type.ts'
import { toChunk } from './text-vectors.ts'

function read(type: DataType, ...texts: readonly (string | null)[]) {
  const column = { name: 'n', type, native: null, nullable: true }
  const rows = texts.map((text) => [text])
  return toChunk([column], rows, 10).columns[0]?.data
}

test.each([
  [8, Int8Array.of(-128, 0, 127), ['-128', null, '127'], '128'],
  [16, Int16Array.of(-32_768, 0, 32_767), ['-32768', null, '32767'], '-32769'],
  [32, Int32Array.of(-2_147_483_648, 0, 2_147_483_647), ['-2147483648', null, '2147483647'], '2147483648'],
  [64, BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n), ['-9223372036854775808', null, '9223372036854775807'], '9223372036854775808'],
] as const)('integers of %i bits, and what is too large for them', (bits, expected, texts, tooLarge) => {
  expect(read({ kind: 'integer', bits }, ...texts)).toEqual(expected)
  expect(() => read({ kind: 'integer', bits }, '1', tooLarge)).toThrow(
    `Column "n", row 12 of the slice: an integer is too large for ${bits} bits`,
  )
})

test('a number has no more digits than was agreed', () => {
  expect(read({ kind: 'decimal', precision: 5, scale: 2 }, '-999.99', '1')).toEqual(BigInt64Array.of(-99_999n, 100n))
  expect(() => read({ kind: 'decimal', precision: 5, scale: 2 }, '1000.00')).toThrow('a number has more than 5 digits')
  expect(() => read({ kind: 'decimal', precision: 5, scale: 2 }, '1.001')).toThrow('more than 2 digits behind its point')
  expect(() => read({ kind: 'decimal', precision: 38, scale: 0 }, `1${'0'.repeat(38)}`)).toThrow('a number has more than 38 digits')
  expect(read({ kind: 'decimal', precision: 38, scale: 0 }, '-1')).toEqual(BigInt64Array.of(-1n, -1n))
})
