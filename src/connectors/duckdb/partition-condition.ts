// The rows of partitions as a condition on a DuckDB table. Bounds are texts: each is written in the column's own type, so that none is
// compared as text and no session's time zone moves it. A bound may lie beyond what the column can hold; it is compared all the same.

import { invariant } from '../../core/invariant.ts'
import type { Partition, PartitionBounds } from '../../core/partition.ts'
import { type Column, columnNamed, type Table } from '../../core/table.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { insidePredicate, partitionPredicate } from '../../sql/partition-predicate.ts'
import { identifier, literal } from '../../sql/quote.ts'
import { DUCKDB } from './dialect.ts'

/** True for the rows of one partition. */
export function partitionCondition(table: Pick<Table, 'columns'>, name: string, bounds: PartitionBounds): string {
  const column = partitionColumn(table, name)
  return partitionPredicate(spellingOf(column), name, reachable(column, bounds))
}

/** True for rows in any of the partitions. */
export function insideCondition(table: Pick<Table, 'columns'>, name: string, partitions: readonly Partition[]): string {
  const column = partitionColumn(table, name)
  const within = partitions.map(({ key, bounds }) => ({ key, bounds: reachable(column, bounds) }))
  return insidePredicate(spellingOf(column), name, within)
}

function partitionColumn(table: Pick<Table, 'columns'>, name: string): Column {
  const column = columnNamed(table, name)
  invariant(column !== undefined, `the target has no column "${name}"`)
  return column
}

function spellingOf(column: Column): Pick<Dialect, 'identifier' | 'literal' | 'bucket'> {
  return { identifier, literal: (text) => boundLiteral(column, text), bucket: (value, of) => DUCKDB.bucket(hashed(column, value), of) }
}

function boundLiteral({ type, native }: Column, text: string): string {
  if (INFINITE.test(text) && isNumber(type)) return `CAST('${text}' AS DOUBLE)`
  if (isNumber(type) && NUMBER.test(text)) return text
  return `CAST(${literal(text)} AS ${native ?? 'VARCHAR'})`
}

const NUMBER = /^-?\d+$/
const INFINITE = /^-?Infinity$/

function isNumber({ kind }: Column['type']): boolean {
  return kind === 'integer' || kind === 'decimal'
}

/** DuckDB can't even compare a decimal with a number of more than 38 digits, its decimal places counted in. */
function reachable({ type }: Column, bounds: PartitionBounds): PartitionBounds {
  if (type.kind !== 'decimal' || bounds.kind !== 'range') return bounds
  const room = 38 - type.scale
  const within = (text: string): string => (text.replace('-', '').length <= room ? text : text.startsWith('-') ? '-Infinity' : 'Infinity')
  return { kind: 'range', lower: within(bounds.lower), upper: within(bounds.upper) }
}

/** What is hashed is the value's text, as the source prints it. */
function hashed({ type }: Column, value: string): string {
  if (type.kind === 'date') return `replace(CAST(${value} AS VARCHAR), ' (BC)', ' BC')`
  return type.kind === 'decimal' && type.scale > 0 ? `CAST(${value} AS HUGEINT)` : value
}
