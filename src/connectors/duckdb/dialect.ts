import type { SchemaChange } from '../../core/schema-change.ts'
import type { Column, Table, TableName } from '../../core/table.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { identifier, literal } from '../../sql/quote.ts'
import { schemaStatements as plainStatements } from '../../sql/schema-statements.ts'

/** A table's full name; `main` where no schema is given, so that a temporary table never hides it. */
export function tableIdentifier(name: TableName): string {
  return `${identifier(name.schema ?? 'main')}.${identifier(name.name)}`
}

function row(alias: string, columns: readonly Column[]): string {
  return `ROW(${columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ')})`
}

/** `=` takes a month for 30 days, times in different zones for one, and −0 for 0. */
function columnDiffers(a: string, b: string, { name, type }: Column): string {
  const left = `${a}.${identifier(name)}`
  const right = `${b}.${identifier(name)}`
  if (type.kind === 'interval' || (type.kind === 'time' && type.zoned))
    return `CAST(${left} AS VARCHAR) IS DISTINCT FROM CAST(${right} AS VARCHAR)`
  const plain = `${left} IS DISTINCT FROM ${right}`
  return type.kind === 'float' ? `${plain} OR (${left} = 0 AND signbit(${left}) <> signbit(${right}))` : plain
}

export const DUCKDB: Dialect = {
  name: 'duckdb',
  identifier,
  table: tableIdentifier,
  literal,
  rowId: 'rowid',
  differ: (a, b, columns) => `(${columns.map((column) => columnDiffers(a, b, column)).join(' OR ')})`,
  content: row,
  hashes: (alias, columns) => [`hash(${row(alias, columns)})`, `md5_number_lower(CAST(${row(alias, columns)} AS VARCHAR))`],
  bucket: (expression, of) => `CAST('0x' || substr(md5(CAST(${expression} AS VARCHAR)), 1, 8) AS BIGINT) % ${of}`,
  overriding: '',
}

/** A schema change as statements; the schema itself is made before. */
export function schemaStatements(change: SchemaChange): readonly string[] {
  if (change.kind === 'create-table') return [createTable(change.table)]
  if (change.kind === 'add-column' && change.column.type.kind === 'bytes') {
    // PostgreSQL writes \xdead, DuckDB \xde\xad.
    const backfill = change.column.backfill?.replace(/^\\x/, '').replaceAll(/../g, '\\x$&') ?? null
    return plainStatements(DUCKDB, { ...change, column: { ...change.column, backfill } })
  }
  return plainStatements(DUCKDB, change)
}

// No PRIMARY KEY: DuckDB keeps one as an ART index, which slows every load and helps no merge, which is a hash join.
function createTable(table: Table): string {
  const columns = table.columns.map(
    (column) => `${identifier(column.name)} ${column.native}${table.key.includes(column.name) ? ' NOT NULL' : ''}`,
  )
  return `CREATE TABLE ${tableIdentifier(table.name)} (${columns.join(', ')})`
}
