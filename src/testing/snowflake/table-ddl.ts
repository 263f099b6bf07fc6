// CREATE, ALTER and DROP of tables. Each commits the open transaction first. What is made anew under an old name is another table, and leaves
// the streams of the old one without their source.

import type { Column, ObjectName, Table } from './catalog.ts'
import { type DataType, duckType, LONGEST_TEXT, parseType, printType, type WireColumn, wireType } from './data-types.ts'
import { change, columnNamed, targetOf } from './dml.ts'
import { literal } from './identifiers.ts'
import { type StatementResult, status, TYPE_IDS } from './results.ts'
import { defaultOf, insertRows } from './row-writer.ts'
import { SnowflakeError, unknown } from './snowflake-error.ts'
import { cursorOf, Reader, type Statement } from './statement.ts'
import { splitAtCommas, TokenCursor } from './token-cursor.ts'
import type { Token } from './tokenizer.ts'

const done = (text: string) => status(text, TYPE_IDS.ddl)

/** DDL ends the open transaction, with a commit. */
export async function commitBefore({ session, machine }: Statement): Promise<void> {
  if (session.transaction) await machine.transactions.commit(session.transaction)
}

interface TableOptions {
  retentionDays?: number
  extensionDays?: number
  tracking?: boolean
  comment?: string
}

interface Definition {
  readonly columns: Column[]
  readonly primaryKey: string[]
}

export async function createTable(
  statement: Statement,
  cursor: TokenCursor,
  replace: boolean,
  kind: Table['kind'],
): Promise<StatementResult> {
  const { machine, session } = statement
  const unlessThere = cursor.accept('IF', 'NOT', 'EXISTS')
  const path = session.path(cursor.qualifiedName())
  await commitBefore(statement)
  const old = machine.catalog.findTable(path, session.id)
  if (old && unlessThere) return done(`${path.name} already exists, statement succeeded.`)
  machine.faults.checkSchemaGrant(path, 'CREATE TABLE')
  if (cursor.accept('LIKE')) {
    const model = targetOf(statement, cursor.qualifiedName())
    const columns = model.columns.map((column) => ({ ...column }))
    return add(statement, makeTable(statement, path, kind, { columns, primaryKey: [...model.primaryKey] }, {}), old, replace)
  }
  const list = cursor.is('(') ? splitAtCommas(cursor.parenthesised()) : []
  const options = readOptions(cursor)
  if (cursor.accept('AS')) return createAs(statement, path, kind, list, options, cursor.rest(), old, replace)
  cursor.expectEnd()
  if (list.length === 0) throw unknown('CREATE TABLE without columns')
  return add(statement, makeTable(statement, path, kind, readDefinition(list), options), old, replace)
}

function makeTable(
  { machine, session, startedAt }: Statement,
  path: ObjectName,
  kind: Table['kind'],
  definition: Definition,
  options: TableOptions,
): Table {
  const names = definition.columns.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new SnowflakeError('002025', '42S21', `SQL compilation error:\nduplicate column name '${twice}'`)
  machine.catalog.checkSchema(path)
  return {
    id: machine.catalog.newId(),
    path,
    kind,
    session: kind === 'TEMPORARY' ? session.id : null,
    columns: definition.columns,
    primaryKey: definition.primaryKey,
    createdAt: startedAt,
    trackedSince: options.tracking ? machine.store.version : null,
    retentionDays: options.retentionDays ?? 1,
    extensionDays: options.extensionDays ?? 14,
    comment: options.comment ?? '',
    nextColumn: Math.max(0, ...definition.columns.map(({ id }) => id)) + 1,
    dropped: false,
    lastChange: 0,
    loaded: new Set(),
  }
}

async function makeStorage({ machine }: Statement, { id, columns }: Table): Promise<void> {
  const own = columns.map((column) => `c${column.id} ${duckType(column.type)}`)
  await machine.store.run(`CREATE TABLE v.t${id} ("row" BIGINT, "from" BIGINT, "to" BIGINT, "inserted" BOOLEAN, ${own.join(', ')})`)
}

