import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ORDINARY_RUN } from './head.ts'
import type { LedgerRow } from './ledger.ts'
import type { SeenPartition } from './partition.ts'
import { EMPTY_CHECKSUM, gaps, type PartitionObservation, type PartitionPlan, partitionLoad, planPartitions } from './partition-plan.ts'
import type { ResolvedPartitions } from './pipeline.ts'
import { compareTypes } from './schema-change.ts'
import type { Table } from './table.ts'

const table: Table = {
  name: { schema: null, name: 'visits' },
  columns: [
    { name: 'id', type: { kind: 'integer', bits: 64 }, native: null, nullable: false },
    { name: 'n', type: { kind: 'integer', bits: 64 }, native: null, nullable: true },
  ],
  key: ['id'],
  keyGuaranteed: true,
  identity: 'here',
  estimatedRows: null,
  estimatedBytes: null,
}
const pipeline: ResolvedPartitions = {
  name: 'visits',
  pattern: 'partition',
  source: { connection: 'shop', table: table.name, query: null },
  target: { connection: 'warehouse', table: table.name },
  key: ['id'],
  write: 'overwrite-partition',
  where: null,
  columns: { include: null, exclude: [] },
  onSchemaChange: 'evolve',
  by: { kind: 'range', column: 'n', size: 10n, nulls: 'include' },
  workers: 4,
  consistency: 'run',
  lookback: 0,
  detect: 'none',
  maxShrink: null,
  replaceBy: 'delete',
}
const made = { pipeline: 'visits', position: { kind: 'partitions' }, epoch: 3n, fingerprint: 'mine', unswept: 0 } as const
const nothing: PartitionObservation = {
  pipeline,
  request: ORDINARY_RUN,
  sourceTable: table,
  targetTable: { ...table, identity: 'there' },
  state: made,
  fingerprint: 'mine',
  ledger: [],
  seen: [],
  checksums: null,
  sourceFormats: ['columns'],
  targetFormats: ['columns'],
  targetStrategies: ['append', 'merge', 'overwrite-partition'],
  typeRules: { targetColumn: (column) => column, compare: compareTypes },
}

function seen(place: number, closed = true, estimatedRows: number | null = null): SeenPartition {
  const [lower, upper] = [String(place * 10), String(place * 10 + 10)]
  return { key: `p${place}`, bounds: { kind: 'range', lower, upper }, closed, estimatedRows, estimatedBytes: null }
}

function row(place: number, more: Partial<LedgerRow> = {}): LedgerRow {
  return {
    key: `p${place}`,
    lower: String(place * 10),
    upper: String(place * 10 + 10),
    status: 'committed',
    attempt: 1,
    rows: 1n,
    checksum: '1:1',
    closed: true,
    committedAt: 'then',
    runId: 'before',
    error: null,
    abandoned: false,
    ...more,
  }
}

/** Any number of partitions, some of them in the ledger, whatever became of them, and some only there. */
const observations: fc.Arbitrary<PartitionObservation> = fc
  .record({
    places: fc.uniqueArray(fc.nat(12), { maxLength: 10 }),
    closed: fc.array(fc.boolean(), { minLength: 13, maxLength: 13 }),
    sizes: fc.array(fc.option(fc.nat(9)), { minLength: 13, maxLength: 13 }),
    rows: fc.uniqueArray(
      fc.record({
        place: fc.nat(12),
        status: fc.constantFrom('planned', 'running', 'committed', 'failed'),
        closed: fc.boolean(),
        checksum: fc.constantFrom(null, '1:1', '2:2', EMPTY_CHECKSUM),
      }),
      { maxLength: 10, selector: ({ place }) => place },
    ),
    detect: fc.constantFrom('none', 'checksum', 'all'),
    lookback: fc.nat(2),
    append: fc.boolean(),
    retryOnly: fc.boolean(),
    maxSlices: fc.option(fc.nat(3)),
    asked: fc.array(fc.nat(12), { maxLength: 2 }),
  })
  .map(({ places, closed, sizes, rows, detect, lookback, append, retryOnly, maxSlices, asked }): PartitionObservation => {
    const sorted = places.toSorted((a, b) => a - b)
    const known = new Set([...places, ...rows.map(({ place }) => place)])
    const partitions = asked.filter((place) => known.has(place)).map((place) => `p${place}`)
    const compares = detect === 'checksum' && !append && rows.length > 0 && partitions.length === 0 && !retryOnly
    return {
      ...nothing,
      pipeline: append ? { ...pipeline, write: 'append' } : { ...pipeline, detect: detect as ResolvedPartitions['detect'], lookback },
      request: { ...ORDINARY_RUN, retryOnly, maxSlices, partitions },
      ledger: rows.map(({ place, status, ...rest }) => row(place, { ...rest, status: status as LedgerRow['status'] })),
      seen: sorted.map((place) => seen(place, closed[place], sizes[place] ?? null)),
      checksums: compares ? new Map(sorted.map((place) => [`p${place}`, '1:1'])) : null,
    }
  })

function loadedKeys({ loads }: PartitionPlan): readonly string[] {
  return loads.map(({ partition }) => partition.key)
}

