// Observation → plan of a pipeline in partitions: which of them are loaded, and why; the rest is skipped. Pure.

import type { Format } from './chunk.ts'
import { LoadError } from './errors.ts'
import { isReload, type RunRequest } from './head.ts'
import { isBelow, type LedgerRow } from './ledger.ts'
import type { Load } from './load.ts'
import { type Partition, type PartitionBy, type SeenPartition, storedPartition } from './partition.ts'
import type { ReplaceBy, ResolvedPartitions } from './pipeline.ts'
import { commonFormat, loadedColumns } from './plan.ts'
import { isRefreshing, tableInMaking } from './position.ts'
import { planSchema, type SchemaChange, type TypeRules } from './schema-change.ts'
import type { Cause, State } from './state.ts'
import { columnNamed, printTableName, type Table } from './table.ts'
import type { WriteStrategyName } from './write-strategy.ts'

/** Everything a plan in partitions depends on, read from the world once. */
export interface PartitionObservation {
  readonly pipeline: ResolvedPartitions
  readonly request: RunRequest
  /** Only the columns that are loaded. */
  readonly sourceTable: Table
  readonly targetTable: Table | null
  readonly state: State | null
  /** What the ledger belongs to. */
  readonly fingerprint: string
  readonly ledger: readonly LedgerRow[]
  /** In order. */
  readonly seen: readonly SeenPartition[]
  /** Of what is at the source now, by key; null where nothing has to be compared. */
  readonly checksums: ReadonlyMap<string, string> | null
  readonly sourceFormats: readonly Format[]
  readonly targetFormats: readonly Format[]
  readonly targetStrategies: readonly WriteStrategyName[]
  readonly typeRules: TypeRules
}

/** Why a partition is loaded or not. */
export type PartitionReason =
  | 'new'
  | 'unfinished'
  | 'failed'
  | 'asked'
  | 'changed'
  | 'open'
  | 'lookback'
  | 'all'
  | 'committed'
  | 'not asked'
  | 'not closed yet'

export interface PlannedPartition {
  readonly partition: Partition
  readonly action: 'load' | 'skip'
  readonly reason: PartitionReason
  readonly closed: boolean
  /** What the ledger says of it. */
  readonly seen: LedgerRow | null
  /** Its content is compared first: where it is what the ledger remembers, no row is touched. */
  readonly compares: boolean
  /** Its checksum is remembered, for the comparison of a later run. */
  readonly remembers: boolean
  readonly estimatedRows: number | null
  readonly estimatedBytes: number | null
}

/** Void once the ledger has moved, partition by partition. */
export interface PartitionPlan {
  readonly kind: 'partitions'
  readonly pipeline: string
  readonly from: State | null
  /** All, in order. */
  readonly partitions: readonly PlannedPartition[]
  /** Those to load, the largest first. */
  readonly loads: readonly PlannedPartition[]
  readonly load: Omit<Load, 'runId' | 'partition'>
  readonly changes: readonly SchemaChange[]
  /** The pipeline has made the target table, or will, and its first load is not over: what is not committed is not in it. */
  readonly makesTable: boolean
  readonly by: PartitionBy
  readonly maxShrink: number | null
  readonly replaceBy: ReplaceBy
  readonly workers: number
  readonly consistency: 'run' | 'partition'
  readonly forget: boolean
  /** A full refresh, or the rest of one: rows of no partition go when all are in. */
  readonly refreshes: boolean
  readonly cause: Cause
  readonly estimatedRows: number | null
  readonly estimatedBytes: number | null
}

