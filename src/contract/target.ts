// What every target promises: rows are invisible until committed, and rows and position appear together.

import type { Chunk, Format } from '../core/chunk.ts'
import type { Claim, LedgerRow, LedgerSummary, PartitionStatus } from '../core/ledger.ts'
import type { Load, RowCounts } from '../core/load.ts'
import type { Partition, PartitionBy } from '../core/partition.ts'
import type { Position } from '../core/position.ts'
import type { SchemaChange, TypeRules } from '../core/schema-change.ts'
import type { Settlement } from '../core/settlement.ts'
import type { Cause, HistoryRow, State, StateRow } from '../core/state.ts'
import type { Table, TableName } from '../core/table.ts'
import type { WriteStrategyName } from '../core/write-strategy.ts'
import type { Finding } from './finding.ts'
import type { ChangeTarget } from './log.ts'

export interface Target {
  /** What a stage accepts, best first. */
  readonly formats: readonly Format[]
  readonly strategies: readonly WriteStrategyName[]
  /** Rows and state become visible in one commit. */
  readonly atomic: boolean
  readonly types: TypeRules
  describe(table: TableName): Promise<Table | null>
  /** null where the pipeline has never committed, also where there are no state tables yet. */
  readState(pipeline: string): Promise<StateRow | null>
  /** Newest first. */
  readHistory(pipeline: string, limit: number): Promise<readonly HistoryRow[]>
  /** Counts a run that found nothing, so that the next sweep comes when it is due. */
  noteQuietRun(state: State): Promise<void>
  /** Removes all that is remembered of a pipeline; false where there was nothing. */
  forget(pipeline: string): Promise<boolean>
  begin(load: Load): Promise<Stage>
  /** Loads partitions side by side; absent where a target can't. */
  readonly partitions?: PartitionTarget
  /** Takes changes of a log; absent where a target can't. */
  readonly changes?: ChangeTarget
  check?(table: TableName): Promise<readonly Finding[]>
  /** The statements of a load, for people to read. */
  explain?(load: Load): readonly string[]
  close(): Promise<void>
}

/** Data on its way in, seen by no one until committed. Either commit or abort is called, once. */
export interface Stage {
  write(chunk: Chunk): Promise<void>
  /**
   * Rows and what the target remembers of them appear together. Throws `state-conflict` when another run was first. Counts add
   * up to the rows written: inserted + updated + unchanged + deduplicated + quarantined.
   */
  commit(settlement: Settlement, rowsRead: number): Promise<RowCounts>
  /** Leaves nothing behind; never throws. */
  abort(): Promise<void>
}

/** The ledger of partitions, and the connections that fill them. Every time is the target's own. */
export interface PartitionTarget {
  /** All partitions that the pipeline ever had; none where there is no ledger yet. */
  readLedger(pipeline: string, filter?: LedgerFilter): Promise<readonly LedgerRow[]>
  summarize(pipeline: string): Promise<LedgerSummary>
  /**
   * In one transaction: the schema changes, the state, and the wanted partitions in the ledger, so that nothing has to be computed
   * again after a crash. A partition that another run moved since it was seen stays as it is.
   */
  prepare(preparation: Preparation): Promise<State>
  openWriter(): Promise<PartitionWriter>
  /** The run is alive: its claims hold for another LEASE_SECONDS. */
  renew(pipeline: string, runId: string): Promise<void>
  /** What comes after the last partition of a run, in one transaction: key and indexes, the state, the history. */
  finish(ending: Ending): Promise<Ended>
  /** Rows of the table that belong to none of these partitions. */
  countOutside?(table: TableName, column: string, partitions: readonly Partition[]): Promise<number>
  /** Connections of its own; not the target's. */
  close(): Promise<void>
}

export interface LedgerFilter {
  readonly status?: PartitionStatus
  readonly keys?: readonly string[]
}

export interface Preparation {
  readonly from: State | null
  /** The first state; written only where there is none. */
  readonly first: State
  readonly runId: string
  readonly changes: readonly SchemaChange[]
  /** A table that is made gets this key at once, because rows are merged into it; empty: only when it is full. */
  readonly keyNow: readonly string[]
  /** To be loaded. `seen` null: not in the ledger yet. */
  readonly wanted: readonly { readonly partition: Partition; readonly estimatedRows: number | null; readonly seen: LedgerRow | null }[]
  /** A table that is to be filled anew: its rows are of a load that came to nothing. */
  readonly empties: TableName | null
  /** The ledger forgets what is not wanted: its partitions were cut by another rule. */
  readonly forget: boolean
}

/** One connection that fills one partition at a time. */
export interface PartitionWriter {
  /** The first of these partitions that is free; null where none is. Throws nothing for a partition that another run has. */
  claim(pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null>
  begin(load: Load): Promise<Stage>
  /** The content is what it was: the ledger moves on, and no row is touched. Throws `state-conflict`. */
  confirm(claim: Claim, checksum: string, closed: boolean): Promise<void>
  /** Gives a claim back: as failed with code and message, or planned again where `failure` is null. Never throws for a lost claim. */
  giveUp(claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void>
  close(): Promise<void>
}

export interface Ending {
  readonly pipeline: string
  readonly runId: string
  readonly cause: Cause
  readonly table: Table
  readonly by: PartitionBy
  /** The partition column gets an index where the pipeline made the table: partitions will be replaced. */
  readonly indexes: boolean
  readonly key: readonly string[]
  /** All partitions are in: key and index can be built, where the pipeline made the table. */
  readonly complete: boolean
  /** Rows that are in no partition of the ledger are deleted: the end of a full refresh. */
  readonly purges: boolean
  readonly fingerprint: string
  /** The position from now on, where everything is in. */
  readonly last: Position
  readonly read: number
  readonly rows: RowCounts
  readonly seconds: number
}

export interface Ended {
  readonly state: State
  readonly deleted: number
  /**
   * The key could not be built, because rows moved between partitions while these were loaded at different times: the keys of the
   * partitions in which they are. Nothing was changed then.
   */
  readonly collisions: readonly string[]
}
