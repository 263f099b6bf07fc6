import type { Column, Table, TableName } from '../../core/table.ts'
import type { Connection } from './database.ts'
import { dataTypeOf } from './type-rules.ts'

/** A table as the database's own catalog tells it; null where there is none. */
export async function describeTable(connection: Connection, path: string, name: TableName): Promise<Table | null> {
  const where = 'database_name = current_database() AND schema_name = ? AND table_name = ?'
  const schema = name.schema ?? 'main'
  const values = [schema, name.name]
  const [table] = await connection.rows(`SELECT estimated_size, sql FROM duckdb_tables() WHERE ${where}`, values)
  if (table === undefined) return null
  const columns = await connection.rows(
    `SELECT column_name AS name, data_type AS type, is_nullable AS nullable, column_default AS expression
FROM duckdb_columns() WHERE ${where} ORDER BY column_index`,
    values,
  )
  const [primary] = await connection.rows(
    `SELECT constraint_column_names AS names FROM duckdb_constraints() WHERE ${where} AND constraint_type = 'PRIMARY KEY'`,
    values,
  )
  const sql = table['sql'] as string
  const key = (primary?.['names'] ?? []) as readonly string[]
  return {
    name: { schema, name: name.name },
    columns: columns.map((column): Column => {
      const native = column['type'] as string
      const generated = isGenerated(sql, column['name'] as string)
      return { name: column['name'] as string, type: dataTypeOf(native), native, nullable: column['nullable'] === true, generated }
    }),
    key,
    keyGuaranteed: key.length > 0,
    identity: `duckdb:${path}:${values.join('.')}`,
    estimatedRows: Number(table['estimated_size']),
    estimatedBytes: null,
  }
}

/** The catalog has no flag for it: the default of a generated column looks like any other. */
function isGenerated(sql: string, name: string): boolean {
  const column = [name, `"${name.replaceAll('"', '""')}"`].map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
  return new RegExp(`[(,]\\s*(?:${column})\\s[^,]*?GENERATED ALWAYS AS`, 'i').test(sql)
}
