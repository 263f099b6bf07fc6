// A Snowflake of one test file, and a schema of its own for each test in it.

import type { SnowflakeConfig } from '../../src/connectors/snowflake/config.ts'
import { type SnowflakeEmulator, startSnowflake } from '../../src/testing/snowflake/emulator.ts'

export interface FreshSchema {
  /** As a project file names it. */
  readonly name: string
  readonly config: SnowflakeConfig
  /** Options of a connection in a project file. */
  readonly connection: Readonly<Record<string, unknown>>
  /** Rows of a statement, in which $ stands for the schema. */
  query(sql: string): Promise<readonly (readonly (string | null)[])[]>
}

let schemas = 0

export async function freshSchema(server: SnowflakeEmulator): Promise<FreshSchema> {
  const name = `t${++schemas}`
  await server.query(`CREATE SCHEMA ${server.database}.${name}`)
  const { account, user, password, database, warehouse, accessUrl } = server
  return {
    name,
    config: {
      ...{ account, user, database, warehouse, accessUrl },
      login: { kind: 'password', secret: password },
      role: null,
      schema: name,
      stateSchema: name,
      connectTimeoutSeconds: 10,
    },
    connection: {
      type: 'snowflake',
      account,
      user,
      password: '${env:SNOWFLAKE_PASSWORD}',
      database,
      schema: name,
      warehouse,
      access_url: accessUrl,
    },
    query: (sql) => server.query(sql.replaceAll('$', `${database}.${name}`)),
  }
}

export { type SnowflakeEmulator, startSnowflake }
