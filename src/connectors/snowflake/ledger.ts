// The ledger in a schema of Snowflake. Every claim, and whatever rests on one, is made under the lock of the state store, in a transaction of
// moments: no key is enforced here, and no row can be locked alone. A lease is by Snowflake's clock.

import type { LedgerFilter, Preparation } from '../../contract/target.ts'
import { type Claim, inOrder, LEASE_SECONDS, type LedgerRow, type LedgerSummary, NO_PARTITIONS } from '../../core/ledger.ts'
import { boundTexts } from '../../core/partition.ts'
import { createLedger, failureText, ledgerRowFrom, lostClaim, PARTITIONS } from '../../sql/ledger-table.ts'
import { literal, tableIdentifier } from './names.ts'
import type { Session } from './session.ts'
import type { StateStore } from './state-store.ts'
import { inTransaction, within } from './transaction.ts'

const NOW = 'CURRENT_TIMESTAMP()::TIMESTAMP_NTZ'
const LEASE = `DATEADD(second, ${LEASE_SECONDS}, ${NOW})`
/** So many rows of the ledger are written, or looked for, by one statement. */
const ROWS_AT_ONCE = 1_000
/** Parameters: pipeline, key, attempt, run id. */
const OWN = "pipeline_name = :1 AND partition_key = :2 AND attempt = :3 AND run_id = :4 AND status = 'running'"

export class Ledger {
  readonly table: string
  readonly #store: StateStore

  constructor(store: StateStore, schema: string) {
    this.#store = store
    this.table = tableIdentifier({ schema, name: PARTITIONS })
  }

