// Observation → plan: what would bring the target up to date, as data. Pure: asks nothing, changes nothing.

import type { Format } from './chunk.ts'
import { LoadError } from './errors.ts'
import { type Head, type Hold, isReload, type LatePlan, type RunRequest } from './head.ts'
import type { Load } from './load.ts'
import { fingerprint, fingerprintChanges, type ResolvedPartitions, type ResolvedPipeline } from './pipeline.ts'
import { isFilling, type Position, printPosition } from './position.ts'
import { planSchema, type SchemaPlan, type TypeRules } from './schema-change.ts'
import type { Slice } from './slice.ts'
import type { Cause, State } from './state.ts'
import { columnNamed, printTableName, type Table } from './table.ts'
import { WRITE_STRATEGIES, type WriteStrategyName } from './write-strategy.ts'

/** Everything a plan depends on, read from the world once. */
export interface Observation {
  readonly pipeline: ResolvedPipeline
  readonly request: RunRequest
  /** Only the columns that are loaded. */
  readonly sourceTable: Table
  readonly targetTable: Table | null
  readonly state: State | null
  readonly head: Head
  /** `head.slice`, cut into pieces that are committed one by one; empty where there is nothing to read. */
  readonly slices: readonly Slice[]
  readonly sourceFormats: readonly Format[]
  readonly targetFormats: readonly Format[]
  readonly targetStrategies: readonly WriteStrategyName[]
  readonly typeRules: TypeRules
}

/** One commit: rows of a slice, the schema changes they need, and the position after them. */
export interface Step {
  readonly slice: Slice
  readonly load: Omit<Load, 'runId'>
}

/** Void once the state is no longer `from`. */
export interface Plan {
  readonly pipeline: string
  readonly from: State | null
  readonly to: Position | null
  readonly steps: readonly Step[]
  readonly late: LatePlan
  readonly heldBy: readonly Hold[]
  readonly waiting: number
  readonly estimatedRows: number | null
}

export function plan(seen: Observation): Plan {
  refuseChangedDefinition(seen.pipeline, seen.sourceTable, seen.targetTable, seen.state, seen.request)
  const { pipeline, head } = seen
  refusePartitions(pipeline, seen.request)
  const steps = head.slice === null ? [] : planSteps(seen)
  return {
    pipeline: pipeline.name,
    from: seen.state,
    to: steps.at(-1)?.slice.upTo ?? seen.state?.position ?? null,
    steps,
    late: head.late,
    heldBy: head.heldBy,
    waiting: head.waiting,
    estimatedRows: sumEstimates(steps),
  }
}

function refusePartitions({ name }: ResolvedPipeline, { partitions }: RunRequest): void {
  if (partitions.length > 0)
    throw new LoadError('bad-usage', `Pipeline ${name} has no partitions to choose: its pattern is watermark.`, {
      hint: 'Load a range of the cursor again: `tidemark run PIPELINE --from VALUE --to VALUE`.',
    })
}

function planSteps(seen: Observation): Step[] {
  const { pipeline, request, sourceTable } = seen
  if (request.fullRefresh && isReload(request))
    throw new LoadError('bad-usage', "A full refresh loads everything; it can't be limited to a range.", {
      hint: 'Leave out either `--full-refresh`, or `--from` and `--to`.',
    })
  const strategy = strategyOf(pipeline, request)
  if (isReload(request) && strategy === 'append' && seen.head.late.mode === 'xid8')
    throw new LoadError(
      'late-rows-unsafe',
      `Pipeline ${pipeline.name} can't reload a range: its cursor doesn't tell which rows xid8 has delivered, and append would double the others.`,
      { hint: 'Load everything again with `--full-refresh`.' },
    )
  if (!seen.targetStrategies.includes(strategy))
    throw new LoadError('strategy-unsupported', `The target of pipeline ${pipeline.name} has no ${strategy}.`)
  const schema = planSchema(sourceTable, seen.targetTable, pipeline.target.table, pipeline.onSchemaChange, seen.typeRules)
  const format = commonFormat(seen.sourceFormats, seen.targetFormats)
  const cause: Cause = request.fullRefresh ? 'full-refresh' : isReload(request) ? 'reload' : 'run'
  return seen.slices.map((slice, index) => {
    const filling = fillingOf(seen, slice, strategy)
    return {
      slice: filling === 'goes-on' ? marked(slice) : slice,
      load: {
        pipeline: pipeline.name,
        cause,
        strategy,
        format,
        table: schema.table,
        creates: index === 0 && seen.targetTable === null,
        changes: index === 0 ? schema.changes : [],
        columns: loadedColumns(schema),
        key: pipeline.key,
        keyGuaranteed: sourceTable.keyGuaranteed,
        filling,
        newestBy: schema.columns.includes(pipeline.cursor) ? pipeline.cursor : null,
        replaces: cause === 'reload' && strategy === 'append' ? replacedRange(slice, pipeline.cursor) : null,
        rescuedBelow: rescuedBelow(slice, pipeline.cursor),
        partition: null,
        fingerprint: fingerprint(pipeline, sourceTable),
      },
    }
  })
}

