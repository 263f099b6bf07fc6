// A large slice, cut into smaller ones that are committed one by one. A piece's position must be as true as the whole's: it
// never lies beyond what the whole may claim, and what it claims was read.

import type { Slice } from '../../core/slice.ts'
import { type Cursor, watermark } from './cursor.ts'

/**
 * Pieces whose union is the slice; only the last one sweeps and takes NULLs. A number's watermark is delivered itself, so its
 * pieces are closed above; a time's is not, so they are open.
 */
export function divideSlice(slice: Slice, cursor: Cursor, cursors: readonly bigint[], pieces: number): readonly Slice[] {
  const { range, upTo } = slice
  if (upTo.kind !== 'watermark' || upTo.value === null) return [slice]
  const end = BigInt(upTo.value)
  const closed = cursor.family === 'number'
  const sorted = cursors.filter((value) => value < end).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const limits = Array.from({ length: pieces - 1 }, (_, index) => sorted[Math.floor(((index + 1) * sorted.length) / pieces)])
  // The oldest horizon is kept until the last piece: what changes while the others load must still be swept.
  const horizon = (slice.after?.kind === 'watermark' ? slice.after.horizon : undefined) ?? upTo.horizon
  const cut: Slice[] = []
  let next: Slice = slice
  let last: bigint | undefined
  for (const limit of limits) {
    if (limit === undefined || limit === last) continue
    const position = watermark(cursor, limit, horizon === undefined ? undefined : Number(horizon))
    cut.push({
      ...next,
      upTo: position,
      range: { ...next.range, to: String(limit), toClosed: closed, changedSince: null, nulls: false },
      sweeps: false,
    })
    next = { ...slice, after: position, range: { ...range, from: String(limit), fromOpen: closed } }
    last = limit
  }
  return [...cut, next]
}
