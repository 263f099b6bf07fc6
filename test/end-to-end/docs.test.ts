// Every code block of the documents, in the order in which a reader meets them, in a folder and a database of its page's own:
// ```sh is run, ```sql executed at the source (or in the DuckDB file that is named), ```ts type-checked and run, ```yaml
// loaded as a project file. A second word names the file that the block is. ```text is shown, not run.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadProject } from '../../src/config/load-project.ts'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { duckdbRun } from '../servers/duckdb-file.ts'
import { listFiles } from '../tidy/source-files.ts'
import { ROOT, type UserFolder, userFolder } from './built-command.ts'

interface Block {
  readonly language: string
  readonly file: string | null
  readonly text: string
  readonly line: number
}

const PAGES = ['README.md', 'ARCHITECTURE.md', ...listFiles('docs', '.md'), ...listFiles('examples', '.md')]
/** What is in the database of a page. */
const SEEDS: Readonly<Record<string, string>> = { 'docs/guides/partitions.md': 'examples/partitions/seed.sql' }
const LANGUAGES = ['sh', 'sql', 'ts', 'yaml', 'text']

// A server of its own: the pages make roles.
let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
  await server.execute('CREATE ROLE shop_app LOGIN')
})
afterAll(() => server[Symbol.asyncDispose]())

test.each(PAGES.filter((page) => blocksOf(page).some(({ language }) => language !== 'text')))('%s', async (page) => {
  const database = page.replaceAll(/\W/g, '_').toLowerCase()
  await server.createDatabase(database)
  const client = new pg.Client({ connectionString: server.url(database) })
  await client.connect()
  try {
    await client.query(readFileSync(join(ROOT, SEEDS[page] ?? 'examples/postgres-to-duckdb/seed.sql'), 'utf8'))
    using folder = userFolder({ SOURCE_URL: server.url(database) })
    for (const block of blocksOf(page)) {
      if (block.file !== null && block.language !== 'sql') folder.write(block.file, block.text)
      const failure = await runBlock(block, folder, client)
      expect.soft(failure, `${page}:${block.line}`).toBeNull()
    }
  } finally {
    await client.end()
  }
})

test('every block says what it is', () => {
  const wrong = PAGES.flatMap((page) =>
    blocksOf(page).flatMap(({ language, line }) => (LANGUAGES.includes(language) ? [] : [`${page}:${line}: ${language}`])),
  )
  expect(wrong).toEqual([])
})

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```(\S*) ?(\S*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    file: match[2] || null,
    text: match[3] ?? '',
    line: text.slice(0, match.index).split('\n').length,
  }))
}

/** What went wrong, or null. */
async function runBlock({ language, file, text }: Block, folder: UserFolder, client: pg.Client): Promise<string | null> {
  try {
    if (language === 'yaml') await loadYaml(text, folder)
    else if (language === 'sql' && file === null) await client.query(text)
    else if (language === 'sql') await duckdbRun(join(folder.path, file ?? ''), text)
    else if (language === 'sh') return failed(await folder.shell(text))
    else if (language === 'ts') {
      folder.write('block.ts', text)
      folder.write(
        'tsconfig.json',
        JSON.stringify({
          extends: join(ROOT, 'tsconfig.json'),
          compilerOptions: { typeRoots: ['node_modules/@types'] },
          include: ['block.ts'],
        }),
      )
      return failed(await folder.shell(`${join(ROOT, 'node_modules/.bin/tsc')} -p . && node block.ts`))
    }
    return null
  } catch (error) {
    return String(error)
  }
}

function failed({ exit, out, err }: { exit: number | null; out: string; err: string }): string | null {
  return exit === 0 ? null : `exit ${exit}\n${out}${err}`
}

const CONNECTIONS = {
  shop: { type: 'postgres', url: 'postgresql://me@localhost/shop' },
  warehouse: { type: 'duckdb', path: './warehouse.duckdb' },
}

/** A whole project, pipelines between the usual connections, or fields of one pipeline. */
async function loadYaml(text: string, folder: UserFolder): Promise<void> {
  const written = parse(text)
  const whole =
    'connections' in written
      ? written
      : 'pipelines' in written
        ? { connections: CONNECTIONS, ...written }
        : {
            connections: CONNECTIONS,
            pipelines: {
              orders: {
                ...('partition' in written ? { pattern: 'partition' } : { pattern: 'watermark', cursor: 'updated_at' }),
                source: { connection: 'shop', table: 'public.orders' },
                target: { connection: 'warehouse' },
                ...written,
              },
            },
          }
  folder.write('block.yml', JSON.stringify(whole))
  const env = Object.fromEntries(
    [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => [name, /URL/.test(name) ? 'postgresql://me@localhost/shop' : 'x']),
  )
  await loadProject('block.yml', { directory: folder.path, env })
}
