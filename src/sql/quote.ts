// Quoting as the SQL standard has it, and PostgreSQL and DuckDB with it.

import type { TableName } from '../core/table.ts'

/** The one way a name becomes SQL. NUL can't be in a name, and can't be smuggled in. */
export function identifier(name: string): string {
  return `"${name.replaceAll('\0', '').replaceAll('"', '""')}"`
}

export function tableIdentifier(name: TableName): string {
  return name.schema === null ? identifier(name.name) : `${identifier(name.schema)}.${identifier(name.name)}`
}

/** For the places that take no parameters (COPY, DDL). In PostgreSQL standard_conforming_strings is pinned on. */
export function literal(text: string): string {
  return `'${text.replaceAll('\0', '').replaceAll("'", "''")}'`
}
