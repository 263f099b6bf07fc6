// Rows that are in another partition now give way where they were. Which of the two partitions was read later is not known: those
// that rows were taken from are to be loaded again. Those that are being loaded find out by themselves.

import { invariant } from '../../core/invariant.ts'
import type { Load } from '../../core/load.ts'
import type { PartitionBy } from '../../core/partition.ts'
import { columnNamed } from '../../core/table.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { POSTGRES } from './dialect.ts'
import type { Session } from './session.ts'

/** How many rows of the table gave way to staged ones with their key. */
export async function takeMovedRows(session: Session, load: Load, stage: string, ledger: string): Promise<number> {
  const { key, table, partition, pipeline } = load
  invariant(partition !== null, 'rows move between partitions')
  const sameKey = key.map((name) => `t.${identifier(name)} = s.${identifier(name)}`).join(' AND ')
  const type = columnNamed(table, partition.column)?.native ?? 'text'
  const [row] = await session.query(
    `WITH moved AS (DELETE FROM ${tableIdentifier(table.name)} AS t USING ${stage} AS s WHERE ${sameKey} RETURNING t.${identifier(partition.column)} AS v),
     robbed AS (UPDATE ${ledger} AS p SET status = 'planned', checksum = NULL
       WHERE p.pipeline_name = $1 AND p.partition_key <> $2 AND p.status = 'committed'
         AND EXISTS (SELECT 1 FROM (SELECT DISTINCT v FROM moved) AS d WHERE ${isOf(partition.by, type)}))
     SELECT count(*) AS n FROM moved`,
    [pipeline, partition.partition.key],
  )
  return Number(row?.['n'])
}

/** Is `d.v` in the partition of a row `p` of the ledger? */
function isOf(by: PartitionBy, type: string): string {
  const inside = {
    time: `d.v >= p.lower_bound::${type} AND d.v < p.upper_bound::${type}`,
    range: 'd.v >= p.lower_bound::numeric AND d.v < p.upper_bound::numeric',
    rows: 'd.v >= p.lower_bound::numeric AND d.v < p.upper_bound::numeric',
    list: `d.v = p.lower_bound::${type}`,
    hash: by.kind === 'hash' ? `${POSTGRES.bucket('d.v', by.buckets)} = p.lower_bound::bigint` : 'false',
  }[by.kind]
  return `CASE WHEN p.lower_bound IS NULL THEN d.v IS NULL ELSE ${inside} END`
}
