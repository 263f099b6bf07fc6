// Ends that can't be reached, don't let us in, or take no writes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freshRole } from '../servers/fresh-role.ts'
import type { Loading } from '../servers/loading.ts'
import { MORE_GOODS, PASSWORD, refused, startGoods, succeed, targetContent } from './refusal.ts'

const ENDS = [
  ['source shop', 'SHOP_URL'],
  ['target warehouse', 'WAREHOUSE_URL'],
] as const

/** A port on which nothing listens. */
async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return String(port)
}

function changed(url: string | undefined, change: (url: URL) => void): string {
  const parsed = new URL(url ?? '')
  parsed.password = encodeURIComponent(PASSWORD)
  change(parsed)
  return parsed.href
}

test.each(ENDS)('%s: nobody listens', async (what, variable) => {
  await using loading = await startGoods()
  await succeed(loading)
  const port = await closedPort()
  const url = changed(loading.env[variable], (one) => {
    one.port = port
  })
  await refused(loading, { code: 'unreachable', names: [what, 'ECONNREFUSED', port] }, { env: { [variable]: url } })
})

test.each(ENDS)('%s: a host that no name server knows', async (what, variable) => {
  await using loading = await startGoods()
  const url = changed(loading.env[variable], (one) => {
    one.hostname = 'no-such-host.invalid'
  })
  await refused(loading, { code: 'unreachable', names: [what, 'no-such-host.invalid'] }, { env: { [variable]: url } })
})

test.each(ENDS)('%s: a wrong password, and an unknown user', async (what, variable) => {
  await using loading = await startGoods()
  await succeed(loading)
  await using role = await freshRole(loading.source, '', 'the right one')
  const wrong = changed(loading.env[variable], (one) => {
    one.username = role.name
  })
  await refused(loading, { code: 'authentication-failed', names: [what, role.name] }, { env: { [variable]: wrong } })
  const unknown = changed(loading.env[variable], (one) => {
    one.username = 'no_such_role'
  })
  await refused(loading, { code: 'authentication-failed', names: [what, 'no_such_role'] }, { env: { [variable]: unknown } })
})

test.each(ENDS)('%s: no password where one is needed', async (what, variable) => {
  await using loading = await startGoods()
  await using role = await freshRole(loading.source, '', PASSWORD)
  const url = changed(loading.env[variable], (one) => {
    one.username = role.name
    one.password = ''
  })
  await refused(loading, { code: 'authentication-failed', names: [what] }, { env: { [variable]: url } })
})

test.each(ENDS)('%s: an unknown database', async (what, variable) => {
  await using loading = await startGoods()
  await succeed(loading)
  const url = changed(loading.env[variable], (one) => {
    one.pathname = '/no_such_database'
  })
  await refused(loading, { code: 'missing-database', names: [what, 'no_such_database'] }, { env: { [variable]: url } })
})

test('TLS asked for, and the server has none', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  const tls = 'verify-full'
  loading.pipelines({ goods: { source: { table: 'goods' } } }, { shop: { type: 'postgres', url: '${env:SHOP_URL}', tls } })
  await refused(loading, { code: 'tls-failed', names: ['source shop', 'SSL', 'tls'] })
})

test('a target that takes no writes', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  await loading.target.run(`ALTER DATABASE "${loading.target.name}" SET default_transaction_read_only = on`)
  await refused(loading, { code: 'read-only-target', names: ['target warehouse', 'read-only'] })
  await loading.target.run(`ALTER DATABASE "${loading.target.name}" RESET default_transaction_read_only`)
  expect((await succeed(loading)).rows.inserted).toBe(6)
})

test('a target role that may read and not write', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  await using role = await freshRole(loading.target, 'GRANT pg_read_all_data TO ROLE', PASSWORD)
  await refused(loading, { code: 'missing-privilege', names: ['target warehouse'] }, { env: { WAREHOUSE_URL: role.url } })
})

test.each([
  ['a folder that is not there', 'nowhere/warehouse.duckdb', 'missing-database', 'Make the folder'],
  ['a path that is a folder', 'folder', 'target-failed', 'Check the path'],
  ['a file that is no DuckDB', 'notes.txt', 'target-failed', 'Check the path'],
] as const)('DuckDB: %s', async (_, path, code, hint) => {
  await using loading = await startGoods({}, { target: 'duckdb' })
  await succeed(loading)
  mkdirSync(join(loading.folder.path, 'folder'))
  writeFileSync(join(loading.folder.path, 'notes.txt'), 'Not a database at all, however long one reads. '.repeat(400))
  loading.pipelines({ goods: { source: { table: 'goods' } } }, { warehouse: { type: 'duckdb', path } })
  await refused(loading, { code, names: [path, hint] })
})

const HOLD = `const { DuckDBInstance } = await import('@duckdb/node-api')
  await DuckDBInstance.create(process.argv[1])
  console.log('open')
  process.stdin.resume()`

test('DuckDB: another process has the file open', async () => {
  await using loading = await startGoods({}, { target: 'duckdb' })
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  const path = loading.side as string
  const other = spawn(process.execPath, ['--input-type=module', '-e', HOLD, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = once(other, 'exit')
  try {
    await once(other.stdout, 'data')
    // A copy is looked at instead: this process can't open the file either.
    const copy: Loading = Object.create(loading, { side: { value: `${path}.copy` } })
    const look = async () => {
      copyFileSync(path, `${path}.copy`)
      return await targetContent(copy)
    }
    const before = await look()
    await refused(copy, { code: 'target-locked', names: ['warehouse.duckdb', `PID ${other.pid}`] })
    expect(await look()).toEqual(before)
  } finally {
    other.stdin.end()
    await gone
  }
  expect((await succeed(loading)).rows.inserted).toBe(6)
})
