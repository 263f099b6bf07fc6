// The two functions of every script that does its own loading, in a form that can't be misused: the watermark moves only
// inside the caller's own transaction, and only from where the caller saw it.

import { LoadError } from '../core/errors.ts'
import { printPosition } from '../core/position.ts'
import { identifier, tableIdentifier } from './quote.ts'
import { ADDED_COLUMNS, stateFrom, stateStatements, WATERMARKS } from './state-tables.ts'

/** What a `pg` client offers: everything here goes through it. */
export interface Queryable {
  query(sql: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>
}

export interface WatermarkUpdate {
  /** What `getWatermark` gave; null for the first time. */
  readonly from: string | null
  /** Text, exactly as the source prints it. Never a Date: it has no microseconds. */
  readonly to: string
  /** Rows loaded, for `records_processed`. */
  readonly count: number
}

/** The watermark of a pipeline as text; null before its first load. Creates nothing. Throws `state-corrupted`, `state-newer`. */
export async function getWatermark(target: Queryable, name: string): Promise<string | null> {
  const { rows: found } = await target.query('SELECT to_regclass($1) AS t', [WATERMARKS])
  if (found[0]?.['t'] == null) return null
  const { rows } = await target.query(
    `SELECT w.*, CAST(w.last_watermark AS TEXT) AS last_watermark FROM ${WATERMARKS} AS w WHERE pipeline_name = $1`,
    [name],
  )
  const [row] = rows
  if (row === undefined) return null
  const { position } = stateFrom(name, row)
  return position.kind === 'watermark' ? position.value : null
}

/**
 * Moves the watermark inside the transaction that `transaction` has open, so that it commits or rolls back with the rows.
 * Throws `bad-usage` outside of a transaction, and `state-conflict` when the watermark is no longer `from`.
 */
export async function updateWatermark(transaction: Queryable, name: string, { from, to, count }: WatermarkUpdate): Promise<void> {
  if (typeof to !== 'string' || (from !== null && typeof from !== 'string'))
    throw new LoadError('bad-usage', 'A watermark is text, exactly as the source prints it.', {
      hint: 'Select it with ::text; a Date loses microseconds.',
    })
  await refuseOutsideTransaction(transaction)
  for (const statement of makeTable()) await transaction.query(statement)
  const seen = await getWatermark(transaction, name)
  const conflict = new LoadError('state-conflict', `The watermark of ${name} is no longer what it was when this load began.`)
  if (seen !== from) throw conflict
  const time = /^\d{4,5}-\d\d-\d\d[^B]*$/.test(to) ? to : null
  // A text without zone is taken as it is; one with a zone is shown in UTC.
  const utc = /\d[+-]\d\d(:?\d\d)?$|Z$/.test(to.slice(10)) ? "$4::timestamptz AT TIME ZONE 'UTC'" : '$4::timestamp'
  const position = printPosition({ kind: 'watermark', value: to })
  const values = [name, position, count, time]
  const moved = (column: string, value: string): string => `${column} = CASE WHEN $3::bigint > 0 THEN ${value} ELSE ${column} END`
  const set = `position = $2, epoch = coalesce(epoch, 0) + 1, ${moved('last_run_at', "now() AT TIME ZONE 'UTC'")}, ${moved('records_processed', '$3::bigint')}, last_watermark = ${utc}`
  const { rowCount } =
    from === null
      ? await transaction.query(
          `INSERT INTO ${WATERMARKS} (pipeline_name, position, epoch, last_run_at, records_processed, last_watermark)
           VALUES ($1, $2, 1, now() AT TIME ZONE 'UTC', $3::bigint, ${utc}) ON CONFLICT DO NOTHING`,
          values,
        )
      : await transaction.query(
          `UPDATE ${WATERMARKS} SET ${set} WHERE pipeline_name = $1 AND coalesce(position::jsonb ->> 'value', last_watermark::text) = $5`,
          [...values, from],
        )
  if (rowCount !== 1) throw conflict
}

function makeTable(): readonly string[] {
  const { create, addColumn } = stateStatements({ identifier, table: tableIdentifier }, null)
  return [...create, ...ADDED_COLUMNS.map(([name]) => addColumn(name))]
}

/** Inside a transaction two statements share their start; outside, each has its own. */
async function refuseOutsideTransaction(transaction: Queryable): Promise<void> {
  const begun = async (): Promise<unknown> => (await transaction.query('SELECT transaction_timestamp()::text AS at')).rows[0]?.['at']
  const first = await begun()
  if (first === (await begun())) return
  throw new LoadError('bad-usage', 'updateWatermark works only inside an open transaction, together with the rows.', {
    hint: 'BEGIN on the same client, write the rows, call updateWatermark, COMMIT.',
  })
}
