import type { DataType } from './data-type.ts'

/** `schema` null means the connection's default schema. Names are raw: quoting is the dialect's. */
export interface TableName {
  readonly schema: string | null
  readonly name: string
}

export interface Column {
  readonly name: string
  readonly type: DataType
  /** The type in the words of its own system, as a fresh database of that system accepts it; null where there is none. */
  readonly native: string | null
  readonly nullable: boolean
  /** The text of the value that rows older than the column have, where its database remembers one. */
  readonly backfill?: string | null
  /** Computed by its database: never written. */
  readonly generated?: boolean
}

export interface Table {
  readonly name: TableName
  readonly columns: readonly Column[]
  /** Columns that identify a row; empty where nothing does. */
  readonly key: readonly string[]
  /** The database itself guarantees that `key` is unique and never NULL. */
  readonly keyGuaranteed: boolean
  /** What makes this very table itself: server, database and object. A table made again differs. */
  readonly identity: string
  /** From statistics, null where there are none. */
  readonly estimatedRows: number | null
  readonly estimatedBytes: number | null
}

/** Reads `schema.table` as SQL does; parts with odd characters stand in double quotes. Null when it can't be read. */
export function parseTableName(text: string): TableName | null {
  const parts: string[] = []
  const part = /\s*(?:"((?:[^"]|"")+)"|([^".\s][^".]*?))\s*(\.|$)/y
  let end = '.'
  while (end === '.') {
    const match = part.exec(text)
    if (match === null) return null
    parts.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'))
    end = match[3] ?? ''
  }
  if (part.lastIndex !== text.length && part.lastIndex !== 0) return null
  const [first, second] = parts
  if (first === undefined || parts.length > 2) return null
  return second === undefined ? { schema: null, name: first } : { schema: first, name: second }
}

/** The name as a person writes it in the project file. */
export function printTableName(name: TableName): string {
  return name.schema === null ? printPart(name.name) : `${printPart(name.schema)}.${printPart(name.name)}`
}

function printPart(part: string): string {
  return /^[^".\s]+$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`
}

export function columnNamed(table: Pick<Table, 'columns'>, name: string): Column | undefined {
  return table.columns.find((column) => column.name === name)
}
