import type { Connector } from '../../contract/connector.ts'
import { parseSnowflakeConfig, type SnowflakeConfig } from './config.ts'

/** An account of Snowflake, as source and as target. */
export const snowflake: Connector<SnowflakeConfig> = {
  name: 'snowflake',
  parse: parseSnowflakeConfig,
  async source(config, name) {
    const { SnowflakeSource } = await import('./source.ts')
    return new SnowflakeSource(config, `source ${name}`)
  },
  async target(config, name) {
    const { SnowflakeTarget } = await import('./target.ts')
    return new SnowflakeTarget(config, `target ${name}`)
  },
}
