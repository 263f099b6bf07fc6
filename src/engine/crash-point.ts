/** Places where a crash must do no harm. Tests die at each of them; in production reaching one does nothing. */
export const CRASH_POINTS = [
  'observed',
  'planned',
  'stage-begun',
  'chunk-read',
  'chunk-staged',
  'before-commit',
  'after-commit',
  'slice-done',
  'ledger-prepared',
  'partition-claimed',
  'partition-done',
  'before-finish',
  'finished',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]
export type Reach = (point: CrashPoint) => void
