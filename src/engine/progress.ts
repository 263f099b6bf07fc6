import { asLoadError, ERRORS, LoadError } from '../core/errors.ts'
import type { PartitionCounts } from '../core/event.ts'
import { addCounts, type RowCounts } from '../core/load.ts'
import type { Plan } from '../core/plan.ts'
import type { Position } from '../core/position.ts'
import type { State } from '../core/state.ts'
import { stopIfAsked } from './copy-chunks.ts'
import type { Machinery } from './machinery.ts'
import { REAL_TIME } from './run-time.ts'

/** What a run has committed so far, over all attempts: remembered only to report it. */
export interface Progress {
  /** By the clock of `performance`. */
  readonly began: number
  from: Position | null
  to: Position | null
  epoch: number
  read: number
  bytes: number
  slices: number
  rows: RowCounts
  partitions: PartitionCounts | null
  /** Something at the target is no longer what it was. */
  changed: boolean
  /** Of the attempt under way. */
  plan: Plan | null
}

/** A commit that moved the pipeline on. */
export function creditCommit(progress: Progress, { position, epoch }: State, read: number, bytes: number, rows: RowCounts): void {
  progress.to = position
  progress.epoch = Number(epoch)
  progress.read += read
  progress.bytes += bytes
  progress.slices += 1
  progress.rows = addCounts(progress.rows, rows)
}

/**
 * Retry is to do it all again, from the first look: nothing else is remembered of the attempt before. What `commits` counts
 * is progress, after which the attempts are counted anew: a pipeline that is followed for weeks may meet any number of failures.
 */
export async function withRetries<T>(
  pipeline: string,
  machinery: Machinery,
  attemptOnce: () => Promise<T>,
  commits: () => number = () => 0,
): Promise<T> {
  const { settings, emit, signal, time = REAL_TIME } = machinery
  let before = commits()
  for (let attempt = 1; ; attempt++) {
    try {
      stopIfAsked(signal)
      return await attemptOnce()
    } catch (thrown) {
      const error = asLoadError(thrown)
      if (commits() > before) attempt = 1
      before = commits()
      if (signal.aborted) throw error.code === 'stopped' ? error : new LoadError('stopped', 'The run was stopped.', { cause: error })
      if (ERRORS[error.code].retry === 'never' || attempt > settings.retries) throw error
      const waitSeconds = settings.retrySeconds * 2 ** (attempt - 1) * (0.5 + Math.random())
      emit({ kind: 'retrying', pipeline, code: error.code, message: error.message, attempt, waitSeconds })
      await time.pause(waitSeconds, signal)
    }
  }
}
