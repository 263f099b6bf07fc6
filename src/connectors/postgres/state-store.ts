// The state tables of a Postgres target: read as they are found, made when the first commit needs them.

import { LoadError } from '../../core/errors.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { PARTITIONS } from '../../sql/ledger-table.ts'
import { QUARANTINE, QuarantineTable, type Runner } from '../../sql/quarantine-table.ts'
import { tableIdentifier } from '../../sql/quote.ts'
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
import { POSTGRES } from './dialect.ts'
import type { Session } from './session.ts'

const STATE_TABLES = [WATERMARKS, HISTORY, PARTITIONS, QUARANTINE]

/** So that two first runs at once don't both make the tables. */
const MAKING_TABLES = "SELECT pg_advisory_xact_lock(hashtext('tidemark state tables'))"

export class StateStore {
  readonly #sql
  readonly #schema: string | null
  readonly quarantine: QuarantineTable
  #columns: readonly string[] | null = null

  constructor(schema: string | null) {
    this.#schema = schema
    this.#sql = stateStatements(POSTGRES, schema)
    this.quarantine = new QuarantineTable(POSTGRES, schema)
  }

  /** Before anything needs it: what is made after a savepoint can go with it. */
  async makeQuarantine(session: Session): Promise<void> {
    if (await this.quarantine.exists(runnerOf(session))) return
    await session.query('BEGIN')
    try {
      await session.query(MAKING_TABLES)
      await this.quarantine.make(runnerOf(session))
      await session.query('COMMIT')
    } catch (error) {
      await session.query('ROLLBACK').catch(() => session.destroy())
      throw error
    }
  }

  /** All rows of the table are new: what was kept of it is older. */
  async forgetQuarantined(session: Session, pipeline: string, table: TableName): Promise<void> {
    const runner = runnerOf(session)
    if (await this.quarantine.exists(runner)) await this.quarantine.forgetTable(runner, pipeline, printTableName(table))
  }

  /** Names of the state table's columns; empty where it does not exist. */
  async #found(session: Session): Promise<readonly string[]> {
    const rows = await session.query(
      'SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped',
      [tableIdentifier({ schema: this.#schema, name: WATERMARKS })],
    )
    this.#columns = rows.map((row) => row['attname'] ?? '')
    return this.#columns
  }

  async read(session: Session, pipeline: string): Promise<StateRow | null> {
    const columns = await this.#found(session)
    if (columns.length === 0) return null
    const whole = ADDED_COLUMNS.every(([name]) => columns.includes(name))
    const [row] = await session.query(whole ? this.#sql.read : this.#sql.readAdopted, [pipeline])
    return row === undefined ? null : stateFrom(pipeline, row)
  }

  async history(session: Session, pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    const [there] = await session.query('SELECT to_regclass($1) AS t', [tableIdentifier({ schema: this.#schema, name: HISTORY })])
    if (there?.['t'] == null) return []
    return (await session.query(this.#sql.readHistory, [pipeline, limit])).map((row) => historyFrom(pipeline, row))
  }

  async quiet(session: Session, state: State): Promise<void> {
    await session.query(this.#sql.quiet, [state.pipeline, String(state.epoch)])
  }

  /** One statement a table: what is remembered of a pipeline goes, whatever tables there are. */
  async forget(session: Session, pipeline: string): Promise<boolean> {
    let found = false
    for (const name of STATE_TABLES) found = (await this.#forgetIn(session, name, pipeline)) || found
    return found
  }

  /** Inside a transaction that replaces all rows: what is on its way in by an older claim is not to come on top of them. */
  async forgetPartitions(session: Session, pipeline: string): Promise<void> {
    await this.#forgetIn(session, PARTITIONS, pipeline)
  }

  async #forgetIn(session: Session, name: string, pipeline: string): Promise<boolean> {
    const table = tableIdentifier({ schema: this.#schema, name })
    const [there] = await session.query('SELECT to_regclass($1) AS t', [table])
    if (there?.['t'] == null) return false
    return (await session.execute(`DELETE FROM ${table} WHERE pipeline_name = $1`, [pipeline])).count > 0
  }

  /** Compare-and-set; inside the transaction of the rows. Throws `state-conflict`. */
  async advance(session: Session, from: State | null, to: State, runId: string): Promise<void> {
    await this.#make(session)
    // An asynchronous commit could be forgotten by a crash after it was reported.
    await session.query(
      "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
    )
    if (from === null) {
      try {
        await session.query(this.#sql.insert, stateParameters(null, to, runId))
      } catch (error) {
        if (error instanceof LoadError && error.code === 'duplicate-key') throw conflict(to.pipeline)
        throw error
      }
    } else if ((await session.execute(this.#sql.advance, stateParameters(from, to, runId))).count !== 1) throw conflict(to.pipeline)
  }

  async #make(session: Session): Promise<void> {
    const missing = (columns: readonly string[]): readonly string[] =>
      ADDED_COLUMNS.map(([name]) => name).filter((name) => !columns.includes(name))
    if (this.#columns !== null && this.#columns.length > 0 && missing(this.#columns).length === 0) return
    await session.query(MAKING_TABLES)
    for (const statement of this.#sql.create) await session.query(statement)
    for (const name of missing(await this.#found(session))) await session.query(this.#sql.addColumn(name))
    // Only now: a transaction that rolls back takes the tables with it.
    this.#columns = null
  }

  async record(
    session: Session,
    from: State | null,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    load: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
  ): Promise<void> {
    await this.count(session, to.pipeline, movedRows(rows), load.runId)
    await this.addHistory(session, from, to, rowsRead, rows, load, seconds)
  }

  /** Counts rows that a commit moved. */
  async count(session: Session, pipeline: string, moved: number, runId: string): Promise<void> {
    await session.query(this.#sql.count, [pipeline, moved, runId])
  }

  async addHistory(
    session: Session,
    from: State | null,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    load: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
  ): Promise<void> {
    try {
      await session.query(this.#sql.addHistory, historyParameters(from, to, rowsRead, rows, load.cause, seconds, load.runId))
    } catch (error) {
      if (error instanceof LoadError && error.code === 'duplicate-key') throw historyAhead(to.pipeline, to.epoch)
      throw error
    }
  }
}

export function runnerOf(session: Session): Runner {
  return {
    rows: (sql, values) => session.query(sql, values),
    run: async (sql, values) => (await session.execute(sql, values)).count,
  }
}
