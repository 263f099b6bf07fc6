// Source and target row by row, every value as the text that its own database prints.

import { duckdbRows } from './duckdb-file.ts'
import type { FreshDatabase } from './fresh-database.ts'

/** A DuckDB file by its path. */
export type Side = FreshDatabase | string

export interface Difference {
  /** At the source and not at the target: lost or stale. At most ten are shown. */
  readonly lost: readonly string[]
  /** At the target and not at the source: doubled, stale or invented. */
  readonly surplus: readonly string[]
  readonly rows: number
}

/** Nothing differs; for `toEqual`. */
export const same = (rows: number): Difference => ({ lost: [], surplus: [], rows })

export interface Comparison {
  readonly columns: readonly string[]
  /** A condition for both sides. */
  readonly where?: string
  /** SQL for a column at the source where the target prints it otherwise. */
  readonly atSource?: Readonly<Record<string, string>>
  readonly targetTable?: string
}

export async function differences(source: FreshDatabase, target: Side, table: string, how: Comparison): Promise<Difference> {
  const wanted = await tableText(
    source,
    table,
    how.columns.map((name) => how.atSource?.[name] ?? quoted(name)),
    how.where,
  )
  const found = await tableText(target, how.targetTable ?? table, how.columns.map(quoted), how.where)
  const counts = new Map<string, number>()
  for (const row of found) counts.set(row, (counts.get(row) ?? 0) + 1)
  const lost: string[] = []
  for (const row of wanted) {
    const left = counts.get(row) ?? 0
    if (left > 0) counts.set(row, left - 1)
    else lost.push(row)
  }
  const surplus = [...counts].flatMap(([row, count]) => Array.from({ length: count }, () => row))
  return { lost: shown(lost), surplus: shown(surplus), rows: wanted.length }
}

async function tableText(side: Side, table: string, expressions: readonly string[], where?: string): Promise<string[]> {
  const cast = expressions.map((expression, index) => `CAST(${expression} AS varchar) AS c${index}`)
  const sql = `SELECT ${cast.join(', ')} FROM ${table}${where === undefined ? '' : ` WHERE ${where}`}`
  if (typeof side === 'string') return (await duckdbRows(side, sql)).map((row) => JSON.stringify(row))
  return (await side.rows(sql)).map((row) => JSON.stringify(Object.values(row)))
}

function shown(rows: readonly string[]): string[] {
  const short = rows.slice(0, 10).map((row) => (row.length > 300 ? `${row.slice(0, 300)}…` : row))
  return rows.length > 10 ? [...short, `and ${rows.length - 10} more`] : short
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Physical versions of all rows: whatever writes a row changes its version. */
export async function rowVersions(database: FreshDatabase, table: string): Promise<string[]> {
  return (await database.rows(`SELECT xmin || ' ' || ctid AS version FROM ${table} ORDER BY ctid`)).map((row) => row.version ?? '')
}
