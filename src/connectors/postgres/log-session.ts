// A connection that speaks the replication protocol, and what is told where there is none to be had.

import { LoadError } from '../../core/errors.ts'
import type { PostgresConfig } from './config.ts'
import { openSession, type Session } from './session.ts'

/** Throws `log-unavailable` and what every connection may throw. */
export async function openLogSession(config: PostgresConfig, what: string): Promise<Session> {
  const session = openSession(config, what, 'log')
  try {
    const opened = await session.opened
    // A pooler may leave out what makes it one of this kind; then the words of the protocol are no SQL.
    await opened.query('IDENTIFY_SYSTEM')
    return opened
  } catch (error) {
    await session.close()
    throw error instanceof LoadError ? logSessionError(error, what) : error
  }
}

function logSessionError(error: LoadError, what: string): LoadError {
  // Connections of runs that were killed are let go of by and by: worth another try.
  if (/max_wal_senders/.test(error.message))
    return new LoadError('unreachable', `${what} has no free sender of its log: all of max_wal_senders are in use.`, {
      where: what,
      cause: error,
      hint: 'Raise max_wal_senders, or end readers that are not needed: SELECT * FROM pg_stat_replication.',
    })
  if (/unsupported startup parameter|syntax error at or near "IDENTIFY_SYSTEM"/.test(error.message))
    return new LoadError('log-unavailable', `${what} is reached through a pooler that does not pass on the log.`, {
      where: what,
      cause: error,
      hint: 'Give the connection the address of the server itself.',
    })
  return error
}
