// The replication slot of a pipeline: from where the source keeps its log for it.

import { LoadError } from '../../core/errors.ts'
import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

export interface Slot {
  /** A slot that is made again under the name begins elsewhere. */
  readonly mark: string
  /** null: a slot of physical replication. */
  readonly plugin: string | null
  readonly database: string | null
  readonly temporary: boolean
  readonly active: boolean
  /** Process of the server that reads it. */
  readonly reader: string | null
  /** null where the slot has lost what it should keep. */
  readonly confirmed: bigint | null
  /** reserved, extended, unreserved, lost. */
  readonly walStatus: string
  /** Why the server gave it up; null before PostgreSQL 16, and where it did not. */
  readonly invalidation: string | null
  readonly failover: boolean
  /** The copy at a standby of a slot of its primary: nobody can read it there. */
  readonly synced: boolean
  readonly retainedBytes: number | null
  /** What may still be written before the server may give it up; null without a limit. */
  readonly safeBytes: number | null
  readonly lagBytes: number | null
}

// What a version lacks is null in the JSON of the row.
const SLOT = `
SELECT plugin, database, temporary, active, active_pid AS reader, confirmed_flush_lsn AS confirmed, restart_lsn, to_jsonb(s) ->> 'wal_status' AS wal_status,
  to_jsonb(s) ->> 'safe_wal_size' AS safe,
  coalesce(to_jsonb(s) ->> 'invalidation_reason', CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true' THEN 'conflicting' END) AS reason,
  to_jsonb(s) ->> 'failover' AS failover, to_jsonb(s) ->> 'synced' AS synced,
  pg_wal_lsn_diff(now.lsn, restart_lsn)::bigint AS retained, pg_wal_lsn_diff(now.lsn, confirmed_flush_lsn)::bigint AS lag
FROM pg_replication_slots s, (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) now
WHERE slot_name = $1`

export async function readSlot(session: Session, name: string): Promise<Slot | null> {
  const [row] = await session.query(SLOT, [name])
  if (row === undefined) return null
  const number = (column: string): number | null => (row[column] == null ? null : Number(row[column]))
  const isLost = row['restart_lsn'] == null || row['wal_status'] === 'lost'
  return {
    mark: row['confirmed'] ?? '',
    plugin: row['plugin'] ?? null,
    database: row['database'] ?? null,
    temporary: row['temporary'] === 't',
    active: row['active'] === 't',
    reader: row['reader'] ?? null,
    confirmed: isLost || row['confirmed'] == null ? null : parseLsn(row['confirmed']),
    walStatus: isLost ? 'lost' : (row['wal_status'] ?? 'reserved'),
    invalidation: row['reason'] ?? null,
    failover: row['failover'] === 'true',
    synced: row['synced'] === 'true',
    retainedBytes: number('retained'),
    safeBytes: number('safe'),
    lagBytes: number('lag'),
  }
}

/** A killed run lets go of its slot when the server notices, mostly at once. */
const PATIENCE_MS = 5_000
const LOOK_MS = 100

/** null where there is none. Throws `state-conflict` where somebody goes on reading it. */
export async function waitForSlot(session: Session, name: string): Promise<Slot | null> {
  for (const until = performance.now() + PATIENCE_MS; ; await new Promise((resolve) => setTimeout(resolve, LOOK_MS))) {
    const slot = await readSlot(session, name)
    if (slot?.active !== true) return slot
    if (performance.now() > until)
      throw new LoadError('state-conflict', `Slot ${name} is being read by process ${slot.reader ?? '?'} of the server.`, {
        where: session.what,
        hint: 'Another run of this pipeline may be at work: nothing is lost. Name another `slot` if it is not yours.',
      })
  }
}

/**
 * Makes room for a new one. Throws `state-conflict` where the slot is not the one that was seen: the process may have rested meanwhile, and
 * another run may have begun.
 */
export async function replaceSlot(session: Session, name: string, seen: string | null): Promise<void> {
  if ((await waitForSlot(session, name)) === null) return
  const drop = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND coalesce(confirmed_flush_lsn::text, '') = $2`
  if (seen !== null && (await session.query(drop, [name, seen])).length > 0) return
  throw new LoadError('state-conflict', `Another run has made slot ${name} meanwhile.`, { where: session.what })
}

/** Was there one? Throws `state-conflict` while somebody reads it. */
export async function dropSlot(session: Session, name: string): Promise<boolean> {
  if ((await waitForSlot(session, name)) === null) return false
  await session.query('SELECT pg_drop_replication_slot($1)', [name])
  return true
}
