// A password full of characters that mean something elsewhere is never shown, written or passed on in the arguments of a
// process, whatever goes wrong.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freshRole } from '../servers/fresh-role.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { type CliResult, type Environment, startCli } from '../servers/run-cli.ts'

const PASSWORD = `kestrel/7@§ %x'"&=:#?+\\$1`
/** Whatever encoding or quoting a leak has, this is in it. */
const TRACE = /kestrel/i

/** Arguments of all processes of this machine; none where that can't be seen. */
function processArguments(): string[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })
}

async function watched(loading: Loading, args: readonly string[], env: Environment): Promise<CliResult> {
  const running = startCli(loading.folder.path, args, { ...loading.env, ...env })
  const seen: string[] = []
  const looking = setInterval(() => seen.push(...processArguments().filter((line) => TRACE.test(line))), 40)
  const result = await running.done
  clearInterval(looking)
  expect({ args, text: result.text }).toEqual({ args, text: expect.not.stringMatching(TRACE) })
  expect(seen).toEqual([])
  return result
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
}

const CONNECTIONS = { shop: { type: 'postgres', url: '${env:SHOP_URL}' }, warehouse: { type: 'postgres', url: '${env:WAREHOUSE_URL}' } }

test('a password is nowhere to be seen, neither when all is well nor when it is not', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 50)
  await using reader = await freshRole(loading.source, 'GRANT SELECT ON orders TO ROLE; GRANT pg_read_all_stats TO ROLE', PASSWORD)
  await using writer = await freshRole(loading.target, 'GRANT CREATE, USAGE ON SCHEMA public TO ROLE', PASSWORD)
  const env = { SHOP_URL: reader.url, WAREHOUSE_URL: writer.url }
  loading.pipelines({ orders: {} }, CONNECTIONS)
  const well = [
    ['check'],
    ['plan', '--sql'],
    ['run'],
    ['run', '-v'],
    ['status'],
    ['watermark', 'get', 'orders'],
    ['watermark', 'history', 'orders'],
    ['errors'],
  ]
  for (const args of well)
    for (const output of args[0] === 'run' ? [[], ['-o', 'json'], ['-o', 'ndjson']] : [[]]) {
      const { exit, text } = await watched(loading, [...output, ...args], env)
      expect({ args, exit, text: exit === 0 ? '' : text }).toEqual({ args, exit: 0, text: '' })
    }
  await addOrders(loading.source, 51, 60)
  const wrong = (change: (url: URL) => void): string => {
    const url = new URL(reader.url)
    change(url)
    return url.href
  }
  const failing: Readonly<Record<string, string>> = {
    'authentication-failed': wrong((url) => {
      url.password = 'kestrel%40wrong'
    }),
    unreachable: wrong((url) => {
      url.port = '1'
    }),
    'missing-database': wrong((url) => {
      url.pathname = '/nowhere'
    }),
    'tls-failed': wrong((url) => {
      url.search = '?sslmode=require'
    }),
    'bad-project': wrong((url) => {
      url.search = '?password=kestrel'
    }),
  }
  for (const [code, url] of Object.entries(failing))
    for (const args of [['run', '-v'], ['check']]) {
      const { exit, text } = await watched(loading, args, { ...env, SHOP_URL: url })
      expect(exit).not.toBe(0)
      if (args[0] === 'run') expect(text).toContain(code)
    }
  for (const url of ['postgres://kestrel:kestrel@[broken/x', 'kestrel', `mysql://u:${encodeURIComponent(PASSWORD)}@h/d`])
    expect((await watched(loading, ['run'], { ...env, SHOP_URL: url })).exit).toBe(2)
  loading.pipelines({ orders: {} }, { shop: { type: 'postgres', url: wrong(() => {}) } })
  await watched(loading, ['check'], env)
  loading.pipelines({ orders: { source: { table: 'not_there' } } }, CONNECTIONS)
  await watched(loading, ['run', '-v'], env)
  expect(filesIn(loading.folder.path).filter((text) => TRACE.test(text))).toEqual([])
  for (const table of ['pipeline_watermarks', 'pipeline_history'])
    for (const { row } of await loading.target.rows(`SELECT t::text AS row FROM ${table} t`)) expect(row).not.toMatch(TRACE)
})
