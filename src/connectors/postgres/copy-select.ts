// What COPY is asked for, by the format in which rows are wanted.

import type { Format } from '../../core/chunk.ts'
import type { Column } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'
import { nativeType, type PostgresColumn, selectForColumns, selectForCopy } from './column-types.ts'

type Select = (column: PostgresColumn, wanted: Column) => string

const SELECTS: Readonly<Record<Format, Select>> = {
  'pg-copy-binary': selectForCopy,
  columns: selectForColumns,
  csv: selectForCsv,
}

/** How a column is selected when the target's has the type `wanted`. */
export function selectFor(format: Format): Select {
  return SELECTS[format]
}

/** Every value of CSV but NULL stands in quotes. */
export function copyToStdout(rows: string, format: Format): string {
  return `COPY (${rows}) TO STDOUT (${format === 'csv' ? "FORMAT csv, NULL '', FORCE_QUOTE *" : 'FORMAT binary'})`
}

/** The texts that the format promises. */
function selectForCsv(column: PostgresColumn, wanted: Column): string {
  const name = identifier(column.name)
  switch (wanted.type.kind) {
    case 'boolean':
      return `${name}::boolean`
    case 'bytes':
      return `encode(${name}::bytea, 'hex')`
    case 'float':
      // Infinity is inf in other systems.
      return `replace(${name}::${nativeType(wanted.type)}::text, 'Infinity', 'inf')`
    case 'integer':
    case 'decimal':
      return column.type.kind === 'integer' || column.type.kind === 'decimal' ? name : `${name}::numeric`
    case 'date':
    case 'time':
    case 'timestamp':
      return `${name}::${nativeType(wanted.type)}`
    default:
      return `${name}::text`
  }
}
