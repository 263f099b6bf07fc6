// `${env:NAME}` and `${file:PATH}` inside a text. What they stand for may be a secret: it is never part of a message, and
// is not searched for references again. `$${env:NAME}` stands for `${env:NAME}` itself.

import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

const REFERENCE = /\$(\$?)\{(env|file):([^}\n]*)(\}?)/g
const LARGEST_FILE_BYTES = 1_048_576

/** Where references look. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative file references start here. */
  readonly directory: string
}

/** `value` null: at least one reference led nowhere, and `errors` says why. */
export interface Resolved {
  readonly value: string | null
  readonly referenced: boolean
  readonly errors: readonly string[]
}

export function resolveReferences(text: string, surroundings: Surroundings): Resolved {
  if (!text.includes('{')) return { value: text, referenced: false, errors: [] }
  const errors: string[] = []
  let referenced = false
  const value = text.replaceAll(REFERENCE, (whole, escaped: string, kind: string, name: string, end: string, offset: number) => {
    if (escaped !== '') return whole.slice(1)
    referenced = true
    const found = end === '' ? `\${${kind}:… has no closing }` : kind === 'env' ? variable(name, surroundings) : file(name, surroundings)
    if (typeof found === 'string') {
      errors.push(found)
      return ''
    }
    if (splitsUrl(text, offset, offset + whole.length, found.value))
      errors.push(`the value of ${whole} has characters with a meaning in a URL; give it as password: instead`)
    return found.value
  })
  return { value: errors.length > 0 ? null : value, referenced, errors }
}

/** The text without its references: what is left was typed by hand. */
export function withoutReferences(text: string): string {
  return text.replaceAll(REFERENCE, (whole, escaped: string) => (escaped === '' ? '' : whole))
}

function variable(name: string, { env }: Surroundings): { value: string } | string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `\${env:…} needs the name of an environment variable, not ${JSON.stringify(name)}`
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (value === undefined) return `environment variable ${name} is not set`
  return value === '' ? `environment variable ${name} is empty` : { value }
}

function file(path: string, { directory }: Surroundings): { value: string } | string {
  const shown = JSON.stringify(path)
  if (path.trim() === '') return '${file:…} needs the path of a file'
  try {
    const full = resolve(directory, path)
    const stat = statSync(full)
    if (!stat.isFile()) return `${shown} is not a file`
    if (stat.size > LARGEST_FILE_BYTES) return `file ${shown} is larger than 1 MB`
    const value = readFileSync(full, 'utf8').replace(/\r?\n$/, '')
    return value === '' ? `file ${shown} is empty` : { value }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const reason =
      code === 'ENOENT' || code === 'ENOTDIR' ? 'there is no such file' : code === 'EACCES' ? 'no permission' : (code ?? 'unreadable')
    return `file ${shown} can't be read: ${reason}`
  }
}

// Unencoded, a part of such a password would become host or path, and be shown in errors.
function splitsUrl(text: string, start: number, end: number, value: string): boolean {
  return text.lastIndexOf('://', start) >= 0 && text.includes('@', end) && /[/?#\\\s[\]]/.test(value)
}
