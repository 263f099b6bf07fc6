// Tables as Snowflake's catalog tells them. DESCRIBE and SHOW wake no warehouse, as the views of INFORMATION_SCHEMA would.

import { LoadError } from '../../core/errors.ts'
import { type Column, printTableName, type Table, type TableName } from '../../core/table.ts'
import type { SnowflakeConfig } from './config.ts'
import { identifier, isUnreachable, literal, shownName, storedName, tableIdentifier } from './names.ts'
import type { Row, Session } from './session.ts'
import { dataTypeOf } from './type-rules.ts'

/** A column of a source. `native` is null: no other system would know its type by that name. */
export interface SnowflakeColumn extends Column {
  /** As Snowflake prints it. */
  readonly declared: string
}

/** The full name within the database of the connection. */
function fullName(config: Pick<SnowflakeConfig, 'schema'>, { schema, name }: TableName): TableName {
  return { schema: schema ?? config.schema, name }
}

/** A table or view; null where there is none. Throws `schema-conflict` for columns that could not be named. */
export async function describeTable(session: Session, config: SnowflakeConfig, name: TableName): Promise<Table | null> {
  const full = fullName(config, name)
  const rows = await orNull(session.rows(`DESCRIBE TABLE ${tableIdentifier(full)}`))
  if (rows === null) return null
  const listed = await listing(session, full)
  const columns = rows.filter((row) => (row['kind'] ?? 'COLUMN') === 'COLUMN')
  for (const column of columns) refuseUnreachable(full, column['name'] ?? '')
  const number = (field: string): number | null => (listed?.[field] == null ? null : Number(listed[field]))
  return {
    name: full,
    columns: columns.map(columnFrom),
    key: columns.filter((row) => row['primary key'] === 'Y').map((row) => shownName(row['name'] ?? '')),
    keyGuaranteed: false,
    identity: `snowflake:${config.account}:${config.database}.${full.schema}.${full.name}:${listed?.['created_on'] ?? ''}`,
    estimatedRows: number('rows'),
    estimatedBytes: number('bytes'),
  }
}

const DRIVER_TYPES: Readonly<Record<string, string>> = { text: 'VARCHAR', real: 'FLOAT' }

/** What a query answers, from the head of its result. */
export async function describeQuery(session: Session, config: SnowflakeConfig, query: string, key: readonly string[]): Promise<Table> {
  const name: TableName = { schema: null, name: 'query' }
  const columns = await session.columns(`SELECT * FROM (${query}\n) AS q LIMIT 0`)
  for (const { name: column } of columns) refuseUnreachable(name, column)
  return {
    name,
    columns: columns.map(({ name: column, type, precision, scale, nullable }): Column => {
      const plain = DRIVER_TYPES[type.toLowerCase()] ?? type.toUpperCase()
      const native = plain === 'FIXED' ? `NUMBER(${precision ?? 38},${scale ?? 0})` : plain
      return { name: shownName(column), type: dataTypeOf(native), native, nullable }
    }),
    key,
    keyGuaranteed: false,
    identity: `snowflake:${config.account}:${config.database}:query`,
    estimatedRows: null,
    estimatedBytes: null,
  }
}

function columnFrom(row: Row): Column {
  const native = row['type'] ?? ''
  return {
    name: shownName(row['name'] ?? ''),
    type: dataTypeOf(native),
    native,
    nullable: row['null?'] !== 'N',
    generated: row['expression'] != null && row['expression'] !== '',
  }
}

function refuseUnreachable(table: TableName, stored: string): void {
  if (!isUnreachable(stored)) return
  throw new LoadError(
    'schema-conflict',
    `Column "${stored}" of table ${printTableName(table)} was made in small letters and quotes, where tidemark writes and reads ${storedName(stored)}.`,
    { hint: `ALTER TABLE ${tableIdentifier(table)} RENAME COLUMN "${stored}" TO ${storedName(stored)};` },
  )
}

/** What SHOW TABLES knows of it; null for a view. */
export async function listing(session: Session, { schema, name }: TableName): Promise<Row | null> {
  const like = literal(storedName(name).replaceAll(/[\\%_]/g, '\\$&'))
  const rows = await orNull(session.rows(`SHOW TABLES LIKE ${like} IN SCHEMA ${identifier(schema ?? '')}`))
  return rows?.find((row) => row['name'] === storedName(name)) ?? null
}

export async function schemaExists(session: Session, schema: string): Promise<boolean> {
  const rows = await session.rows(`SHOW SCHEMAS LIKE ${literal(storedName(schema).replaceAll(/[\\%_]/g, '\\$&'))}`)
  return rows.some((row) => row['name'] === storedName(schema))
}

/** What isn't there, or may not be seen, is null. */
async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (thrown) {
    if (thrown instanceof LoadError && thrown.code === 'missing-table') return null
    throw thrown
  }
}
