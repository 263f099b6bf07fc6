// A connection that speaks the replication protocol, and what is told where there is none to be had.

import { LoadError } from '../../core/errors.ts'
import type { PostgresConfig } from './config.ts'
import { poolerError } from './create-slot.ts'
import { openSession, type Session } from './session.ts'

/** Throws `log-unavailable` and what every connection may throw. */
export async function openLogSession(config: PostgresConfig, what: string): Promise<Session> {
  try {
    return await openSession(config, what, 'log').opened
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    // Connections of runs that were killed are let go of by and by: worth another try.
    if (/max_wal_senders/.test(error.message))
      throw new LoadError('unreachable', `${what} has no free sender of its log: all of max_wal_senders are in use.`, {
        where: what,
        cause: error,
        hint: 'Raise max_wal_senders, or end readers that are not needed: SELECT * FROM pg_stat_replication.',
      })
    if (/unsupported startup parameter|replication.*not (allowed|supported)/i.test(error.message)) throw poolerError(what, error)
    throw error
  }
}
