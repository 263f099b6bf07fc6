// One scalar of a project, whichever form it is written in: references resolved, nothing that a database can't take.

import { type Path, printPath } from './origin.ts'
import type { Problems } from './problems.ts'
import { resolveReferences, type Surroundings } from './reference.ts'

/** Keys that would reach into an object's own machinery. */
const REFUSED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const DEEPEST = 50

/** The text with its references resolved; where one leads nowhere, the text as it is and a problem. */
export function readText(text: string, path: Path, surroundings: Surroundings, problems: Problems): { value: string; referenced: boolean } {
  const resolved = resolveReferences(text, surroundings)
  for (const [index, error] of resolved.errors.entries()) {
    if (index === resolved.errors.length - 1) problems.unusable(path, error)
    else problems.add(path, error)
  }
  if (resolved.value?.includes('\u0000') === true) problems.unusable(path, 'holds a NUL character')
  else if (path[0] === 'connections' && resolved.errors.length === 0) refuseUnknownReference(text, path, problems)
  return { value: resolved.value ?? text, referenced: resolved.referenced }
}

/** Whether a key may be used; reports it where not. */
export function acceptKey(key: string, path: Path, problems: Problems): boolean {
  if (!REFUSED_KEYS.has(key)) return true
  problems.add([...path, key], 'this key is refused', 'key')
  return false
}

/** Reports what lies too deep. */
export function isTooDeep(path: Path, problems: Problems): boolean {
  if (path.length <= DEEPEST) return false
  problems.unusable(path.slice(0, 1), `${printPath(path.slice(0, 3))}… is nested more than ${DEEPEST} levels deep`)
  return true
}

// `${NAME}` in a query may be the user's own text; in a connection it is a mistake that would be sent as a password.
function refuseUnknownReference(text: string, path: Path, problems: Problems): void {
  const match = /(?<!\$)\$\{(\w*)(:?)[^}]*\}/.exec(text.replaceAll(/\$?\$\{(?:env|file):[^}\n]*\}/g, ''))
  if (match === null) return
  const hint = match[2] === '' && match[1] !== '' ? `; did you mean \${env:${match[1]}}?` : ''
  problems.unusable(path, `unknown kind of reference; allowed: \${env:NAME}, \${file:PATH}${hint}`)
}
