// Walks the tokens of one statement: what comes next, what must come, and which names and options stand there.

import { syntaxError } from './snowflake-error.ts'
import type { Token } from './tokenizer.ts'

export class TokenCursor {
  readonly tokens: readonly Token[]
  at = 0

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead]
  }

  get done(): boolean {
    return this.at >= this.tokens.length
  }

  /** Whether exactly these words or symbols come next. */
  is(...texts: readonly string[]): boolean {
    return texts.every((text, index) => isToken(this.peek(index), text))
  }

  accept(...texts: readonly string[]): boolean {
    if (!this.is(...texts)) return false
    this.at += texts.length
    return true
  }

  expect(...texts: readonly string[]): void {
    for (const text of texts) if (!this.accept(text)) throw this.unexpected()
  }

  next(): Token {
    const token = this.tokens[this.at]
    if (!token) throw this.unexpected()
    this.at++
    return token
  }

  unexpected(): Error {
    const token = this.peek()
    return syntaxError(token?.text ?? '<EOF>', token?.start ?? 0)
  }

  expectEnd(): void {
    if (!this.done) throw this.unexpected()
  }

  /** A name of one part. */
  name(): string {
    const token = this.next()
    if (token.kind !== 'word' && token.kind !== 'quoted') {
      this.at--
      throw this.unexpected()
    }
    return token.text
  }

  /** `a`, `a.b` or `a.b.c`. */
  qualifiedName(): string[] {
    const parts = [this.name()]
    while (this.accept('.')) parts.push(this.name())
    return parts
  }

  string(): string {
    const token = this.next()
    if (token.kind !== 'string') {
      this.at--
      throw this.unexpected()
    }
    return token.text
  }

  number(): number {
    const token = this.next()
    if (token.kind !== 'number') {
      this.at--
      throw this.unexpected()
    }
    return Number(token.text)
  }

  boolean(): boolean {
    if (this.accept('TRUE')) return true
    if (this.accept('FALSE')) return false
    throw this.unexpected()
  }

  /** The tokens between an opening parenthesis that comes next and the one that closes it. */
  parenthesised(): Token[] {
    this.expect('(')
    const from = this.at
    let depth = 1
    while (depth > 0) {
      const token = this.next()
      if (isToken(token, '(')) depth++
      if (isToken(token, ')')) depth--
    }
    return this.tokens.slice(from, this.at - 1)
  }

  /** The tokens up to one of these words, outside of parentheses, or up to the end. */
  until(...words: readonly string[]): Token[] {
    const from = this.at
    while (!this.done && !words.some((word) => this.is(word))) {
      if (this.is('(')) this.parenthesised()
      else if (this.is('CASE')) this.skipCase()
      else this.at++
    }
    return this.tokens.slice(from, this.at)
  }

  rest(): Token[] {
    const tokens = this.tokens.slice(this.at)
    this.at = this.tokens.length
    return tokens
  }

  /** Past a CASE … END, in which WHEN and THEN are not those of a MERGE. */
  skipCase(): void {
    let depth = 0
    do {
      if (this.is('CASE')) depth++
      if (this.is('END')) depth--
      this.next()
    } while (depth > 0)
  }
}

export function isToken(token: Token | undefined, text: string): boolean {
  return token !== undefined && (token.kind === 'word' || token.kind === 'symbol') && token.text === text
}

/** Splits at the commas outside of parentheses. */
export function splitAtCommas(tokens: readonly Token[]): Token[][] {
  if (tokens.length === 0) return []
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (isToken(token, '(')) depth++
    if (isToken(token, ')')) depth--
    if (depth === 0 && isToken(token, ',')) parts.push([])
    else parts.at(-1)!.push(token)
  }
  return parts
}
