// A baseline, run as a process of its own: DuckDB reads from a named pipe what psql writes as CSV.
// Arguments: first or increment. Environment: SRC_URL, DUCKDB_FILE, BENCH_FOLDER.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { COLUMNS } from './columns.ts'

const { SRC_URL = '', DUCKDB_FILE = '', BENCH_FOLDER = '' } = process.env
const pipe = join(BENCH_FOLDER, `csv-${process.pid}`)
const types = Object.entries(COLUMNS).map(([name, type]) => `${name}: '${type}'`)
const rows = `SELECT * FROM read_csv('${pipe}', header = false, columns = {${types.join(', ')}})`

const instance = await DuckDBInstance.create(DUCKDB_FILE)
const connection = await instance.connect()
await connection.run("SET TimeZone = 'UTC'")

/** Statements that read `rows` while psql writes them. */
async function withSource(what: string, statements: readonly string[]): Promise<void> {
  execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', pipe])
  try {
    const copy = `COPY (SELECT * FROM orders${what}) TO STDOUT (FORMAT csv)`
    const psql = spawn('sh', ['-c', 'exec psql -XAtq -v ON_ERROR_STOP=1 -c "$1" "$2" > "$3"', 'sh', copy, SRC_URL, pipe], {
      stdio: 'inherit',
    })
    const ended = once(psql, 'exit')
    for (const statement of statements) await connection.run(statement)
    const [code] = await ended
    if (code !== 0) throw new Error(`psql ended with ${code}`)
  } finally {
    rmSync(pipe)
  }
}

if (process.argv[2] === 'first') {
  await withSource('', ['CREATE SCHEMA bench', `CREATE TABLE bench.orders AS ${rows}`])
} else {
  const newest = await connection.runAndReadAll('SELECT max(updated_at)::text FROM bench.orders')
  await connection.run('BEGIN')
  await withSource(` WHERE updated_at > '${newest.getRows()[0]?.[0]}'`, [`CREATE TEMP TABLE stage AS ${rows}`])
  await connection.run('DELETE FROM bench.orders USING stage WHERE orders.id = stage.id')
  await connection.run('INSERT INTO bench.orders SELECT * FROM stage')
  await connection.run('COMMIT')
}
connection.closeSync()
instance.closeSync()
