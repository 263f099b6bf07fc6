import type { Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import type { Emit } from '../core/event.ts'
import type { Reach } from './crash-point.ts'
import type { RunTime } from './run-time.ts'

/** What a run works with. */
export interface Machinery {
  readonly source: Source
  readonly target: Target
  readonly signal: AbortSignal
  readonly emit: Emit
  readonly runId: string
  readonly reach: Reach
  readonly settings: Settings
  /** Absent: time passes by itself. */
  readonly time?: RunTime
}

export interface Settings {
  readonly chunkBytes: number
  /** A backlog is cut into slices of about so many rows, each committed. */
  readonly sliceRows: number
  /** A table of a log is copied in pieces of about so much, where it is larger. */
  readonly pieceBytes: number
  /** How often a failed attempt is followed by another. */
  readonly retries: number
  /** Before the first retry; doubled each time, with jitter. */
  readonly retrySeconds: number
}

export const DEFAULT_SETTINGS: Settings = {
  chunkBytes: 256 * 1024,
  sliceRows: 2_000_000,
  pieceBytes: 32 * 1024 * 1024,
  retries: 3,
  retrySeconds: 0.4,
}
