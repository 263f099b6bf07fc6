// A new slot, with the snapshot of the moment at which it begins. It begins where all transactions of now have ended: one that stays open
// would be waited for without end, so the time is limited and those who hold it up are named.

import { LoadError } from '../../core/errors.ts'
import { identifier } from '../../sql/quote.ts'
import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

const WAIT_SECONDS = 60

export interface SlotToCreate {
  readonly name: string
  readonly temporary: boolean
  readonly failover: boolean
}

export interface CreatedSlot {
  readonly begins: bigint
  readonly snapshot: string
}

/** `log` makes it, and keeps the snapshot until its next command. `session` is of the same server. Throws `log-unavailable`. */
export async function createSlot(log: Session, session: Session, slot: SlotToCreate, waitSeconds = WAIT_SECONDS): Promise<CreatedSlot> {
  const { name } = slot
  // Failover slots came later than the words for options in brackets.
  const options = slot.failover ? "(SNAPSHOT 'export', FAILOVER true)" : 'EXPORT_SNAPSHOT'
  const made = log.query(`CREATE_REPLICATION_SLOT ${identifier(name)}${slot.temporary ? ' TEMPORARY' : ''} LOGICAL pgoutput ${options}`)
  const late = Symbol('late')
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<typeof late>((resolve) => {
    timer = setTimeout(() => resolve(late), waitSeconds * 1000)
  })
  try {
    const answer = await Promise.race([made, limit])
    if (answer === late) throw await lateError(session, name, waitSeconds)
    const [row] = answer
    const begins = parseLsn(row?.['consistent_point'] ?? '')
    if (begins === null) throw new LoadError('log-corrupted', `${session.what} did not say from where slot ${name} goes on.`)
    return { begins, snapshot: row?.['snapshot_name'] ?? '' }
  } catch (error) {
    // The server takes back what it has begun; what it says to that is not news any more.
    made.catch(() => {})
    log.cancel()
    log.destroy()
    throw slotError(error, name, session.what)
  } finally {
    clearTimeout(timer)
  }
}

const BLOCKERS = `
SELECT format('process %s (%s, open for %s s)', pid, coalesce(nullif(application_name, ''), 'no name'),
         extract(epoch FROM clock_timestamp() - xact_start)::int) AS who
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
UNION ALL
SELECT format('prepared transaction %s (of %s, for %s s)', transaction, owner, extract(epoch FROM clock_timestamp() - prepared)::int) FROM pg_prepared_xacts
LIMIT 5`

async function lateError(session: Session, name: string, waitSeconds: number): Promise<LoadError> {
  const [standby] = await session.query('SELECT pg_is_in_recovery() AS is')
  if (standby?.['is'] === 't')
    return new LoadError('log-unavailable', `Slot ${name} waited ${waitSeconds} s for the primary to write down what is open there.`, {
      where: session.what,
      hint: 'On the primary: SELECT pg_log_standby_snapshot(); and end transactions that are open for long. Then run again.',
    })
  const blockers = (await session.query(BLOCKERS)).map((row) => row['who'] ?? '')
  return new LoadError(
    'log-unavailable',
    `Slot ${name} waited ${waitSeconds} s for older transactions to end: ${blockers.join(', ') || 'they have ended only now'}.`,
    { where: session.what, hint: 'End them, or run again when they are over.' },
  )
}

function slotError(error: unknown, slot: string, what: string): unknown {
  if (!(error instanceof LoadError)) return error
  if (/all replication slots are in use/.test(error.message))
    return new LoadError('log-unavailable', `${what} has no free replication slot for ${slot}.`, {
      where: what,
      cause: error,
      hint: 'Raise max_replication_slots, or drop slots that nobody reads: SELECT * FROM pg_replication_slots.',
    })
  return error
}
