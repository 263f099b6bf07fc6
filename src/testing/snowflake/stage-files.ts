// Stages: the user's and each table's, as folders of this machine, into which the driver itself writes what it is told to PUT.

import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fixedResult, type StatementResult, TYPE_IDS } from './results.ts'
import type { Session } from './session.ts'
import { SnowflakeError, unknown } from './snowflake-error.ts'

export interface StagedFile {
  /** As LIST names it. */
  readonly name: string
  readonly path: string
  readonly size: number
  readonly md5: string
  readonly modified: Date
}

interface Place {
  readonly folder: string
  readonly prefix: string
  /** What stands before the path in a LIST. */
  readonly label: string
}

export class StageFiles {
  readonly folder = mkdtempSync(join(tmpdir(), 'snowflake-stages-'))

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** `@~/a/b`, `@%table/a` or `@db.schema.%table/a`. */
  place(location: string, session: Session): Place {
    const user = /^@~(?:\/(.*))?$/s.exec(location)
    if (user) return { folder: join(this.folder, 'user', session.user), prefix: inside(user[1] ?? ''), label: '' }
    const table = /^@((?:[^/%]+\.)?)%("[^"]+"|[^/]+)(?:\/(.*))?$/s.exec(location)
    if (!table) throw unknown(`the stage ${location}; it knows that of the user, @~, and those of tables, @%table`)
    const plain = (name: string) => (name.startsWith('"') ? name.slice(1, -1) : name.toUpperCase())
    const { database, schema, name } = session.path([...table[1]!.split('.').filter(Boolean), table[2]!].map(plain))
    return {
      folder: join(this.folder, 'table', encodeURIComponent(`${database}.${schema}.${name}`)),
      prefix: inside(table[3] ?? ''),
      label: '',
    }
  }

  /** The files whose path begins with that of a location. */
  list(location: string, session: Session): StagedFile[] {
    const { folder, prefix } = this.place(location, session)
    mkdirSync(folder, { recursive: true })
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => relative(folder, path).split(sep).join('/').startsWith(prefix))
      .sort()
      .map((path) => {
        const { size, mtime } = statSync(path)
        const md5 = createHash('md5').update(readFileSync(path)).digest('hex')
        return { name: relative(folder, path).split(sep).join('/'), path, size, md5, modified: mtime }
      })
  }
}

function inside(path: string): string {
  if (path.split('/').includes('..')) throw new SnowflakeError('001003', '42000', 'SQL compilation error:\ninvalid path of a stage')
  return path
}

const PUT = /^\s*put\s+(?:'file:\/\/((?:[^'\\]|\\.|'')+)'|file:\/\/(\S+))\s+(?:'(@[^']+)'|(@\S+))\s*([^;]*);?\s*$/is
const GET = /^\s*get\s+(?:'(@[^']+)'|(@\S+))\s+(?:'file:\/\/([^']+)'|file:\/\/(\S+))\s*([^;]*);?\s*$/is

/** PUT and GET are the driver's work: it is told where the files are. Null for any other statement. */
export function transfer(sql: string, stage: StageFiles, session: Session): StatementResult | null {
  if (/^\s*put\b/i.test(sql)) return put(sql, stage, session)
  if (/^\s*get\b/i.test(sql)) return get(sql, stage, session)
  return null
}

function put(sql: string, stage: StageFiles, session: Session): StatementResult {
  const parts = PUT.exec(sql)
  if (!parts) throw new SnowflakeError('001003', '42000', 'SQL compilation error:\nsyntax error in PUT')
  const source = (parts[1]?.replaceAll("''", "'").replaceAll('\\\\', '\\') ?? parts[2])!
  const { folder, prefix } = stage.place((parts[3] ?? parts[4])!, session)
  const chosen = options(parts[5] ?? '', ['AUTO_COMPRESS', 'OVERWRITE', 'PARALLEL', 'SOURCE_COMPRESSION'])
  const location = join(folder, prefix)
  mkdirSync(location, { recursive: true })
  return {
    ...fixedResult(['status'], [], TYPE_IDS.other),
    extra: {
      command: 'UPLOAD',
      src_locations: [source],
      autoCompress: chosen['AUTO_COMPRESS'] !== 'FALSE',
      overwrite: chosen['OVERWRITE'] === 'TRUE',
      parallel: Number(chosen['PARALLEL'] ?? 4),
      sourceCompression: (chosen['SOURCE_COMPRESSION'] ?? 'AUTO_DETECT').toLowerCase(),
      stageInfo: {
        locationType: 'LOCAL_FS',
        location,
        path: prefix,
        region: null,
        storageAccount: null,
        isClientSideEncrypted: false,
        creds: {},
      },
    },
  }
}

function get(sql: string, stage: StageFiles, session: Session): StatementResult {
  const parts = GET.exec(sql)
  if (!parts) throw new SnowflakeError('001003', '42000', 'SQL compilation error:\nsyntax error in GET')
  const location = (parts[1] ?? parts[2])!
  const { folder } = stage.place(location, session)
  options(parts[5] ?? '', ['PARALLEL'])
  return {
    ...fixedResult(['status'], [], TYPE_IDS.other),
    extra: {
      command: 'DOWNLOAD',
      src_locations: stage.list(location, session).map(({ name }) => name),
      localLocation: (parts[3] ?? parts[4])!,
      parallel: 4,
      stageInfo: { locationType: 'LOCAL_FS', location: folder, path: '', creds: {} },
    },
  }
}

function options(text: string, known: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  const rest = text.replace(/(\w+)\s*=\s*(\w+)/g, (_, name: string, value: string) => {
    if (!known.includes(name.toUpperCase())) throw unknown(`the option ${name}`)
    found[name.toUpperCase()] = value.toUpperCase()
    return ''
  })
  if (rest.trim() !== '') throw unknown(`the option ${rest.trim()}`)
  return found
}

export function listStage(location: string, stage: StageFiles, session: Session): StatementResult {
  const files = stage.list(location, session)
  return fixedResult(
    ['name', 'size:fixed', 'md5', 'last_modified'],
    files.map(({ name, size, md5, modified }) => [name, String(size), md5, modified.toUTCString()]),
  )
}

export function removeFromStage(location: string, stage: StageFiles, session: Session): StatementResult {
  const files = stage.list(location, session)
  for (const { path } of files) rmSync(path)
  return fixedResult(
    ['name', 'result'],
    files.map(({ name }) => [name, 'removed']),
  )
}