  /** Outside of a transaction. */
  async make(session: Session): Promise<void> {
    if (!(await this.#store.hasLedger(session))) await session.run(createLedger(this.table).replaceAll('"rows"', 'rows'))
  }

  async read(session: Session, pipeline: string, filter: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    return (await this.#store.hasLedger(session)) ? this.rows(session, pipeline, filter) : []
  }

  /** Of a ledger that is there; also inside a transaction. */
  async rows(session: Session, pipeline: string, { status, keys }: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    const rows = await session.rows(
      `SELECT partition_key AS key, lower_bound AS lower, upper_bound AS upper, status, CAST(attempt AS TEXT) AS attempt, CAST(rows AS TEXT) AS rows, checksum,
         TO_VARCHAR(closed) AS closed, CAST(committed_at AS TEXT) AS committed_at, run_id, error,
         TO_VARCHAR(status = 'running' AND COALESCE(lease_until <= ${NOW}, TRUE)) AS abandoned
       FROM ${this.table} WHERE pipeline_name = :1 AND (:2 IS NULL OR status = :2)`,
      [pipeline, status ?? null],
    )
    const wanted = keys === undefined ? null : new Set(keys)
    return inOrder(rows.map(ledgerRowFrom)).filter(({ key }) => wanted === null || wanted.has(key))
  }

  async summarize(session: Session, pipeline: string): Promise<LedgerSummary> {
    if (!(await this.#store.hasLedger(session))) return NO_PARTITIONS
    const rows = await session.rows(`SELECT status, count(*) AS n FROM ${this.table} WHERE pipeline_name = :1 GROUP BY status`, [pipeline])
    const counts = Object.fromEntries(rows.map((row) => [row['status'] ?? '', Number(row['n'])]))
    return { ...NO_PARTITIONS, ...counts, total: Object.values(counts).reduce((sum, n) => sum + n, 0) }
  }

  /** Inside the locked transaction that prepares the run. */
  async enter(session: Session, { first: { pipeline }, runId, wanted, forget }: Preparation): Promise<void> {
    const there = await this.rows(session, pipeline)
    const attempt = forget ? there.reduce((most, row) => Math.max(most, row.attempt), 0) + 1 : 0
    if (forget) await session.run(`DELETE FROM ${this.table} WHERE pipeline_name = :1`, [pipeline])
    const known = new Set(forget ? [] : there.map(({ key }) => key))
    const fresh = wanted.filter(({ partition, seen }) => seen === null && !known.has(partition.key))
    for (let at = 0; at < fresh.length; at += ROWS_AT_ONCE) {
      const lines = fresh.slice(at, at + ROWS_AT_ONCE).map(({ partition, estimatedRows }) => {
        const texts = [pipeline, partition.key, ...boundTexts(partition.bounds)].map(textOrNull)
        const rows = estimatedRows === null ? 'NULL' : Math.round(estimatedRows)
        return `(${texts.join(', ')}, ${rows}, 'planned', ${attempt}, ${literal(runId)}, FALSE)`
      })
      await session.run(
        `INSERT INTO ${this.table} (pipeline_name, partition_key, lower_bound, upper_bound, estimated_rows, status, attempt, run_id, closed) VALUES ${lines.join(', ')}`,
      )
    }
    for (const { seen } of wanted)
      if (seen !== null && seen.status !== 'running' && seen.status !== 'planned')
        await session.run(
          `UPDATE ${this.table} SET status = 'planned', error = NULL WHERE pipeline_name = :1 AND partition_key = :2 AND attempt = :3 AND status = :4`,
          [pipeline, seen.key, seen.attempt, seen.status],
        )
  }

  async claim(session: Session, pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    return this.#locked(session, async (transaction) => {
      const free = (await this.rows(session, pipeline, { keys })).filter(
        (row) => row.status === 'planned' || (row.status === 'running' && (row.runId === runId || row.abandoned)),
      )
      const next = keys.map((key) => free.find((row) => row.key === key)).find((row) => row !== undefined)
      if (next === undefined) return null
      const claim = { pipeline, runId, key: next.key, attempt: next.attempt + 1 }
      await session.run(
        `UPDATE ${this.table} SET status = 'running', attempt = :3, run_id = :4, staged_at = ${NOW}, lease_until = ${LEASE}, error = NULL
         WHERE pipeline_name = :1 AND partition_key = :2 AND ${within(5)}`,
        [...own(claim), transaction],
      )
      return claim
    })
  }

  /** Compare-and-set; inside the transaction of the rows, which has the lock. Throws `state-conflict`. */
  async settle(session: Session, claim: Claim, rows: number, checksum: string | null, closed: boolean, transaction: string): Promise<void> {
    const values = [...own(claim), rows, checksum, String(closed), transaction]
    if ((await session.run(`${this.settleStatement} AND ${within(8)}`, values)) !== 1) throw lostClaim(claim)
  }

  get settleStatement(): string {
    return `UPDATE ${this.table} SET status = 'committed', rows = :5, checksum = :6, closed = :7::BOOLEAN, committed_at = ${NOW}, error = NULL, lease_until = NULL::TIMESTAMP_NTZ WHERE ${OWN}`
  }

  /** Did this very claim commit? */
  async isSettled(session: Session, claim: Claim): Promise<boolean> {
    const sql = `SELECT count(*) FROM ${this.table} WHERE pipeline_name = :1 AND partition_key = :2 AND attempt = :3 AND run_id = :4 AND status = 'committed'`
    return (await session.value(sql, own(claim))) === '1'
  }

  /** The content is what it was: everything but the time of the commit stays. Throws `state-conflict`. */
  async confirm(session: Session, claim: Claim, closed: boolean): Promise<void> {
    const sql = `UPDATE ${this.table} SET status = 'committed', closed = :5::BOOLEAN, committed_at = ${NOW}, error = NULL, lease_until = NULL::TIMESTAMP_NTZ WHERE ${OWN}`
    const count = await this.#locked(session, () => session.run(sql, [...own(claim), String(closed)]))
    if (count !== 1) throw lostClaim(claim)
  }

  /** Committed partitions that are to be loaded again; under the lock. */
  async reopen(session: Session, pipeline: string, keys: readonly string[]): Promise<void> {
    for (const key of keys)
      await session.run(
        `UPDATE ${this.table} SET status = 'planned', checksum = NULL WHERE pipeline_name = :1 AND partition_key = :2 AND status = 'committed'`,
        [pipeline, key],
      )
  }

  async giveUp(session: Session, claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void> {
    const [status, error] = failure === null ? ['planned', null] : ['failed', failureText(failure)]
    const sql = `UPDATE ${this.table} SET status = :5, error = :6, lease_until = NULL::TIMESTAMP_NTZ WHERE ${OWN}`
    await this.#locked(session, () => session.run(sql, [...own(claim), status ?? null, error ?? null]))
  }

  async renew(session: Session, pipeline: string, runId: string): Promise<void> {
    await session.run(`UPDATE ${this.table} SET lease_until = ${LEASE} WHERE pipeline_name = :1 AND run_id = :2 AND status = 'running'`, [
      pipeline,
      runId,
    ])
  }

  #locked<T>(session: Session, work: (transaction: string) => Promise<T>): Promise<T> {
    return inTransaction(session, async (transaction) => {
      await this.#store.lock(session, transaction)
      return work(transaction)
    })
  }
}

function own({ pipeline, key, attempt, runId }: Claim) {
  return [pipeline, key, attempt, runId] as const
}

function textOrNull(text: string | null): string {
  return text === null ? 'NULL' : literal(text)
}
