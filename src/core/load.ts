import type { Format } from './chunk.ts'
import type { Partition, PartitionBy } from './partition.ts'
import type { ReplaceBy } from './pipeline.ts'
import type { SchemaChange } from './schema-change.ts'
import type { Cause } from './state.ts'
import type { Column, Table } from './table.ts'
import type { WriteStrategyName } from './write-strategy.ts'

/** How the rows of one slice enter the target. */
export interface Load {
  readonly pipeline: string
  readonly runId: string
  readonly cause: Cause
  readonly strategy: WriteStrategyName
  readonly format: Format
  /** The target table after `changes`. */
  readonly table: Table
  /** The table did not exist before: rows go straight in, key and indexes are built after them. */
  readonly creates: boolean
  readonly changes: readonly SchemaChange[]
  /** What is loaded, in the order in which values arrive, with the types of the target. */
  readonly columns: readonly Column[]
  readonly key: readonly string[]
  /** The source guarantees that no two rows of a slice share a key and that no key is NULL. */
  readonly keyGuaranteed: boolean
  /** Of rows with one key the greatest of this column wins; null: any total order. */
  readonly newestBy: string | null
  /**
   * Of a first load in several slices: all slices but the last may go straight into the table, which has no key yet. A later slice has
   * higher cursors, so that the newest row of a key is the one with the highest. With the last slice the key comes, and one row a key stays.
   */
  readonly filling: 'goes-on' | 'ends' | null
  /** `append` only: rows of the target in this range of the cursor are replaced by the slice. */
  readonly replaces: { readonly column: string; readonly from: string | null; readonly to: string | null } | null
  /** Changed rows whose cursor lies below this value were found only by a sweep: they are counted as rescued. */
  readonly rescuedBelow: { readonly column: string; readonly value: string } | null
  /** The rows are those of one partition; null: of a slice. */
  readonly partition: LoadedPartition | null
  readonly fingerprint: string
}

/** What is known of a partition whose rows are on their way. */
export interface LoadedPartition {
  readonly partition: Partition
  /** The column that its bounds are about. */
  readonly column: string
  /** What the bounds of the pipeline's other partitions mean. */
  readonly by: PartitionBy
  /** The target can't have rows of it: the pipeline made the table, and this partition never entered it. */
  readonly absent: boolean
  /** Also rows with a staged row's key give way, whatever partition they are in: one of them moved. */
  readonly byKey: boolean
  readonly maxShrink: number | null
  readonly replaceBy: ReplaceBy
}

/** Exact counts of one commit. */
export interface RowCounts {
  readonly inserted: number
  readonly updated: number
  readonly deleted: number
  readonly unchanged: number
  readonly deduplicated: number
  readonly quarantined: number
  /** Of the inserted and updated, those that only a sweep found. */
  readonly rescued: number
}

export const NO_ROWS: RowCounts = { inserted: 0, updated: 0, deleted: 0, unchanged: 0, deduplicated: 0, quarantined: 0, rescued: 0 }

export function addCounts(a: RowCounts, b: RowCounts): RowCounts {
  return {
    inserted: a.inserted + b.inserted,
    updated: a.updated + b.updated,
    deleted: a.deleted + b.deleted,
    unchanged: a.unchanged + b.unchanged,
    deduplicated: a.deduplicated + b.deduplicated,
    quarantined: a.quarantined + b.quarantined,
    rescued: a.rescued + b.rescued,
  }
}
