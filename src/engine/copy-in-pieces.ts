// A large table of a log, copied in pieces side by side. They go through the ledger, so that a COMMIT whose answer was lost is found
// there; the state moves in a commit of its own when all are in, and only if it is still the one that the copy began with.

import type { TableInPieces } from '../contract/log.ts'
import type { Preparation } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import { addCounts, type Load, NO_ROWS } from '../core/load.ts'
import type { SeenPartition } from '../core/partition.ts'
import type { PartitionPlan, PlannedPartition } from '../core/partition-plan.ts'
import type { Position } from '../core/position.ts'
import type { State } from '../core/state.ts'
import type { Table } from '../core/table.ts'
import type { Machinery } from './machinery.ts'
import { partitionsOf } from './observe-partitions.ts'
import { runWorkers } from './partition-workers.ts'
import { creditCommit, type Progress } from './progress.ts'

export interface PieceCopy {
  /** Of the whole table. */
  readonly load: Load
  /** The target's table, if it is there: made by a copy that was cut short, and to be filled anew. */
  readonly existing: Table | null
  readonly table: TableInPieces
  readonly workers: number
  readonly from: State
  /** The position when all pieces are in, from the one while they are on their way. */
  readonly after: (position: Position) => Position
}

/** Throws `state-conflict` where another run has begun the copy anew. */
export async function copyInPieces(copy: PieceCopy, machinery: Machinery, progress: Progress): Promise<State> {
  const { load, existing, table, from } = copy
  const { emit, reach, runId } = machinery
  const plan = planOf(copy)
  const target = partitionsOf(machinery.target, load.pipeline)
  emit({ kind: 'partitions-planned', pipeline: load.pipeline, plan })
  let prepared = from
  const preparation: Preparation = {
    from,
    first: from,
    runId,
    changes: load.changes,
    keyNow: [],
    wanted: plan.partitions.map(({ partition, estimatedRows }) => ({ partition, estimatedRows, seen: null })),
    empties: existing === null ? null : load.table.name,
    forget: true,
  }
  const sum = { pieces: 0, read: 0, bytes: 0, rows: NO_ROWS }
  const end = await runWorkers({
    plan,
    table,
    target,
    machinery,
    prepare: async () => {
      prepared = await target.prepare(preparation)
      reach('ledger-prepared')
    },
    done: (_, { read, bytes, rows }) => {
      Object.assign(sum, { pieces: sum.pieces + 1, read: sum.read + read, bytes: sum.bytes + bytes, rows: addCounts(sum.rows, rows) })
    },
  })
  const [failed] = end.failed
  if (failed !== undefined) throw failed.error
  if (sum.pieces < plan.loads.length)
    throw new LoadError('state-conflict', `Another run of pipeline ${load.pipeline} has begun the copy of its tables anew.`)
  reach('before-finish')
  emit({ kind: 'phase', pipeline: load.pipeline, phase: 'applying' })
  const to: State = { ...prepared, position: copy.after(prepared.position), epoch: prepared.epoch + 1n }
  await endCopy(copy, prepared, to, machinery)
  reach('finished')
  creditCommit(progress, to, sum.read, sum.bytes, sum.rows)
  progress.changed = true
  emit({ kind: 'committed', pipeline: load.pipeline, position: to.position, epoch: Number(to.epoch), read: sum.read, rows: sum.rows })
  return to
}

/** The key comes when the rows are in, and the position with it. */
async function endCopy({ load, existing }: PieceCopy, from: State, to: State, { target }: Machinery): Promise<void> {
  const lacksKey = load.key.length > 0 && (existing === null || existing.key.length === 0)
  const stage = await target.begin({
    ...load,
    creates: false,
    changes: [],
    strategy: lacksKey ? 'merge' : 'append',
    filling: lacksKey ? 'ends' : null,
  })
  try {
    await stage.commit({ kind: 'state', from, to }, 0)
  } catch (error) {
    await stage.abort()
    throw error
  }
}

function planOf({ load, table, workers, from }: PieceCopy): PartitionPlan {
  const partitions = table.pieces.map(planned)
  const sum = (of: (one: PlannedPartition) => number | null): number | null => {
    const values = partitions.map(of)
    return values.every((value) => value !== null) ? values.reduce((total, value) => total + value, 0) : null
  }
  return {
    kind: 'partitions',
    pipeline: load.pipeline,
    from,
    partitions,
    loads: partitions.toSorted((a, b) => (b.estimatedBytes ?? 0) - (a.estimatedBytes ?? 0)),
    // They are parts of one moment, of which each is there once: nothing gives way to them.
    load: { ...load, strategy: 'append', creates: false, changes: [] },
    changes: load.changes,
    makesTable: true,
    refreshes: false,
    by: { kind: 'range', column: 'place', nulls: 'exclude', size: 1n },
    maxShrink: null,
    replaceBy: 'delete',
    workers: Math.min(workers, partitions.length),
    consistency: 'run',
    forget: true,
    cause: 'run',
    estimatedRows: sum(({ estimatedRows }) => estimatedRows),
    estimatedBytes: sum(({ estimatedBytes }) => estimatedBytes),
  }
}

function planned({ key, bounds, estimatedRows, estimatedBytes }: SeenPartition): PlannedPartition {
  return {
    partition: { key, bounds },
    action: 'load',
    reason: 'new',
    closed: true,
    seen: null,
    compares: false,
    remembers: false,
    estimatedRows,
    estimatedBytes,
  }
}
