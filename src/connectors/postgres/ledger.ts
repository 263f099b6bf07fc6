// The ledger in a Postgres target. A running partition is abandoned when its lease is over, or when the server process that loaded it
// is gone: then the next claim needs no waiting. Claims need not reach the disk by themselves, as what is committed later does.

import type { LedgerFilter, Preparation } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { type Claim, inOrder, LEASE_SECONDS, type LedgerRow, type LedgerSummary, NO_PARTITIONS } from '../../core/ledger.ts'
import { boundTexts } from '../../core/partition.ts'
import { createLedger, failureText, ledgerRowFrom, ledgerTable, lostClaim } from '../../sql/ledger-table.ts'
import { POSTGRES } from './dialect.ts'
import type { Session } from './session.ts'

const NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"
const LEASE = `${NOW} + interval '${LEASE_SECONDS} seconds'`
/** A role may not see when another role's process began: then only the lease counts. */
const ALIVE = `(p.lease_until > ${NOW} AND (p.worker IS NULL OR EXISTS (SELECT 1 FROM pg_stat_activity a
  WHERE a.pid = split_part(p.worker, '/', 1)::int AND coalesce(a.backend_start::text = split_part(p.worker, '/', 2), true))))`
/** So many rows of the ledger are written by one statement. */
const ROWS_AT_ONCE = 10_000

export class Ledger {
  readonly table: string

  constructor(schema: string | null) {
    this.table = ledgerTable(POSTGRES, schema)
  }

