// Finds psql and runs statements through it. The program itself is preferred to Debian's /usr/bin/psql, a Perl wrapper that would cost
// the baseline its start. Children get no PG* variable of the caller: each tool is told its databases by URL alone.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const DEBIAN = '/usr/lib/postgresql'
const run = promisify(execFile)
const folder = psqlFolder()

export const hasPsql = folder !== null

/** What every measured process and every check runs in. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value && !name.startsWith('PG') ? [[name, value]] : []))),
  PATH: [...(folder === null ? [] : [folder]), process.env['PATH'] ?? ''].join(delimiter),
  TZ: 'UTC',
}

/** The rows' text, columns parted by `|`. Statements after the first run in transactions of their own. */
export async function query(url: string, ...statements: string[]): Promise<string> {
  const commands = statements.flatMap((statement) => ['-c', statement])
  const { stdout } = await run('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', ...commands, url], { env: ENVIRONMENT })
  return stdout.trim()
}

export async function psqlVersion(): Promise<string> {
  const { stdout } = await run('psql', ['--version'], { env: ENVIRONMENT })
  return /\d+(\.\d+)*/.exec(stdout)?.[0] ?? 'unknown'
}

function psqlFolder(): string | null {
  const debian = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  const named = process.env['TIDEMARK_PG_BIN']
  const places = [...(named ? [named] : []), ...debian.map((version) => join(DEBIAN, version, 'bin'))]
  const path = (process.env['PATH'] ?? '').split(delimiter)
  return [...places, ...path].find((place) => place !== '' && existsSync(join(place, 'psql'))) ?? null
}