export function planPartitions(seen: PartitionObservation): PartitionPlan {
  const { pipeline, request, sourceTable, targetTable, state } = seen
  if (request.fullRefresh) refuseHalfRefresh(pipeline, request, targetTable)
  if (!seen.targetStrategies.includes(pipeline.write))
    throw new LoadError('strategy-unsupported', `The target of pipeline ${pipeline.name} has no ${pipeline.write}.`)
  if (targetTable === null && pipeline.replaceBy !== 'delete') refuseMissingWhole(pipeline)
  const schema = planSchema(sourceTable, targetTable, pipeline.target.table, pipeline.onSchemaChange, seen.typeRules)
  refuseLossyColumn(pipeline, sourceTable, schema.table)
  const partitions = decide(seen)
  const loads = largestFirst(partitions.filter(({ action }) => action === 'load'))
  const refreshes = request.fullRefresh || isRefreshing(state?.position ?? null)
  const cause: Cause = request.fullRefresh ? 'full-refresh' : isReload(request) || request.partitions.length > 0 ? 'reload' : 'run'
  return {
    kind: 'partitions',
    pipeline: pipeline.name,
    from: state,
    partitions,
    loads,
    load: {
      pipeline: pipeline.name,
      cause,
      strategy: pipeline.write,
      format: commonFormat(seen.sourceFormats, seen.targetFormats),
      table: schema.table,
      creates: false,
      changes: [],
      columns: loadedColumns(schema),
      key: pipeline.key,
      keyGuaranteed: sourceTable.keyGuaranteed,
      filling: null,
      newestBy: null,
      replaces: null,
      rescuedBelow: null,
      fingerprint: seen.fingerprint,
    },
    changes: loads.length === 0 && targetTable !== null ? [] : schema.changes,
    makesTable: targetTable === null || (!refreshes && tableInMaking(state?.position ?? null) === targetTable.identity),
    by: pipeline.by,
    maxShrink: pipeline.maxShrink,
    replaceBy: pipeline.replaceBy,
    workers: Math.max(1, Math.min(request.workers ?? pipeline.workers, loads.length)),
    consistency: pipeline.consistency,
    forget: request.fullRefresh,
    refreshes,
    cause,
    estimatedRows: total(loads, ({ estimatedRows }) => estimatedRows),
    estimatedBytes: total(loads, ({ estimatedBytes }) => estimatedBytes),
  }
}

function refuseHalfRefresh({ name, write }: ResolvedPartitions, request: RunRequest, targetTable: Table | null): void {
  if (isReload(request) || request.partitions.length > 0)
    throw new LoadError('bad-usage', "A full refresh loads everything; it can't be limited to a range, or to some partitions.", {
      hint: 'Leave out either `--full-refresh`, or `--from`, `--to` and `--partition`.',
    })
  if (write === 'append' && targetTable !== null)
    throw new LoadError('strategy-unsupported', `Pipeline ${name} appends: a full refresh would double the rows that are loaded.`, {
      hint: 'Drop the target table first, or use `write: overwrite-partition`.',
    })
}

/** A table that tidemark makes has no partitions of its own. */
function refuseMissingWhole({ target, replaceBy }: ResolvedPartitions): never {
  throw new LoadError(
    'unusable-partition',
    `There is no target table ${printTableName(target.table)}; replace_by: ${replaceBy} needs one that PostgreSQL itself has partitioned.`,
    { hint: 'Create it with PARTITION BY, or use `replace_by: delete`.' },
  )
}

function decide(seen: PartitionObservation): PlannedPartition[] {
  const { pipeline, ledger, request } = seen
  const rows = new Map(ledger.map((row) => [row.key, row]))
  refuseUnknownKeys(seen, rows)
  const looksBack = newestClosed(seen.seen, pipeline.lookback)
  const decided = seen.seen.map((one) => decideOne(one, rows.get(one.key) ?? null, looksBack.has(one.key), seen))
  const known = new Set(seen.seen.map(({ key }) => key))
  for (const row of ledger)
    if (!known.has(row.key)) {
      const gone = {
        ...storedPartition(pipeline.by, row.key, row.lower, row.upper),
        closed: row.closed,
        estimatedRows: null,
        estimatedBytes: null,
      }
      if (isWantedAnyhow(row, seen)) decided.push(decideOne(gone, row, false, seen))
    }
  return request.maxSlices === null ? decided : limited(decided, request.maxSlices)
}

