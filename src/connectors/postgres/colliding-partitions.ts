// Which partitions hold rows that share a key: rows that moved from one to the other while both were loaded at different times.

import type { Ending } from '../../contract/target.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { POSTGRES } from './dialect.ts'
import type { Ledger } from './ledger.ts'
import type { Session } from './session.ts'

/** Keys of the ledger, in order. */
export async function collidingPartitions(
  session: Session,
  { pipeline, table, by, key }: Ending,
  ledger: Ledger,
): Promise<readonly string[]> {
  const keys = key.map(identifier).join(', ')
  const column = identifier(by.column)
  const target = tableIdentifier(table.name)
  const colliding = `SELECT DISTINCT ${column} AS v FROM ${target} WHERE (${keys}) IN (SELECT ${keys} FROM ${target} GROUP BY ${keys} HAVING count(*) > 1)`
  const type = `(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = '${target.replaceAll("'", "''")}'::regclass AND a.attname = $1)`
  const [declared] = await session.query(`SELECT ${type} AS type`, [by.column])
  const cast = (text: string): string => `${text}::${declared?.['type'] ?? 'text'}`
  const inside = {
    time: `d.v >= ${cast('p.lower_bound')} AND d.v < ${cast('p.upper_bound')}`,
    range: `d.v >= p.lower_bound::numeric AND d.v < p.upper_bound::numeric`,
    rows: `d.v >= p.lower_bound::numeric AND d.v < p.upper_bound::numeric`,
    list: `d.v = ${cast('p.lower_bound')}`,
    hash: by.kind === 'hash' ? `${POSTGRES.bucket('d.v', by.buckets)} = p.lower_bound::bigint` : 'false',
  }[by.kind]
  const rows = await session.query(
    `WITH d AS (${colliding}) SELECT p.partition_key AS key FROM ${ledger.table} p WHERE p.pipeline_name = $1
       AND EXISTS (SELECT 1 FROM d WHERE CASE WHEN p.lower_bound IS NULL THEN d.v IS NULL ELSE ${inside} END) ORDER BY 1`,
    [pipeline],
  )
  return rows.map((row) => row['key'] ?? '')
}
