// A pipeline that follows the log of a Postgres of its own into a schema of the emulator.

import { randomBytes } from 'node:crypto'
import { type ExpectStatic, expect } from 'vitest'
import { type Loading, startLoading } from '../servers/loading.ts'
import { type FreshSchema, freshSchema, type SnowflakeEmulator } from './emulated.ts'

export interface SnowflakeFollowing extends AsyncDisposable {
  readonly loading: Loading
  readonly schema: FreshSchema
  /** What `loading.cli` needs besides. */
  readonly env: Readonly<Record<string, string>>
  /** Rows of a table at both ends as texts are the same; columns are SQL for both, or one of each. */
  areSame(table: string, columns: readonly Both[], look?: ExpectStatic): Promise<void>
}

type Both = string | { readonly source: string; readonly target: string }

export async function startSnowflakeFollowing(
  server: SnowflakeEmulator,
  sourceServer: string,
  make: string,
  tables: readonly string[],
  more: object = {},
): Promise<SnowflakeFollowing> {
  process.env['SNOWFLAKE_PASSWORD'] = server.password
  const schema = await freshSchema(server)
  const loading = await startLoading({ target: 'duckdb', sourceServer })
  const slot = `test_${randomBytes(6).toString('hex')}`
  loading.pipelines(
    { shop: { pattern: 'cdc', target: { schema: schema.name }, ...more, source: { tables, slot, publication: slot } } },
    { warehouse: schema.connection },
  )
  await loading.source.run(make)
  const from = async (table: string, columns: readonly Both[]): Promise<readonly (readonly (string | null)[])[]> => {
    const list = columns.map((column, place) => `(${typeof column === 'string' ? column : column.source})::text AS c${place}`)
    const rows = await loading.source.rows(`SELECT ${list.join(', ')} FROM ${table}`)
    return rows.map((row) => columns.map((_, place) => row[`c${place}`] ?? null))
  }
  return {
    loading,
    schema,
    env: { SNOWFLAKE_PASSWORD: server.password },
    async areSame(table, columns, look = expect) {
      const list = columns.map((column) => `TO_VARCHAR(${typeof column === 'string' ? column : column.target})`).join(', ')
      const alive = 'write' in more && more.write === 'soft-delete' ? ' WHERE _tidemark_deleted_at IS NULL' : ''
      const rows = await schema.query(`SELECT ${list} FROM $.${table.replace(/.*\./, '')}${alive}`)
      look({ table, rows: sorted(rows) }).toEqual({ table, rows: sorted(await from(table, columns)) })
    },
    [Symbol.asyncDispose]: () => loading[Symbol.asyncDispose](),
  }
}

function sorted(rows: readonly (readonly (string | null)[])[]): readonly string[] {
  return rows.map((row) => JSON.stringify(row)).sort()
}
