// Writes rows into a table's versions, each value as its column demands: converted, not too long, not NULL where there may be none.

import type { DuckDBType } from '@duckdb/node-api'
import type { Column, Table } from './catalog.ts'
import { cast, duckType, LONGEST_TEXT, printType } from './data-types.ts'
import { literal } from './identifiers.ts'
import { raisedInSql, SnowflakeError } from './snowflake-error.ts'
import type { Reader } from './statement.ts'
import type { Store } from './store.ts'
import { tokenize } from './tokenizer.ts'
import type { Transaction } from './transactions.ts'

const raise = (code: string, state: string, text: string) => `error(${literal(raisedInSql(code, state, text))})`

/** An expression as a value of a column. */
function asColumn(expression: string, type: DuckDBType | null, column: Column, reader: Reader, fromFile = false): string {
  const value = converted(expression, type, column, reader, fromFile)
  if (column.nullable) return value
  const refusal = raise('100072', '22000', `NULL result in a non-nullable column ${column.name}`)
  return `CASE WHEN (${value}) IS NULL THEN ${refusal} ELSE ${value} END`
}

function converted(expression: string, type: DuckDBType | null, { type: wanted, name }: Column, reader: Reader, fromFile: boolean): string {
  const stored = duckType(wanted)
  const given = type === null ? '' : type.alias === 'JSON' ? 'JSON' : String(type)
  if (stored === 'JSON' && fromFile) return `json((${expression})::JSON)`
  if (stored === 'JSON' && given !== 'JSON' && given !== '') {
    const text = `SQL compilation error:\nExpression type does not match column data type, expecting ${printType(wanted)} for column ${name}`
    return `CASE WHEN (${expression}) IS NOT NULL THEN ${raise('002023', '22000', text)} END::JSON`
  }
  if (wanted.name === 'VARCHAR' && wanted.length! < LONGEST_TEXT) {
    const whole = given === 'VARCHAR' ? expression : cast(expression, { name: 'VARCHAR', length: LONGEST_TEXT }, reader.textFormats())
    const refusal = raise('100078', '22000', `String for column ${name} is too long and would be truncated`)
    return `CASE WHEN length(${whole}) > ${wanted.length} THEN ${refusal} ELSE ${whole} END`
  }
  const isShortened = wanted.name.startsWith('TIMESTAMP') && wanted.precision! < 6
  if (!isShortened && given === stored.replace(/^TIMESTAMPTZ$/, 'TIMESTAMP WITH TIME ZONE')) return expression
  return cast(expression, wanted, reader.textFormats())
}

/** What a column gets that an INSERT does not name. */
export function defaultOf(column: Column, reader: Reader): string {
  return column.default === null ? 'NULL' : reader.rewriter.expression(tokenize(column.default))
}

function physical(columns: readonly Column[]): string {
  return ['"row"', '"from"', '"to"', '"inserted"', ...columns.map(({ id }) => `c${id}`)].join(', ')
}

export interface Insertion {
  readonly store: Store
  readonly transaction: Transaction
  readonly table: Table
  readonly reader: Reader
}

/** Adds the rows of a query, whose columns are those named. */
export async function insertRows(into: Insertion, columns: readonly Column[], query: string, fromFile = false): Promise<number> {
  const { store, table, transaction, reader } = into
  const given = await store.describe(query)
  if (given.length !== columns.length) {
    const text = `SQL compilation error:\nInsert value list does not match column list expecting ${columns.length} but got ${given.length}`
    throw new SnowflakeError('002020', '21S01', text)
  }
  const values = table.columns.map((column) => {
    const at = columns.indexOf(column)
    return at < 0
      ? asColumn(defaultOf(column, reader), null, column, reader, fromFile)
      : asColumn(`s${at}`, given[at]!.type, column, reader, fromFile)
  })
  const names = given.map((_, index) => `s${index}`).join(', ')
  const start = `nextval('v.row'), ${-transaction.id}, NULL, true`
  const count = await store.run(
    `INSERT INTO v.t${table.id} (${physical(table.columns)}) SELECT ${[start, ...values].join(', ')} FROM (${query}) AS s(${names})`,
  )
  if (count > 0) transaction.touched.add(table)
  return count
}

/**
 * Ends the versions that a temporary table names in its column r, and writes the next ones: columns in `set` from the temporary table, in
 * the order u0, u1 …, the others as they were.
 */
export async function updateRows(into: Insertion, set: readonly Column[], changed: string): Promise<number> {
  const { store, table, transaction, reader } = into
  const given = await store.describe(`SELECT * FROM ${changed}`)
  const count = await endRows(into, changed)
  if (count === 0) return 0
  const values = table.columns.map((column) => {
    const at = set.indexOf(column)
    const type = given.find(({ name }) => name === `u${at}`)?.type ?? null
    return at < 0 ? `o.c${column.id}` : asColumn(`u.u${at}`, type, column, reader)
  })
  const start = `o."row", ${-transaction.id}, NULL, false`
  await store.run(
    `INSERT INTO v.t${table.id} (${physical(table.columns)}) SELECT ${[start, ...values].join(', ')} FROM v.t${table.id} o JOIN ${changed} u ON o.rowid = u.r`,
  )
  return count
}

/** Ends the versions that a temporary table names in its column r. */
export async function endRows({ store, table, transaction }: Insertion, changed: string): Promise<number> {
  const count = await store.run(`UPDATE v.t${table.id} SET "to" = ${-transaction.id} WHERE rowid IN (SELECT r FROM ${changed})`)
  if (count > 0) transaction.touched.add(table)
  return count
}
