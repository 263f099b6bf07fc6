// How far a target is behind the log of its source, and what the source keeps for it. Seconds are those since the time, by the source's
// clock, up to which the target lacks nothing; where nobody knows, they are null.

import type { LogStatus } from '../../contract/log.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { fingerprintWords } from '../../core/pipeline.ts'
import type { State } from '../../core/state.ts'
import { readFacts } from './log-facts.ts'
import { logIdentity, parsePosition } from './log-position.ts'
import { printLsn } from './lsn.ts'
import type { Session } from './session.ts'
import { readSlot } from './slot.ts'

export async function readClock(session: Session): Promise<number> {
  const [row] = await session.query('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now')
  return Number(row?.['now'])
}

export async function readStatus(session: Session, pipeline: CdcPipeline, state: State | null): Promise<LogStatus> {
  const slot = await readSlot(session, pipeline.source.slot)
  const behind = await readLag(session, pipeline, state)
  return {
    retainedBytes: slot?.retainedBytes ?? null,
    safeBytes: slot?.safeBytes ?? null,
    lagBytes: behind.bytes ?? slot?.lagBytes ?? null,
    lagSeconds: behind.seconds,
    lagMessages: null,
    partitions: [],
    streams: [],
    state: slot?.walStatus ?? 'missing',
    invalidation: slot?.invalidation ?? null,
    active: slot?.active ?? false,
    confirmed: slot?.confirmed == null ? null : printLsn(slot.confirmed),
  }
}

/** Places of another server's log, or of another timeline, can't be compared. */
async function readLag(
  session: Session,
  { name, source }: CdcPipeline,
  state: State | null,
): Promise<{ bytes: number | null; seconds: number | null }> {
  if (state?.position.kind !== 'log') return { bytes: null, seconds: null }
  const facts = await readFacts(session)
  const [timeline, at] = parsePosition(state.position, name)
  const isThisOne = state.fingerprint === '' || fingerprintWords(state.fingerprint, 'source').has(logIdentity(facts, source.slot))
  if (!isThisOne || timeline !== facts.timeline) return { bytes: null, seconds: null }
  if (at >= facts.flushed) return { bytes: 0, seconds: 0 }
  const then = state.position.time === undefined ? Number.NaN : Date.parse(state.position.time)
  return {
    bytes: Number(facts.flushed - at),
    seconds: Number.isNaN(then) ? null : Math.max(0, Math.round(((await readClock(session)) - then) / 1000)),
  }
}
