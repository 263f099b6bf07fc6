// The source table: made once, the same for every run of the same size, and copied from a template database before each first load.
// Its changes are those of a shop: a row is updated where it stands, and new rows follow at the end.

import type { PostgresServer } from '../src/testing/postgres-server.ts'
import { query } from './psql.ts'

const TEMPLATE = 'source_template'
const SOURCE = 'source'

/** About one note in nine is NULL; `updated_at` follows `created_at` by up to a day, with microseconds. */
export async function generateSource(server: PostgresServer, rows: number, database = TEMPLATE): Promise<void> {
  await server.createDatabase(database)
  await query(
    server.url(database),
    `CREATE TABLE orders (
       id bigint NOT NULL, customer_id int NOT NULL, region text NOT NULL, status text NOT NULL, amount numeric(12,2) NOT NULL,
       note text, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, order_date date NOT NULL)`,
    `INSERT INTO orders
     SELECT id, 1 + hash % 150000,
            (ARRAY['africa', 'asia', 'europe', 'america', 'oceania', 'arctic'])[1 + hash / 7 % 6],
            (ARRAY['open', 'paid', 'sent', 'arrived', 'closed'])[1 + hash / 50 % 5],
            hash % 9000000 / 100.0,
            CASE WHEN hash % 9 > 0 THEN left(digest || digest, 18 + hash % 43) END,
            created, created + hash % 86400000 * interval '1 millisecond' + id % 1000 * interval '1 microsecond', created::date
     FROM (SELECT id, digest, ('x' || left(digest, 7))::bit(28)::int AS hash,
                  timestamptz '2025-06-01 00:00:00+00' + (id - 1) * (interval '30 days' / ${rows}) AS created
           FROM generate_series(1, ${rows}::bigint) id, LATERAL (SELECT md5(id::text) AS digest) made) numbered`,
    'ALTER TABLE orders ADD PRIMARY KEY (id)',
    'CREATE INDEX ON orders (updated_at)',
    'CREATE INDEX ON orders (order_date)',
    'VACUUM (FREEZE, ANALYZE) orders',
  )
}

export async function freshSource(server: PostgresServer): Promise<void> {
  const strategy = server.version >= 15 ? ' STRATEGY file_copy' : ''
  await query(
    server.url(),
    `DROP DATABASE IF EXISTS ${SOURCE} WITH (FORCE)`,
    `CREATE DATABASE ${SOURCE} TEMPLATE ${TEMPLATE}${strategy}`,
    'CHECKPOINT',
  )
}

export function sourceUrl(server: PostgresServer): string {
  return server.url(SOURCE)
}

/** All days of the source, first and last; and those that `changeDays` changes. */
export const DAYS = ['2025-06-01', '2025-06-30'] as const
export const RELOAD_DAYS = ['2025-06-05', '2025-06-06', '2025-06-07'] as const

/** In three days every tenth row is updated and every hundredth deleted; returns how many rows these days have then. */
export async function changeDays(source: string, run: number): Promise<number> {
  const inside = `order_date IN (${RELOAD_DAYS.map((day) => `'${day}'`).join(', ')})`
  await query(
    source,
    `UPDATE orders SET amount = (amount + 1) % 90000, status = 'closed', updated_at = clock_timestamp() WHERE ${inside} AND id % 10 = ${run % 10}`,
    `DELETE FROM orders WHERE ${inside} AND id % 100 = ${run % 100}`,
  )
  return Number(await query(source, `SELECT count(*) FROM orders WHERE ${inside}`))
}

/** Everything is to be loaded; returns how many rows that is. */
export async function everyRow(source: string): Promise<number> {
  return Number(await query(source, 'SELECT count(*) FROM orders'))
}

/** Updates about a thousand rows spread over the whole table. */
export async function changeThousand(source: string, run: number): Promise<number> {
  return update(source, `id % greatest(total / 1000, 1) = ${run} % greatest(total / 1000, 1)`)
}

/** Updates one row in ten, another tenth each run, and adds one row in a hundred. */
export async function changeTenth(source: string, run: number): Promise<number> {
  const updated = await update(source, `id % 10 = ${run % 10}`)
  const added = await query(
    source,
    `WITH added AS (
       INSERT INTO orders
       SELECT total + i, 1 + i % 150000, 'europe', 'open', i % 100000 / 100.0, 'ordered again: ' || md5(i::text),
              now(), clock_timestamp(), date '2025-06-01' + (i % 30)::int
       FROM (SELECT max(id) AS total FROM orders) bounds, generate_series(1, total / 100) i
       RETURNING 1)
     SELECT count(*) FROM added`,
  )
  return updated + Number(added)
}

async function update(source: string, which: string): Promise<number> {
  const count = await query(
    source,
    `WITH changed AS (
       UPDATE orders SET amount = (amount + 1) % 90000, status = 'closed', updated_at = clock_timestamp()
       FROM (SELECT max(id) AS total FROM orders) bounds WHERE ${which}
       RETURNING 1)
     SELECT count(*) FROM changed`,
  )
  return Number(count)
}
