import type { LedgerRow } from '../../core/ledger.ts'
import { type PartitionBy, storedPartition } from '../../core/partition.ts'
import type { Table } from '../../core/table.ts'
import type { Connection } from './database.ts'
import { partitionCondition } from './partition-condition.ts'

/** So many conditions are asked for by one statement. */
const CONDITIONS_AT_ONCE = 500

/** Keys of the partitions that any value belongs to; `values` is a table with a column of the partition column's name. */
export async function holdingPartitions(
  connection: Connection,
  values: string,
  table: Pick<Table, 'columns'>,
  by: PartitionBy,
  rows: readonly LedgerRow[],
): Promise<readonly string[]> {
  const found: string[] = []
  for (let at = 0; at < rows.length; at += CONDITIONS_AT_ONCE) {
    const conditions = rows.slice(at, at + CONDITIONS_AT_ONCE).map((row) => {
      const { bounds } = storedPartition(by, row.key, row.lower, row.upper)
      return `bool_or(${partitionCondition(table, by.column, bounds)})`
    })
    const [answer] = await connection.rows(`SELECT ${conditions.map((sql, index) => `${sql} AS c${index}`).join(', ')} FROM ${values}`)
    for (const [index, hit] of Object.values(answer ?? {}).entries()) if (hit === true) found.push(rows[at + index]?.key ?? '')
  }
  return found
}
