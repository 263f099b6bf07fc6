// The project's own files, and TypeScript taken apart just far enough for the tidy rules: code, comments and texts.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')
const NOT_OURS = new Set(['node_modules', 'dist', 'coverage', '.git', '.cache'])

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string
  readonly text: string
  /** The text with comments and the insides of strings blanked; same length, same lines. */
  readonly code: string
  /** The text with comments blanked only. */
  readonly uncommented: string
}

export function listFiles(folder: string, ending: string): string[] {
  const found: string[] = []
  const walk = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (NOT_OURS.has(entry.name)) continue
      const inside = join(path, entry.name)
      if (entry.isDirectory()) walk(inside)
      else if (entry.name.endsWith(ending)) found.push(relative(ROOT, inside).split('\\').join('/'))
    }
  }
  try {
    walk(join(ROOT, folder))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return found.sort()
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function readSource(path: string): SourceFile {
  const text = readText(path)
  return { path, text, ...takeApart(text) }
}

/** Blanks comments and strings. Template literals count as strings, but the code inside their `${}` as code. */
export function takeApart(text: string): { code: string; uncommented: string } {
  const code = text.split('')
  const uncommented = text.split('')
  const blank = (into: string[], from: number, to: number) => {
    for (let at = from; at < to; at++) if (text[at] !== '\n') into[at] = ' '
  }
  /** Depth of braces at which each open `${` closes. */
  const templates: number[] = []
  let depth = 0
  let at = 0
  const template = (from: number) => {
    const end = endOfTemplatePart(text, from)
    blank(code, from, end.at)
    at = end.at + (end.opens ? 2 : 1)
    if (end.opens) templates.push(depth)
  }
  while (at < text.length) {
    const character = text[at] ?? ''
    if (text.startsWith('//', at) || text.startsWith('/*', at)) {
      const end = text.startsWith('//', at) ? indexOr(text, '\n', at) : indexOr(text, '*/', at) + 2
      blank(code, at, end)
      blank(uncommented, at, end)
      at = end
    } else if (character === "'" || character === '"' || (character === '/' && startsRegex(text, at))) {
      const end = endOfQuoted(text, at, character)
      blank(code, at + 1, end)
      at = end + 1
    } else if (character === '`') template(at + 1)
    else if (character === '}' && templates.at(-1) === depth) {
      templates.pop()
      template(at + 1)
    } else {
      if (character === '{') depth++
      if (character === '}') depth--
      at++
    }
  }
  return { code: code.join(''), uncommented: uncommented.join('') }
}

function indexOr(text: string, wanted: string, from: number): number {
  const found = text.indexOf(wanted, from)
  return found < 0 ? text.length : found
}

function endOfQuoted(text: string, start: number, quote: string): number {
  let inClass = false
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === '\\') at++
    else if (character === '\n') return at
    else if (quote === '/' && character === '[') inClass = true
    else if (quote === '/' && character === ']') inClass = false
    else if (character === quote && !inClass) return at
  }
  return text.length
}

function endOfTemplatePart(text: string, from: number): { at: number; opens: boolean } {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '`') return { at, opens: false }
    else if (text.startsWith('${', at)) return { at, opens: true }
  }
  return { at: text.length, opens: false }
}

/** A slash after an operand divides; after anything else it opens a regular expression. */
function startsRegex(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 40), at).trimEnd()
  return before === '' || /[(,=:[!&|?{};+\-*%~^<>]$|\b(return|typeof|case|of|in|await|yield)$/.test(before)
}
