// PostgreSQL's text of a value → an expression of DuckDB's type, and back.

import type { Column } from '../../core/table.ts'

/** `as` TRY_CAST: NULL where the value does not fit. */
export function cast(text: string, { type, native }: Column, as: 'CAST' | 'TRY_CAST' = 'CAST'): string {
  switch (type.kind) {
    case 'bytes':
      return `unhex(substr(${text}, 3))`
    case 'boolean':
      return `(${text} = 't')`
    // DuckDB writes years before the first with brackets.
    case 'date':
    case 'timestamp':
      return `${as}(replace(${text}, ' BC', ' (BC)') AS ${native})`
    default:
      return native === 'VARCHAR' ? text : `${as}(${text} AS ${native})`
  }
}

export function asText(value: string, { type }: Column): string {
  switch (type.kind) {
    case 'bytes':
      return `'\\x' || lower(hex(${value}))`
    case 'boolean':
      return `CASE ${value} WHEN true THEN 't' WHEN false THEN 'f' END`
    case 'date':
    case 'timestamp':
      return `replace(CAST(${value} AS VARCHAR), ' (BC)', ' BC')`
    default:
      return `CAST(${value} AS VARCHAR)`
  }
}
