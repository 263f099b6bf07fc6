// Where the timelines of a server's log branch off from each other: a promoted standby and its old primary share the log up to there.

import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

/** Of each older timeline, where it ends. */
export type TimelineHistory = ReadonlyMap<number, bigint>

/** `log` speaks the replication protocol. The first timeline has no history, and needs none. */
export async function readTimelineHistory(log: Session, timeline: number): Promise<TimelineHistory> {
  const [row] = await log.query(`TIMELINE_HISTORY ${timeline}`)
  return parseTimelineHistory(row?.['content'] ?? '')
}

/** Lines of timeline, end and reason, with tabs between. */
export function parseTimelineHistory(text: string): TimelineHistory {
  const ends = new Map<number, bigint>()
  for (const line of text.split('\n')) {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line) ?? []
    const lsn = parseLsn(end ?? '')
    if (lsn !== null) ends.set(Number(timeline), lsn)
  }
  return ends
}
