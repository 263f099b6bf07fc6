// What a memory target holds: tables, states, history and ledgers. A commit is one assignment of all of them: readers see either
// what was before or what is after.

import { LoadError } from '../../core/errors.ts'
import type { LedgerRow } from '../../core/ledger.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import type { Table } from '../../core/table.ts'
import type { Cells } from './vectors.ts'

export interface TargetTable {
  readonly table: Table
  readonly rows: readonly Cells[]
  /** Columns of the key that was built for partitions: rows that share it are refused. Empty: there is none. */
  readonly unique: readonly string[]
}

export interface LedgerEntry extends Omit<LedgerRow, 'abandoned'> {
  /** By the clock of the target; null while nobody has it. */
  readonly leaseUntil: bigint | null
}

export interface Contents {
  readonly tables: ReadonlyMap<string, TargetTable>
  readonly states: ReadonlyMap<string, StateRow>
  /** Newest first. */
  readonly history: readonly (HistoryRow & { readonly pipeline: string })[]
  /** By pipeline, and then by partition. */
  readonly ledgers: ReadonlyMap<string, ReadonlyMap<string, LedgerEntry>>
}

/** What holds the contents, and the clock by which leases end. */
export interface Holder {
  contents: Contents
  readonly clock: bigint
}

export const EMPTY_CONTENTS: Contents = { tables: new Map(), states: new Map(), history: [], ledgers: new Map() }

/** Throws `state-conflict` unless the state is still `from`. */
export function refuseMovedState(contents: Contents, from: State | null, pipeline: string): void {
  const current = contents.states.get(pipeline)
  if (current?.epoch !== from?.epoch)
    throw new LoadError(
      'state-conflict',
      `Another run moved pipeline ${pipeline} while this one was loading; nothing of this run was written.`,
    )
}

/** The contents with the state moved on and the commit in the history. */
export function advanceState(
  contents: Contents,
  from: State | null,
  to: State,
  load: Pick<Load, 'runId' | 'cause'>,
  read: number,
  counts: RowCounts,
): Contents {
  const before = contents.states.get(to.pipeline)
  const moved = counts.inserted + counts.updated + counts.deleted
  const sameRun = contents.history.some((row) => row.pipeline === to.pipeline && row.runId === load.runId && movedBy(row) > 0)
  const records = moved === 0 ? (before?.recordsProcessed ?? null) : BigInt(moved) + (sameRun ? (before?.recordsProcessed ?? 0n) : 0n)
  const time = to.position.kind === 'watermark' ? (to.position.time ?? null) : null
  const at = new Date().toISOString()
  const row: StateRow = { ...to, lastWatermark: time, lastRunAt: moved === 0 ? (before?.lastRunAt ?? null) : at, recordsProcessed: records }
  const entry = {
    pipeline: to.pipeline,
    epoch: to.epoch,
    from: from?.position ?? null,
    to: to.position,
    rows: { read, ...counts },
    at,
    runId: load.runId,
    cause: load.cause,
  }
  return { ...contents, states: new Map(contents.states).set(to.pipeline, row), history: [entry, ...contents.history] }
}

function movedBy({ rows }: HistoryRow): number {
  return (rows['inserted'] ?? 0) + (rows['updated'] ?? 0) + (rows['deleted'] ?? 0)
}
