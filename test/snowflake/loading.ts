// A project that loads from a Postgres of its own into a schema of the emulator.

import { type Loading, startLoading } from '../servers/loading.ts'
import { type FreshSchema, freshSchema, type SnowflakeEmulator } from './emulated.ts'

type Pipelines = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface SnowflakeLoading extends AsyncDisposable {
  readonly loading: Loading
  readonly schema: FreshSchema
  /** What `loading.cli` needs besides. */
  readonly env: Readonly<Record<string, string>>
  /** Orders at both ends as texts, sorted; equal where the load was right. */
  source(): Promise<readonly string[]>
  target(): Promise<readonly string[]>
}

export async function startSnowflakeLoading(
  server: SnowflakeEmulator,
  pipelines: Pipelines = { orders: {} },
  connection: Readonly<Record<string, unknown>> = {},
): Promise<SnowflakeLoading> {
  process.env['SNOWFLAKE_PASSWORD'] = server.password
  const schema = await freshSchema(server)
  const loading = await startLoading({ target: 'duckdb' })
  // Where the target is another kind, a schema of the source's name would be looked for.
  const placed = Object.fromEntries(Object.entries(pipelines).map(([name, own]) => [name, { target: { table: 'orders' }, ...own }]))
  loading.pipelines(placed, { warehouse: { ...schema.connection, ...connection } })
  return {
    loading,
    schema,
    env: { SNOWFLAKE_PASSWORD: server.password },
    source: async () => {
      const rows = await loading.source.rows(
        `SELECT concat_ws('|', id, customer, amount, CASE WHEN paid THEN 'true' ELSE 'false' END, coalesce(note, '(null)'), to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS.US')) AS line FROM orders ORDER BY id`,
      )
      return rows.map(({ line }) => line ?? '')
    },
    target: async () => {
      const rows = await schema.query(
        `SELECT id, customer, amount, TO_VARCHAR(paid), COALESCE(note, '(null)'), TO_VARCHAR(updated_at, 'YYYY-MM-DD HH24:MI:SS.FF6') FROM $.orders ORDER BY id`,
      )
      return rows.map((row) => row.join('|'))
    },
    [Symbol.asyncDispose]: () => loading[Symbol.asyncDispose](),
  }
}
