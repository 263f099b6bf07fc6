// Statements as tokens, by Snowflake's rules: two quotes or a backslash inside a string, three kinds of comment, unquoted names in upper case.

import { syntaxError } from './snowflake-error.ts'

export interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'symbol' | 'stage' | 'bind'
  /** Words in upper case; strings and quoted names without quotes; binds by their number, or empty for `?`. */
  readonly text: string
  readonly start: number
  readonly end: number
}

const SYMBOLS = ['::', '=>', '<>', '!=', '<=', '>=', '||', '->>']
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', 0: '\0' }

export function tokenize(sql: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < sql.length) {
    const next = skipBlank(sql, at)
    if (next !== at) {
      at = next
      continue
    }
    const token = tokenAt(sql, at)
    tokens.push(token)
    at = token.end
  }
  return tokens
}

/** The statements between the semicolons, none of them empty. */
export function splitStatements(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]]
  for (const token of tokens) {
    if (token.kind === 'symbol' && token.text === ';') statements.push([])
    else statements.at(-1)!.push(token)
  }
  return statements.filter((statement) => statement.length > 0)
}

function skipBlank(sql: string, at: number): number {
  if (/\s/.test(sql[at]!)) return at + 1
  if (sql.startsWith('--', at) || sql.startsWith('//', at)) {
    const end = sql.indexOf('\n', at)
    return end < 0 ? sql.length : end + 1
  }
  if (sql.startsWith('/*', at)) {
    const end = sql.indexOf('*/', at)
    return end < 0 ? sql.length : end + 2
  }
  return at
}

function tokenAt(sql: string, start: number): Token {
  const first = sql[start]!
  const matched = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = start
    return pattern.exec(sql)?.[0]
  }
  if (first === "'") return stringAt(sql, start)
  if (first === '"') return quotedAt(sql, start)
  if (sql.startsWith('$$', start)) {
    const close = sql.indexOf('$$', start + 2)
    if (close < 0) throw syntaxError('$$', start)
    return { kind: 'string', text: sql.slice(start + 2, close), start, end: close + 2 }
  }
  const word = matched(/[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\$\d+/y)
  if (word !== undefined) return { kind: 'word', text: word.toUpperCase(), start, end: start + word.length }
  const number = matched(/(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/y)
  if (number !== undefined) return { kind: 'number', text: number, start, end: start + number.length }
  const stage = matched(/@[^\s,;()']+/y)
  if (stage !== undefined) return { kind: 'stage', text: stage, start, end: start + stage.length }
  const bind = matched(/\?|:\d+/y)
  if (bind !== undefined) return { kind: 'bind', text: bind.slice(1), start, end: start + bind.length }
  const symbol = SYMBOLS.find((one) => sql.startsWith(one, start)) ?? first
  return { kind: 'symbol', text: symbol, start, end: start + symbol.length }
}

function stringAt(sql: string, start: number): Token {
  let text = ''
  let at = start + 1
  while (at < sql.length) {
    const one = sql[at]!
    if (one === "'") {
      if (sql[at + 1] !== "'") return { kind: 'string', text, start, end: at + 1 }
      text += "'"
      at += 2
    } else if (one === '\\') {
      const escaped = sql[at + 1] ?? ''
      const code = /^(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})/.exec(sql.slice(at + 1, at + 6))?.[0]
      text += code === undefined ? (ESCAPES[escaped] ?? escaped) : String.fromCodePoint(Number.parseInt(code.slice(1), 16))
      at += 1 + (code?.length ?? 1)
    } else {
      text += one
      at++
    }
  }
  throw syntaxError('<EOF>', start)
}

function quotedAt(sql: string, start: number): Token {
  let text = ''
  let at = start + 1
  while (at < sql.length) {
    if (sql[at] !== '"') text += sql[at++]
    else if (sql[at + 1] === '"') {
      text += '"'
      at += 2
    } else return { kind: 'quoted', text, start, end: at + 1 }
  }
  throw syntaxError('<EOF>', start)
}
