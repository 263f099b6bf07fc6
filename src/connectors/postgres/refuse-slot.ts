// Whether a slot goes on where the stored position is. One that is gone, of somebody else, or further than what is stored has a gap that
// nobody can close: it is said, and never made again in silence.

import { LoadError } from '../../core/errors.ts'
import { type CdcPipeline, fingerprintWords } from '../../core/pipeline.ts'
import type { LogPosition, Position } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import type { LogFacts } from './log-facts.ts'
import { readLimits } from './log-limits.ts'
import { logIdentity, parsePosition } from './log-position.ts'
import { printLsn } from './lsn.ts'
import type { Session } from './session.ts'
import type { Slot } from './slot.ts'
import type { TimelineHistory } from './timeline-history.ts'

/** Why a server gave up a slot, by the word that it has for it. */
const INVALIDATIONS: Readonly<Record<string, string>> = {
  wal_removed: 'the source has removed the log that it should keep (max_slot_wal_keep_size)',
  rows_removed: 'rows of the catalogs that it needs were removed on the primary (hot_standby_feedback)',
  wal_level_insufficient: 'the primary no longer writes changes of rows (wal_level)',
  idle_timeout: 'nobody read it for longer than idle_replication_slot_timeout',
  conflicting: 'the standby had to remove what it needs',
}

export function whyInvalidated({ invalidation }: Slot): string {
  return INVALIDATIONS[invalidation ?? 'wal_removed'] ?? `the source says ${invalidation}`
}

const COPY_AGAIN = 'copy the tables again with `--full-refresh`, which makes a new slot'
/** Where nothing can bring back what was. */
export const TWO_WAYS = `Two ways on: ${COPY_AGAIN}; or go on by a watermark with \`tidemark convert\` and \`--to watermark\`.`

/** `history` is asked for only where the timelines differ. Throws `log-lost`, `unreachable`, `definition-changed`. */
export async function refuseSlot(
  pipeline: CdcPipeline,
  slot: Slot | null,
  state: State | null,
  facts: LogFacts,
  what: string,
  history: () => Promise<TimelineHistory>,
): Promise<void> {
  if (state?.position.kind !== 'log') return
  const { position } = state
  const name = pipeline.source.slot
  const lost = losing(pipeline, position, what)
  refuseElsewhere(pipeline, state, facts, lost)
  const [timeline, at] = parsePosition(position, pipeline.name)
  if (slot === null)
    throw lost(
      timeline === facts.timeline
        ? `Slot ${name} does not exist.`
        : `Slot ${name} does not exist: another server has taken over (timeline ${facts.timeline}, the position is on ${timeline}), and the slot was none that goes along.`,
      `Connect to the server that has it; or ${COPY_AGAIN}.`,
    )
  refuseForeign(name, slot, facts, lost)
  // It may be on its way to take over: worth another try.
  if (slot.synced && facts.standby)
    throw new LoadError(
      'unreachable',
      `Slot ${name} at ${what} is the copy of its primary's: it can be read when the standby is promoted.`,
      {
        where: what,
        hint: 'Connect to the primary, or promote the standby.',
      },
    )
  if (slot.confirmed === null) throw lost(`Slot ${name} was invalidated: ${whyInvalidated(slot)}.`, TWO_WAYS)
  if (timeline !== facts.timeline) refuseFork(timeline, at, facts, await history(), lost)
  if (slot.confirmed > at)
    throw lost(
      `Slot ${name} is at ${printLsn(slot.confirmed)} already: somebody else has read from it, or the target went back.`,
      `If an older state of the target was restored, restore a newer one; or ${COPY_AGAIN}.`,
    )
  if (at > facts.flushed)
    throw lost(
      `The log of ${what} ends at ${printLsn(facts.flushed)}: the source went back to an older state.`,
      `Connect to the server whose log goes on from there; or ${COPY_AGAIN}.`,
    )
}

