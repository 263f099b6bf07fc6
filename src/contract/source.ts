// What every source promises. Everything it does is a read.

import type { Chunk, Format } from '../core/chunk.ts'
import type { Head, RunRequest } from '../core/head.ts'
import type { Pipeline, ResolvedPipeline } from '../core/pipeline.ts'
import type { Position } from '../core/position.ts'
import type { Slice } from '../core/slice.ts'
import type { State } from '../core/state.ts'
import type { Column, Table, TableName } from '../core/table.ts'

export interface Source {
  /** What `read` can produce, best first. */
  readonly formats: readonly Format[]
  /** The pipeline's table or query; throws `missing-table`, `missing-privilege`, `unusable-cursor`. */
  describe(pipeline: Pipeline): Promise<Table>
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
  close(): Promise<void>
}

export interface ReadOptions {
  readonly format: Format
  /** Names and target types of the values wanted, in this order. */
  readonly columns: readonly Column[]
  readonly chunkBytes: number
  readonly signal: AbortSignal
}

export interface Finding {
  readonly severity: 'error' | 'warning' | 'info'
  readonly code: string
  readonly message: string
  readonly hint: string
}
