// What a column can be partitioned by, and how its values are spelled.

import { LoadError } from '../../core/errors.ts'
import type { PartitionBy } from '../../core/partition.ts'
import { printSource, type TablePipeline } from '../../core/pipeline.ts'
import { columnNamed } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'
import type { PostgresColumn } from './column-types.ts'
import type { PostgresTable } from './describe.ts'

export interface PartitionColumn {
  readonly name: string
  /** Quoted. */
  readonly column: string
  /** As the source declares it: what a given value is cast to. */
  readonly declared: string
  readonly family: 'instant' | 'local-time' | 'date' | 'number' | 'value'
  readonly nullable: boolean
  /** Leads a btree index. */
  readonly indexed: boolean
}

const LOOSE = 'its collation takes different texts for equal, which the target would tell apart.'

/** Throws `unusable-partition`. */
export function partitionColumn(pipeline: TablePipeline, by: PartitionBy, table: PostgresTable): PartitionColumn {
  const column = columnNamed(table, by.column) as PostgresColumn | undefined
  if (column === undefined) throw new LoadError('missing-column', `${printSource(pipeline)} has no column "${by.column}".`)
  const family = familyOf(column)
  const wrong = column.loose === true && by.kind === 'list' ? LOOSE : whyUnusable(by, column, family)
  if (wrong !== null)
    throw new LoadError('unusable-partition', `Column "${column.name}" of ${printSource(pipeline)} is ${column.declared}: ${wrong}`)
  return {
    name: column.name,
    column: identifier(column.name),
    declared: column.declared,
    family: family as PartitionColumn['family'],
    nullable: column.nullable,
    indexed: table.indexed.includes(column.name),
  }
}

function familyOf({ type, declared }: PostgresColumn): PartitionColumn['family'] | null {
  if (type.kind === 'timestamp') return type.zoned ? 'instant' : 'local-time'
  if (type.kind === 'date') return 'date'
  if (type.kind === 'integer' || type.kind === 'decimal' || /^numeric\b/.test(declared)) return 'number'
  return type.kind === 'text' || type.kind === 'boolean' || type.kind === 'uuid' ? 'value' : null
}

function whyUnusable(by: PartitionBy, { type, declared }: PostgresColumn, family: PartitionColumn['family'] | null): string | null {
  const isTime = family === 'instant' || family === 'local-time' || family === 'date'
  switch (by.kind) {
    case 'time':
      if (!isTime) return `it can't be cut into units of time, only a timestamp or date can.`
      return family === 'date' && by.unit === 'hour' ? 'a date has no hours.' : null
    case 'range':
    case 'rows':
      return family === 'number' ? null : 'only integers and decimals can be cut into ranges of numbers.'
    case 'list':
      if (family === null || family === 'instant' || family === 'local-time' || type.kind === 'decimal')
        return 'its values are too many, or not exact enough, for a partition each.'
      return padded(declared)
    case 'hash':
      if (type.kind !== 'integer' && type.kind !== 'uuid' && type.kind !== 'date' && type.kind !== 'text')
        return 'only integers, texts, dates and uuids hash alike in every database.'
      return padded(declared)
  }
}

/** character(n) is padded in one database and not in the other. */
function padded(declared: string): string | null {
  return /^character\(/.test(declared) || declared === 'character' ? 'values of a fixed length differ from one database to the next.' : null
}
