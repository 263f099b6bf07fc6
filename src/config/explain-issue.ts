// A finding of zod's → words for people: what is wrong, what is allowed, what was probably meant.

import type * as z from 'zod/mini'
import { nearest } from './nearest.ts'
import { type Origin, type Path, pathKey, quoted } from './origin.ts'
import type { Problems } from './problems.ts'

type Issue = z.core.$ZodIssue

/** Where the checked value stands, and what to say about parts of it. */
export interface IssueContext {
  readonly origin: Origin
  readonly problems: Pick<Problems, 'add'>
  readonly value: unknown
  /** The path in the file of a path in the value. */
  readonly locate: (path: Path) => Path
}

function explainIssue(issue: Issue, context: IssueContext): void {
  const inside = issue.path as Path
  const path = context.locate(inside)
  const value = valueAt(context.value, inside)
  const add = (message: string): void => context.problems.add(path, message)
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) addUnknownKey(context.locate([...inside, key]), key, allowedKeys(issue), context.problems)
  } else if (value === undefined) {
    context.problems.add(path, `missing; expected ${expectation(issue)}`, 'key')
  } else if (value === null) {
    add(`has no value; expected ${expectation(issue)}`)
  } else if (issue.code === 'invalid_union') {
    explainUnion(issue, value, context)
  } else if (issue.code === 'custom') {
    add(issue.params?.['shown'] === true ? `${shownValue(path, value, context.origin)} ${issue.message}` : issue.message)
  } else if (issue.code === 'invalid_value' && typeof value === 'string') {
    add(unknownWord('value', path, value, issue.values.map(String), context.origin))
  } else if (issue.code === 'too_small') {
    add(ownWords(issue) ?? 'is empty')
  } else if (issue.code === 'too_big' || issue.code === 'invalid_format') {
    add(ownWords(issue) ?? 'is not valid')
  } else {
    const remedy = expectation(issue) === 'text' && typeof value !== 'object' ? '; put it in quotes' : ''
    add(`expected ${expectation(issue)}, not ${describeValue(value)}${remedy}`)
  }
}

/** `unknown connection "shp"; did you mean "shop"? Allowed: shop, warehouse`. */
export function unknownWord(what: string, path: Path, value: string, allowed: readonly string[], origin: Origin): string {
  // The nearest word to a referenced value would tell much of it.
  const meant = origin.referenced(path) ? null : nearest(value, allowed)
  const guess = meant === null ? '; ' : `; did you mean ${quoted(meant)}? `
  const listed = allowed.length === 0 ? 'there are none' : `${meant === null ? 'allowed' : 'Allowed'}: ${listWords(allowed)}`
  return `unknown ${what} ${shownValue(path, value, origin)}${guess}${listed}`
}

/** A value for a message; where it came from a reference, the reference. */
function shownValue(path: Path, value: unknown, origin: Origin): string {
  return quoted(origin.written(path) ?? String(value))
}

function listWords(words: readonly string[]): string {
  return words.length <= 25 ? words.join(', ') : `${words.slice(0, 25).join(', ')} and ${words.length - 25} more`
}

/** Adds each of them; a field that is missing because it is misspelt is told once, where it is misspelt. */
export function explainIssues(issues: readonly Issue[], context: IssueContext): void {
  const misspelt = new Set<string>()
  for (const issue of issues)
    if (issue.code === 'unrecognized_keys')
      for (const key of issue.keys) misspelt.add(pathKey([...(issue.path as Path), nearest(key, allowedKeys(issue)) ?? key]))
  for (const issue of issues) {
    const missing = valueAt(context.value, issue.path as Path) === undefined
    if (!(missing && misspelt.has(pathKey(issue.path as Path)))) explainIssue(issue, context)
  }
}

function allowedKeys(issue: Issue): readonly string[] {
  return issue.message.split(', ')
}

function addUnknownKey(path: Path, key: string, allowed: readonly string[], problems: Pick<Problems, 'add'>): void {
  const meant = nearest(key, allowed)
  const unknown = meant === null ? `unknown key; allowed: ${allowed.join(', ')}` : `unknown key; did you mean ${quoted(meant)}?`
  problems.add(path, unknown, 'key')
}

// Of a union only that form is explained which the user seems to have tried.
function explainUnion(issue: Extract<Issue, { code: 'invalid_union' }>, value: unknown, context: IssueContext): void {
  const inside = issue.path as Path
  const words = ownWords(issue)
  const tried = issue.errors.find((form) => !form.some((each) => each.path.length === 0 && isWrongForm(each, value)))
  if (words === null && tried !== undefined) {
    for (const each of tried) explainIssue({ ...each, path: [...issue.path, ...each.path] }, context)
  } else {
    context.problems.add(context.locate(inside), `${words ?? `expected ${expectation(issue)}`}, not ${describeValue(value)}`)
  }
}

function isWrongForm(issue: Issue, value: unknown): boolean {
  return issue.code === 'invalid_type' || (issue.code === 'invalid_value' && typeof value !== 'string')
}

// What the schema itself says about a wrong value, where it says anything.
function ownWords(issue: Issue): string | null {
  return issue.message === 'Invalid input' ? null : issue.message
}

function expectation(issue: Issue): string {
  const words = ownWords(issue)
  if (words?.startsWith('expected ') === true) return words.slice('expected '.length)
  if (issue.code === 'invalid_value') return `one of ${issue.values.join(', ')}`
  if (issue.code === 'invalid_union') {
    return issue.errors.map((form) => (form[0] === undefined ? 'a value' : expectation(form[0]))).join(', or ')
  }
  const expected = issue.code === 'invalid_type' ? issue.expected : issue.code === 'too_small' ? issue.origin : ''
  const forms: Record<string, string> = { string: 'text', object: 'a map', record: 'a map', array: 'a list', boolean: 'true or false' }
  return forms[expected] ?? 'a value'
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return 'text'
  return typeof value === 'object' ? 'a map' : typeof value === 'boolean' ? String(value) : 'a number'
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined
    current = (current as Record<string | number, unknown>)[part]
  }
  return current
}