async function add(statement: Statement, table: Table, old: Table | undefined, replace: boolean): Promise<StatementResult> {
  const { machine } = statement
  await machine.store.exclusive(() => makeStorage(statement, table))
  await put(statement, table, old, replace)
  return done(`Table ${table.path.name} successfully created.`)
}

/** The rows of a table that is gone serve nobody but a transaction that has written some. */
async function forget({ machine }: Statement, table: Table): Promise<void> {
  if (machine.transactions.open().some(({ touched }) => touched.has(table))) return
  await machine.store.exclusive(() => machine.store.run(`DROP TABLE v.t${table.id}`))
}

async function put(statement: Statement, table: Table, old: Table | undefined, replace: boolean): Promise<void> {
  const { catalog } = statement.machine
  const replaced = old && replace && old.session === table.session ? old : null
  if (replaced) catalog.dropTable(replaced)
  catalog.addTable(table)
  if (replaced) await forget(statement, replaced)
}

/** CREATE TABLE … AS SELECT: a statement that also consumes the streams that it reads. */
async function createAs(
  statement: Statement,
  path: ObjectName,
  kind: Table['kind'],
  list: readonly Token[][],
  options: TableOptions,
  query: readonly Token[],
  old: Table | undefined,
  replace: boolean,
): Promise<StatementResult> {
  const { machine } = statement
  const described = await machine.store.exclusive(() => machine.store.describe(new Reader(statement, null).rewriter.query(query)))
  const found = described.map(({ name, type }, index) => ({
    id: index + 1,
    name,
    type: typeOf({ name, nullable: true, ...wireType(type).column }),
    nullable: true,
    default: null,
  }))
  const typed = list.length > 0 && list[0]!.length > 1
  const columns = typed
    ? readDefinition(list).columns
    : list.length > 0
      ? found.map((column, index) => ({ ...column, name: list[index]![0]!.text }))
      : found
  const table = makeTable(statement, path, kind, { columns, primaryKey: [] }, options)
  await machine.store.exclusive(() => makeStorage(statement, table))
  await change(statement, {
    table,
    privileges: [],
    locks: false,
    look: (reader) => reader.rewriter.query(query),
    apply: async (into) => {
      await insertRows(into, table.columns, into.reader.rewriter.query(query))
      return status()
    },
  })
  await put(statement, table, old, replace)
  return done(`Table ${path.name} successfully created.`)
}

/** The type of a result's column, as a table would have it. */
function typeOf({ type, precision, scale }: WireColumn): DataType {
  if (type === 'fixed') return { name: 'NUMBER', precision: precision!, scale: scale! }
  if (type === 'text') return { name: 'VARCHAR', length: LONGEST_TEXT }
  if (type === 'real') return { name: 'FLOAT' }
  if (type === 'binary') return { name: 'BINARY', length: 8_388_608 }
  if (type.startsWith('time')) return { name: type.toUpperCase() as DataType['name'], precision: 9 }
  return { name: type.toUpperCase() as DataType['name'] }
}

function readDefinition(list: readonly Token[][]): Definition {
  const columns: Column[] = []
  const primaryKey: string[] = []
  for (const tokens of list) {
    const cursor = new TokenCursor(tokens)
    if (cursor.accept('CONSTRAINT')) cursor.name()
    if (cursor.accept('PRIMARY', 'KEY'))
      primaryKey.push(
        ...cursor
          .parenthesised()
          .filter(({ text }) => text !== ',')
          .map(({ text }) => text),
      )
    else if (cursor.is('UNIQUE', '(') || cursor.is('FOREIGN', 'KEY')) cursor.rest()
    else columns.push(readColumn(cursor, columns.length + 1, primaryKey))
  }
  for (const column of columns) if (primaryKey.includes(column.name)) column.nullable = false
  return { columns, primaryKey }
}

