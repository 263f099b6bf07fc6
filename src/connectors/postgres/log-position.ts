// Positions in PostgreSQL's log as they are stored: `1:0/16B3748`, timeline and place, and the time of the source up to which nothing is
// missing.

import { LoadError } from '../../core/errors.ts'
import type { LogPosition, Position } from '../../core/position.ts'
import { parseLsn, printLsn } from './lsn.ts'

/** `asOf`: milliseconds from 1970 by the source's clock. */
export function logPosition(timeline: number, lsn: bigint, asOf: number | null = null): LogPosition {
  const time = asOf === null ? {} : { time: new Date(asOf).toISOString() }
  return { kind: 'log', at: `${timeline}:${printLsn(lsn)}`, ...time }
}

/** Throws `state-corrupted`. */
export function parsePosition(position: Position, pipeline: string): readonly [timeline: number, lsn: bigint] {
  const match = position.kind === 'log' ? /^(\d+):(.+)$/.exec(position.at) : null
  const lsn = match === null ? null : parseLsn(match[2] ?? '')
  if (match === null || lsn === null)
    throw new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} is no place in PostgreSQL's log.`)
  return [Number(match[1]), lsn]
}

/** What a stored position belongs to, as the fingerprint holds it. */
export function logIdentity({ system, database }: { readonly system: string; readonly database: string }, slot: string): string {
  return `postgres/${system}/${database}/${slot}`
}
