// The other ways in which a password comes: as a field, from a file, in a URL given to init. It is shown and written nowhere.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freshRole } from '../servers/fresh-role.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'
import type { CliResult, RunningCli } from '../servers/run-cli.ts'

/** Every character that a URL, a shell, YAML or JSON would take for something else. */
const SECRET = 'kanari@n/§:7%25 #?&="\'\\{}$'

/** The ways in which it could be written down. */
const FORMS = [
  SECRET,
  encodeURIComponent(SECRET),
  encodeURI(SECRET),
  JSON.stringify(SECRET).slice(1, -1),
  Buffer.from(SECRET).toString('base64').replace(/=+$/, ''),
  Buffer.from(SECRET).toString('hex'),
  // The part that no encoding touches.
  'kanari',
]

function leaks(text: string): readonly string[] {
  return FORMS.filter((form) => text.includes(form))
}

/** Arguments of the process and all its children, as anybody on the machine can read them, as long as it lives. */
async function watched(running: RunningCli): Promise<CliResult & { readonly commandLines: string }> {
  let commandLines = ''
  let over = false
  void running.done.then(() => {
    over = true
  })
  while (!over) {
    for (const process of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        commandLines += `${readFileSync(`/proc/${process}/cmdline`, 'utf8')}\n`
      } catch {
        // It has ended.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { ...(await running.done), commandLines }
}

function filesIn(folder: string): string {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path).isFile() && !path.endsWith('secret.txt'))
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

async function stateOf(loading: Loading): Promise<string> {
  const watermarks = await loading.target.rows('SELECT w::text AS text FROM pipeline_watermarks w')
  const history = await loading.target.rows('SELECT h::text AS text FROM pipeline_history h')
  return JSON.stringify([watermarks, history])
}

const COMMANDS = [
  ['check'],
  ['plan', '--sql'],
  ['run', '-v'],
  ['run', '-o', 'ndjson', '--full-refresh'],
  ['watermark', 'set', 'orders', '2024-01-01', '--yes'],
]

test.each(['the environment', 'a file'])('no command shows a password that comes from %s', async (way) => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 50)
  await using reader = await freshRole(loading.source, 'GRANT SELECT ON orders TO ROLE; GRANT pg_read_all_stats TO ROLE', SECRET)
  await using writer = await freshRole(loading.target, 'GRANT CREATE, USAGE ON SCHEMA public TO ROLE', SECRET)
  const file = join(loading.folder.path, 'secret.txt')
  writeFileSync(file, SECRET)
  const withoutPassword = (url: string): string => {
    const bare = new URL(url)
    bare.password = ''
    return bare.href
  }
  const connection = (role: typeof reader) => ({
    type: 'postgres',
    url: withoutPassword(role.url),
    password: way === 'a file' ? `\${file:${file}}` : '${env:SECRET}',
  })
  loading.pipelines({ orders: {} }, { shop: connection(reader), warehouse: connection(writer) })
  const env = way === 'a file' ? {} : { SECRET }
  for (const args of COMMANDS) {
    const result = await watched(loading.start(args, env))
    expect({ args, exit: result.exit, err: result.exit === 0 ? '' : result.err }).toEqual({ args, exit: 0, err: '' })
    expect({ args, shown: leaks(result.text), arguments: leaks(result.commandLines) }).toEqual({ args, shown: [], arguments: [] })
  }
  expect(leaks(await stateOf(loading))).toEqual([])
  expect(leaks(filesIn(loading.folder.path))).toEqual([])
})

test('init writes a reference in the place of the password', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 5)
  await using reader = await freshRole(loading.source, 'GRANT SELECT ON orders TO ROLE', SECRET)
  const { path } = loading.folder
  const result = await loading.cli(['init', '-c', 'started.yml', reader.url])
  expect({ exit: result.exit, shown: leaks(result.text) }).toEqual({ exit: 0, shown: [] })
  const written = readFileSync(join(path, 'started.yml'), 'utf8')
  expect(leaks(written)).toEqual([])
  expect(written).toContain('${env:')
})