function readColumn(cursor: TokenCursor, id: number, primaryKey: string[]): Column {
  const name = cursor.name()
  const type = parseType(cursor)
  let nullable = true
  let otherwise: string | null = null
  while (!cursor.done) {
    if (cursor.accept('NOT', 'NULL')) nullable = false
    else if (cursor.accept('PRIMARY', 'KEY')) primaryKey.push(name)
    else if (cursor.accept('COMMENT')) cursor.string()
    else if (cursor.accept('COLLATE')) throw unknown('COLLATE')
    else if (cursor.accept('DEFAULT')) otherwise = printTokens(cursor.until('NOT', 'NULL', 'PRIMARY', 'COMMENT', 'UNIQUE'))
    else if (!cursor.accept('NULL') && !cursor.accept('UNIQUE')) throw unknown(`${cursor.peek()!.text} at a column`)
  }
  return { id, name, type, nullable, default: otherwise }
}

/** Tokens as text again, for a default that is read anew with each row. */
function printTokens(tokens: readonly Token[]): string {
  // A NULL right after DEFAULT is the default itself.
  if (tokens.length === 0) return 'NULL'
  return tokens
    .map(({ kind, text }) => (kind === 'string' ? literal(text.replaceAll('\\', '\\\\')) : kind === 'quoted' ? `"${text}"` : text))
    .join(' ')
}

function readOptions(cursor: TokenCursor): TableOptions {
  const options: TableOptions = {}
  while (!cursor.done && !cursor.is('AS')) {
    if (cursor.accept('DATA_RETENTION_TIME_IN_DAYS', '=')) options.retentionDays = cursor.number()
    else if (cursor.accept('MAX_DATA_EXTENSION_TIME_IN_DAYS', '=')) options.extensionDays = cursor.number()
    else if (cursor.accept('CHANGE_TRACKING', '=')) options.tracking = cursor.boolean()
    else if (cursor.accept('COMMENT', '=')) options.comment = cursor.string()
    else if (cursor.accept('CLUSTER', 'BY')) cursor.parenthesised()
    else throw unknown(`${cursor.peek()!.text} at a table`)
  }
  return options
}

export async function dropTable(statement: Statement, cursor: TokenCursor): Promise<StatementResult> {
  const { machine, session } = statement
  const ifThere = cursor.accept('IF', 'EXISTS')
  const name = cursor.qualifiedName()
  if (!cursor.accept('CASCADE')) cursor.accept('RESTRICT')
  cursor.expectEnd()
  await commitBefore(statement)
  const path = session.path(name)
  if (ifThere && !machine.catalog.findTable(path, session.id)) {
    return done('Drop statement executed successfully (object already dropped).'.replace('object', path.name))
  }
  const table = targetOf(statement, name)
  machine.catalog.dropTable(table)
  await forget(statement, table)
  return done(`${path.name} successfully dropped.`)
}

export async function alterTable(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('ALTER', 'TABLE')
  const { machine, session } = statement
  const ifThere = cursor.accept('IF', 'EXISTS')
  const name = cursor.qualifiedName()
  await commitBefore(statement)
  if (ifThere && !machine.catalog.findTable(session.path(name), session.id)) return done('Statement executed successfully.')
  const table = targetOf(statement, name)
  machine.faults.checkGrant(table.path, 'OWNERSHIP')
  await machine.store.exclusive(() => machine.store.atomic(() => alter(statement, table, cursor)))
  return done('Statement executed successfully.')
}

async function alter(statement: Statement, table: Table, cursor: TokenCursor): Promise<void> {
  const { machine, session } = statement
  if (cursor.accept('RENAME', 'TO')) machine.catalog.renameTable(table, session.path(cursor.qualifiedName()))
  else if (cursor.accept('RENAME', 'COLUMN')) {
    const column = columnNamed(table, cursor.name())
    cursor.expect('TO')
    column.name = cursor.name()
  } else if (cursor.accept('ADD', 'PRIMARY', 'KEY')) {
    table.primaryKey = cursor
      .parenthesised()
      .filter(({ text }) => text !== ',')
      .map(({ text }) => text)
  } else if (cursor.accept('ADD')) await addColumns(statement, table, cursor)
  else if (cursor.accept('DROP')) dropColumns(table, cursor)
  else if (cursor.accept('ALTER') || cursor.accept('MODIFY')) await alterColumns(statement, table, cursor)
  else if (cursor.accept('SET')) setOptions(statement, table, cursor)
  else throw unknown(`ALTER TABLE … ${cursor.peek()?.text ?? ''}`)
  cursor.expectEnd()
}

