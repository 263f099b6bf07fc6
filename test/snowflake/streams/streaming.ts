// A project that follows streams of a Snowflake (emulated) into a Postgres or a DuckDB of its own.

import { expect } from 'vitest'
import { duckdbRows } from '../../servers/duckdb-file.ts'
import { type Loading, startLoading, type TargetKind } from '../../servers/loading.ts'
import { type FreshSchema, freshSchema, type SnowflakeEmulator } from '../emulated.ts'

export interface Streaming extends AsyncDisposable {
  readonly loading: Loading
  readonly schema: FreshSchema
  readonly env: Readonly<Record<string, string>>
  /** Statements, in which $ stands for the schema, one after the other. */
  change(...statements: readonly string[]): Promise<void>
  /** Rows of both ends as texts, sorted; equal where nothing was lost or doubled. */
  source(table?: string): Promise<readonly string[]>
  target(table?: string, where?: string): Promise<readonly string[]>
  /** Writes the project again; `source` goes over that of the pipeline. */
  project(more: object): void
}

export const ORDERS = 'CREATE TABLE $.orders (id NUMBER(10,0) NOT NULL PRIMARY KEY, v NUMBER(10,0), s VARCHAR)'

/** `more` goes over the pipeline's fields, its `source` over those of the source. */
export async function startStreaming(
  server: SnowflakeEmulator,
  { target = 'duckdb', tables = ['orders'], more = {} }: { target?: TargetKind; tables?: readonly string[]; more?: object } = {},
): Promise<Streaming> {
  process.env['SNOWFLAKE_PASSWORD'] = server.password
  const schema = await freshSchema(server)
  const loading = await startLoading({ target })
  const project = (own: object): void =>
    loading.pipelines(
      {
        shop: {
          pattern: 'cdc',
          target: { schema: target === 'duckdb' ? 'main' : 'public' },
          ...own,
          source: {
            connection: 'snow',
            tables: tables.map((table) => `${schema.name}.${table}`),
            ...('source' in own ? (own.source as object) : {}),
          },
        },
      },
      { snow: schema.connection },
    )
  project(more)
  return {
    loading,
    schema,
    env: { SNOWFLAKE_PASSWORD: server.password },
    project,
    change: async (...statements) => {
      for (const statement of statements) await schema.query(statement)
    },
    source: async (table = 'orders') => {
      const rows = await schema.query(`SELECT id, v, s FROM $.${table}`)
      return rows.map((row) => row.map((value) => value ?? '(null)').join('|')).sort()
    },
    target: async (table = 'orders', where = 'true') => {
      const columns = ['id', 'v', 's'].map((name) => `coalesce(CAST(${name} AS VARCHAR), '(null)')`).join(', ')
      const sql = `SELECT concat_ws('|', ${columns}) AS line FROM ${table} WHERE ${where}`
      const { side } = loading
      const lines = typeof side === 'string' ? (await duckdbRows(side, sql)).flat() : (await side.rows(sql)).map(({ line }) => line ?? null)
      return lines.map(String).sort()
    },
    [Symbol.asyncDispose]: () => loading[Symbol.asyncDispose](),
  }
}

/** A run without an error, after which both ends are the same. */
export async function loads(streaming: Streaming, ...tables: readonly string[]): Promise<void> {
  const { error } = await streaming.loading.run()
  expect(error).toBeNull()
  for (const table of tables.length === 0 ? ['orders'] : tables)
    expect(await streaming.target(table)).toEqual(await streaming.source(table))
}
