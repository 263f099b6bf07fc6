/** Places where a crash must do no harm. Tests die at each of them; in production reaching one does nothing. */
export const SLICE_CRASH_POINTS = [
  'observed',
  'planned',
  'stage-begun',
  'chunk-read',
  'chunk-staged',
  'before-commit',
  'after-commit',
  'slice-done',
] as const

/** Those of a run in partitions, which many workers reach. */
export const PARTITION_CRASH_POINTS = [
  'observed',
  'planned',
  'ledger-prepared',
  'partition-claimed',
  'stage-begun',
  'chunk-read',
  'chunk-staged',
  'before-commit',
  'after-commit',
  'partition-done',
  'before-finish',
  'finished',
] as const

/** Those of a run that follows a log. */
export const LOG_CRASH_POINTS = [
  'observed',
  'log-begun',
  'stage-begun',
  'chunk-read',
  'chunk-staged',
  'changes-applied',
  'before-commit',
  'after-commit',
  'slice-done',
] as const

export type CrashPoint = (typeof SLICE_CRASH_POINTS)[number] | (typeof PARTITION_CRASH_POINTS)[number] | (typeof LOG_CRASH_POINTS)[number]
export type Reach = (point: CrashPoint) => void
