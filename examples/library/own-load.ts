// A script that moves its rows itself, and leaves to tidemark what scripts get wrong: the watermark. It changes only inside
// the transaction that writes the rows, and only if it is still what this run began with.
// Needs SOURCE_URL and TARGET_URL, two Postgres databases, the first with a table public.orders.

import pg from 'pg'
import { getWatermark, LoadError, updateWatermark } from 'tidemark'

const source = new pg.Client({ connectionString: process.env['SOURCE_URL'] })
const target = new pg.Client({ connectionString: process.env['TARGET_URL'] })
await Promise.all([source.connect(), target.connect()])

// How far the source can be read: below every open transaction. Asked before the rows are. The role needs pg_read_all_stats,
// and the server must have no prepared transactions (max_prepared_transactions = 0, the default).
const BOUND = `
  SELECT (least(clock_timestamp(), min(least(xact_start, CASE WHEN state = 'active' THEN query_start END))) - interval '2 seconds')::text AS bound
  FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'
    AND backend_type IS DISTINCT FROM 'autovacuum worker'`

// JSON as text, so that no value becomes a JavaScript number on its way.
const ROWS = `SELECT coalesce(json_agg(o), '[]')::text AS rows, count(*)::int AS count FROM orders AS o WHERE ($1::timestamptz IS NULL OR updated_at >= $1) AND updated_at < $2`

try {
  await target.query(`CREATE TABLE IF NOT EXISTS orders (
    id bigint PRIMARY KEY, customer_id bigint, status text, amount numeric(10,2), order_date date, updated_at timestamptz)`)

  const from = await getWatermark(target, 'orders_script')
  const to = String((await source.query(BOUND)).rows[0].bound)
  const { rows, count } = (await source.query(ROWS, [from, to])).rows[0]

  if (count > 0) {
    await target.query('BEGIN')
    await target.query(
      `INSERT INTO orders SELECT * FROM json_populate_recordset(NULL::orders, $1::json)
       ON CONFLICT (id) DO UPDATE SET (customer_id, status, amount, order_date, updated_at)
         = (excluded.customer_id, excluded.status, excluded.amount, excluded.order_date, excluded.updated_at)`,
      [rows],
    )
    await updateWatermark(target, 'orders_script', { from, to, count })
    await target.query('COMMIT')
  }
  console.log(`${count} rows; watermark ${to}`)
} catch (error) {
  // Another run was faster: this one has changed nothing.
  if (!(error instanceof LoadError && error.code === 'state-conflict')) throw error
  console.log('another run moved the watermark first')
} finally {
  await Promise.all([source.end(), target.end()])
}
