// The targets, one for each tool, so that tools take turns on the same source; and whether one is equal to it.

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { PostgresServer } from '../src/testing/postgres-server.ts'
import type { Tool } from './baselines.ts'
import { checksumQuery } from './columns.ts'
import { query } from './psql.ts'
import { DAYS, RELOAD_DAYS, sourceUrl } from './source.ts'
import type { TargetKind } from './workloads.ts'

export class Targets {
  readonly #server: PostgresServer
  readonly #folder: string

  constructor(server: PostgresServer, folder: string) {
    this.#server = server
    this.#folder = folder
  }

  /** What the tools and peer.sh read. */
  variables(tool: Tool): Readonly<Record<string, string>> {
    return {
      SRC_URL: sourceUrl(this.#server),
      DST_URL: this.#database(tool),
      DUCKDB_FILE: this.#file(tool),
      BENCH_FOLDER: this.#folder,
      DAYS: DAYS.join(' '),
      RELOAD_DAYS: RELOAD_DAYS.join(' '),
    }
  }

  async empty(tool: Tool, kind: TargetKind): Promise<void> {
    if (kind === 'duckdb') {
      for (const end of ['', '.wal']) rmSync(this.#file(tool) + end, { force: true })
      return
    }
    const name = `target_${tool.name}`
    await query(this.#server.url(), `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name}`)
    await query(this.#database(tool), 'CREATE SCHEMA bench')
  }

  /** Nothing left over from before happens within the time measured: no dirty page, no dead row, no old statistics. */
  async settle(tool: Tool, kind: TargetKind): Promise<void> {
    await query(sourceUrl(this.#server), 'VACUUM (ANALYZE) orders')
    if (kind === 'postgres') await query(this.#database(tool), 'VACUUM (ANALYZE)')
    await query(this.#server.url(), 'CHECKPOINT')
  }

  sourceSum(): Promise<string> {
    return query(sourceUrl(this.#server), checksumQuery('postgres', 'orders'))
  }

  async sum(tool: Tool, kind: TargetKind): Promise<string> {
    try {
      return await (kind === 'postgres'
        ? query(this.#database(tool), checksumQuery('postgres', 'bench.orders'))
        : duckdbSum(this.#file(tool)))
    } catch (error) {
      return `unreadable: ${String(error).trim().split('\n').at(-1)}`
    }
  }

  #database(tool: Tool): string {
    return this.#server.url(`target_${tool.name}`)
  }

  #file(tool: Tool): string {
    return join(this.#folder, `${tool.name}.duckdb`)
  }
}

async function duckdbSum(file: string): Promise<string> {
  if (!existsSync(file)) throw new Error('there is no file')
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  try {
    const connection = await instance.connect()
    const reader = await connection.runAndReadAll(checksumQuery('duckdb', 'bench.orders'))
    connection.closeSync()
    return String(reader.getRows()[0]?.[0])
  } finally {
    instance.closeSync()
  }
}
