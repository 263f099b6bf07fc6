// INSERT, UPDATE, DELETE and TRUNCATE. A statement that changes rows which are there takes the table's lock first, waits for it, and then sees
// what was committed meanwhile; one that only adds rows waits for nobody.

import type { Column, Table } from './catalog.ts'
import { printPath } from './catalog.ts'
import { quote, ROW } from './identifiers.ts'
import { counts, type StatementResult, status, TYPE_IDS } from './results.ts'
import { defaultOf, endRows, type Insertion, insertRows, updateRows } from './row-writer.ts'
import { doesNotExist, SnowflakeError, unknown } from './snowflake-error.ts'
import { bindRows, cursorOf, Reader, type Statement } from './statement.ts'
import { tableAt, visible } from './store.ts'
import { isToken, splitAtCommas, TokenCursor } from './token-cursor.ts'
import type { Token } from './tokenizer.ts'
import type { Transaction } from './transactions.ts'

/** A statement that changes a table. */
export interface Change {
  readonly table: Table
  /** What it needs on the table. */
  readonly privileges: readonly string[]
  /** Rows that are there are changed: the table is locked. */
  readonly locks: boolean
  /** Names all that is read, for the sake of the streams among it. */
  look(reader: Reader): void
  apply(into: Insertion): Promise<StatementResult>
}

/** Runs within the open transaction, or in one of its own. */
async function inTransaction<T>({ machine, session }: Statement, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  const { transactions } = machine
  const wanted = session.parameter('AUTOCOMMIT').toLowerCase() !== 'false'
  const transaction = session.transaction ?? transactions.begin(session, wanted)
  try {
    const result = await work(transaction)
    if (transaction.autocommit) await transactions.commit(transaction)
    return result
  } catch (error) {
    if (transaction.autocommit) await transactions.rollback(transaction)
    throw error
  }
}

export async function change(statement: Statement, make: Change): Promise<StatementResult> {
  const { machine, session, signal } = statement
  machine.faults.checkWarehouse(session.warehouse)
  for (const privilege of make.privileges) machine.faults.checkGrant(make.table.path, privilege)
  return inTransaction(statement, async (transaction) => {
    const lock = (resource: string) =>
      machine.transactions.locks.acquire(resource, transaction.id, session.timeoutMs('LOCK_TIMEOUT'), signal)
    const look = new Reader(statement, transaction)
    make.look(look)
    if (make.locks) await lock(printPath(make.table.path))
    for (const stream of look.streams) await lock(printPath(stream.path))
    const result = await machine.store.exclusive(() => {
      if (make.table.dropped) throw doesNotExist('Object', printPath(make.table.path))
      const reader = new Reader(statement, transaction)
      const into = { store: machine.store, transaction, table: make.table, reader }
      return machine.store.atomic(() => make.apply(into))
    }, signal)
    for (const stream of look.streams) transaction.consumed.add(stream)
    return result
  })
}

export function targetOf(statement: Statement, name: readonly string[]): Table {
  const { machine, session } = statement
  const path = session.path(name)
  const table = machine.catalog.findTable(path, session.id)
  if (!table) throw doesNotExist('Object', printPath(path))
  return table
}

export function columnNamed(table: Table, name: string): Column {
  const column = table.columns.find((one) => one.name === name)
  if (!column) throw new SnowflakeError('000904', '42000', `SQL compilation error:\ninvalid identifier '${name}'`)
  return column
}

export function insert(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('INSERT')
  const overwrite = cursor.accept('OVERWRITE')
  cursor.expect('INTO')
  const table = targetOf(statement, cursor.qualifiedName())
  const columns =
    cursor.is('(') && !isToken(cursor.peek(1), 'SELECT')
      ? splitAtCommas(cursor.parenthesised()).map(([name]) => columnNamed(table, name!.text))
      : table.columns
  const rest = cursor.rest()
  const query = (reader: Reader) =>
    isToken(rest[0], 'VALUES') ? valuesQuery(rest, columns, reader, bindRows(statement)) : reader.rewriter.query(rest)
  return change(statement, {
    table,
    privileges: overwrite ? ['INSERT', 'DELETE'] : ['INSERT'],
    locks: overwrite,
    look: query,
    apply: async (into) => {
      const source = query(into.reader)
      if (overwrite) {
        await into.store.run(`CREATE OR REPLACE TEMP TABLE overwriting AS ${source}`)
        await endAll(into)
      }
      const count = await insertRows(into, columns, overwrite ? 'SELECT * FROM overwriting' : source)
      return counts([['number of rows inserted', count]], TYPE_IDS.insert)
    },
  })
}

/** Rows of values, with DEFAULT where it stands; as often as the binds have rows. */
function valuesQuery(tokens: readonly Token[], columns: readonly Column[], reader: Reader, times: number): string {
  const rows = splitAtCommas(tokens.slice(1)).map((row) => splitAtCommas(new TokenCursor(row).parenthesised()))
  const written = Array.from({ length: times }, (_, bindRow) => {
    reader.bindRow = bindRow
    return rows.map((values) => `(${values.map((value, index) => givenValue(value, columns[index], reader)).join(', ')})`)
  })
  return `SELECT * FROM (VALUES ${written.flat().join(', ')})`
}

