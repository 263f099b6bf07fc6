import { LoadError } from './errors.ts'

/** Throws `bug` when something that can't be otherwise is otherwise. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new LoadError('bug', message)
}
