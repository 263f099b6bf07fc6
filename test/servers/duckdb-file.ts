// Looks into a DuckDB file that a finished run has left. Opened for each look and closed at once: it can be open in one process only.

import { DuckDBInstance } from '@duckdb/node-api'

/** Rows of one statement, every value as text or null. */
export async function duckdbRows(path: string, sql: string): Promise<(string | null)[][]> {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  try {
    await connection.run("SET TimeZone = 'UTC'")
    const rows = (await connection.runAndReadAll(sql)).getRowsJson()
    return rows.map((row) => row.map((value) => (value === null ? null : String(value))))
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** Any number of statements. */
export async function duckdbRun(path: string, sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  try {
    await connection.run(sql)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