  async #isThere(session: Session): Promise<boolean> {
    const [row] = await session.query('SELECT to_regclass($1) AS t', [this.table])
    return row?.['t'] != null
  }

  async read(session: Session, pipeline: string, { status, keys }: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    if (!(await this.#isThere(session))) return []
    const rows = await session.query(
      `SELECT partition_key AS key, lower_bound AS lower, upper_bound AS upper, status, attempt, "rows", checksum, closed, committed_at, run_id, error,
         CASE WHEN status = 'running' THEN NOT ${ALIVE} ELSE false END AS abandoned
       FROM ${this.table} p WHERE pipeline_name = $1 AND ($2::text IS NULL OR status = $2)
         AND ($3::jsonb IS NULL OR partition_key IN (SELECT jsonb_array_elements_text($3::jsonb)))`,
      [pipeline, status ?? null, keys === undefined ? null : JSON.stringify(keys)],
    )
    return inOrder(rows.map(ledgerRowFrom))
  }

  async summarize(session: Session, pipeline: string): Promise<LedgerSummary> {
    if (!(await this.#isThere(session))) return NO_PARTITIONS
    const rows = await session.query(`SELECT status, count(*) AS n FROM ${this.table} WHERE pipeline_name = $1 GROUP BY status`, [pipeline])
    const counts = Object.fromEntries(rows.map((row) => [row['status'] ?? '', Number(row['n'])]))
    return { ...NO_PARTITIONS, ...counts, total: Object.values(counts).reduce((sum, n) => sum + n, 0) }
  }

  /** Inside the transaction that prepares the run. */
  async enter(session: Session, { first: { pipeline }, runId, wanted, forget }: Preparation): Promise<void> {
    if (!(await this.#isThere(session))) await session.query(createLedger(this.table))
    const attempts = forget ? await this.#forget(session, pipeline) : 0
    for (let at = 0; at < wanted.length; at += ROWS_AT_ONCE) {
      const some = wanted.slice(at, at + ROWS_AT_ONCE)
      const fresh = some.filter(({ seen }) => seen === null)
      const again = some.filter(({ seen }) => seen !== null && seen.status !== 'running' && seen.status !== 'planned')
      if (fresh.length > 0)
        await session.query(
          `INSERT INTO ${this.table} (pipeline_name, partition_key, lower_bound, upper_bound, estimated_rows, status, attempt, run_id, closed)
           SELECT $1, x.key, x.lower, x.upper, x.rows, 'planned', $4, $2, false
           FROM jsonb_to_recordset($3::jsonb) AS x(key text, lower text, upper text, rows bigint) ON CONFLICT (pipeline_name, partition_key) DO NOTHING`,
          [
            pipeline,
            runId,
            JSON.stringify(fresh.map(({ partition, estimatedRows }) => fields(partition.key, boundTexts(partition.bounds), estimatedRows))),
            attempts,
          ],
        )
      if (again.length > 0)
        await session.query(
          `UPDATE ${this.table} AS p SET status = 'planned', error = NULL
           FROM jsonb_to_recordset($2::jsonb) AS x(key text, attempt int, status text)
           WHERE p.pipeline_name = $1 AND p.partition_key = x.key AND p.attempt = x.attempt AND p.status = x.status`,
          [pipeline, JSON.stringify(again.map(({ seen }) => ({ key: seen?.key, attempt: seen?.attempt, status: seen?.status })))],
        )
    }
  }

  /** An attempt higher than all there were: a claim from before must not pass for one from after. */
  async #forget(session: Session, pipeline: string): Promise<number> {
    const [row] = await session.query(
      `WITH gone AS (DELETE FROM ${this.table} WHERE pipeline_name = $1 RETURNING attempt) SELECT coalesce(max(attempt), 0) + 1 AS attempt FROM gone`,
      [pipeline],
    )
    return Number(row?.['attempt'])
  }

  /** The process that had it before is ended, where it still is: it may hold locks on the rows that are to be replaced. */
  async claim(session: Session, pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    const [row] = await session.query(
      `WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
       free AS (SELECT p.partition_key, CASE WHEN p.status = 'running' THEN p.worker END AS former
         FROM quick, ${this.table} p JOIN jsonb_array_elements_text($3::jsonb) WITH ORDINALITY AS x(key, n) ON p.partition_key = x.key
         WHERE p.pipeline_name = $1 AND (p.status = 'planned' OR p.status = 'running' AND (p.run_id = $2 OR NOT ${ALIVE}))
         ORDER BY x.n LIMIT 1 FOR UPDATE OF p SKIP LOCKED)
       UPDATE ${this.table} AS p SET status = 'running', attempt = p.attempt + 1, run_id = $2, staged_at = ${NOW}, lease_until = ${LEASE}, error = NULL,
         worker = (SELECT a.pid || '/' || a.backend_start::text FROM pg_stat_activity a WHERE a.pid = pg_backend_pid())
       FROM free WHERE p.pipeline_name = $1 AND p.partition_key = free.partition_key
       RETURNING p.partition_key AS key, p.attempt, free.former`,
      [pipeline, runId, JSON.stringify(keys)],
    )
    if (row === undefined) return null
    if (row['former'] != null) await endProcess(session, row['former'])
    return { pipeline, runId, key: row['key'] ?? '', attempt: Number(row['attempt']) }
  }

  /** Compare-and-set; inside the transaction of the rows. Throws `state-conflict`. */
  async settle(session: Session, claim: Claim, rows: number, checksum: string | null, closed: boolean): Promise<void> {
    await session.query(
      "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
    )
    const values = [claim.pipeline, claim.key, claim.attempt, claim.runId, rows, checksum, String(closed)]
    const { count } = await session.execute(this.settleStatement, values)
    if (count !== 1) throw lostClaim(claim)
  }

  /** Parameters: pipeline, key, attempt, run id, rows, checksum, closed. */
  get settleStatement(): string {
    return `UPDATE ${this.table} SET status = 'committed', "rows" = $5, checksum = $6, closed = $7, committed_at = ${NOW}, error = NULL, lease_until = NULL, worker = NULL
       WHERE pipeline_name = $1 AND partition_key = $2 AND attempt = $3 AND run_id = $4 AND status = 'running'`
  }

  /** The content is what it was: everything but the time of the commit stays. Throws `state-conflict`. */
  async confirm(session: Session, claim: Claim, closed: boolean): Promise<void> {
    const { count } = await session.execute(
      `UPDATE ${this.table} SET status = 'committed', closed = $5, committed_at = ${NOW}, error = NULL, lease_until = NULL, worker = NULL
       WHERE pipeline_name = $1 AND partition_key = $2 AND attempt = $3 AND run_id = $4 AND status = 'running'`,
      [claim.pipeline, claim.key, claim.attempt, claim.runId, String(closed)],
    )
    if (count !== 1) throw lostClaim(claim)
  }

  async giveUp(session: Session, claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void> {
    await session.query(
      `UPDATE ${this.table} SET status = $5, error = $6, lease_until = NULL, worker = NULL
       WHERE pipeline_name = $1 AND partition_key = $2 AND attempt = $3 AND run_id = $4 AND status = 'running'`,
      [
        claim.pipeline,
        claim.key,
        claim.attempt,
        claim.runId,
        failure === null ? 'planned' : 'failed',
        failure === null ? null : failureText(failure),
      ],
    )
  }

  async renew(session: Session, pipeline: string, runId: string): Promise<void> {
    await session.query(`UPDATE ${this.table} SET lease_until = ${LEASE} WHERE pipeline_name = $1 AND run_id = $2 AND status = 'running'`, [
      pipeline,
      runId,
    ])
  }
}

function fields(key: string, [lower, upper]: readonly [string | null, string | null], rows: number | null) {
  return { key, lower, upper, rows: rows === null ? null : Math.round(rows) }
}

async function endProcess(session: Session, worker: string): Promise<void> {
  const [pid = '', start = ''] = worker.split('/')
  try {
    await session.query(
      'SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.pid = $1 AND a.backend_start::text = $2 AND a.pid <> pg_backend_pid()',
      [pid, start],
    )
  } catch (error) {
    // Of another role: what it holds is waited for.
    if (!(error instanceof LoadError) || error.code !== 'missing-privilege') throw error
  }
}
