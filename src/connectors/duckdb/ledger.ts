// The ledger in a DuckDB file. Claims, and commits that rest on them, are made one at a time: only this process has the file. Nobody
// renews a lease in the table: an update there would collide with the commit of a partition that began before it. Who is alive is
// known in live-runs.ts.

import type { LedgerFilter, Preparation } from '../../contract/target.ts'
import { type Claim, inOrder, type LedgerRow, type LedgerSummary, NO_PARTITIONS } from '../../core/ledger.ts'
import { boundTexts } from '../../core/partition.ts'
import { createLedger, failureText, ledgerRowFrom, ledgerTable, lostClaim, PARTITIONS } from '../../sql/ledger-table.ts'
import type { Connection } from './database.ts'
import { DUCKDB } from './dialect.ts'
import { isAlive, liveRuns } from './live-runs.ts'

/** So many rows of the ledger are written by one statement. */
const ROWS_AT_ONCE = 10_000
/** Parameters: pipeline, key, attempt, run id. */
const OWN = "pipeline_name = $1 AND partition_key = $2 AND attempt = $3 AND run_id = $4 AND status = 'running'"
/** A list of texts, from the parameter as JSON. */
const texts = (parameter: string): string => `(SELECT unnest(from_json(${parameter}::VARCHAR, '["VARCHAR"]')))`

export class Ledger {
  readonly table: string
  readonly #schema: string | null

  constructor(schema: string | null) {
    this.#schema = schema
    this.table = ledgerTable(DUCKDB, schema)
  }