async function addColumns(statement: Statement, table: Table, cursor: TokenCursor): Promise<void> {
  cursor.accept('COLUMN')
  const ifNew = cursor.accept('IF', 'NOT', 'EXISTS')
  for (const tokens of splitAtCommas(cursor.rest())) {
    const one = new TokenCursor(tokens)
    one.accept('COLUMN')
    const column = readColumn(one, table.nextColumn, [])
    if (table.columns.some(({ name }) => name === column.name)) {
      if (ifNew) continue
      throw new SnowflakeError('001430', '42601', `SQL compilation error:\ncolumn '${column.name}' already exists`)
    }
    table.nextColumn++
    const value = defaultOf(column, new Reader(statement, null))
    await statement.machine.store.run(`ALTER TABLE v.t${table.id} ADD COLUMN c${column.id} ${duckType(column.type)} DEFAULT ${value}`)
    table.columns = [...table.columns, column]
  }
}

function dropColumns(table: Table, cursor: TokenCursor): void {
  cursor.accept('COLUMN')
  const ifThere = cursor.accept('IF', 'EXISTS')
  for (const [token] of splitAtCommas(cursor.rest())) {
    if (ifThere && !table.columns.some(({ name }) => name === token!.text)) continue
    const column = columnNamed(table, token!.text)
    table.columns = table.columns.filter((one) => one !== column)
  }
}

async function alterColumns(statement: Statement, table: Table, cursor: TokenCursor): Promise<void> {
  const rest = cursor.is('(') ? cursor.parenthesised() : cursor.rest()
  for (const tokens of splitAtCommas(rest)) {
    const one = new TokenCursor(tokens)
    one.accept('COLUMN')
    const column = columnNamed(table, one.name())
    if (one.accept('DROP', 'DEFAULT')) column.default = null
    else if (one.accept('DROP', 'NOT', 'NULL')) column.nullable = true
    else if (one.accept('SET', 'NOT', 'NULL') || one.accept('NOT', 'NULL')) await refuseNulls(statement, table, column)
    else if (one.accept('COMMENT')) one.string()
    else {
      if (!one.accept('SET', 'DATA', 'TYPE')) one.accept('TYPE')
      const type = parseType(one)
      if (!widens(column.type, type)) {
        const text = `SQL compilation error:\ncannot change column ${column.name} from type ${printType(column.type)} to ${printType(type)}`
        throw new SnowflakeError('002108', '22000', text)
      }
      await statement.machine.store.run(`ALTER TABLE v.t${table.id} ALTER c${column.id} TYPE ${duckType(type)}`)
      column.type = type
    }
    one.expectEnd()
  }
}

function widens(from: DataType, to: DataType): boolean {
  if (from.name !== to.name) return false
  if (from.name === 'NUMBER') return to.scale === from.scale && to.precision! >= from.precision!
  if (from.name === 'VARCHAR') return to.length! >= from.length!
  return printType(from) === printType(to)
}

async function refuseNulls({ machine }: Statement, table: Table, column: Column): Promise<void> {
  const [found] = await machine.store.rows(`SELECT 1 FROM v.t${table.id} WHERE c${column.id} IS NULL AND "to" IS NULL LIMIT 1`)
  if (found)
    throw new SnowflakeError(
      '002201',
      '22000',
      `SQL compilation error:\ncolumn ${column.name} contains null values. Not null constraint cannot be added.`,
    )
  column.nullable = false
}

function setOptions({ machine }: Statement, table: Table, cursor: TokenCursor): void {
  const options = readOptions(cursor)
  if (options.retentionDays !== undefined) table.retentionDays = options.retentionDays
  if (options.extensionDays !== undefined) table.extensionDays = options.extensionDays
  if (options.comment !== undefined) table.comment = options.comment
  if (options.tracking === true) table.trackedSince ??= machine.store.version
  if (options.tracking === false) table.trackedSince = null
}
