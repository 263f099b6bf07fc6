import { expect, test } from 'vitest'
import { ORDINARY_RUN } from './head.ts'
import type { ResolvedPipeline } from './pipeline.ts'
import { type Observation, plan } from './plan.ts'
import { compareTypes } from './schema-change.ts'
import type { Slice } from './slice.ts'
import type { Table } from './table.ts'

const id = { name: 'id', type: { kind: 'integer', bits: 64 }, native: null, nullable: false } as const
const table: Table = {
  name: { schema: null, name: 'goods' },
  columns: [id],
  key: ['id'],
  keyGuaranteed: true,
  identity: 'here',
  estimatedRows: null,
  estimatedBytes: null,
}
const pipeline: ResolvedPipeline = {
  name: 'goods',
  pattern: 'watermark',
  source: { connection: 'shop', table: table.name, query: null },
  target: { connection: 'warehouse', table: table.name },
  cursor: 'id',
  cursorTimeZone: null,
  start: null,
  key: ['id'],
  write: 'merge',
  lateRows: { kind: 'auto' },
  nullCursor: 'error',
  firstLoad: null,
  where: null,
  columns: { include: null, exclude: [] },
  onSchemaChange: 'evolve',
}
const range = { from: null, fromOpen: false, to: '9', toClosed: true, changedSince: null, nulls: false, everything: false }
const slice: Slice = { after: null, upTo: { kind: 'watermark', value: '9' }, range, estimatedRows: 9, sweeps: false }
const seen: Observation = {
  pipeline,
  request: ORDINARY_RUN,
  sourceTable: table,
  targetTable: null,
  state: null,
  head: { slice, late: { mode: 'sweep', reason: 'so' }, heldBy: [], waiting: 0, nullCursors: 0 },
  slices: [slice],
  sourceFormats: ['pg-copy-binary', 'columns'],
  targetFormats: ['columns'],
  targetStrategies: ['append', 'merge'],
  typeRules: { targetColumn: (column) => column, compare: compareTypes },
}

test('the first load makes the table, in the best format that both ends speak', () => {
  const { steps, to, estimatedRows } = plan(seen)
  expect(steps).toMatchObject([{ load: { format: 'columns', creates: true, strategy: 'merge', changes: [{ kind: 'create-table' }] } }])
  expect(to).toEqual(slice.upTo)
  expect(estimatedRows).toBe(9)
})

test('nothing to read is a plan without steps', () => {
  expect(plan({ ...seen, head: { ...seen.head, slice: null }, slices: [] }).steps).toEqual([])
})

test('ends that share no format are refused', () => {
  expect(() => plan({ ...seen, sourceFormats: ['pg-copy-binary'] })).toThrow(expect.objectContaining({ code: 'no-common-format' }))
})

test('a strategy that the target does not know is refused', () => {
  expect(() => plan({ ...seen, targetStrategies: ['append'] })).toThrow(expect.objectContaining({ code: 'strategy-unsupported' }))
})

test('chosen partitions are refused: there are none, whether there is something to read or not', () => {
  for (const slices of [seen.slices, []]) {
    const one = { ...seen, request: { ...ORDINARY_RUN, partitions: ['0..99'] }, head: { ...seen.head, slice: slices[0] ?? null }, slices }
    expect(() => plan(one)).toThrow(expect.objectContaining({ code: 'bad-usage' }))
  }
})

test('planning changes nothing and asks nothing: the same look gives the same plan', () => {
  expect(plan(seen)).toEqual(plan(seen))
})
