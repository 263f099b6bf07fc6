// A table of orders whose values print alike in every database, and the changes that a shop makes to it.

import type { FreshDatabase } from './fresh-database.ts'

export const ORDER_COLUMNS = ['id', 'customer', 'amount', 'paid', 'note', 'updated_at'] as const

const DEFINITION = `(id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2), paid boolean NOT NULL DEFAULT false, note text,
  updated_at timestamptz NOT NULL DEFAULT now())`

const VALUES = "i, 'customer ' || i % 97, i * 1.25, i % 3 = 0, CASE WHEN i % 5 = 0 THEN NULL ELSE repeat('x', (i % 40)::int) END"

/** Orders 1 to `count`, dated a minute apart from the first of 2024 on. */
export async function makeOrders(database: FreshDatabase, count: number, table = 'orders'): Promise<void> {
  await database.run(`CREATE TABLE ${table} ${DEFINITION}`)
  await addOrders(database, 1, count, { table, at: "timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute'" })
}

/** Orders of these ids, by default dated now. */
export async function addOrders(
  database: FreshDatabase,
  from: number,
  to: number,
  { table = 'orders', at = 'now()' }: { readonly table?: string; readonly at?: string } = {},
): Promise<void> {
  if (to >= from) await database.run(`INSERT INTO ${table} SELECT ${VALUES}, ${at} FROM generate_series(${from}::bigint, ${to}) AS i`)
}

/** Each order of these ids gets another amount, and is dated now. */
export async function changeOrders(database: FreshDatabase, from: number, to: number, table = 'orders'): Promise<void> {
  await database.run(`UPDATE ${table} SET amount = amount + 1, note = 'changed', updated_at = now() WHERE id BETWEEN ${from} AND ${to}`)
}
