// The primary key of a table that a first load has filled without one.

import { LoadError } from '../../core/errors.ts'
import type { Load } from '../../core/load.ts'
import type { TableName } from '../../core/table.ts'
import { dropDuplicates } from '../../sql/apply.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { POSTGRES } from './dialect.ts'
import { postgresError } from './errors.ts'
import type { Session } from './session.ts'

export function addKey(table: TableName, key: readonly string[]): string {
  return `ALTER TABLE ${tableIdentifier(table)} ADD PRIMARY KEY (${key.map(identifier).join(', ')})`
}

/** Inside the transaction of the load. Returns how many rows went because a later slice brought their key again. */
export async function buildKey(session: Session, load: Load): Promise<number> {
  await session.query('SAVEPOINT before_key')
  try {
    await session.query(addKey(load.table.name, load.key))
    return 0
  } catch (error) {
    const { code } = error instanceof LoadError ? error : postgresError(error, session.what, 'target')
    if (code !== 'duplicate-key') throw error
    await session.query('ROLLBACK TO SAVEPOINT before_key')
    const { count } = await session.execute(dropDuplicates(POSTGRES, load, tableIdentifier(load.table.name)))
    await session.query(addKey(load.table.name, load.key))
    return count
  }
}