/** The server would hand out nothing of a failover slot, and not say why. Throws `unreachable`. */
export async function refuseWait(session: Session, slot: string): Promise<void> {
  const { absentStandbys } = await readLimits(session)
  if (absentStandbys.length > 0)
    throw new LoadError('unreachable', absenceText(slot, absentStandbys), {
      where: session.what,
      hint: 'Start that standby, or take its slot out of synchronized_standby_slots.',
    })
}

export function absenceText(slot: string, absent: readonly string[]): string {
  return `The source hands out nothing of slot ${slot} until ${absent.join(', ')} has it (synchronized_standby_slots), and nobody reads there.`
}

type Losing = (why: string, hint: string) => LoadError

function losing({ name }: CdcPipeline, { at }: LogPosition, what: string): Losing {
  return (why, hint) =>
    new LoadError('log-lost', `${why} Pipeline ${name} is at ${at}; nothing was skipped.`, {
      where: what,
      hint: `Changes in between may be gone. ${hint}`,
    })
}

/**
 * The server goes on from its slot, also where that is further than it was asked to. Looked at once the slot is read: then nobody else can
 * move it. Throws `log-lost`.
 */
export function refuseGap(pipeline: CdcPipeline, from: Position, slot: Slot | null, what: string): void {
  const [, at] = parsePosition(from, pipeline.name)
  if (from.kind !== 'log' || (slot !== null && slot.confirmed !== null && slot.confirmed <= at)) return
  throw losing(pipeline, from, what)(`Slot ${pipeline.source.slot} was moved on, or lost, just before it was read.`, TWO_WAYS)
}

/** A slot of the same name elsewhere says nothing about this position. */
function refuseElsewhere({ name, source }: CdcPipeline, { fingerprint }: State, facts: LogFacts, lost: Losing): void {
  if (fingerprint === '') return
  const stored = fingerprintWords(fingerprint, 'source')
  if (stored.has(logIdentity(facts, source.slot))) return
  const [, system, database, slot] = [...stored][0]?.split('/') ?? []
  const back = `Connect to the one that it was; or ${COPY_AGAIN}.`
  if (system !== undefined && system !== facts.system)
    throw lost(`The source is another server: its system identifier is ${facts.system}, the position is of ${system}.`, back)
  if (database !== undefined && database !== facts.database)
    throw lost(`The source is another database, "${facts.databaseName}", than the one that the position is of.`, back)
  throw new LoadError('definition-changed', `Pipeline ${name} was loaded from slot ${slot}; the project now names ${source.slot}.`, {
    hint: `Name slot ${slot} again; or ${COPY_AGAIN}.`,
  })
}

function refuseForeign(name: string, slot: Slot, facts: LogFacts, lost: Losing): void {
  const back = `If somebody has taken its name, drop theirs and put yours back where you can; or ${COPY_AGAIN}.`
  if (slot.plugin === null) throw lost(`Slot ${name} is one of physical replication, which holds no changes of rows.`, back)
  if (slot.plugin !== 'pgoutput') throw lost(`Slot ${name} is one of ${slot.plugin}, not of pgoutput.`, back)
  if (slot.database !== facts.databaseName)
    throw lost(`Slot ${name} is one of database "${slot.database}", not of "${facts.databaseName}".`, back)
  if (slot.temporary) throw lost(`Slot ${name} is a temporary one, of the session that made it.`, back)
}

/** The new timeline holds the position only where it branched off behind it. */
function refuseFork(timeline: number, at: bigint, facts: LogFacts, history: TimelineHistory, lost: Losing): void {
  const end = history.get(timeline)
  if (end === undefined)
    throw lost(
      `The source is on timeline ${facts.timeline}, which does not come from ${timeline}, that of the position: another server has taken over.`,
      `Connect to a server that goes on from there; or ${COPY_AGAIN}.`,
    )
  if (at > end)
    throw lost(
      `The source is on timeline ${facts.timeline}, which left ${timeline} at ${printLsn(end)}: the target holds changes that this server never had.`,
      `Connect to a server that has them; or ${COPY_AGAIN}. With synchronized_standby_slots a failover can't do that.`,
    )
}
