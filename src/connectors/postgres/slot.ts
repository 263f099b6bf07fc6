// The replication slot of a pipeline: from where the source keeps its log for it.

import { LoadError } from '../../core/errors.ts'
import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

export interface Slot {
  readonly plugin: string
  readonly database: string
  readonly active: boolean
  /** Process of the server that reads it. */
  readonly reader: string | null
  /** null where the slot has lost what it should keep. */
  readonly confirmed: bigint | null
  readonly walStatus: string
  readonly retainedBytes: number | null
  readonly lagBytes: number | null
}

export async function readSlot(session: Session, name: string): Promise<Slot | null> {
  const [row] = await session.query(
    `SELECT plugin, database, active, active_pid AS reader, confirmed_flush_lsn AS confirmed, restart_lsn, to_jsonb(s) ->> 'wal_status' AS wal_status,
       to_jsonb(s) ->> 'invalidation_reason' AS reason,
       pg_wal_lsn_diff(now.lsn, restart_lsn)::bigint AS retained, pg_wal_lsn_diff(now.lsn, confirmed_flush_lsn)::bigint AS lag
     FROM pg_replication_slots s, (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) now
     WHERE slot_name = $1`,
    [name],
  )
  if (row === undefined) return null
  const isLost = row['restart_lsn'] == null || row['wal_status'] === 'lost'
  return {
    plugin: row['plugin'] ?? '',
    database: row['database'] ?? '',
    active: row['active'] === 't',
    reader: row['reader'] ?? null,
    confirmed: isLost || row['confirmed'] == null ? null : parseLsn(row['confirmed']),
    walStatus: isLost ? 'lost' : (row['wal_status'] ?? 'reserved'),
    retainedBytes: row['retained'] == null ? null : Number(row['retained']),
    lagBytes: row['lag'] == null ? null : Number(row['lag']),
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

/** Was there one? Throws `state-conflict` while somebody reads it. */
export async function dropSlot(session: Session, name: string): Promise<boolean> {
  if ((await waitForSlot(session, name)) === null) return false
  await session.query('SELECT pg_drop_replication_slot($1)', [name])
  return true
}