/** Only where the source's key is one: otherwise a slice itself may bring a key twice. */
function fillingOf(
  { pipeline, request, sourceTable, targetTable, state, head, slices }: Observation,
  slice: Slice,
  strategy: WriteStrategyName,
): Load['filling'] {
  const isLast = head.slice !== null && printPosition(slice.upTo) === printPosition(head.slice.upTo)
  const { kind } = state?.position ?? { kind: null }
  const fills = (isFilling(state?.position ?? null) || kind === 'snapshot') && targetTable !== null && targetTable.key.length === 0
  if (request.fullRefresh) return fills ? 'ends' : null
  const keyed = (strategy === 'merge' || strategy === 'delete-insert') && sourceTable.keyGuaranteed && pipeline.key.length > 0
  if (!keyed || isReload(request)) return null
  if (fills) return isLast ? 'ends' : 'goes-on'
  const begins = targetTable === null && state === null && (slices.length > 1 || !isLast)
  return begins ? (isLast ? 'ends' : 'goes-on') : null
}

function marked(slice: Slice): Slice {
  return slice.upTo.kind === 'watermark' ? { ...slice, upTo: { ...slice.upTo, filling: true } } : slice
}

/** A reload replaces its range only: what `replace` does to a whole table would take away everything outside of it. */
function strategyOf({ write, key }: ResolvedPipeline, request: RunRequest): WriteStrategyName {
  if (request.fullRefresh) return 'replace'
  if (write !== 'replace' || !isReload(request)) return write
  return key.length > 0 ? 'merge' : 'append'
}

/** A closed upper end is the watermark, above which append has delivered nothing. */
function replacedRange({ range }: Slice, column: string): Load['replaces'] {
  return { column, from: range.from, to: range.toClosed ? null : range.to }
}

function rescuedBelow(slice: Slice, cursor: string): Load['rescuedBelow'] {
  const { from, changedSince } = slice.range
  return from === null || changedSince === null || changedSince.column !== null ? null : { column: cursor, value: from }
}

export function loadedColumns(schema: SchemaPlan): Load['columns'] {
  return schema.columns.flatMap((name) => columnNamed(schema.table, name) ?? [])
}

/**
 * A position is only worth something for the definition it was made with; throws `definition-changed`, `target-missing`.
 * Asked before the source is: a changed cursor would make it stumble over the old one's values.
 */
export function refuseChangedDefinition(
  pipeline: ResolvedPipeline | ResolvedPartitions,
  sourceTable: Table,
  targetTable: Table | null,
  state: State | null,
  request: RunRequest,
): void {
  if (state === null || request.fullRefresh) return
  const changed = fingerprintChanges(state.fingerprint, fingerprint(pipeline, sourceTable))
  if (changed.length > 0)
    throw new LoadError('definition-changed', `Pipeline ${pipeline.name} was loaded with another ${changed.join(', ')} than it has now.`)
  if (state.position.kind === 'snapshot' && !(pipeline.pattern === 'watermark' && pipeline.firstLoad !== null))
    throw new LoadError(
      'definition-changed',
      `The first load of pipeline ${pipeline.name} in pieces is not over, and first_load is gone from it.`,
      {
        hint: 'Put first_load back until it is over, or load everything again with `--full-refresh`.',
      },
    )
  if (targetTable === null && state.epoch > 0n)
    throw new LoadError(
      'target-missing',
      `Pipeline ${pipeline.name} has the position ${printPosition(state.position)}, but its target table ${printTableName(pipeline.target.table)} does not exist.`,
    )
}

/** The target's favourite among what the source can produce: every fast path is chosen here. */
export function commonFormat(produced: readonly Format[], accepted: readonly Format[]): Format {
  const format = accepted.find((candidate) => produced.includes(candidate))
  if (format === undefined)
    throw new LoadError('no-common-format', `The source speaks ${produced.join(', ')}; the target ${accepted.join(', ')}.`)
  return format
}

function sumEstimates(steps: readonly Step[]): number | null {
  let sum = 0
  for (const { slice } of steps) {
    if (slice.estimatedRows === null) return null
    sum += slice.estimatedRows
  }
  return sum
}

/** May a run read rows that the next one reads again? */
export function isRepeatable(strategy: WriteStrategyName): boolean {
  return WRITE_STRATEGIES[strategy].repeatable
}
