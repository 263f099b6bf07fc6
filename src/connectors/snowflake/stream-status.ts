// How a pipeline's streams are: whether they have something, and how long Snowflake still keeps it for them. Wakes no warehouse.

import type { Finding } from '../../contract/finding.ts'
import type { StreamStatus } from '../../contract/log.ts'
import { printTableName } from '../../core/table.ts'
import { tableIdentifier } from './names.ts'
import type { Session } from './session.ts'
import { hasData, readStream } from './stream-facts.ts'
import type { StreamNames } from './stream-names.ts'
import { readClock } from './stream-outbox.ts'

const DAY_MS = 86_400_000
/** What Snowflake does where nobody has set anything. */
const EXTENSION_DAYS = 14

export async function readStreamStatus(session: Session, names: StreamNames): Promise<StreamStatus> {
  const stream = printTableName(names.stream)
  const facts = await readStream(session, names.stream)
  if (facts === null) return { stream, state: 'missing', staleAfter: null, hasData: null }
  const staleAfter = facts.staleAfter === null ? null : new Date(facts.staleAfter).toISOString()
  if (facts.stale || facts.invalidReason !== null) return { stream, state: 'stale', staleAfter, hasData: null }
  const has = await hasData(session, names.stream)
  const left = facts.staleAfter === null ? null : facts.staleAfter - Date.parse(await readClock(session))
  // One without changes is kept young by the very question.
  const isAgeing = has && left !== null && left < ((await windowDays(session, names)) * DAY_MS) / 2
  return { stream, state: isAgeing ? 'ageing' : 'kept', staleAfter, hasData: has }
}

/** So long what a stream has not given yet is kept. */
async function windowDays(session: Session, { source }: StreamNames): Promise<number> {
  const rows = await session.rows(`SHOW PARAMETERS IN TABLE ${tableIdentifier(source)}`)
  const days = (key: string): number => Number(rows.find((row) => row['key'] === key)?.['value'] ?? 0)
  return Math.max(days('DATA_RETENTION_TIME_IN_DAYS'), days('MAX_DATA_EXTENSION_TIME_IN_DAYS')) || EXTENSION_DAYS
}

export function ageFindings(pipeline: string, streams: readonly StreamStatus[]): readonly Finding[] {
  return streams
    .filter(({ state }) => state === 'ageing')
    .map(({ stream, staleAfter }) => ({
      severity: 'warning',
      code: 'stream-ageing',
      message: `Stream ${stream} has changes that nobody has read for more than half of the time for which they are kept: it is stale after ${staleAfter}.`,
      hint: `Run pipeline ${pipeline} before that; or raise MAX_DATA_EXTENSION_TIME_IN_DAYS of its table.`,
    }))
}