test('every partition that is seen is loaded, or left alone for a reason; each once, the largest first', () => {
  fc.assert(
    fc.property(observations, (one) => {
      const plan = planPartitions(one)
      const keys = plan.partitions.map(({ partition }) => partition.key)
      expect(new Set(keys).size).toBe(keys.length)
      for (const { key } of one.seen) expect(keys).toContain(key)
      for (const { action, reason } of plan.partitions)
        expect(['committed', 'not asked', 'not closed yet'].includes(reason)).toBe(action === 'skip')
      expect(plan.loads).toHaveLength(plan.partitions.filter(({ action }) => action === 'load').length)
      const sizes = plan.loads.map(({ estimatedRows }) => estimatedRows ?? 0)
      expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
      expect(plan.loads.length).toBeLessThanOrEqual(one.request.maxSlices ?? 99)
    }),
    { numRuns: 500 },
  )
})

test('append loads no partition that is committed, and none that may still get rows; a retry nothing that is committed', () => {
  fc.assert(
    fc.property(observations, (one) => {
      const rows = new Map(one.ledger.map((entry) => [entry.key, entry]))
      for (const { partition, closed, seen: entry } of planPartitions(one).loads) {
        expect(entry).toEqual(rows.get(partition.key) ?? null)
        if (one.pipeline.write === 'append') expect([entry?.status, closed]).not.toContain('committed')
        if (one.pipeline.write === 'append') expect(closed).toBe(true)
        if (one.request.retryOnly && one.request.partitions.length === 0) expect(entry?.status).not.toBe('committed')
      }
    }),
    { numRuns: 500 },
  )
})

test('what is not finished is loaded by every ordinary run, and what differs where that is looked at', () => {
  fc.assert(
    fc.property(observations, (one) => {
      if (one.pipeline.write === 'append' || one.request.partitions.length > 0 || one.request.maxSlices !== null) return
      const loaded = loadedKeys(planPartitions(one))
      const rows = new Map(one.ledger.map((entry) => [entry.key, entry]))
      for (const { key } of one.seen) {
        const entry = rows.get(key)
        if (entry?.status !== 'committed') expect(loaded).toContain(key)
        else if (one.checksums !== null) expect(loaded.includes(key)).toBe(entry.checksum !== '1:1')
      }
    }),
    { numRuns: 500 },
  )
})

test('an absent partition is one that never was committed, in a table that the pipeline is still making', () => {
  const making = { ...made, position: { kind: 'partitions', table: 'there' } } as const
  const of = (one: PartitionObservation): readonly (boolean | undefined)[] => {
    const plan = planPartitions(one)
    return plan.loads.map((planned) => partitionLoad(plan, planned, 'now').partition?.absent)
  }
  const ledger = [row(1, { status: 'planned', committedAt: null }), row(2, { status: 'planned' })]
  expect(of({ ...nothing, state: making, ledger, seen: [seen(0), seen(1), seen(2)] })).toEqual([true, true, false])
  expect(of({ ...nothing, ledger, seen: [seen(0), seen(1), seen(2)] })).toEqual([false, false, false])
})

test('a partition whose rows are all gone has changed, unless the wanted range has moved on', () => {
  const checksums = new Map([['p2', '1:1']])
  const ledger = [row(1), row(2), row(3)]
  const ask = (by: Partial<Extract<ResolvedPartitions['by'], { kind: 'time' }>> | null): readonly string[] => {
    const time = { kind: 'time', column: 'n', unit: 'hour', first: null, last: null, zone: 'UTC', nulls: 'include' } as const
    const wanted: ResolvedPartitions = { ...pipeline, detect: 'checksum', by: by === null ? pipeline.by : { ...time, ...by } }
    return loadedKeys(planPartitions({ ...nothing, pipeline: wanted, ledger, seen: [seen(2)], checksums }))
  }
  expect(ask(null)).toEqual(['p1', 'p3'])
  expect(ask({})).toEqual(['p1', 'p3'])
  expect(ask({ first: '20' })).toEqual(['p3'])
  expect(ask({ last: '29' })).toEqual(['p1'])
  expect(ask({ first: '20', last: '29' })).toEqual([])
})

test('a full refresh loads everything, and is refused where it could not replace it', () => {
  const fullRefresh = { ...ORDINARY_RUN, fullRefresh: true }
  const plan = planPartitions({ ...nothing, request: fullRefresh, seen: [seen(0), seen(1, false)] })
  expect([plan.forget, loadedKeys(plan)]).toEqual([true, ['p0', 'p1']])
  const appends: ResolvedPartitions = { ...pipeline, write: 'append' }
  const refused = (one: Partial<PartitionObservation>, code: string): void =>
    expect(() => planPartitions({ ...nothing, request: fullRefresh, seen: [seen(0)], ...one })).toThrow(expect.objectContaining({ code }))
  refused({ pipeline: appends }, 'strategy-unsupported')
  refused({ request: { ...fullRefresh, from: '1' } }, 'bad-usage')
  refused({ request: { ...fullRefresh, partitions: ['p0'] } }, 'bad-usage')
  const anew = { ...nothing, request: fullRefresh, pipeline: appends, targetTable: null, seen: [seen(0), seen(1, false)] }
  expect(loadedKeys(planPartitions(anew))).toEqual(['p0'])
})

test('gaps between partitions are named', () => {
  expect(gaps([row(0), row(1), row(3)])).toEqual([{ from: '20', to: '30' }])
})
