// Is a DuckDB table the same as a Postgres table? Asked with nothing of tidemark: both databases hash every row and sum the
// hashes; where the sums differ, the rows are compared one by one.

import type { Client } from 'pg'
import type { ShopTable } from './demo-shop.ts'

export interface Comparison {
  readonly table: string
  readonly source_rows: number
  readonly target_rows: number
  /** Of all rows of the target. */
  readonly target_checksum: string
  readonly equal: boolean
  /** Rows of the source that the target lacks. */
  readonly lost: number
  /** Rows that are in the target more often than in the source, or only there. */
  readonly doubled: number
  /** Rows with other values. */
  readonly different: number
}

/** Source and target. */
export interface Ends {
  readonly shop: Client
  readonly warehouse: string
}

/** `where`: which rows of the source are expected. */
export async function compareTable({ shop, warehouse }: Ends, table: ShopTable, where = 'true'): Promise<Comparison> {
  const from = `FROM ${table.name} WHERE ${where}`
  const source = async (sql: string): Promise<Rows> =>
    (await shop.query<string[]>({ text: sql, rowMode: 'array' })).rows.map((row) => row.map(String))
  const [[a = []], b] = await Promise.all([
    source(`SELECT count(*), sum(('x' || left(md5(${table.inPostgres}), 15))::bit(60)::bigint) ${from}`),
    checksum(warehouse, table),
  ])
  const counts = { table: table.pipeline, source_rows: Number(a[0]), target_rows: Number(b[0]), target_checksum: b.join(' ') }
  if (a.join() === b.join()) return { ...counts, equal: true, lost: 0, doubled: 0, different: 0 }
  const there = await readDuckdb(warehouse, `SELECT id, md5(${table.inDuckdb}) FROM staging.${table.pipeline}`)
  return { ...counts, equal: false, ...difference(await source(`SELECT id, md5(${table.inPostgres}) ${from}`), there) }
}

/** Number of rows and sum of their hashes. */
export async function checksum(warehouse: string, table: ShopTable): Promise<readonly string[]> {
  const [row = []] = await readDuckdb(
    warehouse,
    `SELECT count(*), sum(('0x' || left(md5(${table.inDuckdb}), 15))::BIGINT) FROM staging.${table.pipeline}`,
  )
  return row
}

type Rows = readonly (readonly string[])[]

async function readDuckdb(file: string, sql: string): Promise<Rows> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRows().map((row) => row.map(String))
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function difference(source: Rows, target: Rows): { lost: number; doubled: number; different: number } {
  const wanted = new Map(source.map(([id = '', hash = '']) => [id, hash]))
  let [doubled, different] = [0, 0]
  for (const [id = '', hash = ''] of target) {
    const there = wanted.get(id)
    if (there === undefined) doubled++
    else if (there !== hash) different++
    wanted.delete(id)
  }
  return { lost: wanted.size, doubled, different }
}
