// A pipeline that follows the log of a Postgres, with a slot of its own: names of slots are shared by all databases of a server.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, type ExpectStatic, expect } from 'vitest'
import type { RunOptions } from '../../src/project/open-project.ts'
import { type PostgresOptions, type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import type { Comparison } from '../servers/compare-tables.ts'
import { type Loading, type LoadingOptions, startLoading, type TargetKind } from '../servers/loading.ts'

export const COLUMNS = ['id', 'v', 's', 'z'] as const

/** Values of `s` and `z` stand outside of the row: an update that leaves them alone does not log them. */
const MAKE = `
  CREATE TABLE a (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  ALTER TABLE a ALTER s SET STORAGE EXTERNAL, ALTER z SET STORAGE EXTERNAL;
  CREATE TABLE b (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  INSERT INTO a SELECT i, i, repeat('s' || i, 1500), repeat('z', 4000 + i) FROM generate_series(1, 30) AS i;
  INSERT INTO b SELECT i, -i, 'short', NULL FROM generate_series(1, 30) AS i;`

export async function startFollowing(target: TargetKind = 'postgres', more: object = {}, options: LoadingOptions = {}): Promise<Loading> {
  return startTables(MAKE, ['public.a', 'public.b'], { ...options, target }, more)
}

let server: PostgresServer | null = null

/**
 * For a file of its own: a new slot waits for every transaction of its server, also for those that other tests leave open.
 */
export function useOwnServer(options: PostgresOptions = {}): () => PostgresServer {
  beforeAll(async () => {
    server = await startPostgres(options)
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    server = null
  })
  return () => {
    if (server === null) throw new Error('The server has not started.')
    return server
  }
}

/** Tables of the test's own. `more` goes over the pipeline's fields, its `source` over those of the source. */
export async function startTables(
  make: string,
  tables: readonly string[],
  options: LoadingOptions = {},
  more: object = {},
): Promise<Loading> {
  const slot = `test_${randomBytes(6).toString('hex')}`
  const loading = await startLoading({
    ...(server === null ? {} : { sourceServer: server.url() }),
    ...options,
    pipelines: {
      shop: {
        pattern: 'cdc',
        target: { schema: options.target === 'duckdb' ? 'main' : 'public' },
        ...more,
        source: { tables, slot, publication: slot, ...('source' in more ? (more.source as object) : {}) },
      },
    },
  })
  await loading.source.run(make)
  return loading
}

export async function slotOf(loading: Loading): Promise<string> {
  await using project = await loading.open()
  const [pipeline] = await project.pipelines()
  if (pipeline?.pattern !== 'cdc') throw new Error('The pipeline follows no log.')
  return pipeline.source.slot
}

/** Runs to the end of the log; then each table is the source's, row by row. */
export async function loadsAll(
  loading: Loading,
  tables: Readonly<Record<string, readonly string[] | Comparison>>,
  options: RunOptions = {},
  look: ExpectStatic = expect,
): Promise<void> {
  const { error } = await loading.run(options)
  look(error).toBeNull()
  await areSame(loading, tables, look)
}

export async function areSame(
  loading: Loading,
  tables: Readonly<Record<string, readonly string[] | Comparison>>,
  look: ExpectStatic = expect,
): Promise<void> {
  for (const [table, how] of Object.entries(tables))
    look({ table, ...(await loading.compare(table, 'columns' in how ? how : { columns: how })) }).toMatchObject({ lost: [], surplus: [] })
}

/** What the pipeline keeps at the source: names of publications and of its own and temporary slots. */
export async function leftAtSource(loading: Loading): Promise<readonly string[]> {
  const rows = await loading.source.rows(
    `SELECT pubname AS name FROM pg_publication
     UNION ALL SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`,
  )
  return rows.map(({ name }) => name ?? '')
}
