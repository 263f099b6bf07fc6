import type { Position } from './position.ts'

/**
 * What a slice reads, fixed before the first row is read. A row is inside when its cursor lies in [from, to) or [from, to],
 * or when `changedSince` finds it, or when its cursor is NULL and `nulls` says so.
 */
export interface CursorRange {
  /** Lower end; null: everything below too. */
  readonly from: string | null
  /** The lower end itself was delivered before and can't be added to. */
  readonly fromOpen: boolean
  /** Upper end; null: none. */
  readonly to: string | null
  readonly toClosed: boolean
  /** Also, or in xid8 mode only, rows written by transactions from `horizon` on. */
  readonly changedSince: ChangedSince | null
  readonly nulls: boolean
  /** No limits at all: a full load, in which also rows with cursors in the future are taken. */
  readonly everything: boolean
}

/** `column` null is the row's own xmin; otherwise an xid8 column. `before`, where given, excludes what may still change. */
export interface ChangedSince {
  readonly column: string | null
  readonly horizon: string
  readonly before: string | null
}

/** A part of a pipeline: after one position, up to and including another. */
export interface Slice {
  readonly after: Position | null
  readonly upTo: Position
  readonly range: CursorRange
  readonly estimatedRows: number | null
  /** This slice looks for all rows of new transactions, wherever their cursor lies. */
  readonly sweeps: boolean
}
