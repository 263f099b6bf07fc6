// The folder that a throw-away Postgres runs in, made by initdb or copied from one made before, and the user that owns it: as root
// another one, since Postgres refuses root.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { PostgresBinaries } from './postgres-binaries.ts'

export interface User {
  readonly uid: number
  readonly gid: number
}

export const ENVIRONMENT = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', PGTZ: 'UTC' }

const run = promisify(execFile)

/** `templates`: a folder where fresh data directories are kept for later starts. */
export async function makeDataDirectory(binaries: PostgresBinaries, folder: string, user: User | null, templates?: string): Promise<void> {
  const data = join(folder, 'data')
  if (templates === undefined) return initialize(binaries, data, user)
  const template = join(templates, `postgres-${binaries.version}-${user?.uid ?? 'self'}`)
  if (!existsSync(template)) {
    const draft = `${template}-${randomBytes(6).toString('hex')}`
    await initialize(binaries, data, user)
    await run('cp', ['-Rp', data, draft])
    // Whoever comes second finds the place taken and throws its copy away.
    await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }))
    return
  }
  await run('cp', ['-Rp', template, data])
}

/** Of a server that is stopped; what it keeps for its own readers stays behind. */
export async function copyDataDirectory(from: string, folder: string): Promise<void> {
  const data = join(folder, 'data')
  await run('cp', ['-Rp', from, data])
  await rm(join(data, 'postmaster.pid'), { force: true })
  for (const slot of readdirSync(join(data, 'pg_replslot'))) await rm(join(data, 'pg_replslot', slot), { recursive: true })
}

async function initialize(binaries: PostgresBinaries, data: string, user: User | null): Promise<void> {
  const options = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync']
  const program = join(binaries.folder, 'initdb')
  const how = { ...user, cwd: dirname(data), env: ENVIRONMENT }
  try {
    await run(program, [...options, '--locale=C.UTF-8'], how)
  } catch {
    // Not every system has that locale.
    rmSync(data, { recursive: true, force: true })
    await run(program, [...options, '--locale=C'], how)
  }
}

/** The user to run as when we are root. */
export function unprivilegedUser(): User {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('Postgres refuses to run as root, and there is neither a user postgres nor nobody.')
}

/** A checkout below a private home folder can't be entered by the other user: then the programs are copied out of it. */
export function runnableBy(user: User | null, binaries: PostgresBinaries, folder: string): PostgresBinaries {
  if (!user || reachable(binaries.folder)) return binaries
  cpSync(dirname(binaries.folder), join(folder, 'programs'), { recursive: true, verbatimSymlinks: true })
  return { ...binaries, folder: join(folder, 'programs', 'bin') }
}

/** May everyone enter the folder and all above it? */
export function reachable(path: string): boolean {
  return (statSync(path).mode & 0o001) !== 0 && (path === dirname(path) || reachable(dirname(path)))
}
