import { dirname, resolve } from 'node:path'
import { checkProject } from './check-project.ts'
import type { LoadProjectOptions } from './load-project.ts'
import { Problems } from './problems.ts'
import type { Project } from './project.ts'
import { readObject } from './read-object.ts'

/** Checks a project that is an object already. Relative paths start at `fileName`; places are that name and a path. */
export function validateProject(rawObject: unknown, fileName: string, options: LoadProjectOptions = {}): Project {
  const file = resolve(options.directory ?? '.', fileName)
  const directory = dirname(file)
  const problems = new Problems()
  const { value, origin } = readObject(rawObject, fileName, { env: options.env ?? process.env, directory }, problems)
  return checkProject({ value, origin, problems, file, directory })
}
