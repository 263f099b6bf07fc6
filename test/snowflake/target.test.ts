// The suite of every target, on the emulator.

import { afterAll } from 'vitest'
import { SnowflakeTarget } from '../../src/connectors/snowflake/target.ts'
import { testTarget } from '../../src/testing/conformance.ts'
import { freshSchema, startSnowflake } from './emulated.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

testTarget('snowflake', async () => {
  const { config, query } = await freshSchema(server)
  return {
    target: new SnowflakeTarget(config, 'target wh'),
    rows: async () => {
      const rows = await query('SELECT id, at, v FROM $.orders')
      return rows.map((row) => [row[0] ?? null, BigInt(row[1] ?? '0'), row[2] ?? null] as const)
    },
  }
})
