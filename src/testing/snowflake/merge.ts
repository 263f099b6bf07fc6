// MERGE: for each pair of a target row and a source row the first clause that holds. Two source rows that would update one target row are
// refused, as Snowflake does; two that would insert are both inserted.

import type { Column } from './catalog.ts'
import { aliased, assignments, change, columnNamed } from './dml.ts'
import { counts, type StatementResult, TYPE_IDS } from './results.ts'
import { endRows, type Insertion, insertRows, updateRows } from './row-writer.ts'
import { SnowflakeError } from './snowflake-error.ts'
import { cursorOf, type Reader, type Statement } from './statement.ts'
import { splitAtCommas, type TokenCursor } from './token-cursor.ts'
import type { Token } from './tokenizer.ts'

interface Clause {
  readonly matched: boolean
  readonly condition: readonly Token[]
  readonly action: 'update' | 'delete' | 'insert'
  /** Of an update or an insert, in the same order. */
  readonly columns: readonly Column[]
  readonly values: readonly (readonly Token[])[]
}

type Target = ReturnType<typeof aliased>

export function merge(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('MERGE', 'INTO')
  const target = aliased(statement, cursor, ['USING'])
  cursor.expect('USING')
  const source = cursor.until('ON')
  cursor.expect('ON')
  const on = cursor.until('WHEN')
  const clauses: Clause[] = []
  while (!cursor.done) clauses.push(readClause(cursor, target))
  const refusesDuplicates = statement.session.parameter('ERROR_ON_NONDETERMINISTIC_MERGE').toLowerCase() !== 'false'
  const plan = (reader: Reader) => new Plan(reader, source, on, clauses)
  return change(statement, {
    table: target.table,
    privileges: ['SELECT', ...new Set(clauses.map(({ action }) => action.toUpperCase()))],
    locks: true,
    look: plan,
    apply: (into) => plan(into.reader).apply(into, target, refusesDuplicates),
  })
}

function readClause(cursor: TokenCursor, { table }: Target): Clause {
  cursor.expect('WHEN')
  const matched = !cursor.accept('NOT')
  cursor.expect('MATCHED')
  const condition = cursor.accept('AND') ? cursor.until('THEN') : []
  cursor.expect('THEN')
  if (matched && cursor.accept('DELETE')) return { matched, condition, action: 'delete', columns: [], values: [] }
  if (matched) {
    cursor.expect('UPDATE', 'SET')
    const set = assignments(cursor.until('WHEN'), table)
    return { matched, condition, action: 'update', columns: set.map(({ column }) => column), values: set.map(({ value }) => value) }
  }
  cursor.expect('INSERT')
  const columns = cursor.is('(')
    ? splitAtCommas(cursor.parenthesised()).map((name) => columnNamed(table, name.at(-1)!.text))
    : table.columns
  cursor.expect('VALUES')
  return { matched, condition, action: 'insert', columns, values: splitAtCommas(cursor.parenthesised()) }
}

/** The clauses in DuckDB's words. */
class Plan {
  readonly #source: string
  readonly #on: string
  readonly #clauses: readonly (Omit<Clause, 'condition' | 'values'> & { readonly condition: string; readonly values: readonly string[] })[]

  constructor({ rewriter }: Reader, source: readonly Token[], on: readonly Token[], clauses: readonly Clause[]) {
    this.#source = rewriter.from(source)
    this.#on = rewriter.expression(on)
    this.#clauses = clauses.map((clause) => ({
      ...clause,
      condition: clause.condition.length > 0 ? rewriter.expression(clause.condition) : 'true',
      values: clause.values.map((value) => rewriter.expression(value)),
    }))
  }

  async apply(into: Insertion, target: Target, refusesDuplicates: boolean): Promise<StatementResult> {
    const { store } = into
    const done = { insert: 0, update: 0, delete: 0 }
    const matched = this.#clauses.filter((clause) => clause.matched)
    const others = this.#clauses.filter((clause) => !clause.matched)
    const prepared = await this.#prepare(into, target, matched, others)
    if (matched.length > 0 && refusesDuplicates) await this.#refuseDuplicates(into, matched)
    for (const [index, clause] of matched.entries()) {
      const values = clause.values.map((_, at) => `v${index}_${at} AS u${at}`)
      await store.run(
        `CREATE OR REPLACE TEMP TABLE changed AS SELECT ${['r', ...values].join(', ')} FROM pairs WHERE clause = ${index} QUALIFY row_number() OVER (PARTITION BY r) = 1`,
      )
      if (clause.action === 'delete') done.delete += await endRows(into, 'changed')
      else done.update += await updateRows(into, clause.columns, 'changed')
    }
    for (const [index, clause] of others.entries())
      done.insert += await insertRows(into, clause.columns, `SELECT * FROM ${prepared[index]}`)
    const named = ['insert', 'update', 'delete'] as const
    const used = named.filter((action) => this.#clauses.some((clause) => clause.action === action))
    const words = { insert: 'inserted', update: 'updated', delete: 'deleted' }
    return counts(
      used.map((action) => [`number of rows ${words[action]}`, done[action]] as const),
      TYPE_IDS.merge,
    )
  }

  /** All that is to be done is known before anything is done. */
  async #prepare({ store, transaction }: Insertion, target: Target, matched: Plan['clauses'], others: Plan['clauses']): Promise<string[]> {
    const table = target.sql({ store, transaction })
    const clauseOf = (clauses: Plan['clauses']) =>
      `CASE ${clauses.map(({ condition }, index) => `WHEN ${condition} THEN ${index}`).join(' ')} ELSE -1 END`
    if (matched.length > 0) {
      const values = matched.flatMap((clause, index) => clause.values.map((value, at) => `${value} AS v${index}_${at}`))
      await store.run(
        `CREATE OR REPLACE TEMP TABLE pairs AS SELECT ${[`${target.place} AS r`, `${clauseOf(matched)} AS clause`, ...values].join(', ')} FROM ${this.#source} JOIN ${table} ON ${this.#on}`,
      )
    }
    const prepared: string[] = []
    for (const [index, clause] of others.entries()) {
      const unmatched = `NOT EXISTS (SELECT 1 FROM ${table} WHERE ${this.#on})`
      prepared.push(`inserting${index}`)
      await store.run(
        `CREATE OR REPLACE TEMP TABLE inserting${index}(${clause.values.map((_, at) => `s${at}`).join(', ')}) AS SELECT ${clause.values.join(', ')} FROM ${this.#source} WHERE ${unmatched} AND ${clauseOf(others)} = ${index}`,
      )
    }
    return prepared
  }

  get clauses() {
    return this.#clauses
  }

  async #refuseDuplicates({ store }: Insertion, matched: Plan['clauses']): Promise<void> {
    const updates = matched.flatMap(({ action }, index) => (action === 'update' ? [index] : []))
    if (updates.length === 0) return
    const [found] = await store.rows<bigint>(
      `SELECT r FROM pairs WHERE clause >= 0 GROUP BY r HAVING count(*) > 1 AND count(*) FILTER (clause IN (${updates.join(', ')})) > 0 LIMIT 1`,
    )
    if (found) throw new SnowflakeError('100090', '42P18', 'Duplicate row detected during DML action\nRow Values: [...]')
  }
}
