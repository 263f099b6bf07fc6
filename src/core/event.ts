// Everything that is said about a run, in one union: the terminal, JSON lines, history and metrics are functions of it.

import type { ErrorCode } from './errors.ts'
import type { RowCounts } from './load.ts'
import type { Plan } from './plan.ts'
import type { Position } from './position.ts'

export type RunStatus = 'loaded' | 'up-to-date' | 'partial' | 'failed' | 'conflict' | 'held'

export interface ErrorReport {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  readonly where: string | null
}

/** What one pipeline's run came to: an element of `pipelines` in the JSON of `run`. */
export interface PipelineResult {
  readonly pipeline: string
  readonly status: RunStatus
  readonly pattern: 'watermark'
  readonly from: Position | null
  readonly to: Position | null
  readonly epoch: number
  readonly rows: RowCounts & { readonly read: number }
  readonly bytes: number
  readonly seconds: number
  readonly slices: number
  readonly partitions: null
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
  | { readonly kind: 'phase'; readonly pipeline: string; readonly phase: 'reading' | 'applying' | 'committing' }
  | {
      readonly kind: 'committed'
      readonly pipeline: string
      readonly position: Position
      readonly epoch: number
      readonly read: number
      readonly rows: RowCounts
    }
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
