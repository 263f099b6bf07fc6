// How far a time cursor can be trusted: no transaction still open now can ever commit a row below the bound. Asked before
// the snapshot from which rows are read; the order of the two statements matters, and is explained at each.

import type { Hold } from '../../core/head.ts'
import { literal } from '../../sql/quote.ts'
import type { Cursor } from './cursor.ts'
import type { PostgresTable } from './describe.ts'
import type { Session } from './session.ts'

/** Below it everything is committed. `bound` null: nothing can be said while someone holds. */
export interface Bound {
  readonly now: string
  readonly bound: string | null
  readonly boundTime: string | null
  readonly heldBy: readonly Hold[]
}

/** Covers the time between a transaction's start and its appearance in pg_stat_activity. */
const MARGIN_MICROS = 2_000_000

// A starting transaction is `active` with query_start before its xact_start shows. A walsender that streams is "active"
// for days, without a transaction, and writes nothing. Idle sessions have no transaction at all.
const OPEN = `
SELECT pid, application_name, least(xact_start, CASE WHEN state = 'active' AND backend_type IS DISTINCT FROM 'walsender' THEN query_start END) AS since
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type IS DISTINCT FROM 'autovacuum worker' AND state IS DISTINCT FROM 'idle'`

export async function safeBound(session: Session, cursor: Cursor, table: PostgresTable, marginMicros = MARGIN_MICROS): Promise<Bound> {
  const margin = `${marginMicros + (cursor.unitMicros > 1 ? cursor.unitMicros : 0)} * interval '1 microsecond'`
  const [row] = await session.query(`
    WITH open AS (${OPEN}), oldest AS (SELECT * FROM open WHERE since IS NOT NULL ORDER BY since LIMIT 1),
         c AS (SELECT clock_timestamp() AS now), b AS (SELECT least(c.now, (SELECT since FROM oldest)) - ${margin} AS bound FROM c)
    SELECT ${cursorTime(cursor, 'c.now')}::text AS now, ${cursorBound(cursor, 'b.bound')}::text AS bound,
           ${utcText('b.bound')} AS time, o.pid, o.application_name AS application,
           extract(epoch FROM c.now - o.since)::numeric(20,3) AS age
    FROM c, b LEFT JOIN oldest o ON true`)
  const heldBy: Hold[] = []
  const age = Number(row?.['age'] ?? 0)
  if (row?.['pid'] != null && age * 1e6 > marginMicros)
    heldBy.push({ kind: 'transaction', pid: Number(row['pid']), application: row['application'] ?? null, ageSeconds: age })
  // After the first statement: a transaction leaves pg_stat_activity for the prepared ones, never the other way.
  const prepared = await preparedWriters(session, table)
  return prepared.length > 0
    ? { now: row?.['now'] ?? '', bound: null, boundTime: null, heldBy: [...heldBy, ...prepared] }
    : { now: row?.['now'] ?? '', bound: row?.['bound'] ?? null, boundTime: row?.['time'] ?? null, heldBy }
}

/** Rows of an earlier time come no more, from writers that date them with the start of their transaction or later. `-infinity`: not known. */
export async function settledBefore(session: Session, table: PostgresTable): Promise<string> {
  const [row] = await session.query(`
    WITH open AS (${OPEN}), c AS (SELECT clock_timestamp() AS now)
    SELECT ${utcText(`least(c.now, (SELECT min(since) FROM open)) - ${MARGIN_MICROS} * interval '1 microsecond'`)} || 'Z' AS settled FROM c`)
  const prepared = await preparedWriters(session, table)
  return prepared.length > 0 ? '-infinity' : (row?.['settled'] ?? '-infinity')
}

/** Prepared transactions keep their locks without a process; when they began is not to be had. */
async function preparedWriters(session: Session, table: PostgresTable): Promise<readonly Hold[]> {
  const rows =
    table.oids.length > 0
      ? await session.query(
          `SELECT DISTINCT virtualtransaction FROM pg_locks WHERE relation = ANY ($1::oid[]) AND mode = 'RowExclusiveLock' AND pid IS NULL`,
          [`{${table.oids.join(',')}}`],
        )
      : await session.query(`SELECT transaction FROM pg_prepared_xacts WHERE database = current_database()`)
  return rows.map(() => ({ kind: 'prepared-transaction', pid: null, application: null, ageSeconds: null }))
}

/** An instant as the cursor would show it. */
export function cursorTime(cursor: Cursor, instant: string): string {
  if (cursor.family === 'instant') return instant
  const zone = cursor.zone === null ? `current_setting('TimeZone')` : literal(cursor.zone)
  const local = `(${instant} AT TIME ZONE ${zone})`
  return cursor.family === 'date' ? `${local}::date` : local
}

/**
 * The bound as the cursor would show it. Local clocks go back once a year: before that hour the bound stays below the
 * time to which they will go back.
 */
export function cursorBound(cursor: Cursor, instant: string): string {
  if (cursor.family === 'instant') return instant
  const zone = cursor.zone === null ? `current_setting('TimeZone')` : literal(cursor.zone)
  const local = `((${instant}) AT TIME ZONE ${zone})`
  const later = `((${instant} + interval '3 hours') AT TIME ZONE ${zone})`
  const careful = `(${local} - greatest(interval '0', ${local} + interval '3 hours' - ${later}))`
  return cursor.family === 'date' ? `${careful}::date` : careful
}

function utcText(instant: string): string {
  return `to_char((${instant}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`
}
