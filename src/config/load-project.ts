// The project from its file. This is the only place of tidemark that reads the project file and the environment.

import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, extname, relative, resolve } from 'node:path'
import { LoadError } from '../core/errors.ts'
import { checkProject } from './check-project.ts'
import { Problems } from './problems.ts'
import type { Project } from './project.ts'
import { readModule } from './read-module.ts'
import { readObject } from './read-object.ts'
import { readYaml } from './read-yaml.ts'
import type { Surroundings } from './reference.ts'

const DEFAULT_NAMES = ['tidemark.yml', 'tidemark.yaml', 'tidemark.config.ts'] as const
const MODULE_ENDINGS: readonly string[] = ['.ts', '.mts', '.js', '.mjs']
const LARGEST_FILE_BYTES = 1_048_576

export interface LoadProjectOptions {
  /** Where default names are looked for and relative names start. Default: the working directory. */
  readonly directory?: string
  /** What `${env:NAME}` stands for. Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** Reads and checks a project; null looks for the default names. Throws `missing-project`, `bad-project` or `shared-target`. */
export async function loadProject(file: string | null, options: LoadProjectOptions = {}): Promise<Project> {
  const start = resolve(options.directory ?? '.')
  const path = file === null ? findDefault(start) : resolve(start, file)
  const shown = shownName(path, start)
  const surroundings: Surroundings = { env: options.env ?? process.env, directory: dirname(path) }
  const problems = new Problems()
  const text = await readText(path, shown)
  const { value, origin } = MODULE_ENDINGS.includes(extname(path))
    ? readObject(await readModule(path, shown), shown, surroundings, problems)
    : readYaml(text, shown, surroundings, problems)
  // Without values every further complaint would be about the same thing.
  if (value === null && problems.count > 0) problems.throwAll(origin)
  return checkProject({ value, origin, problems, file: path, directory: dirname(path) })
}

function findDefault(directory: string): string {
  const found = DEFAULT_NAMES.find((name) => existsSync(resolve(directory, name)))
  if (found === undefined) throw new LoadError('missing-project', `There is no ${DEFAULT_NAMES.join(', ')} in ${directory}.`)
  return resolve(directory, found)
}

async function readText(path: string, shown: string): Promise<string> {
  const refuse = (what: string, cause?: unknown): LoadError => new LoadError('bad-project', `${shown}: ${what}`, { where: shown, cause })
  try {
    const found = await stat(path)
    if (found.isDirectory()) throw refuse('is a directory, not a project file')
    if (found.size > LARGEST_FILE_BYTES) throw refuse('is larger than 1 MB')
    const bytes = await readFile(path)
    if (bytes.byteLength > LARGEST_FILE_BYTES) throw refuse('is larger than 1 MB')
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof LoadError) throw error
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new LoadError('missing-project', `There is no file ${shown}.`, { where: shown })
    throw refuse(code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not UTF-8 text' : `can't be read (${code ?? 'unknown reason'})`, error)
  }
}

function shownName(path: string, directory: string): string {
  const short = relative(directory, path)
  return short.startsWith('..') || short === '' ? path : short
}
