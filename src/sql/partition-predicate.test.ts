// The meaning of the conditions, read back from their text: each row is in exactly one partition of a table that is cut.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Partition } from '../core/partition.ts'
import type { Dialect } from './dialect.ts'
import { insidePredicate, partitionPredicate } from './partition-predicate.ts'
import { identifier, literal } from './quote.ts'

const spelling: Pick<Dialect, 'identifier' | 'literal' | 'bucket'> = {
  identifier,
  literal,
  bucket: (expression, of) => `hash(${expression}) % ${of}`,
}

type Value = bigint | string | null

/** Any hash will do, as long as it is the same for reading and for deleting. */
function hash(value: Value): bigint {
  return [...String(value)].reduce((sum, letter) => (sum * 31n + BigInt(letter.charCodeAt(0))) % 1_000_003n, 7n)
}

function readLiteral(text: string): Value {
  return text.startsWith("'") ? text.slice(1, -1).replaceAll("''", "'") : BigInt(text)
}

function compare(value: Exclude<Value, null>, operator: string, limit: Value): boolean {
  if (limit === null || typeof value !== typeof limit) return false
  return operator === '>=' ? value >= limit : operator === '<' ? value < limit : value === limit
}

/** Does SQL call the condition true for this value of column n? Reads the few shapes that are written. */
function isTrue(condition: string, value: Value): boolean {
  if (condition === 'false') return false
  const terms = condition.match(
    /"n" IS NULL|hash\("n"\) % \d+ = \d+|"n" IN \((?:'(?:[^']|'')*'(?:, )?)*\)|"n" >= \S+ AND "n" < [^\s)]+|"n" = '(?:[^']|'')*'/g,
  )
  const rest = terms?.reduce((left, term) => left.replace(term, ''), condition) ?? condition
  if (terms === null || /[^\sOR()]/.test(rest)) throw new Error(`unknown shape: ${condition}`)
  return terms.some((term) => isTermTrue(term, value))
}

function isTermTrue(term: string, value: Value): boolean {
  if (term === '"n" IS NULL') return value === null
  if (value === null) return false
  const bucket = /% (\d+) = (\d+)$/.exec(term)
  if (term.startsWith('hash') && bucket !== null) return hash(value) % BigInt(bucket[1] ?? 1) === BigInt(bucket[2] ?? 0)
  const range = /^"n" >= (\S+) AND "n" < (\S+)$/.exec(term)
  if (range !== null) return compare(value, '>=', readLiteral(range[1] ?? '')) && compare(value, '<', readLiteral(range[2] ?? ''))
  const texts = term.match(/'(?:[^']|'')*'/g) ?? []
  return texts.some((text) => readLiteral(text) === value)
}

const NULLS: Partition = { key: '(null)', bounds: { kind: 'null' } }

function ranges(lower: bigint, size: bigint, count: number): readonly Partition[] {
  return Array.from({ length: count }, (_, index) => {
    const from = lower + BigInt(index) * size
    return { key: String(from), bounds: { kind: 'range', lower: String(from), upper: String(from + size) } }
  })
}

interface Cut {
  readonly partitions: readonly Partition[]
  readonly values: readonly Value[]
}

const odd = fc.oneof(fc.string(), fc.constantFrom("'", "''", "a'b", '(null)', 'OR', ''))
/** A table that is cut, and values that lie in one of its partitions. */
const cuts: fc.Arbitrary<Cut> = fc.oneof(
  fc
    .tuple(fc.bigInt({ min: -50n, max: 50n }), fc.bigInt({ min: 1n, max: 20n }), fc.integer({ min: 1, max: 8 }))
    .chain(([lower, size, count]) =>
      fc.array(fc.bigInt({ min: lower, max: lower + size * BigInt(count) - 1n }), { minLength: 1 }).map((values): Cut => {
        return { partitions: [...ranges(lower, size, count), NULLS], values }
      }),
    ),
  fc.uniqueArray(odd, { minLength: 1, maxLength: 8 }).map((values): Cut => {
    const partitions = values.map((value): Partition => ({ key: value, bounds: { kind: 'value', value } }))
    return { partitions: [...partitions, NULLS], values }
  }),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.array(fc.oneof(odd, fc.bigInt()), { minLength: 1 })).map(([of, values]): Cut => {
    const partitions = Array.from({ length: of }, (_, bucket): Partition => ({ key: `b${bucket}`, bounds: { kind: 'bucket', bucket, of } }))
    return { partitions: [...partitions, NULLS], values }
  }),
)

test('each value is in exactly one partition, and inside of all of them together', () => {
  fc.assert(
    fc.property(cuts, ({ partitions, values }) => {
      const conditions = partitions.map(({ bounds }) => partitionPredicate(spelling, 'n', bounds))
      const inside = insidePredicate(spelling, 'n', partitions)
      for (const value of [...values, null]) {
        expect(conditions.filter((condition) => isTrue(condition, value))).toHaveLength(1)
        expect(isTrue(inside, value)).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

test('inside of some partitions is what one of them says; ranges are one only where they touch', () => {
  const someOf = cuts.chain((cut) => fc.subarray([...cut.partitions]).map((some) => ({ ...cut, some })))
  fc.assert(
    fc.property(someOf, ({ some, values }) => {
      const inside = insidePredicate(spelling, 'n', some)
      const outside = [-1000n, 1000n]
      for (const value of [...values, ...outside, null])
        expect(isTrue(inside, value)).toBe(some.some(({ bounds }) => isTrue(partitionPredicate(spelling, 'n', bounds), value)))
      const lowers = new Set(some.flatMap(({ bounds }) => (bounds.kind === 'range' ? [bounds.lower] : [])))
      const runs = some.filter(({ bounds }) => bounds.kind === 'range' && !lowers.has(bounds.upper))
      expect(inside.match(/>=/g)?.length ?? 0).toBe(runs.length)
    }),
    { numRuns: 300 },
  )
})

test('as they are written', () => {
  const day: Partition = { key: 'd', bounds: { kind: 'range', lower: '2024-01-01T00:00:00Z', upper: '2024-01-02T00:00:00Z' } }
  const text = `"n" >= '2024-01-01T00:00:00Z' AND "n" < '2024-01-02T00:00:00Z'`
  expect(partitionPredicate(spelling, 'n', day.bounds)).toBe(text)
  expect(partitionPredicate(spelling, 'n', day.bounds, 't.')).toBe(text.replaceAll('"n"', 't."n"'))
  expect(partitionPredicate(spelling, 'n', { kind: 'value', value: "it's" })).toBe(`"n" = 'it''s'`)
  expect(insidePredicate(spelling, 'n', [])).toBe('false')
  expect(insidePredicate(spelling, 'n', [day, NULLS])).toBe(`("n" IS NULL OR (${text}))`)
})
