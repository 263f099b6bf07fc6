// The first load of a watermark pipeline in pieces: how far it reads is fixed and stored before anything is read, the pieces go
// through the ledger like partitions, and the watermark appears in the commit that completes the last one. Killed anywhere, it goes on
// with the pieces that are missing; what changed meanwhile comes by watermark.

import type { PartitionedTable, Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import { ORDINARY_RUN, type RunRequest } from '../core/head.ts'
import { partitionRule, storedPartition } from '../core/partition.ts'
import type { PartitionObservation } from '../core/partition-plan.ts'
import {
  type FirstLoad,
  fingerprint,
  type ResolvedPartitions,
  type ResolvedPipeline,
  resolvePipeline,
  selectedTable,
  type WatermarkPipeline,
} from '../core/pipeline.ts'
import { refuseChangedDefinition } from '../core/plan.ts'
import { type Position, tableInMaking } from '../core/position.ts'
import type { CursorRange } from '../core/slice.ts'
import type { State } from '../core/state.ts'
import type { Table } from '../core/table.ts'
import { both, lookAtTarget } from './observe.ts'
import { type PartitionLook, partitionsOf } from './observe-partitions.ts'

/** What the pieces read together, and the position after them; stored as text. */
interface Whole {
  readonly upTo: Position
  readonly range: CursorRange
  readonly rule: string
}

/** Is there a first load in pieces to begin, or to go on with? */
export function loadsInPieces(pipeline: WatermarkPipeline, state: State | null, request: RunRequest): boolean {
  if (request.partitions.length > 0) return false
  if (state?.position.kind === 'snapshot') return !request.fullRefresh
  const ordinary = request.from === null && request.to === null && !request.fullRefresh
  return state === null && ordinary && pipeline.write !== 'replace'
}

/** null where there is nothing to read yet. The caller closes the table. */
export async function observePieces(
  pipeline: WatermarkPipeline & { readonly firstLoad: FirstLoad },
  source: Source,
  target: Target,
  request: RunRequest,
): Promise<PartitionLook | null> {
  const partitions = partitionsOf(target, pipeline.name)
  const [described, seen] = await both(source.describe(pipeline), lookAtTarget(pipeline, target))
  const resolved = resolvePipeline(pipeline, described)
  const sourceTable = selectedTable(resolved, described)
  refuseChangedDefinition(resolved, sourceTable, seen.table, seen.state, ORDINARY_RUN)
  // Another run has finished it meanwhile.
  if (seen.state !== null && seen.state.position.kind !== 'snapshot') return null
  const whole = await wholeOf(resolved, described, seen.state, source)
  if (whole === null) return null
  const ours = seen.table === null || tableInMaking(seen.state?.position ?? null) === seen.table.identity
  const pieces = asPartitions(resolved, pipeline.firstLoad, ours)
  const ledger = await partitions.readLedger(pipeline.name)
  const table = await openPieces(source, pieces, described, resolved, whole.range)
  try {
    const { by } = pieces
    const known = ledger.map((row) => storedPartition(by, row.key, row.lower, row.upper))
    const observation: PartitionObservation = {
      pipeline: pieces,
      // A piece that is in stays as it is, as what changed in it since then comes by watermark; unless rows collide in it.
      request: {
        ...ORDINARY_RUN,
        partitions: request.partitions,
        retryOnly: request.partitions.length === 0,
        workers: request.workers,
        agreed: request.agreed,
        maxSlices: request.maxSlices,
      },
      sourceTable,
      targetTable: seen.table,
      state: seen.state,
      fingerprint: fingerprint(resolved, sourceTable),
      ledger,
      // What came after the bound was fixed comes by watermark: the pieces are those that were stored then.
      seen:
        seen.state === null
          ? await table.partitions(ORDINARY_RUN, known)
          : ledger.map((row) => ({
              ...storedPartition(by, row.key, row.lower, row.upper),
              closed: true,
              estimatedRows: null,
              estimatedBytes: null,
            })),
      checksums: null,
      sourceFormats: source.formats,
      targetFormats: target.formats,
      targetStrategies: target.strategies,
      typeRules: target.types,
    }
    return {
      seen: observation,
      table,
      first: { kind: 'snapshot', at: JSON.stringify(whole), done: [] },
      last: whole.upTo,
      keyed: resolved.write !== 'append',
    }
  } catch (error) {
    await table.close()
    throw error
  }
}

async function wholeOf(pipeline: ResolvedPipeline, table: Table, state: State | null, source: Source): Promise<Whole | null> {
  const rule = pipeline.firstLoad === null ? '' : partitionRule(pipeline.firstLoad.by)
  if (state?.position.kind !== 'snapshot') {
    const { slice } = await source.head(pipeline, table, state, ORDINARY_RUN)
    return slice === null ? null : { upTo: slice.upTo, range: slice.range, rule }
  }
  const whole = JSON.parse(state.position.at) as Whole
  if (whole.rule !== rule)
    throw new LoadError('definition-changed', `The first load of pipeline ${pipeline.name} was begun by ${whole.rule}, not by ${rule}.`)
  return whole
}

/** The pieces as partitions. Into a table of somebody else's they go as the pipeline's rows always do: what is there is not theirs to replace. */
function asPartitions(pipeline: ResolvedPipeline, { by, workers }: FirstLoad, ours: boolean): ResolvedPartitions {
  const { name, source, target, key, write, where, columns, onSchemaChange } = pipeline
  return {
    name,
    source,
    target,
    key,
    where,
    columns,
    onSchemaChange,
    pattern: 'partition',
    by,
    workers,
    write: ours ? 'overwrite-partition' : write,
    consistency: 'partition',
    lookback: 0,
    detect: 'none',
    maxShrink: null,
    replaceBy: 'delete',
  }
}

async function openPieces(
  source: Source,
  pieces: ResolvedPartitions,
  table: Table,
  pipeline: ResolvedPipeline,
  range: CursorRange,
): Promise<PartitionedTable> {
  if (source.openPartitions === undefined)
    throw new LoadError('strategy-unsupported', `The source of pipeline ${pipeline.name} can't be read in pieces.`)
  return source.openPartitions(pieces, table, { shared: false, within: { pipeline, range } })
}
