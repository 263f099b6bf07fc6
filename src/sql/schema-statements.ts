// DDL that brings a target table into the shape that a load needs.

import type { SchemaChange } from '../core/schema-change.ts'
import type { Column, Table } from '../core/table.ts'
import type { Dialect } from './dialect.ts'

export function schemaStatements(dialect: Dialect, change: SchemaChange): readonly string[] {
  if (change.kind === 'create-table') return createTable(dialect, change.table)
  const table = dialect.table(change.table)
  const name = dialect.identifier(change.column.name)
  if (change.kind === 'widen-column') return [`ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${typeOf(change.column)}`]
  const { backfill } = change.column
  if (backfill === null || backfill === undefined) return [`ALTER TABLE ${table} ADD COLUMN ${name} ${typeOf(change.column)}`]
  // The source's older rows show this value without having been changed; the target's do the same, and new rows bring theirs.
  return [
    `ALTER TABLE ${table} ADD COLUMN ${name} ${typeOf(change.column)} DEFAULT ${dialect.literal(backfill)}`,
    `ALTER TABLE ${table} ALTER COLUMN ${name} DROP DEFAULT`,
  ]
}

function createTable(dialect: Dialect, table: Table): readonly string[] {
  const columns = table.columns.map((column) => `${dialect.identifier(column.name)} ${typeOf(column)}`)
  return [
    ...(table.name.schema === null ? [] : [`CREATE SCHEMA IF NOT EXISTS ${dialect.identifier(table.name.schema)}`]),
    `CREATE TABLE ${dialect.table(table.name)} (${columns.join(', ')})`,
  ]
}

function typeOf(column: Column): string {
  return column.native ?? 'text'
}
