// How far a time cursor can be trusted: no transaction that is open now can commit a row below the bound, as far as Snowflake shows
// them. The clock is asked first: who begins between the two looks begins after it.

import { LoadError } from '../../core/errors.ts'
import type { Hold, LatePlan } from '../../core/head.ts'
import type { ResolvedPipeline } from '../../core/pipeline.ts'
import type { Cursor } from './cursor.ts'
import type { Row, Session } from './session.ts'

/** Covers the time between a transaction's start and its appearance in the list. */
const MARGIN_MS = 5_000

/** Instants as text in UTC. */
export interface Bound {
  readonly now: string
  readonly bound: string
  readonly heldBy: readonly Hold[]
}

/** Which way of catching late rows a pipeline gets. `sees`: the role may look at the transactions of the account. Throws `late-rows-unsafe`. */
export function chooseLateRows(pipeline: ResolvedPipeline, cursor: Cursor, sees: boolean): LatePlan {
  const asked = pipeline.lateRows
  const unsafe = (why: string, hint: string): LoadError => new LoadError('late-rows-unsafe', `Pipeline ${pipeline.name}: ${why}.`, { hint })
  const lag =
    'Use `late_rows: { lag: 1h }`, with more time than any transaction of the source takes, or accept losses with `late_rows: none`.'
  const noBound =
    cursor.family === 'number'
      ? 'a number says nothing about when its row was committed'
      : cursor.family !== 'instant' && cursor.zone === null
        ? `"${cursor.name}" has no time zone, and cursor_time_zone does not name one`
        : sees
          ? null
          : "the role may not see the account's open transactions (SHOW TRANSACTIONS IN ACCOUNT)"
  switch (asked.kind) {
    case 'none':
      return { mode: 'none', reason: 'asked for; rows that commit late are lost' }
    case 'lag':
      if (cursor.family === 'number') throw unsafe('late_rows: lag needs a cursor that is a time', 'Use another cursor.')
      return { mode: 'lag', reason: `asked for; sound only while every transaction is shorter than ${asked.seconds} s` }
    case 'sweep':
    case 'xid8':
      throw unsafe(`late_rows: ${asked.kind} is not possible, for no row of Snowflake tells which transaction wrote it`, lag)
    case 'bound':
    case 'auto':
      if (noBound !== null) throw unsafe(`a bound can't be relied on, for ${noBound}`, adviceFor(cursor, lag))
      return { mode: 'bound', reason: 'open transactions of the account can be seen' }
  }
}

function adviceFor(cursor: Cursor, lag: string): string {
  if (cursor.family === 'number') return 'Use a time as cursor, or accept losses with `late_rows: none`.'
  if (cursor.family !== 'instant' && cursor.zone === null) return `Set \`cursor_time_zone\`. Or: ${lag}`
  return `GRANT MONITOR ON ACCOUNT TO ROLE <the role of the connection>; or: ${lag}`
}

/** May the role see everybody's transactions? */
export async function seesTransactions(session: Session): Promise<boolean> {
  try {
    await session.rows('SHOW TRANSACTIONS IN ACCOUNT')
    return true
  } catch (thrown) {
    if (thrown instanceof LoadError && (thrown.code === 'missing-privilege' || thrown.code === 'missing-table')) return false
    throw thrown
  }
}

export async function readNow(session: Session): Promise<string> {
  const now = await session.value("SELECT TO_VARCHAR(CURRENT_TIMESTAMP(), 'YYYY-MM-DD HH24:MI:SS.FF6TZH:TZM')")
  if (now === null) throw new LoadError('source-failed', `${session.what} does not tell the time.`)
  return now
}

/** So much earlier. */
export function before(instant: string, milliseconds: number): string {
  return new Date(Date.parse(instant.replace(' ', 'T')) - milliseconds).toISOString().replace('T', ' ').replace('Z', '+00:00')
}

export async function safeBound(session: Session): Promise<Bound> {
  const now = await readNow(session)
  const own = await session.value('SELECT CURRENT_SESSION()')
  const open = (await session.rows('SHOW TRANSACTIONS IN ACCOUNT')).filter((row) => row['session'] !== own)
  const oldest = open.reduce<Row | null>((least, row) => (least === null || startOf(row) < startOf(least) ? row : least), null)
  const since = oldest === null ? null : startOf(oldest)
  const nowMs = Date.parse(now.replace(' ', 'T'))
  const age = since === null ? 0 : (nowMs - since) / 1000
  const heldBy: readonly Hold[] =
    oldest !== null && age * 1000 > MARGIN_MS
      ? [{ kind: 'transaction', pid: null, application: oldest['user'] ?? null, ageSeconds: age }]
      : []
  return { now, bound: before(now, Math.max(age, 0) * 1000 + MARGIN_MS), heldBy }
}

function startOf(row: Row): number {
  const at = Date.parse((row['started_on'] ?? '').replace(' ', 'T').replace(/ ([+-]\d\d:?\d\d)$/, '$1'))
  // What can't be read holds everything.
  return Number.isNaN(at) ? 0 : at
}
