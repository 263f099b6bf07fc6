import type { Slice } from './slice.ts'

/** Who keeps the watermark from moving on: never what they are doing, only who and since when. */
export interface Hold {
  readonly kind: 'transaction' | 'prepared-transaction' | 'clock' | 'replica'
  readonly pid: number | null
  readonly application: string | null
  readonly ageSeconds: number | null
}

/** How late rows are caught in this run, and why so. */
export interface LatePlan {
  readonly mode: 'bound' | 'sweep' | 'bound+sweep' | 'xid8' | 'lag' | 'none'
  readonly reason: string
}

/** How far a source can be read now; asked before any row is read. */
export interface Head {
  /** What to read, and the position to store after it; null when there is nothing to read. */
  readonly slice: Slice | null
  readonly late: LatePlan
  readonly heldBy: readonly Hold[]
  /** Rows whose cursor lies in the future. They wait. */
  readonly waiting: number
  /** Rows without a cursor value. */
  readonly nullCursors: number
}

/** What one run was asked to do beyond "bring up to date". */
export interface RunRequest {
  readonly from: string | null
  readonly to: string | null
  readonly fullRefresh: boolean
  readonly sweep: boolean
  readonly maxSlices: number | null
  /** Only these partitions, also where they are committed. */
  readonly partitions: readonly string[]
  /** Only partitions that are missing or failed: nothing that is committed is looked at. */
  readonly retryOnly: boolean
  /** null: what the pipeline says. */
  readonly workers: number | null
  /** Of a log: tables that are copied again. */
  readonly resync: readonly string[]
  /** Of a log: on and on, until it is stopped. */
  readonly follows: boolean
  /** The user has agreed to what is unusual, such as more than 100,000 partitions. */
  readonly agreed: boolean
}

export const ORDINARY_RUN: RunRequest = {
  from: null,
  to: null,
  fullRefresh: false,
  sweep: false,
  maxSlices: null,
  partitions: [],
  retryOnly: false,
  workers: null,
  resync: [],
  follows: false,
  agreed: false,
}

/** Is a range to be loaded again? */
export function isReload(request: RunRequest): boolean {
  return request.from !== null || request.to !== null
}
