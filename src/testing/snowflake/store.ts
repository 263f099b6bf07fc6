// DuckDB underneath, on one connection that statements use in turn. Each table holds all versions of its rows, with the commits between which
// each is seen: so every statement sees what is committed when it begins, as in Snowflake, and a stream can look at any two commits.

import { type DuckDBConnection, DuckDBInstance, type DuckDBType } from '@duckdb/node-api'
import type { Column, Table } from './catalog.ts'
import type { EmulatorClock } from './clock.ts'
import { decode, quote, ROW } from './identifiers.ts'
import { fromDuckDB } from './snowflake-error.ts'
import { MACROS } from './sql-macros.ts'

interface Commit {
  readonly version: number
  readonly at: number
}

export class Store {
  readonly #connection: DuckDBConnection
  readonly #instance: DuckDBInstance
  readonly #clock: EmulatorClock
  readonly #commits: Commit[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #atWork: AbortSignal | undefined
  /** The number of the last commit. */
  version = 0

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, clock: EmulatorClock) {
    this.#instance = instance
    this.#connection = connection
    this.#clock = clock
  }

  static async open(clock: EmulatorClock): Promise<Store> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
    const store = new Store(instance, await instance.connect(), clock)
    for (const statement of [`SET TimeZone = 'UTC'`, 'CREATE SCHEMA v', 'CREATE SEQUENCE v.row', ...MACROS]) await store.run(statement)
    return store
  }

  close(): void {
    this.#connection.closeSync()
    this.#instance.closeSync()
  }

  /** Stops what is at work, if it is the work of this signal. */
  interrupt(signal: AbortSignal): void {
    if (this.#atWork === signal) this.#connection.interrupt()
  }

  /** One after the other: whatever happens inside sees and changes the tables alone. */
  exclusive<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const result = this.#turn.then(() => {
      signal?.throwIfAborted()
      this.#atWork = signal
      return work()
    })
    this.#turn = result.then(
      () => this.#rest(),
      () => this.#rest(),
    )
    return result
  }

  #rest(): void {
    this.#atWork = undefined
  }

  /** All of it, or nothing. */
  async atomic<T>(work: () => Promise<T>): Promise<T> {
    await this.run('BEGIN')
    try {
      const result = await work()
      await this.run('COMMIT')
      return result
    } catch (error) {
      await this.#connection.run('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  async run(sql: string): Promise<number> {
    try {
      const result = await this.#connection.run(sql)
      return result.rowsChanged
    } catch (error) {
      throw fromDuckDB(error, decode)
    }
  }

  async rows<T>(sql: string): Promise<T[][]> {
    try {
      return (await this.#connection.runAndReadAll(sql)).getRows() as T[][]
    } catch (error) {
      throw fromDuckDB(error, decode)
    }
  }

  /** Names and types of what a query returns. */
  async describe(sql: string): Promise<{ readonly name: string; readonly type: DuckDBType }[]> {
    try {
      const prepared = await this.#connection.prepare(sql)
      const columns = Array.from({ length: prepared.columnCount }, (_, index) => ({
        name: decode(prepared.columnName(index)),
        type: prepared.columnType(index),
      }))
      prepared.destroySync()
      return columns
    } catch (error) {
      throw fromDuckDB(error, decode)
    }
  }

  /** Makes what a transaction wrote into these tables visible to all, as one commit. */
  async commit(transaction: number, tables: Iterable<Table>): Promise<void> {
    const version = this.version + 1
    for (const { id } of tables) {
      await this.run(`UPDATE v.t${id} SET "from" = ${version} WHERE "from" = ${-transaction}`)
      await this.run(`UPDATE v.t${id} SET "to" = ${version} WHERE "to" = ${-transaction}`)
    }
    this.version = version
    this.#commits.push({ version, at: this.#clock.now() })
  }

  async rollback(transaction: number, tables: Iterable<Table>): Promise<void> {
    for (const { id } of tables) {
      await this.run(`DELETE FROM v.t${id} WHERE "from" = ${-transaction}`)
      await this.run(`UPDATE v.t${id} SET "to" = NULL WHERE "to" = ${-transaction}`)
    }
  }

  /** The last commit that was made by then. */
  versionAt(time: number): number {
    return this.#commits.findLast(({ at }) => at <= time)?.version ?? 0
  }
}

/** The condition under which a transaction sees a version of a row, when `version` is the last commit. */
export function visible(version: number, transaction: number | null): string {
  if (transaction === null) return `"from" BETWEEN 0 AND ${version} AND ("to" IS NULL OR "to" > ${version} OR "to" < 0)`
  const own = -transaction
  return `("from" BETWEEN 0 AND ${version} OR "from" = ${own}) AND ("to" IS NULL OR "to" > ${version} OR ("to" < 0 AND "to" <> ${own}))`
}

export function columnsOf(columns: readonly Column[], prefix = ''): string {
  return columns.map((column) => `${prefix}c${column.id} AS ${quote(column.name)}`).join(', ')
}

/** A table as a query sees it; with the place of each row's version, for statements that change it. */
export function tableAt(table: Table, version: number, transaction: number | null, withRow = false): string {
  const row = withRow ? `rowid AS "${ROW}", ` : ''
  return `(SELECT ${row}${columnsOf(table.columns)} FROM v.t${table.id} WHERE ${visible(version, transaction)})`
}
