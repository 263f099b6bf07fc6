import type { Connector } from '../contract/connector.ts'

/** Every kind of connection, by the `type` that the project file gives it. A connector is loaded when it is used. */
export const CONNECTORS: Readonly<Record<string, () => Promise<Connector<unknown>>>> = {
  postgres: async () => (await import('./postgres/connector.ts')).postgres as Connector<unknown>,
  kafka: async () => (await import('./kafka/connector.ts')).kafka as Connector<unknown>,
  duckdb: async () => (await import('./duckdb/connector.ts')).duckdb as Connector<unknown>,
  snowflake: async () => (await import('./snowflake/connector.ts')).snowflake as Connector<unknown>,
  memory: async () => (await import('./memory/connector.ts')).memory as Connector<unknown>,
}
