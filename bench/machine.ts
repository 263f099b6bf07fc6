// Where and with what a measurement was made: figures mean nothing without it.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { version as duckdbVersion } from '@duckdb/node-api'
import { psqlVersion, query } from './psql.ts'

export async function describeMachine(url: string): Promise<string> {
  const packageFile = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')
  const tidemark = (JSON.parse(packageFile) as { version: string }).version
  const postgres = (await query(url, 'SHOW server_version')).split(' ')[0]
  const python = process.env['BENCH_DUCKDB_PYTHON']
  const scanner = python ? execFileSync(python, ['-c', 'import duckdb; print(duckdb.__version__)'], { encoding: 'utf8' }).trim() : null
  const hardware = [
    cpus()[0]?.model.trim() || 'unknown processor',
    `${availableParallelism()} cores`,
    `${(totalmem() / 1024 ** 3).toFixed(0)} GB of memory`,
    `${type()} ${release()}`,
  ]
  const software = [
    `tidemark ${tidemark}`,
    `Node ${process.versions.node}`,
    `Postgres ${postgres}`,
    `psql ${await psqlVersion()}`,
    `DuckDB ${duckdbVersion().replace('v', '')}`,
    ...(scanner === null ? [] : [`DuckDB ${scanner} for its scanner`]),
  ]
  return `${new Date().toISOString().slice(0, 10)}; ${hardware.join(', ')}; ${software.join(', ')}.`
}