function givenValue(tokens: readonly Token[], column: Column | undefined, reader: Reader): string {
  const refused = tokens.find((token) => isToken(token, 'PARSE_JSON') || isToken(token, 'SELECT'))
  if (refused)
    throw new SnowflakeError('002014', '22000', `SQL compilation error:\nInvalid expression [${refused.text}(…)] in VALUES clause`)
  if (tokens.length === 1 && isToken(tokens[0], 'DEFAULT') && column) return defaultOf(column, reader)
  return reader.rewriter.expression(tokens)
}

async function endAll(into: Insertion): Promise<number> {
  const { store, table, transaction } = into
  await store.run(
    `CREATE OR REPLACE TEMP TABLE changed AS SELECT rowid AS r FROM v.t${table.id} WHERE ${visible(store.version, transaction.id)}`,
  )
  return endRows(into, 'changed')
}

/** `t`, `t AS x` or `t x`, and how rows of it are found with their places. */
export function aliased(statement: Statement, cursor: TokenCursor, ends: readonly string[]) {
  const name = cursor.qualifiedName()
  const table = targetOf(statement, name)
  const hasAlias = cursor.accept('AS') || (!cursor.done && !ends.some((word) => cursor.is(word)))
  const alias = hasAlias ? cursor.name() : name.at(-1)!
  const sql = ({ store, transaction }: Pick<Insertion, 'store' | 'transaction'>) =>
    `${tableAt(table, store.version, transaction.id, true)} AS ${quote(alias)}`
  return { table, alias, sql, place: `${quote(alias)}."${ROW}"` }
}

/** `a = …, t.b = …`. */
export function assignments(tokens: readonly Token[], table: Table): { readonly column: Column; readonly value: readonly Token[] }[] {
  return splitAtCommas(tokens).map((one) => {
    const cursor = new TokenCursor(one)
    const name = cursor.qualifiedName().at(-1)!
    cursor.expect('=')
    return { column: columnNamed(table, name), value: cursor.rest() }
  })
}

export function update(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('UPDATE')
  const target = aliased(statement, cursor, ['SET'])
  cursor.expect('SET')
  const set = assignments(cursor.until('FROM', 'WHERE'), target.table)
  const from = cursor.accept('FROM') ? cursor.until('WHERE') : []
  const where = cursor.accept('WHERE') ? cursor.rest() : []
  cursor.expectEnd()
  const parts = ({ rewriter }: Reader) => ({
    values: set.map(({ value }) => rewriter.expression(value)),
    from: from.length > 0 ? `, ${rewriter.from(from)}` : '',
    where: where.length > 0 ? ` WHERE ${rewriter.expression(where)}` : '',
  })
  return change(statement, {
    table: target.table,
    privileges: ['UPDATE'],
    locks: true,
    look: parts,
    apply: async (into) => {
      const { values, from: others, where: condition } = parts(into.reader)
      const columns = values.map((value, index) => `${value} AS u${index}`)
      const once = others === '' ? '' : ` QUALIFY row_number() OVER (PARTITION BY ${target.place}) = 1`
      await into.store.run(
        `CREATE OR REPLACE TEMP TABLE changed AS SELECT ${target.place} AS r, ${columns.join(', ')} FROM ${target.sql(into)}${others}${condition}${once}`,
      )
      const count = await updateRows(
        into,
        set.map(({ column }) => column),
        'changed',
      )
      return counts(
        [
          ['number of rows updated', count],
          ['number of multi-joined rows updated', 0],
        ],
        TYPE_IDS.update,
      )
    },
  })
}

export function remove(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('DELETE', 'FROM')
  const target = aliased(statement, cursor, ['USING', 'WHERE'])
  const using = cursor.accept('USING') ? cursor.until('WHERE') : []
  const where = cursor.accept('WHERE') ? cursor.rest() : []
  cursor.expectEnd()
  const parts = ({ rewriter }: Reader) => ({
    from: using.length > 0 ? `, ${rewriter.from(using)}` : '',
    where: where.length > 0 ? ` WHERE ${rewriter.expression(where)}` : '',
  })
  return change(statement, {
    table: target.table,
    privileges: ['DELETE'],
    locks: true,
    look: parts,
    apply: async (into) => {
      const { from, where: condition } = parts(into.reader)
      await into.store.run(
        `CREATE OR REPLACE TEMP TABLE changed AS SELECT DISTINCT ${target.place} AS r FROM ${target.sql(into)}${from}${condition}`,
      )
      return counts([['number of rows deleted', await endRows(into, 'changed')]], TYPE_IDS.delete)
    },
  })
}

export async function truncate(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('TRUNCATE')
  cursor.accept('TABLE')
  if (cursor.is('IF')) throw unknown('TRUNCATE TABLE IF EXISTS')
  const table = targetOf(statement, cursor.qualifiedName())
  cursor.expectEnd()
  await change(statement, {
    table,
    privileges: ['TRUNCATE'],
    locks: true,
    look: () => undefined,
    apply: async (into) => counts([['number of rows deleted', await endAll(into)]], TYPE_IDS.delete),
  })
  table.loaded.clear()
  return status()
}
