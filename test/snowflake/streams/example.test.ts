// examples/snowflake-stream, in a copy of its folder, with its account exchanged for the emulator.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openProject } from '../../../src/project/open-project.ts'
import { duckdbRows } from '../../servers/duckdb-file.ts'
import { projectFolder } from '../../servers/project-folder.ts'
import { startSnowflake } from '../emulated.ts'

const EXAMPLE = join(import.meta.dirname, '../../../examples/snowflake-stream')
const server = await startSnowflake()
afterAll(() => server.stop())

test('copies, then brings what change.sql did', async () => {
  using folder = projectFolder({ connections: {}, pipelines: {} })
  const written = readFileSync(join(EXAMPLE, 'tidemark.yml'), 'utf8')
  writeFileSync(folder.file, written.replace('    warehouse: load\n', `    warehouse: load\n    access_url: "${server.accessUrl}"\n`))
  const env = { SNOWFLAKE_ACCOUNT: server.account, SNOWFLAKE_USER: server.user, SNOWFLAKE_PRIVATE_KEY: server.privateKey }
  const runAll = async (): Promise<void> => {
    await using project = await openProject(folder.file, { env: { ...process.env, ...env } })
    for (const name of ['orders', 'order_changes']) {
      const { pipelines } = await project.run(name)
      expect(pipelines[0]?.error).toBeNull()
    }
  }
  await server.query(readFileSync(join(EXAMPLE, 'seed.sql'), 'utf8'))
  await runAll()
  await server.query(readFileSync(join(EXAMPLE, 'change.sql'), 'utf8'))
  await runAll()
  const file = join(folder.path, 'warehouse.duckdb')
  expect(await duckdbRows(file, 'SELECT id, amount, status FROM staging.orders ORDER BY id')).toEqual([
    ['1', '10.50', 'shipped'],
    ['3', '7.25', 'new'],
    ['4', '99.99', 'new'],
  ])
  expect(await duckdbRows(file, 'SELECT _tidemark_op, count(*) FROM history.orders GROUP BY 1 ORDER BY 1')).toEqual([
    ['delete', '1'],
    ['insert', '1'],
    ['read', '3'],
    ['update', '1'],
  ])
})
