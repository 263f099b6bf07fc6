// How time passes for a run: as it does, or as a test lets it.

import { pause } from './pause.ts'

export interface RunTime {
  /** Seconds since some moment. */
  now(): number
  /** Waits, but not longer than the signal lets it. */
  pause(seconds: number, signal: AbortSignal): Promise<void>
  /** Acts again and again, until what it returns is called. */
  every(seconds: number, act: () => void): () => void
}

export const REAL_TIME: RunTime = {
  now: () => performance.now() / 1000,
  pause,
  every: (seconds, act) => {
    const timer = setInterval(act, seconds * 1000)
    timer.unref()
    return () => clearInterval(timer)
  },
}
