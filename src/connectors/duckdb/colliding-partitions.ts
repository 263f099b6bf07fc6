// Which partitions hold rows that share a key: rows that moved from one to the other while both were loaded at different times. DuckDB
// tables have no primary key that would refuse them.

import type { Ending } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { printTableName } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection } from './database.ts'
import { tableIdentifier } from './dialect.ts'
import { holdingPartitions } from './holding-partitions.ts'
import type { Ledger } from './ledger.ts'

const COLLIDING = 'temp."_tidemark_colliding"'

/** Keys of the ledger, in order; none where every key is there once. Throws `duplicate-key` where no partition has the rows. */
export async function collidingPartitions(
  connection: Connection,
  { pipeline, table, by, key }: Ending,
  ledger: Ledger,
): Promise<readonly string[]> {
  if (key.length === 0) return []
  const keys = key.map(identifier).join(', ')
  const target = tableIdentifier(table.name)
  const doubled = `SELECT ${keys} FROM ${target} GROUP BY ${keys} HAVING count(*) > 1`
  if ((await connection.count(`SELECT count(*) FROM (${doubled})`)) === 0) return []
  const column = identifier(by.column)
  await connection.run(`CREATE OR REPLACE TEMP TABLE "_tidemark_colliding" AS
    SELECT DISTINCT ${column} FROM ${target} WHERE (${keys}) IN (SELECT (${keys}) FROM (${doubled}))`)
  try {
    const found = await holdingPartitions(connection, COLLIDING, table, by, await ledger.read(connection, pipeline))
    if (found.length > 0) return found
  } finally {
    await connection.run(`DROP TABLE IF EXISTS ${COLLIDING}`)
  }
  throw new LoadError('duplicate-key', `Rows of ${printTableName(table.name)} share a key.`)
}
