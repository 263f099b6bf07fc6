// The flags of `run` and `plan` as a request.

import type { RunRequest } from '../core/head.ts'
import type { Console } from './console.ts'

export interface RunFlags {
  readonly from?: string
  readonly to?: string
  readonly fullRefresh?: boolean
  readonly sweep?: boolean
  readonly maxSlices?: number
  readonly partition?: readonly string[]
  readonly workers?: number
  readonly resync?: readonly string[]
}

export function requestOf(flags: RunFlags, console: Console): RunRequest {
  return {
    from: flags.from ?? null,
    to: flags.to ?? null,
    fullRefresh: flags.fullRefresh ?? false,
    sweep: flags.sweep ?? false,
    maxSlices: flags.maxSlices ?? null,
    partitions: flags.partition ?? [],
    retryOnly: false,
    workers: flags.workers ?? null,
    resync: flags.resync ?? [],
    follows: false,
    agreed: console.options.yes ?? false,
  }
}