/** A partition that the source no longer shows: its rows went away, or the wanted range has moved on. */
function isWantedAnyhow(row: LedgerRow, { pipeline, request, checksums, seen }: PartitionObservation): boolean {
  if (request.fullRefresh) return false
  if (request.partitions.includes(row.key)) return true
  if (isReload(request) || request.partitions.length > 0) return false
  if (request.retryOnly) return row.status !== 'committed'
  return isEmptied(row, pipeline.by, seen) && (row.status !== 'committed' || checksums !== null || pipeline.detect === 'all')
}

/** It is not seen because it has no rows any more: one that has none has changed. */
function isEmptied({ lower }: LedgerRow, by: PartitionBy, seen: readonly SeenPartition[]): boolean {
  if (lower === null) return by.nulls === 'include'
  if (by.kind === 'list') return by.values === null
  if (by.kind === 'range' || by.kind === 'rows') return true
  if (by.kind === 'hash') return false
  if (by.first === null && by.last === null) return true
  // Beyond an end that is given, the wanted range has moved on.
  const lowers = seen.flatMap(({ bounds }) => (bounds.kind === 'range' ? [bounds.lower] : []))
  const [first, last] = [lowers[0], lowers.at(-1)]
  if (first === undefined || last === undefined) return false
  return (by.first === null && isBelow(lower, first)) || (by.last === null && isBelow(last, lower))
}

function decideOne(one: SeenPartition, row: LedgerRow | null, looksBack: boolean, seen: PartitionObservation): PlannedPartition {
  const { pipeline, checksums } = seen
  const reason = reasonFor(one, row, looksBack, seen)
  const action = reason === 'committed' || reason === 'not asked' || reason === 'not closed yet' ? 'skip' : 'load'
  const remembers = pipeline.detect === 'checksum' || looksBack || !one.closed
  const replaces = pipeline.write === 'overwrite-partition'
  return {
    partition: row === null ? { key: one.key, bounds: one.bounds } : storedPartition(pipeline.by, row.key, row.lower, row.upper),
    action,
    reason,
    closed: one.closed,
    seen: row,
    compares: replaces && (reason === 'open' || reason === 'lookback') && row?.checksum != null && checksums === null,
    remembers: replaces && remembers,
    estimatedRows: one.estimatedRows,
    estimatedBytes: one.estimatedBytes,
  }
}

function reasonFor(one: SeenPartition, row: LedgerRow | null, looksBack: boolean, seen: PartitionObservation): PartitionReason {
  const { pipeline, request, checksums } = seen
  if (request.partitions.length > 0 && !request.partitions.includes(one.key)) return 'not asked'
  if (pipeline.write === 'append') return appendReason(one, row)
  if (request.fullRefresh) return 'all'
  if (isReload(request) || request.partitions.length > 0) return 'asked'
  if (row === null) return 'new'
  if (row.status === 'failed') return 'failed'
  if (row.status !== 'committed') return 'unfinished'
  if (request.retryOnly) return 'committed'
  if (pipeline.detect === 'all') return 'all'
  if (checksums !== null) return (checksums.get(one.key) ?? EMPTY_CHECKSUM) === row.checksum ? 'committed' : 'changed'
  if (looksBack) return 'lookback'
  return !row.closed && (pipeline.by.kind === 'time' || pipeline.by.kind === 'range' || pipeline.by.kind === 'rows') ? 'open' : 'committed'
}

/** Rows that were appended once must never be appended again. */
function appendReason({ closed }: SeenPartition, row: LedgerRow | null): PartitionReason {
  if (row?.status === 'committed') return 'committed'
  if (!closed) return 'not closed yet'
  return row === null ? 'new' : row.status === 'failed' ? 'failed' : 'unfinished'
}

/** What the source says of a partition without rows. */
export const EMPTY_CHECKSUM = '0:0'

function newestClosed(seen: readonly SeenPartition[], count: number): ReadonlySet<string> {
  return new Set(
    count === 0
      ? []
      : seen
          .filter(({ closed, bounds }) => closed && bounds.kind !== 'null')
          .slice(-count)
          .map(({ key }) => key),
  )
}

