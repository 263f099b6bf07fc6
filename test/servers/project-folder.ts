// A folder of its own with a project file, gone at the end of the block. The file is JSON, which is YAML.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Options = Readonly<Record<string, unknown>>

export interface ProjectFile {
  readonly connections: Readonly<Record<string, Options>>
  readonly pipelines: Readonly<Record<string, Options>>
  readonly defaults?: Options
}

export interface ProjectFolder extends Disposable {
  readonly path: string
  /** Of the project file. */
  readonly file: string
  /** Replaces the project file. */
  write(project: ProjectFile): void
}

export function projectFolder(project: ProjectFile): ProjectFolder {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-project-'))
  const file = join(path, 'tidemark.yml')
  const write = (content: ProjectFile): void => writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  write(project)
  return { path, file, write, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) }
}
