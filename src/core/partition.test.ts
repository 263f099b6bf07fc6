import fc from 'fast-check'
import { expect, test } from 'vitest'
import { boundTexts, NULL_KEY, NULL_PARTITION, type Partition, type PartitionBy, rangeKey, storedPartition, valueKey } from './partition.ts'

const shared = { column: 'at', nulls: 'include' } as const
const odd = fc.oneof(fc.string(), fc.constantFrom(NULL_KEY, `"${NULL_KEY}"`, `""${NULL_KEY}""`, '', '"', '""', '"a"', 'a\nb', '"a\nb"'))

/** A definition, and a partition as it cuts one. */
const cut: fc.Arbitrary<{ readonly by: PartitionBy; readonly one: Partition }> = fc.oneof(
  odd.map((value) => ({
    by: { ...shared, kind: 'list', values: null } as const,
    one: { key: valueKey(value), bounds: { kind: 'value', value } as const },
  })),
  fc.tuple(fc.bigInt(), fc.bigInt({ min: 1n, max: 10n ** 12n })).map(([lower, size]) => ({
    by: { ...shared, kind: 'range', size } as const,
    one: { key: rangeKey(lower, lower + size), bounds: { kind: 'range', lower: String(lower), upper: String(lower + size) } as const },
  })),
  fc.tuple(fc.nat(100), fc.integer({ min: 101, max: 1000 })).map(([bucket, of]) => ({
    by: { ...shared, kind: 'hash', buckets: of } as const,
    one: { key: `bucket-${bucket}`, bounds: { kind: 'bucket', bucket, of } as const },
  })),
  fc.constant({
    by: { ...shared, kind: 'time', unit: 'day', first: null, last: null, zone: 'UTC' } as const,
    one: { key: '2024-03-10', bounds: { kind: 'range', lower: '2024-03-10T00:00:00Z', upper: '2024-03-11T00:00:00Z' } as const },
  }),
)

test('what the ledger holds of a partition is that partition', () => {
  fc.assert(
    fc.property(cut, ({ by, one }) => {
      expect(storedPartition(by, one.key, ...boundTexts(one.bounds))).toEqual(one)
      expect(storedPartition(by, NULL_KEY, ...boundTexts(NULL_PARTITION.bounds))).toEqual(NULL_PARTITION)
    }),
  )
})

test('a row of the ledger without bounds is no partition, but the one of NULL', () => {
  const by: PartitionBy = { ...shared, kind: 'list', values: null }
  expect(() => storedPartition(by, 'EU', null, null)).toThrow(expect.objectContaining({ code: 'state-corrupted' }))
  expect(() => storedPartition(by, 'EU', 'EU', null)).toThrow(expect.objectContaining({ code: 'state-corrupted' }))
})

test('no two values have one key, and none has that of NULL', () => {
  fc.assert(
    fc.property(odd, odd, (a, b) => {
      expect(valueKey(a) === valueKey(b)).toBe(a === b)
      expect(valueKey(a)).not.toBe(NULL_KEY)
    }),
    { numRuns: 2_000 },
  )
})

test('no two ranges that follow each other have one key', () => {
  fc.assert(
    fc.property(fc.bigInt(), fc.bigInt({ min: 1n }), fc.bigInt({ min: 1n }), (lower, a, b) => {
      expect(rangeKey(lower, lower + a) === rangeKey(lower + a, lower + a + b)).toBe(false)
      expect(rangeKey(lower, lower + a) === rangeKey(lower, lower + b)).toBe(a === b)
    }),
  )
})
