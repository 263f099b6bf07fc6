import type { Connector } from '../../contract/connector.ts'
import { parseSnowflakeConfig, type SnowflakeConfig } from './config.ts'

/** An account of Snowflake. */
export const snowflake: Connector<SnowflakeConfig> = {
  name: 'snowflake',
  parse: parseSnowflakeConfig,
}
