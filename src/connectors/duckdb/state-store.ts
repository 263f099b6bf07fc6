// The state tables of a DuckDB file. They are made, and a script's own table completed, before a load begins and outside of its
// transaction: loads side by side would otherwise collide in the catalog when both commit. Positions are written inside it.

import { LoadError } from '../../core/errors.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { PARTITIONS } from '../../sql/ledger-table.ts'
import { QUARANTINE, QuarantineTable } from '../../sql/quarantine-table.ts'
import {
  ADDED_COLUMNS,
  conflict,
  HISTORY,
  historyAhead,
  historyFrom,
  historyParameters,
  movedRows,
  stateFrom,
  stateParameters,
  stateStatements,
  WATERMARKS,
} from '../../sql/state-tables.ts'
import type { Connection } from './database.ts'
import { DUCKDB, tableIdentifier } from './dialect.ts'

/** State and history in one schema. */
export class StateStore {
  readonly #sql
  readonly #schema: string | null
  readonly quarantine: QuarantineTable

  constructor(schema: string | null) {
    this.#schema = schema
    this.#sql = stateStatements(DUCKDB, schema)
    this.quarantine = new QuarantineTable(DUCKDB, schema)
  }

  /** All rows of the table are new: what was kept of it is older. */
  async forgetQuarantined(connection: Connection, pipeline: string, table: TableName): Promise<void> {
    if (await this.quarantine.exists(connection)) await this.quarantine.forgetTable(connection, pipeline, printTableName(table))
  }

  /** Names of a table's columns; empty where it does not exist. */
  async #columns(connection: Connection, table: string): Promise<readonly string[]> {
    const rows = await connection.rows(
      'SELECT column_name AS name FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2',
      [this.#schema ?? 'main', table],
    )
    return rows.map((row) => row['name'] as string)
  }

  /** Makes what is missing. */
  async prepare(connection: Connection): Promise<void> {
    const present = await this.#columns(connection, WATERMARKS)
    const missing = ADDED_COLUMNS.map(([name]) => name).filter((name) => !present.includes(name))
    if (present.length > 0 && missing.length > 0) {
      for (const name of missing) await connection.run(this.#sql.addColumn(name))
      await this.#makeUnique(connection)
    }
    for (const statement of this.#sql.create) await connection.run(statement)
  }

  /** A script's table may lack the key that keeps two first runs from both adding a row. */
  async #makeUnique(connection: Connection): Promise<void> {
    const table = tableIdentifier({ schema: this.#schema, name: WATERMARKS })
    try {
      await connection.run(`CREATE UNIQUE INDEX IF NOT EXISTS "pipeline_watermarks_name" ON ${table} (pipeline_name)`)
    } catch (cause) {
      throw new LoadError('state-corrupted', `${WATERMARKS} has several rows of one pipeline.`, { cause })
    }
  }

  async #whole(connection: Connection): Promise<'missing' | 'adopted' | 'whole'> {
    const columns = await this.#columns(connection, WATERMARKS)
    if (columns.length === 0) return 'missing'
    return ADDED_COLUMNS.every(([name]) => columns.includes(name)) ? 'whole' : 'adopted'
  }

  async read(connection: Connection, pipeline: string): Promise<StateRow | null> {
    const found = await this.#whole(connection)
    if (found === 'missing') return null
    const [row] = await connection.rows(found === 'whole' ? this.#sql.read : this.#sql.readAdopted, [pipeline])
    return row === undefined ? null : stateFrom(pipeline, row)
  }

  async history(connection: Connection, pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    if ((await this.#columns(connection, HISTORY)).length === 0) return []
    return (await connection.rows(this.#sql.readHistory, [pipeline, limit])).map((row) => historyFrom(pipeline, row))
  }

  async quiet(connection: Connection, state: State): Promise<void> {
    if ((await this.#whole(connection)) === 'whole') await connection.run(this.#sql.quiet, [state.pipeline, String(state.epoch)])
  }

  async forget(connection: Connection, pipeline: string): Promise<boolean> {
    let found = false
    for (const name of [WATERMARKS, HISTORY, PARTITIONS, QUARANTINE]) found = (await this.#forgetIn(connection, name, pipeline)) || found
    return found
  }

  /** Inside a transaction that replaces all rows: what is on its way in by an older claim is not to come on top of them. */
  async forgetPartitions(connection: Connection, pipeline: string): Promise<void> {
    await this.#forgetIn(connection, PARTITIONS, pipeline)
  }

  async #forgetIn(connection: Connection, name: string, pipeline: string): Promise<boolean> {
    if ((await this.#columns(connection, name)).length === 0) return false
    const table = tableIdentifier({ schema: this.#schema, name })
    return (await connection.run(`DELETE FROM ${table} WHERE pipeline_name = $1`, [pipeline])) > 0
  }

  /** Compare-and-set; inside the transaction of the rows. Throws `state-conflict`, `state-corrupted`. */
  async advance(connection: Connection, from: State | null, to: State, runId: string): Promise<void> {
    const parameters = stateParameters(from, to, runId)
    try {
      if ((await connection.run(from === null ? this.#sql.insert : this.#sql.advance, parameters)) !== 1) throw conflict(to.pipeline)
    } catch (thrown) {
      throw asConflict(thrown, to.pipeline)
    }
    const [newest] = from === null ? await connection.rows(this.#sql.readHistory, [to.pipeline, 1]) : []
    if (newest !== undefined && BigInt(String(newest['epoch'])) >= to.epoch) throw historyAhead(to.pipeline, to.epoch)
  }

  async record(
    connection: Connection,
    from: State | null,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    load: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
  ): Promise<void> {
    await this.count(connection, to.pipeline, movedRows(rows), load.runId)
    await this.addHistory(connection, from, to, rowsRead, rows, load, seconds)
  }

  /** Counts rows that a commit moved. */
  async count(connection: Connection, pipeline: string, moved: number, runId: string): Promise<void> {
    await connection.run(this.#sql.count, [pipeline, moved, runId])
  }

  async addHistory(
    connection: Connection,
    from: State | null,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    load: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
  ): Promise<void> {
    await connection.run(this.#sql.addHistory, historyParameters(from, to, rowsRead, rows, load.cause, seconds, load.runId))
  }
}

/** DuckDB refuses the loser of two transactions at its statement or at its commit; on the state row both mean that it moved. */
export function asConflict(thrown: unknown, pipeline: string): unknown {
  return thrown instanceof LoadError && (thrown.code === 'try-again' || thrown.code === 'duplicate-key') ? conflict(pipeline) : thrown
}
