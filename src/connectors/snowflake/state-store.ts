// The state tables in a schema of Snowflake. No key is enforced there, and whether a statement that has waited for a lock sees what it
// waited for is nowhere promised. So whoever moves a state first takes the lock of a table of one row: every statement after that one
// sees all that earlier holders committed.

import { LoadError } from '../../core/errors.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import { printPosition } from '../../core/position.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import { PARTITIONS } from '../../sql/ledger-table.ts'
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
import { schemaExists } from './describe.ts'
import { SNOWFLAKE } from './dialect.ts'
import { identifier, shownName, tableIdentifier } from './names.ts'
import type { Row, Session, Value } from './session.ts'
import { lostTransaction, within } from './transaction.ts'

const FENCE = 'pipeline_fence'
/** The session's time zone is UTC. */
const NOW = 'CURRENT_TIMESTAMP()::TIMESTAMP_NTZ'

/** Parameters as the driver takes them. */
const bound = (sql: string): string => sql.replaceAll(/\$(\d+)/g, ':$1')

/** State and history in one schema. */
export class StateStore {
  readonly #sql
  readonly #schema: string

  constructor(schema: string) {
    this.#schema = schema
    this.#sql = stateStatements(SNOWFLAKE, schema, NOW)
  }

  #table(name: string): string {
    return tableIdentifier({ schema: this.#schema, name })
  }

  /** Names of a table's columns; empty where it does not exist. */
  async #columns(session: Session, table: string): Promise<readonly string[]> {
    try {
      const rows = await session.rows(`DESCRIBE TABLE ${this.#table(table)}`)
      return rows.map((row) => shownName(row['name'] ?? ''))
    } catch (thrown) {
      if (thrown instanceof LoadError && thrown.code === 'missing-table') return []
      throw thrown
    }
  }

