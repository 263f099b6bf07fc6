// What a source promises whose log is followed, and a target that takes changes. Everything between two positions arrives, in the order
// of the source's commits; nothing is skipped, and what can't be read any more is said.

import type { ChangesChunk } from '../core/changes-chunk.ts'
import type { Chunk, Format } from '../core/chunk.ts'
import type { FoldedTable } from '../core/fold-changes.ts'
import type { RowCounts } from '../core/load.ts'
import type { SeenPartition } from '../core/partition.ts'
import type { CdcPipeline, ChangeWrite } from '../core/pipeline.ts'
import type { Position } from '../core/position.ts'
import type { QuarantinedChange, Replayed, UnreadableMessage } from '../core/quarantine.ts'
import type { SchemaChange } from '../core/schema-change.ts'
import type { State } from '../core/state.ts'
import type { Column, Table } from '../core/table.ts'
import type { Finding } from './finding.ts'
import type { PieceReader } from './partition-reader.ts'
import type { ReadOptions } from './read-options.ts'

/** How values stand in changes: as PostgreSQL sends them in binary, or as its text. */
export type ValueFormat = 'pg-binary' | 'pg-text'

export interface LogSource {
  /**
   * Looks at tables and log, and changes nothing; with a position of the log, whether it goes on from there without a gap. Throws
   * `log-unavailable`, `log-lost`, `missing-table`, `missing-key`.
   */
  observe(pipeline: CdcPipeline, state: State | null): Promise<LogObservation>
  /** Makes what the pipeline needs at the source, and a moment from which its log goes on. Throws `log-unavailable`. */
  begin(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning>
  /** One more moment, for tables that are copied while the log is followed; it leaves nothing at the source. */
  beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning>
  /**
   * From a position on, which lies between two transactions; with `until`, exactly to there and no further. Only changes of the tables
   * in `seen`. Throws `log-lost`, `log-unavailable`.
   */
  open(pipeline: CdcPipeline, seen: LogObservation, from: Position, format: ValueFormat, until: Position | null): Promise<ChangeStream>
  /**
   * Adds the change of a message that was kept, which is of this table by this number; none where what was written in its place is in the
   * target already. Throws what is wrong with it. Absent where nothing is ever unreadable. After `observe`.
   */
  reread?(pipeline: CdcPipeline, table: Table, number: number, kept: QuarantinedChange, chunk: ChangesChunk): Promise<void>
  check(pipeline: CdcPipeline): Promise<readonly Finding[]>
  /** `state`: what the target has, by which it is told how far that is behind. */
  status(pipeline: CdcPipeline, state: State | null): Promise<LogStatus>
  /** Removes what `begin` made, and nothing that stood there before. */
  drop(pipeline: CdcPipeline): Promise<Dropped>
}

export interface LogObservation {
  /** In the order of the pipeline's. */
  readonly tables: readonly Table[]
  /** Of each table. */
  readonly layouts: readonly TableLayout[]
  /** How far the log goes now. */
  readonly head: Position
  /** What a stored position belongs to. */
  readonly identity: string
  /** What stands at the source already under the pipeline's names. `slot`: what tells it from a later one of that name; null: there is none. */
  readonly there: { readonly slot: string | null; readonly publication: boolean }
  readonly values: readonly ValueFormat[]
  /** Tables are copied all together, and none of them alone. */
  readonly together?: boolean
  /** What `begin` makes, in words, where that is not the slot and the publication. */
  readonly makes?: readonly string[]
}

/** Words that change when the rows of a table are written anew, and when its columns are. Both at once: with values that no change tells of. */
export interface TableLayout {
  readonly rows: string
  readonly columns: string
}

/** Names with their kind. */
export interface Dropped {
  readonly removed: readonly string[]
  /** Used by the pipeline, and not made by it. */
  readonly left: readonly string[]
}

/** One moment of all tables; what comes after it comes by the log from `position` on. */
export interface LogBeginning {
  readonly position: Position
  readonly formats: readonly Format[]
  read(table: Table, options: ReadOptions): AsyncIterable<Chunk>
  /** A large table in parts of about so many bytes, which are read side by side; null where it is read as a whole. */
  pieces(table: Table, pieceBytes: number): Promise<TableInPieces | null>
  close(): Promise<void>
}

export interface TableInPieces {
  /** Together they are the table, each row in one. Their keys are of this beginning alone. */
  readonly pieces: readonly SeenPartition[]
  /** One more connection, which reads the same moment. */
  openReader(): Promise<PieceReader>
}

export interface LogChunk {
  readonly changes: ChangesChunk
  /** Where it ends; null inside of a transaction, which must not be committed by itself. */
  readonly end: Position | null
  /** How many end in it; the end of one may come without any change. */
  readonly transactions: number
  /** Commit of the last transaction, milliseconds from 1970 by the source's clock. */
  readonly committedAt: number | null
  /** Instead of changes: what can't be read as one, where the pipeline keeps such. */
  readonly unreadable?: UnreadableMessage
}

export interface ChangeStream {
  /** Waits at most so long; an empty chunk without a transaction says how far there was nothing. Throws what ended the stream. */
  next(waitMs: number): Promise<LogChunk>
  /** The chunk is used up. */
  recycle(chunk: LogChunk): void
  /** Committed at the target: the source may forget what lies before. */
  acknowledge(position: Position): void
  /** Asks the source how far it is, so that `next` soon knows. */
  ping(): void
  /** Has `position` reached `goal`? */
  reaches(position: Position, goal: Position): boolean
  close(): Promise<void>
}

/** What the source keeps for the pipeline. */
export interface LogStatus {
  readonly retainedBytes: number | null
  /** What may still be written before the source may forget what the pipeline needs; null without a limit. */
  readonly safeBytes: number | null
  /** How far the target is behind; null where nobody knows. Seconds: since the time up to which it lacks nothing, 0 where it has all. */
  readonly lagBytes: number | null
  readonly lagSeconds: number | null
  /** Of topics; null where the log has none. */
  readonly lagMessages: number | null
  /** Of topics, each partition; none where the log has none. */
  readonly partitions: readonly PartitionLag[]
  /** reserved, extended, unreserved, lost, missing; of topics: kept, lost. */
  readonly state: string
  /** Why it is lost, where the source says so. */
  readonly invalidation: string | null
  readonly active: boolean
  /** Up to here the source may have forgotten its log; null where nobody knows. */
  readonly confirmed: string | null
  /** Of a log that consists of streams; none where it does not. */
  readonly streams: readonly StreamStatus[]
}

export interface StreamStatus {
  readonly stream: string
  /** `ageing`: more than half of the time is over for which its changes are kept. `stale`: they are lost. */
  readonly state: 'kept' | 'ageing' | 'stale' | 'missing'
  /** ISO 8601; null where nobody knows. */
  readonly staleAfter: string | null
  /** null where it can't be asked. */
  readonly hasData: boolean | null
}

export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  /** null: nothing of the topic has been read yet. */
  readonly messages: number | null
  /** Since the oldest message that is not in the target was written; null where nobody knows. */
  readonly seconds: number | null
}

