// The rows of partitions as a condition on a table of Snowflake, each bound written in the column's own type; and which partitions hold
// given values.

import { invariant } from '../../core/invariant.ts'
import type { LedgerRow } from '../../core/ledger.ts'
import { type Partition, type PartitionBounds, type PartitionBy, storedPartition } from '../../core/partition.ts'
import { type Column, columnNamed, type Table } from '../../core/table.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { insidePredicate, partitionPredicate } from '../../sql/partition-predicate.ts'
import { SNOWFLAKE } from './dialect.ts'
import { identifier, literal } from './names.ts'
import type { Session } from './session.ts'

type Columns = Pick<Table, 'columns'>

/** So many conditions are asked for by one statement. */
const CONDITIONS_AT_ONCE = 200

/** True for the rows of one partition. */
export function partitionCondition(table: Columns, name: string, bounds: PartitionBounds): string {
  return partitionPredicate(spellingOf(partitionColumn(table, name)), name, bounds)
}

/** True for rows in any of the partitions; never NULL. */
export function insideCondition(table: Columns, name: string, partitions: readonly Partition[]): string {
  return `COALESCE(${insidePredicate(spellingOf(partitionColumn(table, name)), name, partitions)}, FALSE)`
}

function partitionColumn(table: Columns, name: string): Column {
  const column = columnNamed(table, name)
  invariant(column !== undefined, `the target has no column "${name}"`)
  return column
}

function spellingOf(column: Column): Pick<Dialect, 'identifier' | 'literal' | 'bucket'> {
  return {
    identifier,
    literal: (text) => (column.type.kind === 'text' ? literal(text) : `${literal(text)}::${column.native}`),
    bucket: (value, of) => SNOWFLAKE.bucket(value, of),
  }
}

/** Keys of the partitions that any value belongs to; `values` is a query with a column of the partition column's name. */
export async function holdingPartitions(
  session: Session,
  values: string,
  table: Columns,
  by: PartitionBy,
  rows: readonly LedgerRow[],
): Promise<readonly string[]> {
  const found: string[] = []
  for (let at = 0; at < rows.length; at += CONDITIONS_AT_ONCE) {
    const some = rows.slice(at, at + CONDITIONS_AT_ONCE)
    const counts = some.map((row, index) => {
      const { bounds } = storedPartition(by, row.key, row.lower, row.upper)
      return `COUNT_IF(${partitionCondition(table, by.column, bounds)}) AS c${index}`
    })
    const [answer] = await session.rows(`SELECT ${counts.join(', ')} FROM (${values}) AS v`)
    for (const [index, row] of some.entries()) if (Number(answer?.[`c${index}`] ?? 0) > 0) found.push(row.key)
  }
  return found
}
