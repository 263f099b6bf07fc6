// What a server allows its slots, and how much of that is taken.

import type { Session } from './session.ts'

export interface LogLimits {
  /** What a slot may keep back before the server gives it up; null: as much as it likes. */
  readonly keepBytes: number | null
  /** After so long without a reader the server gives a slot up; null: never. */
  readonly idleSeconds: number | null
  /** null: a reader that says nothing is never given up. */
  readonly senderTimeoutMs: number | null
  readonly slots: { readonly used: number; readonly allowed: number }
  readonly senders: { readonly used: number; readonly allowed: number }
  /** Standbys that must have everything before a failover slot hands it out. */
  readonly waitsForStandbys: boolean
  /** The slots of those that are not there to have it. */
  readonly absentStandbys: readonly string[]
}

const LIMITS = `
SELECT (SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting::bigint >= 0) AS keep,
  nullif(extract(epoch FROM current_setting('idle_replication_slot_timeout', true)::interval), 0)::bigint AS idle,
  (SELECT nullif(setting::bigint, 0) FROM pg_settings WHERE name = 'wal_sender_timeout') AS sender_timeout,
  (SELECT count(*) FROM pg_replication_slots) AS slots, current_setting('max_replication_slots') AS max_slots,
  (SELECT count(*) FROM pg_stat_replication) AS senders, current_setting('max_wal_senders') AS max_senders,
  coalesce(current_setting('synchronized_standby_slots', true), '') <> '' AS waits,
  (SELECT string_agg(name, ',') FROM unnest(string_to_array(translate(current_setting('synchronized_standby_slots', true), ' "', ''), ',')) AS name
     LEFT JOIN pg_replication_slots s ON s.slot_name = name WHERE s.active IS NOT TRUE) AS absent`

export async function readLimits(session: Session): Promise<LogLimits> {
  const [row] = await session.query(LIMITS)
  const number = (name: string): number | null => (row?.[name] == null ? null : Number(row[name]))
  return {
    keepBytes: number('keep'),
    idleSeconds: number('idle'),
    senderTimeoutMs: number('sender_timeout'),
    slots: { used: number('slots') ?? 0, allowed: number('max_slots') ?? 0 },
    senders: { used: number('senders') ?? 0, allowed: number('max_senders') ?? 0 },
    waitsForStandbys: row?.['waits'] === 't',
    absentStandbys: row?.['absent']?.split(',') ?? [],
  }
}
