import type { Session } from './session.ts'

/** One transaction that writes. Sessions at the source are read-only otherwise. */
export async function writeSource(session: Session, statements: readonly string[]): Promise<void> {
  await session.query('BEGIN READ WRITE')
  try {
    for (const statement of statements) await session.query(statement)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK').catch(() => session.destroy())
    throw error
  }
}
