// The table of changes that a target refused. One set of statements for every SQL target; each runs them on its own connection, inside
// the transaction of the rows.

import type { Preparation } from '../contract/target.ts'
import type { QuarantinedChange } from '../core/quarantine.ts'
import type { TableName } from '../core/table.ts'
import type { Dialect } from './dialect.ts'

export const QUARANTINE = 'pipeline_quarantine'

export type Parameter = string | number | null

/** A connection with its transaction. */
export interface Runner {
  rows(sql: string, values: readonly Parameter[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** How many rows it touched. */
  run(sql: string, values: readonly Parameter[]): Promise<number>
}

/** A change under the table that it is of. */
export interface KeptKey {
  readonly table: string
  readonly key: string
}

export class QuarantineTable {
  readonly #table: string
  readonly #schema: string | null
  readonly #lock: string

  constructor(dialect: Pick<Dialect, 'table' | 'name'>, schema: string | null) {
    // DuckDB has no locks of rows, and one process at a time.
    this.#lock = dialect.name === 'postgres' ? ' FOR UPDATE' : ''
    this.#table = dialect.table({ schema, name: QUARANTINE })
    this.#schema = schema
  }

  async exists(runner: Runner): Promise<boolean> {
    const rows = await runner.rows(
      'SELECT 1 AS found FROM information_schema.tables WHERE table_schema = coalesce($1, current_schema()) AND table_name = $2',
      [this.#schema, QUARANTINE],
    )
    return rows.length > 0
  }

  async make(runner: Runner): Promise<void> {
    await runner.run(
      `CREATE TABLE IF NOT EXISTS ${this.#table} (
        pipeline_name VARCHAR(100), position TEXT, ordinal BIGINT, table_name TEXT, op TEXT, row_key TEXT, payload TEXT, code TEXT, message TEXT,
        committed_at TEXT, run_id TEXT, quarantined_at TIMESTAMP, PRIMARY KEY (pipeline_name, position, ordinal))`,
      [],
    )
  }

  async keys(runner: Runner, pipeline: string): Promise<readonly KeptKey[]> {
    const rows = await runner.rows(`SELECT table_name, row_key FROM ${this.#table} WHERE pipeline_name = $1`, [pipeline])
    return rows.map((row) => ({ table: String(row['table_name']), key: String(row['row_key']) }))
  }

  async add(runner: Runner, pipeline: string, change: Omit<QuarantinedChange, 'id' | 'quarantinedAt'>): Promise<void> {
    await runner.run(
      `INSERT INTO ${this.#table} (pipeline_name, position, ordinal, table_name, op, row_key, payload, code, message, committed_at, run_id, quarantined_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, (now() AT TIME ZONE 'UTC'))`,
      [
        pipeline,
        change.position,
        change.ordinal,
        change.table,
        change.op,
        change.key,
        change.payload,
        change.code,
        change.message,
        change.committedAt,
        change.runId,
      ],
    )
  }

  /** What was kept of a row, which is not kept any more; nothing where somebody took it first. */
  async take(runner: Runner, pipeline: string, { table, key }: KeptKey): Promise<readonly Pick<QuarantinedChange, 'op' | 'payload'>[]> {
    const sql = `DELETE FROM ${this.#table} WHERE pipeline_name = $1 AND table_name = $2 AND row_key = $3 RETURNING op, payload`
    const rows = await runner.rows(sql, [pipeline, table, key])
    return rows.map((row) => ({ op: String(row['op']) as QuarantinedChange['op'], payload: String(row['payload']) }))
  }

  /** All rows of a table are new ones. */
  forgetTable(runner: Runner, pipeline: string, table: string): Promise<number> {
    return runner.run(`DELETE FROM ${this.#table} WHERE pipeline_name = $1 AND table_name = $2`, [pipeline, table])
  }

  /** In the order of their commits at the source. `locked` keeps others from taking them until the transaction ends. */
  async list(runner: Runner, pipeline: string, locked = false): Promise<readonly QuarantinedChange[]> {
    const rows = await runner.rows(
      `SELECT position, CAST(ordinal AS TEXT) AS ordinal, table_name, op, row_key, payload, code, message, committed_at, run_id,
         CAST(quarantined_at AS TEXT) AS quarantined_at
       FROM ${this.#table} AS q WHERE pipeline_name = $1 ORDER BY q.committed_at, q.position, q.ordinal${locked ? this.#lock : ''}`,
      [pipeline],
    )
    return rows.map((row) => ({
      id: `${row['position']}:${row['ordinal']}`,
      table: String(row['table_name']),
      op: String(row['op']) as QuarantinedChange['op'],
      key: String(row['row_key']),
      payload: String(row['payload']),
      code: String(row['code']),
      message: String(row['message']),
      position: String(row['position']),
      ordinal: Number(row['ordinal']),
      committedAt: String(row['committed_at']),
      runId: String(row['run_id']),
      quarantinedAt: String(row['quarantined_at']),
    }))
  }

  remove(runner: Runner, pipeline: string, { position, ordinal }: QuarantinedChange): Promise<number> {
    const sql = `DELETE FROM ${this.#table} WHERE pipeline_name = $1 AND position = $2 AND ordinal = $3`
    return runner.run(sql, [pipeline, position, ordinal])
  }

  /** It was refused again, perhaps for another reason. */
  async note(runner: Runner, pipeline: string, { position, ordinal }: QuarantinedChange, code: string, message: string): Promise<void> {
    const sql = `UPDATE ${this.#table} SET code = $4, message = $5 WHERE pipeline_name = $1 AND position = $2 AND ordinal = $3`
    await runner.run(sql, [pipeline, position, ordinal, code, message])
  }
}

/** Tables that are made or emptied: what was kept of them is older than all that they will hold. */
export function startedAnew({ changes, empties }: Pick<Preparation, 'changes' | 'empties'>): readonly TableName[] {
  const made = changes.flatMap((change) => (change.kind === 'create-table' ? [change.table.name] : []))
  return empties === null ? made : [...made, empties]
}
