// `tidemark init`: looks at the tables behind a URL and writes a starter project file. The URL itself is never written.

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { CONNECTORS } from '../connectors/registry.ts'
import type { Source } from '../contract/source.ts'
import { LoadError } from '../core/errors.ts'
import { resolvePipeline, type WatermarkPipeline } from '../core/pipeline.ts'
import { count } from '../core/plan-text.ts'
import { printTableName, type TableName } from '../core/table.ts'
import type { Console } from './console.ts'
import { pickCursor } from './pick-cursor.ts'
import { namePipelines, type StarterTable, starterProject } from './starter-project.ts'

const VARIABLES = ['SOURCE_URL', 'DATABASE_URL'] as const

/** Writes `tidemark.yml`, or the file of -c. Throws `bad-usage` where there is one already. */
export async function init(console: Console, url: string | undefined): Promise<number> {
  const file = console.options.config ?? 'tidemark.yml'
  if (existsSync(file))
    throw new LoadError('bad-usage', `${file} is there already, and is left as it is.`, { hint: 'Name another file with -c FILE.' })
  const variable = url === undefined ? VARIABLES.find((name) => process.env[name]) : VARIABLES[0]
  const found = url ?? (variable === undefined ? undefined : process.env[variable])
  if (found === undefined || variable === undefined)
    throw new LoadError('bad-usage', 'Which database? There is no URL, and neither SOURCE_URL nor DATABASE_URL is set.', {
      hint: "Set it first, so that no password is seen in the list of processes:  export SOURCE_URL='postgresql://user:password@host/database'",
    })
  const connection = connectionName(found)
  const source = await open(found, connection)
  try {
    const names = await source.list?.()
    if (names === undefined || names.length === 0)
      throw new LoadError('missing-table', 'There is no table behind this URL that its user can see.')
    const tables: StarterTable[] = []
    for (const name of names) tables.push(await look(source, name))
    const pipelines = namePipelines(tables)
    await write(file, starterProject(connection, variable, pipelines))
    const loaded = pipelines.filter(({ obstacle }) => obstacle === null)
    tell(console, { file, variable, loaded: loaded.length, left: pipelines.length - loaded.length, ...(url === undefined ? {} : { url }) })
    console.data({
      command: 'init',
      ok: true,
      file,
      variable,
      pipelines: pipelines.map(({ pipeline, name, target, cursor, obstacle }) => ({
        pipeline,
        table: printTableName(name),
        target,
        cursor: cursor?.column.name ?? null,
        obstacle,
      })),
    })
    return 0
  } finally {
    await source.close()
  }
}

async function open(url: string, connection: string): Promise<Source> {
  const connector = await CONNECTORS['postgres']?.()
  if (connector?.source === undefined) throw new LoadError('bug', 'There is no Postgres connector.')
  try {
    return await connector.source(connector.parse({ url }), connection)
  } catch (error) {
    // There is no project yet that could be bad.
    if (error instanceof LoadError && error.code === 'bad-project')
      throw new LoadError('bad-usage', error.message, { cause: error, hint: "Like this:  tidemark init 'postgresql://user@host/database'" })
    throw error
  }
}

/** The database's name, where it can be a connection's. */
function connectionName(url: string): string {
  const database = URL.canParse(url) ? new URL(url).pathname.slice(1) : ''
  return /^[A-Za-z][A-Za-z0-9_-]{0,40}$/.test(database) && !/^(postgres|warehouse)$/i.test(database) ? database : 'source'
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' })
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason'
    throw new LoadError('bad-usage', `${file} can't be written (${code}).`, { cause, hint: 'Name another file with -c FILE.' })
  }
}

/** A table that can't be loaded as it is becomes a comment with the reason. */
async function look(source: Source, name: TableName): Promise<StarterTable> {
  const empty = { name, cursor: null, key: [], estimatedRows: null, nullCursors: false }
  try {
    const pipeline = pipelineOf(name, '')
    const table = await source.describe(pipeline)
    const cursor = pickCursor(table)
    const known = { ...empty, cursor, key: table.key, estimatedRows: table.estimatedRows }
    if (cursor === null) return { ...known, obstacle: 'no column was found that tells what is new.' }
    if (table.key.length === 0)
      return { ...known, obstacle: 'it has no primary key, so that rows that are read again could not be told from new ones.' }
    const findings = (await source.check?.(resolvePipeline(pipelineOf(name, cursor.column.name), table), table)) ?? []
    const nullCursors = findings.some(({ code, severity }) => code === 'null-cursor' && severity === 'error')
    const other = findings.find(({ code, severity }) => severity === 'error' && code !== 'null-cursor')
    return { ...known, nullCursors, obstacle: other?.message ?? null }
  } catch (error) {
    if (!(error instanceof LoadError) || error.code === 'connection-lost') throw error
    return { ...empty, obstacle: `${error.message} ${error.hint}`.replaceAll(/\s+/g, ' ') }
  }
}

function pipelineOf(table: TableName, cursor: string): WatermarkPipeline {
  return {
    name: printTableName(table),
    pattern: 'watermark',
    source: { connection: 'source', table, query: null },
    target: { connection: 'warehouse', table },
    cursor,
    cursorTimeZone: null,
    start: null,
    key: null,
    write: null,
    lateRows: { kind: 'auto' },
    nullCursor: 'error',
    firstLoad: null,
    where: null,
    columns: { include: null, exclude: [] },
    onSchemaChange: 'evolve',
  }
}

interface Written {
  readonly file: string
  readonly variable: string
  readonly loaded: number
  readonly left: number
  readonly url?: string
}

function tell(console: Console, { file, variable, loaded, left, url }: Written): void {
  const comments = left === 0 ? '' : `; ${count(left, 'table')} as comments, each with the reason`
  console.say(`Wrote ${file}: ${count(loaded, 'pipeline')}${comments}.`)
  if (url !== undefined) {
    console.say('')
    if (holdsPassword(url)) {
      console.say('The URL held a password. It is not in the file, but whoever may list the')
      console.say('processes of this machine could see it, and your shell may remember it.')
    }
    console.say(`The file takes the URL from ${variable}. Set it:`)
    console.say(`  export ${variable}='${withoutPassword(url)}'`)
  }
  const flag = file === 'tidemark.yml' ? '' : ` -c ${file}`
  console.say('')
  console.say('Next:')
  console.say(`  tidemark check${flag}   what to know or mend before the first run`)
  console.say(`  tidemark plan${flag}    what a run would do; changes nothing`)
  console.say(`  tidemark run${flag}     load`)
}

function holdsPassword(url: string): boolean {
  return URL.canParse(url) && new URL(url).password !== ''
}

function withoutPassword(url: string): string {
  return url.replace(/^([^/]*:\/\/[^/@:]*:)[^@]*@/, '$1PASSWORD@')
}
