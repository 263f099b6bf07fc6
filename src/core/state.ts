import type { Position } from './position.ts'

/** What a target remembers of a pipeline. `epoch` rises by one with every commit: the fence between rival runs. */
export interface State {
  readonly pipeline: string
  readonly position: Position
  readonly epoch: bigint
  /** What the position belongs to; empty where a script wrote the row. */
  readonly fingerprint: string
  /** Runs since the last sweep, those that found nothing included. */
  readonly unswept: number
}

/** A state with what people ask of it. */
export interface StateRow extends State {
  readonly lastWatermark: string | null
  readonly lastRunAt: string | null
  readonly recordsProcessed: bigint | null
}

export interface HistoryRow {
  readonly epoch: bigint
  readonly from: Position | null
  readonly to: Position
  readonly rows: Readonly<Record<string, number>>
  readonly at: string
  readonly runId: string
  readonly cause: Cause
}

/** Why a commit was made. */
export type Cause = 'run' | 'reload' | 'full-refresh' | 'set' | 'rewind'
