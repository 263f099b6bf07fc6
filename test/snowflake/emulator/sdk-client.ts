// A session of the unmodified snowflake-sdk, with promises and texts as values.

import snowflake from 'snowflake-sdk'
import type { SnowflakeEmulator } from '../../../src/testing/snowflake/emulator.ts'

snowflake.configure({ logLevel: 'OFF', additionalLogToConsole: false })

export type Values = (string | null)[]

export interface SdkClient extends AsyncDisposable {
  /** The rows of a statement, each as texts in the order of the columns. */
  rows(sql: string, binds?: readonly unknown[]): Promise<Values[]>
  /** The statement that the driver hands back, for what it knows besides rows. */
  statement(sql: string, options?: Partial<snowflake.StatementOption>): Promise<snowflake.RowStatement>
  readonly connection: snowflake.Connection
}

export async function connectTo(emulator: SnowflakeEmulator, options: Partial<snowflake.ConnectionOptions> = {}): Promise<SdkClient> {
  const { accessUrl, account, user, password, database, schema, warehouse } = emulator
  return connectWith({ accessUrl, account, username: user, password, database, schema, warehouse, ...options })
}

export async function connectWith(options: snowflake.ConnectionOptions): Promise<SdkClient> {
  const connection = snowflake.createConnection({
    fetchAsString: ['String', 'Boolean', 'Number', 'Date', 'JSON', 'Buffer'],
    representNullAsStringNull: false,
    ...options,
  } as snowflake.ConnectionOptions)
  await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())))
  const run = (sqlText: string, more: Partial<snowflake.StatementOption> = {}) =>
    new Promise<{ statement: snowflake.RowStatement; rows: Record<string, string | null>[] }>((resolve, reject) => {
      connection.execute({
        sqlText,
        ...more,
        complete: (error, statement, rows) =>
          error ? reject(error) : resolve({ statement: statement as snowflake.RowStatement, rows: (rows ?? []) as never }),
      })
    })
  return {
    connection,
    rows: async (sql, binds) => {
      const { rows } = await run(sql, binds ? { binds: binds as snowflake.Binds } : {})
      return rows.map((row) => Object.values(row).map((value) => (value === null || value === undefined ? null : String(value))))
    },
    statement: async (sql, more) => (await run(sql, more)).statement,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => connection.destroy(() => resolve())),
  }
}
