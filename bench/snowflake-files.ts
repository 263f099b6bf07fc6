// Measures how fast rows of PostgreSQL come into Snowflake's stage, which here is the emulator's folder, beside psql's COPY into gzip of the
// same level: node bench/snowflake-files.ts [ROWS, default 1000000]. No speed is ever asserted; exit 1: the files do not hold all rows.

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parsePostgresConfig } from '../src/connectors/postgres/config.ts'
import { PostgresSource } from '../src/connectors/postgres/source.ts'
import type { SnowflakeConfig } from '../src/connectors/snowflake/config.ts'
import { openSession } from '../src/connectors/snowflake/session.ts'
import { StagedFiles } from '../src/connectors/snowflake/staged-files.ts'
import { SNOWFLAKE_TYPES } from '../src/connectors/snowflake/type-rules.ts'
import type { ResolvedPipeline } from '../src/core/pipeline.ts'
import { startPostgres } from '../src/testing/postgres-server.ts'
import { startSnowflake } from '../src/testing/snowflake/emulator.ts'
import { ENVIRONMENT } from './psql.ts'
import { freshSource, generateSource, sourceUrl } from './source.ts'

const ROUNDS = 3
const CHUNK_BYTES = 256 * 1024
const rows = Number(process.argv[2] ?? 1_000_000)

const PIPELINE = {
  name: 'orders',
  pattern: 'watermark',
  source: { connection: 'shop', table: { schema: null, name: 'orders' }, query: null },
  target: { connection: 'wh', table: { schema: null, name: 'orders' } },
  cursor: 'updated_at',
  cursorTimeZone: null,
  start: null,
  lateRows: { kind: 'none' },
  nullCursor: 'error',
  firstLoad: null,
  key: ['id'],
  write: 'merge',
  where: null,
  columns: { include: null, exclude: [] },
  onSchemaChange: 'evolve',
} satisfies ResolvedPipeline

const RANGE = { from: null, fromOpen: false, to: null, toClosed: false, changedSince: null, nulls: false, everything: true }

/** Seconds until all files are in the stage. */
async function load(url: string, config: SnowflakeConfig): Promise<number> {
  const source = new PostgresSource(parsePostgresConfig({ url }), 'source shop')
  const session = await openSession(config, 'target wh', { side: 'target', tag: 'bench' })
  const table = await source.describe(PIPELINE)
  const columns = table.columns.map((column) => SNOWFLAKE_TYPES.targetColumn(column))
  const began = performance.now()
  const files = new StagedFiles(session, 'bench')
  const slice = { after: null, upTo: { kind: 'watermark', value: null }, range: RANGE, estimatedRows: null, sweeps: false } as const
  const options = { format: 'csv', columns, chunkBytes: CHUNK_BYTES, signal: new AbortController().signal } as const
  let read = 0
  for await (const chunk of source.read(PIPELINE, slice, options)) {
    if (chunk.format !== 'csv') throw new Error(`The source gave ${chunk.format}.`)
    await files.write(chunk.bytes)
    read += chunk.rows
  }
  await files.finish()
  const seconds = (performance.now() - began) / 1000
  if (read !== rows) throw new Error(`${read} rows were read.`)
  await files.discard()
  await session.close()
  await source.close()
  return seconds
}

/** Seconds of the whole pipe, by the shell. */
async function baseline(url: string, folder: string): Promise<number> {
  const file = join(folder, 'orders.csv.gz')
  const began = performance.now()
  const copy = 'COPY (SELECT * FROM orders) TO STDOUT (FORMAT csv, FORCE_QUOTE *)'
  const child = spawn('sh', ['-c', `psql -Xq -c "$COPY" "$URL" | gzip -1 > "$FILE"`], {
    env: { ...ENVIRONMENT, COPY: copy, URL: url, FILE: file },
    stdio: 'inherit',
  })
  const exit = await new Promise<number | null>((resolve) => child.on('close', resolve))
  const seconds = (performance.now() - began) / 1000
  const [made] = readdirSync(folder)
  const lines = exit === 0 && made !== undefined ? countLines(gunzipSync(readFileSync(file))) : 0
  if (lines !== rows) throw new Error(`psql wrote ${lines} lines.`)
  return seconds
}

function countLines(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
  return lines
}

const folder = mkdtempSync(join(tmpdir(), 'tidemark-bench-'))
const server = await startPostgres()
const snowflake = await startSnowflake()
let peak = 0
/** Only while tidemark loads: the baseline's file is looked at whole. */
let loading = false
const watch = setInterval(() => {
  if (loading) peak = Math.max(peak, process.memoryUsage().rss)
}, 50)
try {
  await generateSource(server, rows)
  await freshSource(server)
  const url = sourceUrl(server)
  const { account, user, password, database, schema, warehouse, accessUrl } = snowflake
  const config: SnowflakeConfig = {
    ...{ account, user, database, schema, warehouse, accessUrl },
    login: { kind: 'password', secret: password },
    role: null,
    stateSchema: schema,
    connectTimeoutSeconds: 30,
  }
  console.log(`${rows.toLocaleString('en')} rows of 9 columns, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}`)
  // The first round's memory is tidemark's own.
  const seconds: (readonly [string, number])[] = []
  for (let round = 0; round < ROUNDS; round++) {
    loading = round === 0
    seconds.push(['tidemark', await load(url, config)])
    loading = false
    seconds.push(['psql | gzip -1', await baseline(url, folder)])
  }
  for (const [name, took] of seconds)
    console.log(`${name.padEnd(16)} ${took.toFixed(2)} s  ${Math.round(rows / took).toLocaleString('en')} rows/s`)
  console.log(`most memory of this process, the emulator and its DuckDB in it: ${Math.round(peak / 1048576)} MB`)
} finally {
  clearInterval(watch)
  rmSync(folder, { recursive: true })
  await snowflake.stop()
  await server[Symbol.asyncDispose]()
}
