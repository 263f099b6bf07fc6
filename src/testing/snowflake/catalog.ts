// Databases, schemas, tables and streams by name. A table keeps its number for life: what was made anew under the same name is another table,
// and a stream stays with the one that it was made on.

import type { DataType } from './data-types.ts'
import { printed } from './identifiers.ts'
import { alreadyExists, doesNotExist } from './snowflake-error.ts'

export interface Column {
  readonly id: number
  name: string
  type: DataType
  nullable: boolean
  /** As it stood in the statement. */
  default: string | null
}

export interface ObjectName {
  readonly database: string
  readonly schema: string
  readonly name: string
}

export interface Table {
  readonly id: number
  path: ObjectName
  readonly kind: 'TABLE' | 'TRANSIENT' | 'TEMPORARY'
  /** The session that a temporary table lives in. */
  readonly session: number | null
  columns: Column[]
  primaryKey: readonly string[]
  readonly createdAt: number
  /** Since which commit changes are tracked; null: they are not. */
  trackedSince: number | null
  retentionDays: number
  extensionDays: number
  comment: string
  nextColumn: number
  /** Gone from the catalog; how tells what is said of its streams. */
  dropped: boolean
  /** The last commit that changed it. */
  lastChange: number
  /** Files that COPY INTO has loaded, by path and content. */
  readonly loaded: Set<string>
}

export interface Stream {
  readonly path: ObjectName
  readonly table: Table
  readonly mode: 'DEFAULT' | 'APPEND_ONLY'
  readonly createdAt: number
  comment: string
  /** The commit after which its changes begin. */
  offset: number
  /** When it was made or consumed last. */
  movedAt: number
  /** Until the first consumption it shows the rows that were there at its creation. */
  initial: boolean
}

export class Catalog {
  readonly #databases = new Map<string, Set<string>>()
  readonly #tables = new Map<string, Table>()
  readonly #streams = new Map<string, Stream>()
  #lastId = 0

  newId(): number {
    return ++this.#lastId
  }

  createDatabase(name: string): void {
    this.#databases.set(name, new Set(['PUBLIC', 'INFORMATION_SCHEMA']))
  }

  hasDatabase(name: string): boolean {
    return this.#databases.has(name)
  }

  schemasOf(database: string): Set<string> {
    const schemas = this.#databases.get(database)
    if (!schemas) throw doesNotExist('Database', printed(database))
    return schemas
  }

  databases(): string[] {
    return [...this.#databases.keys()]
  }

  checkSchema({ database, schema }: Omit<ObjectName, 'name'>): void {
    if (!this.schemasOf(database).has(schema)) throw doesNotExist('Schema', `${printed(database)}.${printed(schema)}`)
  }

  dropSchema(database: string, schema: string): void {
    this.schemasOf(database).delete(schema)
    const inside = ({ path }: { readonly path: ObjectName }) => path.database === database && path.schema === schema
    for (const table of this.tables().filter(inside)) this.dropTable(table)
    for (const stream of this.streams().filter(inside)) this.dropStream(stream)
  }

  tables(): Table[] {
    return [...this.#tables.values()]
  }

  streams(): Stream[] {
    return [...this.#streams.values()]
  }

  /** A temporary table of the session hides one of the same name. */
  findTable(path: ObjectName, session: number): Table | undefined {
    return this.#tables.get(`${key(path)}\0${session}`) ?? this.#tables.get(key(path))
  }

  findStream(path: ObjectName): Stream | undefined {
    return this.#streams.get(key(path))
  }

  addTable(table: Table): void {
    this.checkSchema(table.path)
    const place = placeOf(table)
    if (this.#tables.has(place) || this.#streams.has(place)) throw alreadyExists(printPath(table.path))
    this.#tables.set(place, table)
  }

  dropTable(table: Table): void {
    this.#tables.delete(placeOf(table))
    table.dropped = true
  }

  renameTable(table: Table, path: ObjectName): void {
    const renamed = { ...table, path }
    if (this.#tables.has(placeOf(renamed))) throw alreadyExists(printPath(path))
    this.checkSchema(path)
    this.#tables.delete(placeOf(table))
    table.path = path
    this.#tables.set(placeOf(table), table)
  }

  addStream(stream: Stream): void {
    this.checkSchema(stream.path)
    if (this.#streams.has(key(stream.path)) || this.#tables.has(key(stream.path))) throw alreadyExists(printPath(stream.path))
    this.#streams.set(key(stream.path), stream)
  }

  dropStream(stream: Stream): void {
    this.#streams.delete(key(stream.path))
  }

  /** Drops the session's temporary tables, and returns them. */
  endSession(session: number): Table[] {
    const own = this.tables().filter((table) => table.session === session)
    for (const table of own) this.dropTable(table)
    return own
  }
}

const key = ({ database, schema, name }: ObjectName) => `${database}\0${schema}\0${name}`
const placeOf = (table: Pick<Table, 'path' | 'session'>) =>
  table.session === null ? key(table.path) : `${key(table.path)}\0${table.session}`

export function printPath({ database, schema, name }: ObjectName): string {
  return [database, schema, name].map(printed).join('.')
}
