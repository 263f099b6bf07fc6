import { pathToFileURL } from 'node:url'
import { LoadError } from '../core/errors.ts'

/** What a project in TypeScript or JavaScript exports by default. Node itself strips the types. */
export async function readModule(path: string, shown: string): Promise<unknown> {
  let value: unknown
  try {
    const module: { readonly default?: unknown } = await import(pathToFileURL(path).href)
    value = await module.default
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : 'it threw no error object'
    throw new LoadError('bad-project', `${shown}: can't be loaded: ${reason}`, { cause, where: shown })
  }
  if (value === undefined) {
    throw new LoadError('bad-project', `${shown}: has no default export; write \`export default defineProject({…})\``, { where: shown })
  }
  return value
}
