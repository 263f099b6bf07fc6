// The shop of `tidemark demo`: three tables of a Postgres, how they are loaded, and what happens in the shop between loads.

import type { Client } from 'pg'

export interface ShopTable {
  /** Also the name of the target table. */
  readonly pipeline: string
  readonly name: string
  /** All values of a row as one text, the same in both databases. */
  readonly inPostgres: string
  readonly inDuckdb: string
}

export interface WatermarkTable extends ShopTable {
  readonly write: 'merge' | 'append' | 'replace'
  readonly cursor: string
}

const ORDERS = {
  name: 'orders',
  inPostgres: `concat_ws('|', id, customer, status, amount, coalesce(note, 'NULL'), order_date, ${micros('updated_at')})`,
  inDuckdb: `concat_ws('|', id, customer, status, amount, coalesce(note, 'NULL'), order_date, epoch_us(updated_at))`,
} as const

export const SHOP: readonly WatermarkTable[] = [
  { pipeline: 'orders', write: 'merge', cursor: 'updated_at', ...ORDERS },
  {
    pipeline: 'order_events',
    name: 'order_events',
    write: 'append',
    cursor: 'created_at',
    inPostgres: `concat_ws('|', id, order_id, what, ${micros('created_at')})`,
    inDuckdb: `concat_ws('|', id, order_id, what, epoch_us(created_at))`,
  },
  {
    pipeline: 'products',
    name: 'products',
    write: 'replace',
    cursor: 'updated_at',
    inPostgres: `concat_ws('|', id, title, price, ${micros('updated_at')})`,
    inDuckdb: `concat_ws('|', id, title, price, epoch_us(updated_at))`,
  },
]

/** The same orders a second time, in a partition a day. */
export const BY_DAY: ShopTable = { pipeline: 'orders_by_day', ...ORDERS }

function micros(column: string): string {
  return `(extract(epoch FROM ${column}) * 1000000)::bigint`
}

export const PROJECT_FILE = `connections:
  shop: { type: postgres, url: "\${env:SHOP_URL}" }
  warehouse: { type: duckdb, path: ./warehouse.duckdb }

pipelines:
${SHOP.map(
  ({ pipeline, name, write, cursor }) => `  ${pipeline}:
    pattern: watermark
    source: { connection: shop, table: public.${name} }
    target: { connection: warehouse, table: staging.${pipeline} }
    cursor: ${cursor}
    write: ${write}
`,
).join('')}  ${BY_DAY.pipeline}:
    pattern: partition
    source: { connection: shop, table: public.${BY_DAY.name} }
    target: { connection: warehouse, table: staging.${BY_DAY.pipeline} }
    partition: { by: order_date, unit: day }
    workers: 4
`

const TABLES = `
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, status text NOT NULL, amount numeric(10,2) NOT NULL,
  note text, order_date date NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL, what text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO orders (customer, status, amount, note, order_date, updated_at)
  SELECT 'customer ' || n * 7919 % 5000, (ARRAY['new', 'paid', 'shipped'])[1 + n % 3], (n::bigint * 3701 % 100000) / 100.0,
    CASE WHEN n % 4 = 0 THEN 'für Nr. ' || n END, current_date - 30 + n % 30, now() - interval '1 day' + n * interval '0.3 s'
  FROM generate_series(1, 200000) AS n;
INSERT INTO order_events (order_id, what, created_at)
  SELECT n * 2, 'placed', now() - interval '1 day' + n * interval '0.6 s' FROM generate_series(1, 100000) AS n;
INSERT INTO products (title, price, updated_at)
  SELECT 'product ' || n, (n * 37 % 5000) / 100.0, now() - interval '1 day' FROM generate_series(1, 2000) AS n;
CREATE INDEX ON orders (updated_at);
CREATE INDEX ON orders (order_date);
CREATE INDEX ON order_events (created_at);
CREATE INDEX ON products (updated_at);
ANALYZE`

export async function fillShop(shop: Client): Promise<void> {
  for (const statement of TABLES.split(';\n')) await shop.query(statement)
}

/** A transaction that takes its time: what it writes is dated now, and committed by whoever calls `commit`. */
export async function beginLateSale(cashier: Client): Promise<{ commit(): Promise<void> }> {
  await cashier.query('BEGIN')
  await cashier.query("INSERT INTO orders (customer, status, amount, order_date) VALUES ('the late customer', 'new', 19.90, current_date)")
  await cashier.query("UPDATE orders SET status = 'returned', updated_at = now() WHERE id = 7")
  await cashier.query("INSERT INTO order_events (order_id, what) VALUES (7, 'returned')")
  return { commit: async () => void (await cashier.query('COMMIT')) }
}

/** Updates, inserts and deletes of an ordinary day. `round` picks other rows each time. */
export async function changeShop(shop: Client, round: number): Promise<void> {
  await shop.query("UPDATE orders SET status = 'shipped', amount = amount + 0.01, updated_at = now() WHERE id % 10 = $1 AND id > 10", [
    round,
  ])
  await shop.query(
    "INSERT INTO orders (customer, status, amount, order_date) SELECT 'new customer ' || n, 'new', n, current_date FROM generate_series(1, 500) AS n",
  )
  await shop.query("INSERT INTO order_events (order_id, what) SELECT n, 'shipped' FROM generate_series(1, 500) AS n")
  await shop.query('DELETE FROM products WHERE id % 100 = $1', [round])
}

/** Three days of the past change: orders of the first are updated, some move from it to the third, and of the second some are deleted. */
export async function changeThreeDays(shop: Client): Promise<readonly string[]> {
  const { rows } = await shop.query<{ day: string }>('SELECT (current_date - n)::text AS day FROM unnest(ARRAY[20, 15, 10]) AS n')
  const [first, second, third] = rows.map(({ day }) => day)
  await shop.query("UPDATE orders SET status = 'refunded', amount = 0 WHERE order_date = $1 AND id % 7 = 0", [first])
  await shop.query('UPDATE orders SET order_date = $2 WHERE order_date = $1 AND id % 11 = 0', [first, third])
  await shop.query('DELETE FROM orders WHERE order_date = $1 AND id % 13 = 0', [second])
  return rows.map(({ day }) => day)
}

/** Late rows that a script would skip which goes on from the greatest value it has seen. */
export async function skippedByScript(shop: Client, greatestSeen: string): Promise<number> {
  const { rows } = await shop.query(
    `SELECT (SELECT count(*) FROM orders WHERE (id = 7 OR customer = 'the late customer') AND updated_at <= $1)
          + (SELECT count(*) FROM order_events WHERE what = 'returned' AND created_at <= $1) AS n`,
    [greatestSeen],
  )
  return Number(rows[0]?.n)
}

/** What such a script would remember after a load now. */
export async function greatestUpdate(shop: Client): Promise<string> {
  const { rows } = await shop.query(
    'SELECT greatest((SELECT max(updated_at) FROM orders), (SELECT max(created_at) FROM order_events))::text AS top',
  )
  return String(rows[0]?.top)
}