  /** Makes what is missing; outside of a transaction, which it would end. */
  async prepare(session: Session): Promise<void> {
    const present = await this.#columns(session, WATERMARKS)
    const missing = ADDED_COLUMNS.filter(([name]) => !present.includes(name))
    if (present.length > 0 && missing.length === 0 && (await this.#columns(session, FENCE)).length > 0) return
    if (!(await schemaExists(session, this.#schema))) await session.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(this.#schema)}`)
    if (present.length > 0)
      for (const [name, definition] of missing)
        await session.run(`ALTER TABLE ${this.#table(WATERMARKS)} ADD COLUMN ${identifier(name)} ${definition}`)
    for (const statement of this.#sql.create) if (!statement.startsWith('CREATE SCHEMA')) await session.run(statement)
    const fence = this.#table(FENCE)
    await session.run(`CREATE TABLE IF NOT EXISTS ${fence} (held BIGINT)`)
    // Two rows do no harm: who holds the lock has changed both.
    await session.run(`INSERT INTO ${fence} SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM ${fence})`)
  }

  async #whole(session: Session): Promise<'missing' | 'adopted' | 'whole'> {
    const columns = await this.#columns(session, WATERMARKS)
    if (columns.length === 0) return 'missing'
    return ADDED_COLUMNS.every(([name]) => columns.includes(name)) ? 'whole' : 'adopted'
  }

  async read(session: Session, pipeline: string): Promise<StateRow | null> {
    const found = await this.#whole(session)
    if (found === 'missing') return null
    return this.#read(session, found === 'whole' ? this.#sql.read : this.#sql.readAdopted, pipeline)
  }

  /** In tables that are there; also inside a transaction. */
  find(session: Session, pipeline: string): Promise<StateRow | null> {
    return this.#read(session, this.#sql.read, pipeline)
  }

  async #read(session: Session, sql: string, pipeline: string): Promise<StateRow | null> {
    const rows = await session.rows(bound(sql), [pipeline])
    if (rows.length > 1) throw new LoadError('state-corrupted', `${WATERMARKS} has several rows of pipeline ${pipeline}.`)
    const [row] = rows
    return row === undefined ? null : stateFrom(pipeline, withMicroseconds(row))
  }

  async history(session: Session, pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    if ((await this.#columns(session, HISTORY)).length === 0) return []
    const rows = await session.rows(bound(this.#sql.readHistory), [pipeline, limit])
    return rows.map((row) => historyFrom(pipeline, withMicroseconds(row)))
  }

  async quiet(session: Session, state: State): Promise<void> {
    if ((await this.#whole(session)) === 'whole') await session.run(bound(this.#sql.quiet), [state.pipeline, String(state.epoch)])
  }

  async forget(session: Session, pipeline: string): Promise<boolean> {
    let found = false
    for (const name of [WATERMARKS, HISTORY, PARTITIONS]) found = (await this.#forgetIn(session, name, pipeline)) || found
    return found
  }

  async hasLedger(session: Session): Promise<boolean> {
    return (await this.#columns(session, PARTITIONS)).length > 0
  }

  /** Inside a transaction that replaces all rows: what is on its way in by an older claim is not to come on top of them. */
  async forgetPartitions(session: Session, pipeline: string): Promise<void> {
    await session.run(`DELETE FROM ${this.#table(PARTITIONS)} WHERE pipeline_name = :1`, [pipeline])
  }

  async #forgetIn(session: Session, name: string, pipeline: string): Promise<boolean> {
    if ((await this.#columns(session, name)).length === 0) return false
    return (await session.run(`DELETE FROM ${this.#table(name)} WHERE pipeline_name = :1`, [pipeline])) > 0
  }

  /** A look without the lock: a run that has lost finds out before it works. Throws `state-conflict`. */
  async refuseMoved(session: Session, from: State | null, pipeline: string): Promise<void> {
    const epoch = await session.value(`SELECT CAST(coalesce(epoch, 0) AS TEXT) FROM ${this.#table(WATERMARKS)} WHERE pipeline_name = :1`, [
      pipeline,
    ])
    if (epoch !== (from === null ? null : String(from.epoch))) throw conflict(pipeline)
  }

  /** Until the transaction ends nobody else moves a state or a ledger of this schema. Throws `try-again`. */
  async lock(session: Session, transaction: string): Promise<void> {
    if ((await session.run(`UPDATE ${this.#table(FENCE)} SET held = held + 1 WHERE ${within(1)}`, [transaction])) < 1)
      throw lostTransaction(session)
  }

  /**
   * Compare-and-set, under the lock, inside the transaction of the rows and of no other. Throws `state-conflict`, `state-corrupted`,
   * and `try-again` where the server has ended that transaction meanwhile: what came after would stand alone.
   */
  async advance(session: Session, from: State | null, to: State, runId: string, transaction: string): Promise<void> {
    await this.lock(session, transaction)
    const parameters = stateParameters(from, to, runId)
    const own = within(parameters.length + 1)
    if (from === null) await this.refuseMoved(session, null, to.pipeline)
    const sql = from === null ? insertWhere(this.#sql.insert, own) : `${this.#sql.advance} AND ${own}`
    if ((await session.run(bound(sql), [...parameters, transaction])) !== 1) throw conflict(to.pipeline)
    const [newest] = from === null ? await session.rows(bound(this.#sql.readHistory), [to.pipeline, 1]) : []
    if (newest !== undefined && BigInt(newest['epoch'] ?? '0') >= to.epoch) throw historyAhead(to.pipeline, to.epoch)
  }

  async record(
    session: Session,
    from: State | null,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    load: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
    transaction: string,
  ): Promise<void> {
    await this.count(session, to.pipeline, movedRows(rows), load.runId)
    const parameters: readonly Value[] = historyParameters(from, to, rowsRead, rows, load.cause, seconds, load.runId)
    const sql = insertWhere(this.#sql.addHistory, within(parameters.length + 1))
    if ((await session.run(bound(sql), [...parameters, transaction])) !== 1) throw lostTransaction(session)
  }

  /** Rows that a run has moved, in the state's row. */
  async count(session: Session, pipeline: string, moved: number, runId: string): Promise<void> {
    await session.run(bound(this.#sql.count), [pipeline, moved, runId])
  }

  /** A statement that stands alone. */
  async addHistory(
    session: Session,
    from: State,
    to: State,
    rowsRead: number,
    rows: RowCounts,
    { runId, cause }: Pick<Load, 'runId' | 'cause'>,
    seconds: number,
  ): Promise<void> {
    await session.run(bound(this.#sql.addHistory), historyParameters(from, to, rowsRead, rows, cause, seconds, runId))
  }

  /**
   * After COMMIT, which is no error where the server had ended the transaction before. Throws `try-again` where the state is not there,
   * `state-conflict` where another run has moved it on.
   */
  async confirm(session: Session, to: State): Promise<void> {
    const now = await this.find(session, to.pipeline)
    if (now === null || now.epoch < to.epoch) throw lostTransaction(session)
    if (now.epoch > to.epoch || printPosition(now.position) !== printPosition(to.position)) throw conflict(to.pipeline)
  }

  /** Did the run's commit of this epoch come to be? Its entry in the history can only have come with it. */
  async isRecorded(session: Session, { pipeline, epoch }: State, runId: string): Promise<boolean> {
    const table = this.#table(HISTORY)
    const count = await session.value(`SELECT count(*) FROM ${table} WHERE pipeline_name = :1 AND epoch = :2 AND run_id = :3`, [
      pipeline,
      String(epoch),
      runId,
    ])
    return count !== null && count !== '0'
  }
}

/** INSERT … VALUES with a condition. */
function insertWhere(sql: string, condition: string): string {
  return sql.replace(/VALUES \(([\s\S]*)\)$/, (_, values: string) => `SELECT ${values} WHERE ${condition}`)
}

/** Snowflake prints nanoseconds, which no state has. */
function withMicroseconds(row: Row): Row {
  const shortened = (value: string | null): string | null => value?.replace(/^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})000$/, '$1') ?? null
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, shortened(value)]))
}
