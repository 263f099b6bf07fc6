import { jsonSchema } from '../config/json-schema.ts'
import { nearest } from '../config/nearest.ts'
import { ERRORS, type ErrorKind, LoadError } from '../core/errors.ts'
import { printJson } from '../reporters/json.ts'
import type { Console } from './console.ts'

/** `tidemark schema`: the project file as JSON Schema, on stdout. */
export function schema(): number {
  process.stdout.write(`${printJson(jsonSchema(), 2)}\n`)
  return 0
}

/** `tidemark errors`: what an error means and what to do. */
export function errors(console: Console, code: string | undefined): number {
  const table: Readonly<Record<string, ErrorKind>> = ERRORS
  if (code !== undefined && table[code] === undefined) {
    const near = nearest(code, Object.keys(table))
    throw new LoadError('bad-usage', `There is no error "${code}".`, {
      hint: near === null ? 'See `tidemark errors`.' : `Did you mean "${near}"?`,
    })
  }
  const shown = Object.entries(table).filter(([name]) => code === undefined || name === code)
  console.answer(
    shown.flatMap(([name, kind]) => [
      `${name} (exit ${kind.exit}${kind.retry === 'backoff' ? ', tried again by itself' : ''})`,
      `  ${kind.meaning}`,
      `  ${kind.hint}`,
    ]),
  )
  console.data({ errors: shown.map(([name, kind]) => ({ code: name, ...kind })) })
  return 0
}
