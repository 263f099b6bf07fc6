// A transaction that knows its own name. Where the server ends one, what comes after would stand alone, statement by statement: whatever
// must not, asks for the name in its own condition.

import { LoadError } from '../../core/errors.ts'
import type { Session } from './session.ts'

/** Runs `work` between BEGIN and COMMIT, and hands it the transaction's name. */
export async function inTransaction<T>(session: Session, work: (transaction: string) => Promise<T>, onEnd?: () => void): Promise<T> {
  await session.run('BEGIN')
  try {
    const transaction = await session.value('SELECT CURRENT_TRANSACTION()')
    if (transaction === null) throw lostTransaction(session)
    const result = await work(transaction)
    onEnd?.()
    await session.run('COMMIT')
    return result
  } catch (thrown) {
    await session.rollback()
    throw thrown
  }
}

/** The condition, with the number of its parameter. */
export function within(parameter: number): string {
  return `CURRENT_TRANSACTION() = :${parameter}`
}

export function lostTransaction({ what }: Session): LoadError {
  return new LoadError('try-again', `${what} ended the transaction before its commit; nothing of it was written.`, { where: what })
}
