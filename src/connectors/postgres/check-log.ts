// What a person should know about the slot of a pipeline before its source runs out of room, or gives the slot up.

import type { Finding } from '../../contract/finding.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { bytesText } from '../../core/plan-text.ts'
import { durationText } from '../../core/run-view.ts'
import type { PostgresConfig } from './config.ts'
import type { LogLimits } from './log-limits.ts'
import { openLogSession } from './log-session.ts'
import { absenceText, TWO_WAYS, whyInvalidated } from './refuse-slot.ts'
import type { Slot } from './slot.ts'

/** Without a limit, a slot that keeps more than this is looked at before it fills the disk. */
const MUCH_BYTES = 10 * 1024 ** 3
/** Of what a slot may keep, so much is left when it is time to act. */
const LITTLE_LEFT = 0.25
/** The source is told every 2 s that somebody reads: a shorter patience would cut the line. */
const SHORT_TIMEOUT_MS = 5_000

export function checkSlot(pipeline: CdcPipeline, slot: Slot | null, limits: LogLimits): readonly Finding[] {
  return [
    ...(slot === null ? [] : [stateOf(pipeline, slot, limits)]),
    ...checkRoom(pipeline, slot, limits),
    ...checkTimeouts(pipeline, limits),
    ...checkFailover(pipeline, slot, limits),
  ]
}

/** Whether a connection can be had over which the log is read: a pooler in between may let only others through. */
export async function checkLine(config: PostgresConfig, what: string): Promise<readonly Finding[]> {
  try {
    await (await openLogSession(config, what)).close()
    return []
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return [{ severity: 'error', code: error.code, message: error.message, hint: error.hint }]
  }
}

function stateOf({ source }: CdcPipeline, slot: Slot, { keepBytes }: LogLimits): Finding {
  const kept = slot.retainedBytes ?? 0
  const keeps = `keeps ${bytesText(kept)} of the log`
  const say = (severity: Finding['severity'], message: string, hint = ''): Finding => ({
    severity,
    code: 'slot',
    message: `Slot ${source.slot} ${message}.`,
    hint,
  })
  if (slot.walStatus === 'lost') return say('error', `is lost: ${whyInvalidated(slot)}`, TWO_WAYS)
  if (slot.walStatus === 'unreserved')
    return say(
      'warning',
      `${keeps}, more than max_slot_wal_keep_size: the next checkpoint of the source may give it up`,
      'Run the pipeline now, or raise max_slot_wal_keep_size.',
    )
  if (keepBytes !== null && slot.safeBytes !== null && slot.safeBytes < keepBytes * LITTLE_LEFT)
    return say(
      'warning',
      `${keeps}; when ${bytesText(Math.max(0, slot.safeBytes))} more are written, the source may give it up`,
      'Run the pipeline, or raise max_slot_wal_keep_size.',
    )
  if (keepBytes === null && kept > MUCH_BYTES)
    return say(
      'warning',
      `${keeps}, and no limit: it can fill the disk of the source`,
      'Run the pipeline, or drop it. Set max_slot_wal_keep_size to what the disk can spare.',
    )
  const left = slot.safeBytes === null ? '' : `; ${bytesText(slot.safeBytes)} more may be written before the source may give it up`
  return say('info', `is ${slot.walStatus}, and ${keeps}${left}`)
}

function checkRoom({ source }: CdcPipeline, slot: Slot | null, { keepBytes, slots, senders }: LogLimits): readonly Finding[] {
  const findings: Finding[] = []
  if (keepBytes === null)
    findings.push({
      severity: 'info',
      code: 'slot-limit',
      message:
        'The source has no limit to what slots keep of its log (max_slot_wal_keep_size = -1): a pipeline that does not run fills the disk.',
      hint: "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; with more than is written in your longest outage.",
    })
  if (slots.used >= slots.allowed)
    findings.push({
      severity: slot === null ? 'error' : 'warning',
      code: 'slots-used',
      message: `All ${slots.allowed} replication slots of the source are taken: ${slot === null ? `${source.slot} can't be made` : 'no table can be copied again while it is followed'}.`,
      hint: 'Raise max_replication_slots, or drop slots that nobody reads: SELECT * FROM pg_replication_slots.',
    })
  // The pipeline's own reader is one of them while it runs.
  if (senders.used >= senders.allowed)
    findings.push({
      severity: slot?.active === true ? 'warning' : 'error',
      code: 'senders-used',
      message: `All ${senders.allowed} senders of the log of the source are taken.`,
      hint: 'Raise max_wal_senders, or end readers that are not needed: SELECT * FROM pg_stat_replication.',
    })
  return findings
}

function checkTimeouts({ source }: CdcPipeline, { senderTimeoutMs, idleSeconds }: LogLimits): readonly Finding[] {
  const findings: Finding[] = []
  if (senderTimeoutMs === null)
    findings.push({
      severity: 'warning',
      code: 'sender-timeout',
      message: `The source never gives up a reader that is gone (wal_sender_timeout = 0): it may go on holding slot ${source.slot}.`,
      hint: "ALTER SYSTEM SET wal_sender_timeout = '60s';",
    })
  else if (senderTimeoutMs < SHORT_TIMEOUT_MS)
    findings.push({
      severity: 'warning',
      code: 'sender-timeout',
      message: `The source gives up a reader that says nothing for ${senderTimeoutMs} ms (wal_sender_timeout), which may be less than the network takes.`,
      hint: "ALTER SYSTEM SET wal_sender_timeout = '60s';",
    })
  if (idleSeconds !== null)
    findings.push({
      severity: 'warning',
      code: 'slot-idle-timeout',
      message: `The source gives up slots that nobody reads for ${durationText(idleSeconds)} (idle_replication_slot_timeout): let the pipeline run more often, or follow.`,
      hint: 'ALTER SYSTEM SET idle_replication_slot_timeout = 0; and set max_slot_wal_keep_size.',
    })
  return findings
}

function checkFailover({ source }: CdcPipeline, slot: Slot | null, { waitsForStandbys, absentStandbys }: LogLimits): readonly Finding[] {
  const findings: Finding[] = []
  if ((slot?.failover === true || source.failover) && absentStandbys.length > 0)
    findings.push({
      severity: 'warning',
      code: 'slot-failover',
      message: absenceText(source.slot, absentStandbys),
      hint: 'Start that standby, or take its slot out of synchronized_standby_slots.',
    })
  if (!source.failover) return findings
  if (slot !== null && !slot.failover)
    findings.push({
      severity: 'warning',
      code: 'slot-failover',
      message: `Slot ${source.slot} is none that goes along with a failover yet: the next run makes it one.`,
      hint: '',
    })
  if (!waitsForStandbys)
    findings.push({
      severity: 'warning',
      code: 'slot-failover',
      message:
        'The target may be ahead of the standby that takes over (synchronized_standby_slots is empty): then the tables have to be copied again.',
      hint: "On the primary: ALTER SYSTEM SET synchronized_standby_slots = '…'; with the slot of that standby.",
    })
  return findings
}