  async #isThere(connection: Connection): Promise<boolean> {
    const where = 'database_name = current_database() AND schema_name = $1 AND table_name = $2'
    return (await connection.count(`SELECT count(*) FROM duckdb_tables() WHERE ${where}`, [this.#schema ?? 'main', PARTITIONS])) > 0
  }

  /** Outside of a transaction, as for the state tables. */
  async make(connection: Connection): Promise<void> {
    if (!(await this.#isThere(connection))) await connection.run(createLedger(this.table))
  }

  async read(connection: Connection, pipeline: string, { status, keys }: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    if (!(await this.#isThere(connection))) return []
    const rows = await connection.rows(
      `SELECT partition_key AS key, lower_bound AS lower, upper_bound AS upper, status, CAST(attempt AS VARCHAR) AS attempt,
         CAST("rows" AS VARCHAR) AS "rows", checksum, closed, CAST(committed_at AS VARCHAR) AS committed_at, run_id, error
       FROM ${this.table} WHERE pipeline_name = $1 AND ($2::VARCHAR IS NULL OR status = $2::VARCHAR)
         AND ($3::VARCHAR IS NULL OR partition_key IN ${texts('$3')})`,
      [pipeline, status ?? null, keys === undefined ? null : JSON.stringify(keys)],
    )
    const abandoned = (row: LedgerRow): boolean => row.status === 'running' && !isAlive(pipeline, row.runId)
    return inOrder(rows.map(ledgerRowFrom).map((row) => ({ ...row, abandoned: abandoned(row) })))
  }

  async summarize(connection: Connection, pipeline: string): Promise<LedgerSummary> {
    if (!(await this.#isThere(connection))) return NO_PARTITIONS
    const rows = await connection.rows(`SELECT status, count(*) AS n FROM ${this.table} WHERE pipeline_name = $1 GROUP BY status`, [
      pipeline,
    ])
    const counts = Object.fromEntries(rows.map((row) => [String(row['status']), Number(row['n'])]))
    return { ...NO_PARTITIONS, ...counts, total: Object.values(counts).reduce((sum, n) => sum + n, 0) }
  }

  /** Inside the transaction that prepares the run. */
  async enter(connection: Connection, { first: { pipeline }, runId, wanted, forget }: Preparation): Promise<void> {
    const attempts = forget ? await this.#forget(connection, pipeline) : 0
    for (let at = 0; at < wanted.length; at += ROWS_AT_ONCE) {
      const some = wanted.slice(at, at + ROWS_AT_ONCE)
      const fresh = some.filter(({ seen }) => seen === null)
      const again = some.filter(({ seen }) => seen !== null && seen.status !== 'running' && seen.status !== 'planned')
      if (fresh.length > 0) {
        const rows = fresh.map(({ partition, estimatedRows }) => fields(partition.key, boundTexts(partition.bounds), estimatedRows))
        await connection.run(
          `INSERT INTO ${this.table} (pipeline_name, partition_key, lower_bound, upper_bound, estimated_rows, status, attempt, run_id, closed)
           SELECT $1, x.key, x.lower, x.upper, x.rows, 'planned', $4, $2, false FROM (SELECT unnest(from_json($3::VARCHAR,
             '[{"key":"VARCHAR","lower":"VARCHAR","upper":"VARCHAR","rows":"BIGINT"}]')) AS x) ON CONFLICT (pipeline_name, partition_key) DO NOTHING`,
          [pipeline, runId, JSON.stringify(rows), attempts],
        )
      }
      if (again.length > 0)
        await connection.run(
          `UPDATE ${this.table} AS p SET status = 'planned', error = NULL
           FROM (SELECT unnest(from_json($2::VARCHAR, '[{"key":"VARCHAR","attempt":"INTEGER","status":"VARCHAR"}]')) AS x)
           WHERE p.pipeline_name = $1 AND p.partition_key = x.key AND p.attempt = x.attempt AND p.status = x.status`,
          [pipeline, JSON.stringify(again.map(({ seen }) => ({ key: seen?.key, attempt: seen?.attempt, status: seen?.status })))],
        )
    }
  }

  /** An attempt higher than all there were: a claim from before must not pass for one from after. */
  async #forget(connection: Connection, pipeline: string): Promise<number> {
    const gone = await connection.rows(`DELETE FROM ${this.table} WHERE pipeline_name = $1 RETURNING attempt`, [pipeline])
    return gone.reduce((most, row) => Math.max(most, Number(row['attempt'])), 0) + 1
  }

  /** Never two at a time. Not by one statement: an UPDATE that answers rows writes them anew, unseen by transactions that are older. */
  async claim(connection: Connection, pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    const others = liveRuns(pipeline).filter((id) => id !== runId)
    const [free] = await connection.rows(
      `SELECT p.partition_key AS key, p.attempt + 1 AS attempt FROM ${this.table} AS p
         JOIN (SELECT unnest(k) AS key, generate_subscripts(k, 1) AS n FROM (SELECT from_json($2::VARCHAR, '["VARCHAR"]') AS k)) AS x ON p.partition_key = x.key
       WHERE p.pipeline_name = $1 AND (p.status = 'planned' OR p.status = 'running' AND p.run_id NOT IN ${texts('$3')}) ORDER BY x.n LIMIT 1`,
      [pipeline, JSON.stringify(keys), JSON.stringify(others)],
    )
    if (free === undefined) return null
    const claim = { pipeline, runId, key: String(free['key']), attempt: Number(free['attempt']) }
    await connection.run(
      `UPDATE ${this.table} SET status = 'running', attempt = $3, run_id = $4, staged_at = $5::TIMESTAMP, error = NULL
       WHERE pipeline_name = $1 AND partition_key = $2`,
      [...own(claim), now()],
    )
    return claim
  }

  /**
   * Compare-and-set; inside the transaction of the rows, which sees the ledger as it was when it began. The caller has asked `isOwn`
   * on another connection, and lets no claim be made until the commit: DuckDB itself sees no conflict between two transactions that
   * change different columns of one row. Throws `state-conflict`.
   */
  async settle(connection: Connection, claim: Claim, rows: number, checksum: string | null, closed: boolean): Promise<void> {
    const values = [...own(claim), rows, checksum, String(closed), now()]
    if ((await connection.run(this.settleStatement, values)) !== 1) throw lostClaim(claim)
  }

  get settleStatement(): string {
    return `UPDATE ${this.table} SET status = 'committed', "rows" = $5, checksum = $6, closed = $7::BOOLEAN, committed_at = $8::TIMESTAMP, error = NULL WHERE ${OWN}`
  }

  /** Does the claim still hold? */
  async isOwn(connection: Connection, claim: Claim): Promise<boolean> {
    return (await connection.count(`SELECT count(*) FROM ${this.table} WHERE ${OWN}`, own(claim))) === 1
  }

  /** The content is what it was: everything but the time of the commit stays. Throws `state-conflict`. */
  async confirm(connection: Connection, claim: Claim, closed: boolean): Promise<void> {
    const sql = `UPDATE ${this.table} SET status = 'committed', closed = $5::BOOLEAN, committed_at = $6::TIMESTAMP, error = NULL WHERE ${OWN}`
    if ((await connection.run(sql, [...own(claim), String(closed), now()])) !== 1) throw lostClaim(claim)
  }

  /** Committed partitions that are to be loaded again. */
  async reopen(connection: Connection, pipeline: string, keys: readonly string[]): Promise<void> {
    for (const key of keys)
      await connection.run(
        `UPDATE ${this.table} SET status = 'planned', checksum = NULL WHERE pipeline_name = $1 AND partition_key = $2 AND status = 'committed'`,
        [pipeline, key],
      )
  }

  async giveUp(connection: Connection, claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void> {
    const [status, error] = failure === null ? ['planned', null] : ['failed', failureText(failure)]
    await connection.run(`UPDATE ${this.table} SET status = $5, error = $6 WHERE ${OWN}`, [...own(claim), status, error])
  }
}

function own({ pipeline, key, attempt, runId }: Claim) {
  return [pipeline, key, attempt, runId] as const
}

/** DuckDB's own clock stands still inside a transaction, which may last as long as the rows take to arrive. */
function now(): string {
  return new Date().toISOString().slice(0, -1)
}

function fields(key: string, [lower, upper]: readonly [string | null, string | null], rows: number | null) {
  return { key, lower, upper, rows: rows === null ? null : Math.round(rows) }
}
