// Which partitions hold rows that share a key: rows that moved from one to the other while both were loaded at different times. DuckDB
// tables have no primary key that would refuse them.

import type { Ending } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { storedPartition } from '../../core/partition.ts'
import { printTableName } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection } from './database.ts'
import { tableIdentifier } from './dialect.ts'
import type { Ledger } from './ledger.ts'
import { partitionCondition } from './partition-condition.ts'

/** So many conditions are asked for by one statement. */
const CONDITIONS_AT_ONCE = 500
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
    const found: string[] = []
    const rows = await ledger.read(connection, pipeline)
    for (let at = 0; at < rows.length; at += CONDITIONS_AT_ONCE) {
      const conditions = rows.slice(at, at + CONDITIONS_AT_ONCE).map((row) => {
        const { bounds } = storedPartition(by, row.key, row.lower, row.upper)
        return `bool_or(${partitionCondition(table, by.column, bounds)})`
      })
      const [answer] = await connection.rows(`SELECT ${conditions.map((sql, index) => `${sql} AS c${index}`).join(', ')} FROM ${COLLIDING}`)
      for (const [index, hit] of Object.values(answer ?? {}).entries()) if (hit === true) found.push(rows[at + index]?.key ?? '')
    }
    if (found.length > 0) return found
  } finally {
    await connection.run(`DROP TABLE IF EXISTS ${COLLIDING}`)
  }
  throw new LoadError('duplicate-key', `Rows of ${printTableName(table.name)} share a key.`)
}
