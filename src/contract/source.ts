// What every source promises. Everything it does is a read.

import type { Chunk, Format } from '../core/chunk.ts'
import type { Head, RunRequest } from '../core/head.ts'
import type { Partition, SeenPartition } from '../core/partition.ts'
import type { ResolvedPartitions, ResolvedPipeline, TablePipeline } from '../core/pipeline.ts'
import type { Position } from '../core/position.ts'
import type { CursorRange, Slice } from '../core/slice.ts'
import type { State } from '../core/state.ts'
import type { Column, Table, TableName } from '../core/table.ts'
import type { Finding } from './finding.ts'
import type { LogSource } from './log.ts'
import type { PartitionReader } from './partition-reader.ts'
import type { ReadOptions } from './read-options.ts'

export interface Source {
  /** What `read` can produce, best first. */
  readonly formats: readonly Format[]
  /** The pipeline's table or query; throws `missing-table`, `missing-privilege`, `unusable-cursor`. */
  describe(pipeline: TablePipeline): Promise<Table>
  /** Fixes what can be read now, before any row is read, and says what holds it back. */
  head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head>
  /** Cuts a large slice into smaller ones that can be committed one by one, in order; together they are the slice. */
  divide?(pipeline: ResolvedPipeline, table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]>
  /** One slice in one snapshot; throws `short-read` rather than end early. */
  read(pipeline: ResolvedPipeline, slice: Slice, options: ReadOptions): AsyncIterable<Chunk>
  /** All tables, for wildcards. */
  list?(): Promise<readonly TableName[]>
  /** What a person should know or do before the first run. */
  check?(pipeline: ResolvedPipeline, table: Table): Promise<readonly Finding[]>
  /** A position made from a text that a person typed; throws `bad-value`. */
  positionAt(pipeline: ResolvedPipeline, table: Table, value: string): Promise<Position>
  /** Does `position` lie beyond `other`? Only the source knows the order of its values. */
  isAfter(pipeline: ResolvedPipeline, table: Table, position: Position, other: Position | null): Promise<boolean>
  checkPartitions?(pipeline: ResolvedPartitions, table: Table): Promise<readonly Finding[]>
  /** A look at a table in partitions. */
  openPartitions?(pipeline: ResolvedPartitions, table: Table, options: PartitionOptions): Promise<PartitionedTable>
  /** As a program sees it that reads the source's log and writes changes elsewhere; absent where there is no such program. */
  describeLogged?(table: TableName): Promise<LoggedElsewhere>
  /** Its log can be followed; absent where a source has none. */
  readonly log?: LogSource
  close(): Promise<void>
}

/** A table whose changes another program reads from the log. */
export interface LoggedElsewhere {
  /** Without the columns that the log leaves out. */
  readonly table: Table
  /** In the same order: the types as the source declares them, `numeric(12,2)`, and whether one is an enum, or an array of one. */
  readonly declared: readonly { readonly type: string; readonly isEnum: boolean }[]
  /** Changes bring the whole row of before, not only its key. */
  readonly wholeBefore: boolean
}

export interface PartitionOptions {
  /** Everything that is read through it is of one moment. */
  readonly shared: boolean
  /** Of each partition only the rows of this slice: the first load of a watermark pipeline in pieces. */
  readonly within: { readonly pipeline: ResolvedPipeline; readonly range: CursorRange } | null
}

/** A table in partitions. */
export interface PartitionedTable {
  /**
   * The partitions that there are, in order. `known` are the ledger's: their bounds are kept. Throws `null-partition`,
   * `unusable-partition`, `bad-value`, `too-many-partitions`.
   */
  partitions(request: RunRequest, known: readonly Partition[]): Promise<readonly SeenPartition[]>
  /** Of each partition by its key: how many rows it has and a hash of their content, in whatever order. One pass for all. */
  checksums(partitions: readonly Partition[], columns: readonly Column[]): Promise<ReadonlyMap<string, string>>
  /** One more connection; all of them read the same moment where `shared` was asked. Throws `try-again` once that is gone. */
  openReader(): Promise<PartitionReader>
  close(): Promise<void>
}
