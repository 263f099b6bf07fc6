// Everything wrong with a project, gathered first and thrown together.

import { LoadError } from '../core/errors.ts'
import { type Origin, type Path, pathKey } from './origin.ts'

const MOST_LISTED = 50

interface Problem {
  readonly path: Path
  readonly of: 'key' | 'value'
  readonly message: string
  readonly code: 'bad-project' | 'shared-target'
}

/** What is wrong so far. */
export class Problems {
  readonly #list: Problem[] = []
  readonly #unusable = new Set<string>()

  /** Messages never hold the value of a reference. A field that is unusable already is not reported again. */
  add(path: Path, message: string, of: 'key' | 'value' = 'value', code: Problem['code'] = 'bad-project'): void {
    if (!this.isUnusable(path)) this.#list.push({ path, of, message, code })
  }

  /** Reports a field whose value could not even be read, and keeps later checks silent about it. */
  unusable(path: Path, message: string, of: 'key' | 'value' = 'value'): void {
    this.add(path, message, of)
    this.#unusable.add(pathKey(path))
  }

  isUnusable(path: Path): boolean {
    return path.some((_, depth) => this.#unusable.has(pathKey(path.slice(0, depth + 1)))) || this.#unusable.has('')
  }

  get count(): number {
    return this.#list.length
  }

  /** Throws one LoadError with a line for each problem, in the order of the file; does nothing when there are none. */
  throwAll(origin: Origin): void {
    const rank = (problem: Problem): number => origin.order(problem.path, problem.of)
    const sorted = this.#list.toSorted((a, b) => rank(a) - rank(b))
    const [first] = sorted
    if (first === undefined) return
    const lines = [...new Set(sorted.map((problem) => `${origin.label(problem.path, problem.of)}: ${problem.message}`))]
    const more = lines.length > MOST_LISTED ? [`… and ${lines.length - MOST_LISTED} more`] : []
    const code = sorted.every((problem) => problem.code === 'shared-target') ? 'shared-target' : 'bad-project'
    const message = [...lines.slice(0, MOST_LISTED), ...more].join('\n')
    throw new LoadError(code, message, { where: origin.place(first.path, first.of) })
  }
}
