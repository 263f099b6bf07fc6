// What a run in partitions sees of the world before it acts.

import type { PartitionedTable, Source } from '../contract/source.ts'
import type { PartitionTarget, Target } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import type { RunRequest } from '../core/head.ts'
import { storedPartition } from '../core/partition.ts'
import type { PartitionObservation } from '../core/partition-plan.ts'
import { fingerprint, type PartitionPipeline, type ResolvedPartitions, resolvePartitions, selectedTable } from '../core/pipeline.ts'
import { refuseChangedDefinition } from '../core/plan.ts'
import type { Position } from '../core/position.ts'
import type { Table } from '../core/table.ts'
import { both, lookAtTarget } from './observe.ts'

/** An observation, and what it was made with: it is of the same moment as the rows that will be read. */
export interface PartitionLook {
  readonly seen: PartitionObservation
  readonly table: PartitionedTable
  /** The position while partitions are on their way, and the one when all are in. */
  readonly first: Position
  readonly last: Position
  /** The target's table gets the pipeline's key. */
  readonly keyed: boolean
}

/** The caller closes `table`. Throws what the definition, the source and the target are to blame for. */
export async function observePartitions(
  pipeline: PartitionPipeline,
  source: Source,
  target: Target,
  request: RunRequest,
): Promise<PartitionLook> {
  const [described, { ledger, seen }] = await both(source.describe(pipeline), lookAtLedger(pipeline, target, request))
  const resolved = resolvePartitions(pipeline, described)
  const sourceTable = selectedTable(resolved, described)
  refuseChangedDefinition(resolved, sourceTable, seen.table, seen.state, request)
  const table = await openTable(source, resolved, described)
  try {
    const known = ledger.map((row) => storedPartition(pipeline.by, row.key, row.lower, row.upper))
    const partitions = await table.partitions(request, known)
    const compares = pipeline.detect === 'checksum' && request.partitions.length === 0 && !request.retryOnly && ledger.length > 0
    const stored = new Set(ledger.filter(({ status }) => status === 'committed').map(({ key }) => key))
    const checksums = compares
      ? await table.checksums(
          partitions.filter(({ key }) => stored.has(key)),
          sourceTable.columns,
        )
      : null
    return {
      seen: {
        pipeline: resolved,
        request,
        sourceTable,
        targetTable: seen.table,
        state: seen.state,
        fingerprint: fingerprint(resolved, sourceTable),
        ledger,
        seen: partitions,
        checksums,
        sourceFormats: source.formats,
        targetFormats: target.formats,
        targetStrategies: target.strategies,
        typeRules: target.types,
      },
      table,
      first: { kind: 'partitions' },
      last: { kind: 'partitions' },
      keyed: resolved.write !== 'append',
    }
  } catch (error) {
    await table.close()
    throw error
  }
}

/** The ledger before the state: where a refresh comes between the two, its state says that nothing of the ledger is certain. */
async function lookAtLedger(pipeline: PartitionPipeline, target: Target, { fullRefresh }: RunRequest) {
  const ledger = fullRefresh ? [] : await partitionsOf(target, pipeline.name).readLedger(pipeline.name)
  return { ledger, seen: await lookAtTarget(pipeline, target) }
}

export function partitionsOf(target: Target, pipeline: string): PartitionTarget {
  if (target.partitions === undefined)
    throw new LoadError('strategy-unsupported', `The target of pipeline ${pipeline} can't load partitions.`)
  return target.partitions
}

async function openTable(source: Source, pipeline: ResolvedPartitions, table: Table): Promise<PartitionedTable> {
  if (source.openPartitions === undefined)
    throw new LoadError('strategy-unsupported', `The source of pipeline ${pipeline.name} can't be read in partitions.`)
  return source.openPartitions(pipeline, table, { shared: pipeline.consistency === 'run', within: null })
}