function refuseUnknownKeys({ request, pipeline, seen }: PartitionObservation, rows: ReadonlyMap<string, LedgerRow>): void {
  const known = new Set(seen.map(({ key }) => key))
  const unknown = request.partitions.filter((key) => !known.has(key) && !rows.has(key))
  if (unknown.length === 0) return
  const shown = seen.slice(0, 3).map(({ key }) => key)
  throw new LoadError('unknown-partition', `Pipeline ${pipeline.name} has no partition ${unknown.join(', ')}.`, {
    hint:
      shown.length === 0
        ? 'It has none at all.'
        : `Its keys look like ${shown.join(', ')}; \`tidemark plan ${pipeline.name}\` shows them all.`,
  })
}

/** Rows that the column of the target rounds would not be found again by their partition's bounds. */
function refuseLossyColumn(pipeline: ResolvedPartitions, source: Table, target: Table): void {
  const [from, to] = [columnNamed(source, pipeline.by.column), columnNamed(target, pipeline.by.column)]
  if (to === undefined)
    throw new LoadError(
      'lossy-partition',
      `Target table has no column "${pipeline.by.column}", by which pipeline ${pipeline.name} is partitioned.`,
    )
  if (from === undefined) return
  const digits = (native: string | null): number => Number(/^timestamp\((\d)\)/.exec(native ?? '')?.[1] ?? 6)
  const exact = from.type.kind === to.type.kind && digits(from.native) <= digits(to.native)
  const zoned = from.type.kind !== 'timestamp' || to.type.kind !== 'timestamp' || from.type.zoned === to.type.zoned
  // What is hashed is the text of the value, and 5.00 is another text than 5.
  const number = pipeline.by.kind !== 'hash' && isNumber(from.type.kind) && isNumber(to.type.kind)
  if ((!exact && !number) || !zoned)
    throw new LoadError(
      'lossy-partition',
      `Column "${pipeline.by.column}" is ${from.native ?? from.type.kind} at the source and ${to.native ?? to.type.kind} at the target: bounds of partitions would not mean the same there.`,
    )
}

function isNumber(kind: string): boolean {
  return kind === 'integer' || kind === 'decimal' || kind === 'other'
}

function largestFirst(partitions: readonly PlannedPartition[]): PlannedPartition[] {
  return partitions.toSorted((a, b) => (b.estimatedRows ?? 0) - (a.estimatedRows ?? 0))
}

function limited(partitions: readonly PlannedPartition[], most: number): PlannedPartition[] {
  let left = most
  return partitions.map((one) => (one.action === 'load' && left-- <= 0 ? { ...one, action: 'skip', reason: 'not asked' } : one))
}

function total(loads: readonly PlannedPartition[], of: (one: PlannedPartition) => number | null): number | null {
  let sum = 0
  for (const one of loads) {
    const value = of(one)
    if (value === null) return null
    sum += value
  }
  return sum
}

/** The load of one partition, as a stage gets it. */
export function partitionLoad(plan: PartitionPlan, one: PlannedPartition, runId: string): Load {
  const never = one.seen === null || one.seen.committedAt === null
  return {
    ...plan.load,
    runId,
    partition: {
      partition: one.partition,
      column: plan.by.column,
      by: plan.by,
      absent: never && plan.makesTable,
      byKey: false,
      // A full refresh is asked for by someone who knows that rows are gone.
      maxShrink: plan.refreshes ? null : plan.maxShrink,
      replaceBy: plan.replaceBy,
    },
  }
}

/** Where the ledger's partitions of a time or number leave something out between them. */
export function gaps(rows: readonly Pick<LedgerRow, 'lower' | 'upper'>[]): readonly { readonly from: string; readonly to: string }[] {
  const found: { from: string; to: string }[] = []
  for (const [index, row] of rows.entries()) {
    const next = rows[index + 1]
    if (row.upper !== null && next?.lower != null && row.upper !== next.lower) found.push({ from: row.upper, to: next.lower })
  }
  return found
}