export interface ChangeTarget {
  readonly values: readonly ValueFormat[]
  /** Commits of a log that is followed are at least so far apart. */
  readonly restMs: number
  /** So many connections fill a large table best. */
  readonly copyWorkers: number
  /** Keeps rows that it refuses, where the pipeline asks for it. */
  readonly quarantines: boolean
  open(load: ChangeLoad): Promise<ChangeWriter>
  /** Changes that this target refused, and keeps; none where nothing was ever kept. */
  quarantined(pipeline: string): Promise<readonly QuarantinedChange[]>
  /** Forgets kept changes of these ids; returns how many there were. */
  discard(pipeline: string, ids: readonly string[]): Promise<number>
}

export interface ChangeLoad {
  readonly pipeline: string
  readonly runId: string
  readonly write: ChangeWrite
  readonly format: ValueFormat
  readonly tables: readonly ChangedTable[]
  /** Rows that the target refuses are kept in quarantine, up to so many; null: the first of them stops the pipeline. */
  readonly maxQuarantined: number | null
}

export interface ChangedTable {
  /** As the target has it after `changes`. */
  readonly table: Table
  readonly changes: readonly SchemaChange[]
  /** Cells of a row, in their order: the target's columns, and how the source declares them. */
  readonly columns: readonly { readonly target: Column; readonly source: Column }[]
  readonly key: readonly string[]
}

/** Adds the change of a kept message, of a table by its number in the load, as `LogSource.reread` does. */
export type Reread = (number: number, kept: QuarantinedChange, chunk: ChangesChunk) => Promise<void>

/** One transaction after the other, each of any number of chunks. */
export interface ChangeWriter {
  /** Throws `row-missing` where the target lacks a row that was changed. With a quarantine, throws `quarantine-full` instead. */
  apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts>
  /** Every change a row of its own, with the marks of `append`. */
  append(chunk: ChangesChunk): Promise<RowCounts>
  /** Into quarantine. Throws `quarantine-full`. */
  keepMessage(chunk: ChangesChunk, message: UnreadableMessage): Promise<void>
  /** Rows and position appear together; throws `state-conflict`. */
  commit(from: State, to: State, moved: number): Promise<void>
  /** What a run came to, in the history. */
  record(from: State, to: State, read: number, rows: RowCounts, seconds: number): Promise<void>
  /**
   * Tries kept changes again, and commits: those that fit are kept no more. `ids` null: all of the load's tables. Never overwrites what is
   * newer. Throws `bad-usage` for an unknown one.
   */
  replay(ids: readonly string[] | null, reread: Reread | null): Promise<Replayed>
  /** How many changes are kept in all; 0 without a quarantine. */
  readonly kept: number
  abort(): Promise<void>
  close(): Promise<void>
}
