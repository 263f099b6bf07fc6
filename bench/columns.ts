// The columns of the table, in types that Postgres and DuckDB both know, and a checksum that both compute alike: the exact sum of 60 bits
// of each row's md5, so the order of the rows doesn't matter.

import type { TargetKind } from './workloads.ts'

export const COLUMNS = {
  id: 'bigint',
  customer_id: 'int',
  region: 'text',
  status: 'text',
  amount: 'numeric(12,2)',
  note: 'text',
  created_at: 'timestamptz',
  updated_at: 'timestamptz',
  order_date: 'date',
} as const

export const names = Object.keys(COLUMNS)

export function checksumQuery(engine: TargetKind, table: string): string {
  const texts = Object.entries(COLUMNS).map(([name, type]) => {
    if (type === 'timestamptz') return engine === 'duckdb' ? `epoch_us(${name})` : `(extract(epoch from ${name}) * 1000000)::bigint`
    return name === 'note' ? `coalesce(note, '(null)')` : `${name}::${type}::text`
  })
  const hex = `left(md5(concat_ws('|', ${texts.join(', ')})), 15)`
  const bits = engine === 'duckdb' ? `('0x' || ${hex})::bigint` : `('x' || ${hex})::bit(60)::bigint`
  return `SELECT count(*) || ' rows, checksum ' || coalesce(sum(${bits}), 0) FROM ${table}`
}
