// Which rows of a table a range of the cursor means. The same function counts and reads.

import type { ChangedSince, CursorRange } from '../../core/slice.ts'
import type { Value } from './database.ts'

/** What the question needs to know of one row. */
export interface Candidate {
  readonly cursor: bigint | null
  readonly xmin: number
  /** The value of the xid8 column, where there is one. */
  readonly stamp: Value
}

export function isInside(range: CursorRange, row: Candidate, isChanged: (xmin: number, horizon: number) => boolean): boolean {
  const { cursor } = row
  if (range.everything) return range.nulls || cursor !== null
  if (range.changedSince !== null && range.changedSince.column !== null)
    return (range.nulls || cursor !== null) && isStampedSince(range.changedSince, row.stamp)
  if (cursor === null) return range.nulls
  const swept = range.changedSince !== null && isChanged(row.xmin, Number(range.changedSince.horizon))
  return isBetween(range, cursor) || (swept && !isWaiting(range, cursor))
}

function isBetween({ from, fromOpen, to, toClosed }: CursorRange, cursor: bigint): boolean {
  if (from !== null && (fromOpen ? cursor <= BigInt(from) : cursor < BigInt(from))) return false
  return to === null || (toClosed ? cursor <= BigInt(to) : cursor < BigInt(to))
}

/** Rows beyond the range wait for their time, unless they lie below the watermark already: nobody would come back for them. */
function isWaiting({ from, to, toClosed }: CursorRange, cursor: bigint): boolean {
  if (to === null || (toClosed ? cursor <= BigInt(to) : cursor < BigInt(to))) return false
  return from === null || cursor > BigInt(from)
}

function isStampedSince({ horizon, before }: ChangedSince, stamp: Value): boolean {
  return typeof stamp === 'bigint' && stamp >= BigInt(horizon) && (before === null || stamp < BigInt(before))
}
