import type { Connector } from '../../contract/connector.ts'
import { type PostgresConfig, parsePostgresConfig } from './config.ts'

/** PostgreSQL 12 to 18, as source and as target. */
export const postgres: Connector<PostgresConfig> = {
  name: 'postgres',
  parse: parsePostgresConfig,
  async source(config, name) {
    const { PostgresSource } = await import('./source.ts')
    return new PostgresSource(config, `source ${name}`)
  },
  async target(config, name) {
    const { PostgresTarget } = await import('./target.ts')
    return new PostgresTarget(config, `target ${name}`)
  },
  address: ({ host, port, database, user, password, tls }) => ({ host, port, database, user, password, tls: tls.mode }),
}
