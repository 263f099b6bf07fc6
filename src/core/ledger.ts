// The ledger of a pipeline's partitions: what `pipeline_partitions` holds. States: planned → running → committed, or failed;
// a reload makes it planned again. `attempt` is the fence: whoever holds an older one can't commit any more.

import { LoadError } from './errors.ts'
import type { Position } from './position.ts'
import type { State } from './state.ts'

export type PartitionStatus = 'planned' | 'running' | 'committed' | 'failed'

export interface LedgerRow {
  readonly key: string
  readonly lower: string | null
  readonly upper: string | null
  readonly status: PartitionStatus
  /** How often it was claimed. */
  readonly attempt: number
  /** Of the last commit. */
  readonly rows: bigint | null
  readonly checksum: string | null
  /** The last commit was made when no more rows were to come. */
  readonly closed: boolean
  readonly committedAt: string | null
  readonly runId: string
  /** Code and message of the last failure. */
  readonly error: string | null
  /** Running, and whoever runs it shows no sign of life. */
  readonly abandoned: boolean
}

/** The right to load one partition. */
export interface Claim {
  readonly pipeline: string
  readonly runId: string
  readonly key: string
  readonly attempt: number
}

/** How many partitions have which status. */
export interface LedgerSummary {
  readonly total: number
  readonly committed: number
  readonly planned: number
  readonly running: number
  readonly failed: number
}

export const NO_PARTITIONS: LedgerSummary = { total: 0, committed: 0, planned: 0, running: 0, failed: 0 }

/** A run is alive while it renews its claims; after so many seconds without, its partitions are free. */
export const LEASE_SECONDS = 10
export const RENEW_SECONDS = 3

const WHOLE = /^-?\d+$/

/** What a run saw belongs to another load by now, or to none: throws `try-again`, so that it looks again. */
export function refuseAnotherLoad(seen: State | null, now: State | null, pipeline: string): void {
  const [a, b] = [seen?.position ?? null, now?.position ?? null]
  const place = (one: Position | null): string | null => (one !== null && 'at' in one ? one.at : null)
  if (a?.kind !== b?.kind || place(a) !== place(b))
    throw new LoadError('try-again', `Another run of pipeline ${pipeline} prepared its partitions at the same time.`)
}

/** In the order of their bounds: numbers as numbers, everything else as text, NULL last. */
export function inOrder(rows: readonly LedgerRow[]): readonly LedgerRow[] {
  const numeric = rows.every(({ lower }) => lower === null || WHOLE.test(lower))
  return rows.toSorted((a, b) => {
    if (a.lower === null || b.lower === null) return (a.lower === null ? 1 : 0) - (b.lower === null ? 1 : 0)
    if (!numeric) return a.lower < b.lower ? -1 : a.lower > b.lower ? 1 : 0
    const [x, y] = [BigInt(a.lower), BigInt(b.lower)]
    return x < y ? -1 : x > y ? 1 : 0
  })
}

/** Of two bounds of one kind: numbers as numbers, times as text. */
export function isBelow(a: string, b: string): boolean {
  return WHOLE.test(a) && WHOLE.test(b) ? BigInt(a) < BigInt(b) : a < b
}
