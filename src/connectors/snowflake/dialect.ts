import type { SchemaChange } from '../../core/schema-change.ts'
import type { Column, Table } from '../../core/table.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { schemaStatements as plainStatements } from '../../sql/schema-statements.ts'
import { identifier, literal, tableIdentifier } from './names.ts'

/** A number's format. */
const HEX_DIGITS = 'X'.repeat(8)

function list(alias: string, columns: readonly Column[]): string {
  return columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ')
}

export const SNOWFLAKE: Dialect = {
  name: 'snowflake',
  identifier,
  table: tableIdentifier,
  literal,
  /** It has none; nothing here is told apart but by its key. */
  rowId: 'NULL',
  differ: (a, b, columns) =>
    `(${columns.map(({ name }) => `${a}.${identifier(name)} IS DISTINCT FROM ${b}.${identifier(name)}`).join(' OR ')})`,
  content: list,
  hashes: (alias, columns) => [`HASH(${list(alias, columns)})`, `HASH('tidemark', ${list(alias, columns)})`],
  bucket: (expression, of) => `MOD(TO_NUMBER(SUBSTR(MD5(CAST(${expression} AS VARCHAR)), 1, 8), '${HEX_DIGITS}'), ${of})`,
  overriding: '',
}

/** A schema change as statements. Each commits by itself, and what was open: they come before a transaction. */
export function schemaStatements(change: SchemaChange): readonly string[] {
  if (change.kind === 'create-table') return [createTable(change.table)]
  if (change.kind === 'add-column') {
    const { table, column } = change
    const backfill = column.backfill ?? null
    // The default stays: one that came with its column can't be dropped, and what is loaded always brings a value.
    const value = backfill === null ? '' : ` DEFAULT ${constant(column, backfill)}`
    return [`ALTER TABLE ${tableIdentifier(table)} ADD COLUMN ${identifier(column.name)} ${column.native}${value}`]
  }
  return plainStatements(SNOWFLAKE, change)
}

/** The key is not enforced; it tells people and other programs what it is. That it is never NULL is enforced. */
function createTable({ name, columns, key }: Table): string {
  const lines = columns.map((column) => `${identifier(column.name)} ${column.native}${key.includes(column.name) ? ' NOT NULL' : ''}`)
  const primary = key.length === 0 ? [] : [`PRIMARY KEY (${key.map(identifier).join(', ')})`]
  return `CREATE TABLE ${tableIdentifier(name)} (${[...lines, ...primary].join(', ')})`
}

/** A value as PostgreSQL prints it, as a constant of the column's type: a default takes no other. */
function constant({ type, native }: Column, text: string): string {
  switch (type.kind) {
    case 'boolean':
      return /^t/i.test(text) ? 'TRUE' : 'FALSE'
    case 'decimal':
      return /^-?\d+(\.\d+)?$/.test(text) ? text : `${literal(text)}::${native}`
    case 'bytes':
      return `TO_BINARY(${literal(text.replace(/^\\x/, ''))}, 'HEX')`
    case 'text':
      return literal(text)
    default:
      return `${literal(text)}::${native}`
  }
}
