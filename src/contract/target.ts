// What every target promises: rows are invisible until committed, and rows and position appear together.

import type { Chunk, Format } from '../core/chunk.ts'
import type { Load, RowCounts } from '../core/load.ts'
import type { TypeRules } from '../core/schema-change.ts'
import type { HistoryRow, State, StateRow } from '../core/state.ts'
import type { Table, TableName } from '../core/table.ts'
import type { WriteStrategyName } from '../core/write-strategy.ts'
import type { Finding } from './source.ts'

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
  begin(load: Load): Promise<Stage>
  check?(table: TableName): Promise<readonly Finding[]>
  /** The statements of a load, for people to read. */
  explain?(load: Load): readonly string[]
  close(): Promise<void>
}

/** Data on its way in, seen by no one until committed. Either commit or abort is called, once. */
export interface Stage {
  write(chunk: Chunk): Promise<void>
  /**
   * Rows and state appear together. Throws `state-conflict` when the state is no longer `from`. Counts add up to the rows
   * written: inserted + updated + unchanged + deduplicated + quarantined.
   */
  commit(from: State | null, to: State, rowsRead: number): Promise<RowCounts>
  /** Leaves nothing behind; never throws. */
  abort(): Promise<void>
}
