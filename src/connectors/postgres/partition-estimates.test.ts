// Estimates are read from the planner's statistics: of a table whose rows are known, with statistics as ANALYZE would make them.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PartitionBounds } from '../../core/partition.ts'
import type { PostgresTable } from './describe.ts'
import type { PartitionColumn } from './partition-column.ts'
import { type Estimates, readEstimates } from './partition-estimates.ts'
import type { Session } from './session.ts'

type Row = Readonly<Record<string, string | null>>

const NUMBER: PartitionColumn = { name: 'n', column: '"n"', declared: 'bigint', family: 'number', nullable: true, indexed: false }

function estimate(rows: readonly Row[], total: number | null = 1000, column = NUMBER): Promise<Estimates> {
  const session = { query: async () => rows } as unknown as Session
  const table = { name: { schema: null, name: 't' }, estimatedRows: total, oid: '1' } as unknown as PostgresTable
  return readEstimates(session, table, column)
}

const bound = (at: number): Row => ({ kind: 'bound', text: String(at), at: String(at), share: null })
const common = (at: number, share: number): Row => ({ kind: 'common', text: String(at), at: String(at), share: String(share) })
const nulls = (share: number): Row => ({ kind: 'null', text: null, at: null, share: String(share) })

function range(lower: number, upper: number): PartitionBounds {
  return { kind: 'range', lower: String(lower), upper: String(upper) }
}

test('nothing is known of a table without statistics', async () => {
  expect((await estimate([], 1000)).rows(range(0, 10))).toBeNull()
  expect((await estimate([nulls(0)], null)).rows(range(0, 10))).toBeNull()
})

test('ranges have their share of the histogram, and the common values that lie in them', async () => {
  const { rows, histogram } = await estimate([nulls(0.1), common(5, 0.2), common(95, 0.1), ...[0, 25, 50, 75, 100].map(bound)])
  expect(histogram).toEqual([0, 25, 50, 75, 100])
  // Six of ten rows are in the histogram.
  expect(rows(range(0, 50))).toBe(500)
  expect(rows(range(50, 101))).toBe(400)
  expect(rows(range(25, 50))).toBe(150)
  expect(rows(range(6, 95))).toBe(Math.round(1000 * 0.6 * 0.89))
  expect(rows(range(200, 300))).toBe(0)
  expect(rows({ kind: 'null' })).toBe(100)
  expect(rows({ kind: 'bucket', bucket: 1, of: 3 })).toBe(300)
})

test('a common value is found by its text', async () => {
  const { rows } = await estimate([nulls(0), { kind: 'common', text: 'EU', at: null, share: '0.25' }], 1000, { ...NUMBER, family: 'value' })
  expect(rows({ kind: 'value', value: 'EU' })).toBe(250)
  expect(rows({ kind: 'value', value: 'US' })).toBe(0)
})

test('bounds that are times are compared with the histogram in seconds', async () => {
  const at = (text: string): Row => bound(Date.parse(text) / 1000)
  const { rows } = await estimate([nulls(0), at('2024-01-01T00:00:00Z'), at('2024-01-02T00:00:00Z'), at('2024-01-03T00:00:00Z')], 1000, {
    ...NUMBER,
    family: 'instant',
  })
  expect(rows({ kind: 'range', lower: '2024-01-01T00:00:00Z', upper: '2024-01-02T00:00:00Z' })).toBe(500)
  expect(rows({ kind: 'range', lower: '2024-01-02', upper: '2024-01-02T12:00:00' })).toBe(250)
})

test('partitions that are all of a table have all of its rows together, and none has fewer than nothing', async () => {
  const edges = fc
    .uniqueArray(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 12 })
    .map((list) => list.toSorted((a, b) => a - b))
  const values = fc.uniqueArray(fc.integer({ min: 0, max: 1000 }), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(edges, values, edges, async (histogram, often, inner) => {
      const share = often.length === 0 ? 0 : 0.4 / often.length
      const stats = [nulls(0.1), ...often.map((at) => common(at, share)), ...histogram.map(bound)]
      const { rows } = await estimate(stats, 100_000)
      const limits = [-1, ...inner, 1001]
      const found = limits.slice(1).map((upper, index) => rows(range(limits[index] ?? 0, upper)) ?? Number.NaN)
      for (const one of found) expect(one).toBeGreaterThanOrEqual(0)
      const sum = found.reduce((total, one) => total + one, 0)
      expect(Math.abs(sum - 90_000)).toBeLessThanOrEqual(found.length)
    }),
    { numRuns: 200 },
  )
})
