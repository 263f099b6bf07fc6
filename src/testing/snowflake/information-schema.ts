// INFORMATION_SCHEMA, written into the query as the rows that it would have now.

import { type Catalog, type ObjectName, printPath, type Table } from './catalog.ts'
import { catalogName } from './data-types.ts'
import { literal, quote } from './identifiers.ts'
import { doesNotExist } from './snowflake-error.ts'
import { type Store, visible } from './store.ts'
import { writeTime } from './time-formats.ts'

const text = (value: string | null) => (value === null ? 'NULL::VARCHAR' : literal(value))
const number = (value: number | null | undefined) =>
  value === null || value === undefined ? 'NULL::DECIMAL(9,0)' : `${value}::DECIMAL(9,0)`
const moment = (value: number) => `TIMESTAMPTZ '${writeTime(value)}+00'`

/** Rows of SQL expressions by column; with no rows a query that has the columns all the same. */
function relation(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const names = columns.map(quote).join(', ')
  if (rows.length === 0) return `(SELECT ${columns.map((column) => `NULL::VARCHAR AS ${quote(column)}`).join(', ')} WHERE false)`
  return `(SELECT * FROM (VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}) AS i(${names}))`
}

const COLUMNS =
  'TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION COLUMN_DEFAULT IS_NULLABLE DATA_TYPE CHARACTER_MAXIMUM_LENGTH CHARACTER_OCTET_LENGTH NUMERIC_PRECISION NUMERIC_PRECISION_RADIX NUMERIC_SCALE DATETIME_PRECISION IS_IDENTITY COMMENT'.split(
    ' ',
  )
const TABLES =
  'TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_OWNER TABLE_TYPE IS_TRANSIENT IS_TEMPORARY CLUSTERING_KEY ROW_COUNT BYTES RETENTION_TIME CREATED LAST_ALTERED COMMENT'.split(
    ' ',
  )

function columnRows({ path, columns }: Table): string[][] {
  return columns.map(({ name, type, nullable, default: otherwise }, index) => {
    const isTime = type.name.startsWith('TIME') || type.name === 'DATE'
    const { precision, scale } = type.name === 'NUMBER' ? type : {}
    return [
      ...[path.database, path.schema, path.name, name].map(text),
      number(index + 1),
      text(otherwise),
      text(nullable ? 'YES' : 'NO'),
      text(catalogName(type)),
      number(type.name === 'VARCHAR' ? type.length : null),
      number(type.length === undefined ? null : type.name === 'VARCHAR' ? Math.min(type.length * 4, 16_777_216) : type.length),
      number(precision),
      number(precision === undefined ? null : 10),
      number(scale),
      number(isTime ? (type.precision ?? null) : null),
      text('NO'),
      text(null),
    ]
  })
}

function tableRow({ path, kind, id, retentionDays, createdAt, comment }: Table, version: number): string[] {
  const type = kind === 'TEMPORARY' ? 'LOCAL TEMPORARY' : 'BASE TABLE'
  return [
    ...[
      path.database,
      path.schema,
      path.name,
      'SYSADMIN',
      type,
      kind === 'TRANSIENT' ? 'YES' : 'NO',
      kind === 'TEMPORARY' ? 'YES' : 'NO',
    ].map(text),
    text(null),
    `(SELECT count(*) FROM v.t${id} WHERE ${visible(version, null)})`,
    `0::DECIMAL(9,0)`,
    text(String(retentionDays)),
    moment(createdAt),
    moment(createdAt),
    text(comment === '' ? null : comment),
  ]
}

export function informationSchema(
  { catalog, store }: { readonly catalog: Catalog; readonly store: Store },
  path: ObjectName,
  session: number,
): string {
  const schemas = [...catalog.schemasOf(path.database)]
  const tables = catalog.tables().filter((table) => table.path.database === path.database && (table.session ?? session) === session)
  if (path.name === 'COLUMNS') return relation(COLUMNS, tables.flatMap(columnRows))
  if (path.name === 'TABLES')
    return relation(
      TABLES,
      tables.map((table) => tableRow(table, store.version)),
    )
  if (path.name === 'SCHEMATA')
    return relation(
      ['CATALOG_NAME', 'SCHEMA_NAME'],
      schemas.map((schema) => [text(path.database), text(schema)]),
    )
  throw doesNotExist('Object', printPath(path))
}
