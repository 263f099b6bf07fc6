// Everything that is said about a run, in one union: the terminal, JSON lines, history and metrics are functions of it.

import type { ErrorCode } from './errors.ts'
import type { RowCounts } from './load.ts'
import type { PartitionPlan } from './partition-plan.ts'
import type { Plan } from './plan.ts'
import type { Position } from './position.ts'

export type RunStatus = 'loaded' | 'up-to-date' | 'partial' | 'failed' | 'conflict' | 'held'

export interface ErrorReport {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  readonly where: string | null
}

export interface PartitionCounts {
  readonly total: number
  readonly committed: number
  readonly skipped: number
  readonly failed: number
}

/** What one pipeline's run came to: an element of `pipelines` in the JSON of `run`. */
export interface PipelineResult {
  readonly pipeline: string
  readonly status: RunStatus
  readonly pattern: 'watermark' | 'partition' | 'cdc'
  readonly from: Position | null
  readonly to: Position | null
  readonly epoch: number
  readonly rows: RowCounts & { readonly read: number }
  readonly bytes: number
  readonly seconds: number
  readonly slices: number
  /** Of the partitions that are wanted: `committed` by this run, `skipped` as they were committed already. */
  readonly partitions: PartitionCounts | null
  readonly waiting: number
  readonly heldBy: Plan['heldBy']
  readonly error: ErrorReport | null
}

export type RunEvent =
  | { readonly kind: 'pipeline-started'; readonly pipeline: string; readonly runId: string }
  | { readonly kind: 'planned'; readonly pipeline: string; readonly plan: Plan }
  | {
      readonly kind: 'slice-started'
      readonly pipeline: string
      readonly slice: number
      readonly of: number
      readonly estimatedRows: number | null
    }
  | { readonly kind: 'progress'; readonly pipeline: string; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'phase'; readonly pipeline: string; readonly phase: 'reading' | 'applying' | 'committing' | 'following' }
  /**
   * Changes of a log are in. `lagMs`: since the last of them was committed at the source, by the clocks of both machines; `perSecond`: how
   * many came in the last second or more, null until that is over.
   */
  | { readonly kind: 'followed'; readonly pipeline: string; readonly lagMs: number | null; readonly perSecond: number | null }
  | {
      readonly kind: 'committed'
      readonly pipeline: string
      readonly position: Position
      readonly epoch: number
      readonly read: number
      readonly rows: RowCounts
    }
  | { readonly kind: 'partitions-planned'; readonly pipeline: string; readonly plan: PartitionPlan }
  | { readonly kind: 'partition-started'; readonly pipeline: string; readonly partition: string; readonly attempt: number }
  | {
      readonly kind: 'partition-progress'
      readonly pipeline: string
      readonly partition: string
      readonly rows: number
      readonly bytes: number
    }
  | {
      readonly kind: 'partition-committed'
      readonly pipeline: string
      readonly partition: string
      readonly attempt: number
      readonly read: number
      readonly bytes: number
      readonly rows: RowCounts
    }
  | {
      readonly kind: 'partition-failed'
      readonly pipeline: string
      readonly partition: string
      readonly attempt: number
      readonly code: ErrorCode
      readonly message: string
      /** It is tried again. */
      readonly again: boolean
    }
  /** Nothing is left to claim; other runs are still loading so many. */
  | { readonly kind: 'waiting-for-others'; readonly pipeline: string; readonly partitions: number }
  | { readonly kind: 'warning'; readonly pipeline: string; readonly code: string; readonly message: string }
  | {
      readonly kind: 'retrying'
      readonly pipeline: string
      readonly code: ErrorCode
      readonly message: string
      readonly attempt: number
      readonly waitSeconds: number
    }
  | { readonly kind: 'pipeline-finished'; readonly pipeline: string; readonly result: PipelineResult }

export type Emit = (event: RunEvent) => void
