// A query or an expression of Snowflake, token by token in DuckDB's words: names quoted in their case, tables replaced by what is visible of
// them, casts and functions by ours. It knows as much of the grammar as that needs; words that it has no place for become names that
// DuckDB does not find.

import { cast, type DataType, parseType } from './data-types.ts'
import { type CallContext, RENAMED, translateCall } from './functions.ts'
import { literal, quote } from './identifiers.ts'
import { unknown } from './snowflake-error.ts'
import { isToken, splitAtCommas, TokenCursor } from './token-cursor.ts'
import { type Token, tokenize } from './tokenizer.ts'

/** Words that stay as they are. */
const KEYWORDS = new Set(
  (
    'ALL AND ANY AS ASC BETWEEN BY CASE CROSS CURRENT DESC DISTINCT ELSE END ESCAPE EXCEPT EXCLUDE EXISTS FALSE FIRST FOLLOWING FROM FULL ' +
    'GROUP HAVING ILIKE IN INNER INTERSECT IS JOIN LAST LEFT LIKE LIMIT MINUS NATURAL NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER ' +
    'PARTITION PRECEDING QUALIFY RANGE RIGHT ROW ROWS SELECT THEN TRUE UNBOUNDED UNION USING VALUES WHEN WHERE WITH RECURSIVE'
  ).split(' '),
)
/** Words that end a list of tables. */
const AFTER_FROM = ['WHERE', 'GROUP', 'HAVING', 'QUALIFY', 'ORDER', 'LIMIT', 'OFFSET', 'UNION', 'EXCEPT', 'MINUS', 'INTERSECT', 'SELECT']
/** Words that are both: before a parenthesis a function, else a keyword. */
const BEFORE_PARENTHESIS = new Set([
  'IN',
  'AND',
  'OR',
  'NOT',
  'ON',
  'AS',
  'OVER',
  'VALUES',
  'EXISTS',
  'ANY',
  'ALL',
  'WHEN',
  'THEN',
  'ELSE',
  'CASE',
  'SELECT',
  'FROM',
  'JOIN',
  'WHERE',
  'HAVING',
  'QUALIFY',
  'BY',
  'USING',
  'BETWEEN',
  'UNION',
  'EXCEPT',
  'MINUS',
  'INTERSECT',
  'LIKE',
  'ILIKE',
  'EXCLUDE',
  'DISTINCT',
  'LIMIT',
  'IS',
  'ROWS',
  'RANGE',
])
const NOT_AN_ALIAS = new Set([...KEYWORDS, 'SET', 'MATCHED', 'AT', 'BEFORE', 'CHANGES', 'PIVOT', 'UNPIVOT', 'SAMPLE', 'TABLESAMPLE'])

export interface TimeTravel {
  readonly kind: 'AT' | 'BEFORE' | 'END'
  readonly by: 'TIMESTAMP' | 'OFFSET' | 'STATEMENT' | 'STREAM'
  readonly value: string
}

export interface RelationRequest {
  readonly name: readonly string[]
  readonly at: TimeTravel | null
  readonly changes: { readonly appendOnly: boolean; readonly end: TimeTravel | null } | null
}

export interface RewriteContext extends Omit<CallContext, 'cast'> {
  /** What stands for a table or stream in a query, in parentheses. */
  relation(request: RelationRequest): string
  /** The value of a bind, as a literal. */
  bind(token: Token): string
  textFormats(): string
  /** The statement's text, for names of columns without one. */
  readonly source: string
}

export class QueryRewriter {
  readonly #context: RewriteContext
  readonly #ctes = new Set<string>()
  readonly #call: CallContext

  constructor(context: RewriteContext) {
    this.#context = context
    this.#call = {
      cast: (expression, type, attempt) => this.cast(expression, parseType(new TokenCursor(tokenize(type))), attempt),
      session: (name) => context.session(name),
      streamHasData: (name) => context.streamHasData(name),
    }
  }

  cast(expression: string, type: DataType, attempt = false): string {
    return cast(expression, type, this.#context.textFormats(), attempt)
  }

  query(tokens: readonly Token[]): string {
    return new Walk(tokens, true, this).run()
  }

  expression(tokens: readonly Token[]): string {
    return new Walk(tokens, false, this).run()
  }

  /** A list of tables, joins included. */
  from(tokens: readonly Token[]): string {
    return new Walk(tokens, true, this, true).run()
  }

  get context(): RewriteContext {
    return this.#context
  }

  get call(): CallContext {
    return this.#call
  }

  /** Names that WITH has given, which hide tables. */
  get ctes(): Set<string> {
    return this.#ctes
  }
}

/** One level of parentheses. */
class Walk {
  readonly #cursor: TokenCursor
  readonly #isQuery: boolean
  readonly #rewriter: QueryRewriter
  readonly #out: string[] = []
  readonly #cases: number[] = []
  #inFrom: boolean
  #expectTable: boolean
  /** Where in the output the operand begins that a cast would take. */
  #operand = 0
  /** Where the item of a select list begins, in tokens; −1 outside of one. */
  #item = -1

  constructor(tokens: readonly Token[], isQuery: boolean, rewriter: QueryRewriter, inFrom = false) {
    this.#cursor = new TokenCursor(tokens)
    this.#isQuery = isQuery
    this.#rewriter = rewriter
    this.#inFrom = inFrom
    this.#expectTable = inFrom
  }

  run(): string {
    if (this.#isQuery && this.#cursor.is('WITH')) this.#with()
    while (!this.#cursor.done) this.#step()
    this.#endItem(this.#cursor.at)
    return this.#out.join(' ')
  }

  #step(): void {
    const cursor = this.#cursor
    const token = cursor.peek()!
    if (this.#expectTable && !cursor.is('(') && !cursor.is('VALUES')) this.#table()
    else if (cursor.accept('::')) this.#cast()
    else if (cursor.is('(')) this.#parenthesis()
    else if (token.kind === 'symbol') this.#symbol(cursor.next())
    else {
      this.#operandStarts(token)
      if (token.kind === 'word') this.#word(token)
      else this.#operandToken(cursor.next())
    }
  }

  #operandToken(token: Token): void {
    if (token.kind === 'quoted') this.#name(token)
    else if (token.kind === 'string') this.#out.push(literal(token.text))
    else if (token.kind === 'number') this.#out.push(token.text)
    else if (token.kind === 'bind') this.#out.push(this.#rewriter.context.bind(token))
    else throw unknown(`a stage in a query: ${token.text}`)
  }

  #operandStarts(token: Token): void {
    if (!(token.kind === 'word' && token.text === 'END')) this.#operand = this.#out.length
  }

  #symbol(token: Token): void {
    if (token.text === ',' && this.#isQuery) {
      if (this.#item >= 0) {
        this.#endItem(this.#cursor.at - 1)
        this.#out.push(',')
        this.#item = this.#cursor.at
        return
      }
      if (this.#inFrom) this.#expectTable = true
    }
    if (token.text === '/') throw unknown('division, whose digits are not those of DuckDB')
    if (!['+', '-', '*', '%', '=', '<>', '!=', '<', '>', '<=', '>=', '||', ',', '.'].includes(token.text)) {
      throw unknown(`the symbol ${token.text} in a query`)
    }
    this.#out.push(token.text)
  }

  #parenthesis(): void {
    const inner = this.#cursor.parenthesised()
    const first = inner[0]
    const isQuery = isToken(first, 'SELECT') || isToken(first, 'WITH') || (isToken(first, '(') && this.#isQueryInside(inner))
    this.#operand = this.#out.length
    if (this.#expectTable) {
      this.#out.push(`(${isQuery || isToken(first, 'VALUES') ? this.#rewriter.query(inner) : this.#rewriter.from(inner)})`)
      this.#expectTable = false
      this.#alias(null)
      return
    }
    this.#out.push(`(${isQuery ? this.#rewriter.query(inner) : this.#rewriter.expression(inner)})`)
  }

  #isQueryInside(tokens: readonly Token[]): boolean {
    const first = tokens.find((token) => !isToken(token, '('))
    return isToken(first, 'SELECT') || isToken(first, 'WITH')
  }

  #word(token: Token): void {
    const cursor = this.#cursor
    const { text } = token
    if (cursor.is(text, '(') && !BEFORE_PARENTHESIS.has(text)) {
      this.#functionCall()
      return
    }
    if (['DATE', 'TIME', 'TIMESTAMP'].includes(text) && cursor.peek(1)?.kind === 'string') {
      cursor.next()
      const type = parseType(new TokenCursor([token]))
      this.#out.push(this.#rewriter.cast(literal(cursor.next().text), type))
      return
    }
    if (!KEYWORDS.has(text)) {
      const value = cursor.is(text, '.') ? null : sessionWord(text, this.#rewriter.call)
      cursor.next()
      if (value !== null) this.#out.push(value)
      else this.#name(token)
      return
    }
    cursor.next()
    if (this.#isQuery) this.#clause(token)
    if (text === 'CASE') this.#cases.push(this.#out.length)
    if (text === 'END') this.#operand = this.#cases.pop() ?? this.#out.length
    this.#out.push(text === 'MINUS' ? 'EXCEPT' : text)
    if (text === 'AS') this.#out.push(quote(cursor.name()))
  }

  /** Notes in which part of a query the walk is, when a keyword has been taken. */
  #clause({ text }: Token): void {
    const cursor = this.#cursor
    const at = cursor.at - 1
    if (text === 'FROM') {
      const before = cursor.tokens[at - 2]
      if (isToken(cursor.tokens[at - 1], 'DISTINCT') && (isToken(before, 'IS') || isToken(before, 'NOT'))) return
      this.#endItem(at)
      this.#inFrom = true
      this.#expectTable = true
    } else if (text === 'JOIN') this.#expectTable = true
    else if (AFTER_FROM.includes(text)) {
      this.#endItem(at)
      this.#inFrom = false
      if (text === 'SELECT') this.#item = cursor.at + (cursor.is('DISTINCT') || cursor.is('ALL') ? 1 : 0)
    } else if (text === 'VALUES') this.#expectTable = false
  }

  /** `a`, `t.a`, `s.t.a` or `t.*`. */
  #name(token: Token): void {
    const parts = [token.text]
    while (this.#cursor.accept('.')) parts.push(this.#cursor.is('*') ? '*' : this.#cursor.name())
    if (parts.at(-1) === '*') this.#cursor.next()
    this.#out.push(
      parts
        .slice(-2)
        .map((part) => (part === '*' ? part : quote(part)))
        .join('.'),
    )
  }

  #cast(): void {
    const type = parseType(this.#cursor)
    const expression = this.#out.splice(this.#operand).join(' ')
    this.#out.push(this.#rewriter.cast(expression, type))
  }

  #functionCall(): void {
    const cursor = this.#cursor
    const name = cursor.name()
    const inner = cursor.parenthesised()
    const expression = (tokens: readonly Token[]) => this.#rewriter.expression(tokens)
    if (name === 'CAST' || name === 'TRY_CAST') {
      const inside = new TokenCursor(inner)
      const value = expression(inside.until('AS'))
      inside.expect('AS')
      this.#out.push(this.#rewriter.cast(value, parseType(inside), name === 'TRY_CAST'))
      return
    }
    if (name === 'EXTRACT') {
      const inside = new TokenCursor(inner)
      const part = inside.name()
      inside.expect('FROM')
      this.#out.push(`extract('${part}' FROM ${expression(inside.rest())})`)
      return
    }
    const tokens = splitAtCommas(inner)
    const args = isToken(inner[0], 'DISTINCT') || isToken(inner[0], '*') ? [] : tokens.map(expression)
    const call = { name, args: isToken(inner[0], '*') ? ['*'] : args, tokens, context: this.#rewriter.call, attempt: false }
    this.#out.push(translateCall(call) ?? `${RENAMED[name]}(${isToken(inner[0], '*') ? '*' : expression(inner)})`)
  }

  #table(): void {
    const cursor = this.#cursor
    this.#expectTable = false
    if (cursor.is('LATERAL')) throw unknown('LATERAL')
    if (cursor.accept('TABLE')) {
      this.#generator()
      return
    }
    const name = cursor.qualifiedName()
    if (name.length === 1 && this.#rewriter.ctes.has(name[0]!)) {
      this.#out.push(quote(name[0]!))
      this.#alias(null)
      return
    }
    const changes = cursor.accept('CHANGES') ? readChanges(cursor) : null
    const at = readTimeTravel(cursor, this.#rewriter.context)
    const end = changes && cursor.is('END') ? readTimeTravel(cursor, this.#rewriter.context) : null
    this.#out.push(this.#rewriter.context.relation({ name, at, changes: changes && { ...changes, end } }))
    this.#alias(name.at(-1)!)
  }

  /** TABLE(GENERATOR(ROWCOUNT => n)): n rows of nothing, for tests that make many. */
  #generator(): void {
    const inside = new TokenCursor(this.#cursor.parenthesised())
    if (!inside.accept('GENERATOR')) throw unknown(`TABLE(${inside.peek()?.text ?? ''} …)`)
    const options = new TokenCursor(inside.parenthesised())
    options.expect('ROWCOUNT', '=>')
    this.#out.push(`(SELECT NULL FROM range(${options.number()}))`)
    this.#alias('GENERATOR')
  }

  #alias(otherwise: string | null): void {
    const cursor = this.#cursor
    const next = cursor.peek()
    let alias = otherwise
    if (cursor.accept('AS')) alias = cursor.name()
    else if (next?.kind === 'quoted' || (next?.kind === 'word' && !NOT_AN_ALIAS.has(next.text))) alias = cursor.name()
    if (alias === null) return
    this.#out.push('AS', quote(alias))
    if (cursor.is('(')) {
      const columns = splitAtCommas(cursor.parenthesised()).map(([column]) => quote(column!.text))
      this.#out.push(`(${columns.join(', ')})`)
    }
  }

  #with(): void {
    const cursor = this.#cursor
    cursor.expect('WITH')
    const recursive = cursor.accept('RECURSIVE') ? 'RECURSIVE ' : ''
    const parts: string[] = []
    do {
      const name = cursor.name()
      const columns = cursor.is('(') ? splitAtCommas(cursor.parenthesised()).map(([column]) => quote(column!.text)) : []
      cursor.expect('AS')
      if (recursive) this.#rewriter.ctes.add(name)
      const body = this.#rewriter.query(cursor.parenthesised())
      this.#rewriter.ctes.add(name)
      parts.push(`${quote(name)}${columns.length > 0 ? `(${columns.join(', ')})` : ''} AS (${body})`)
    } while (cursor.accept(','))
    this.#out.push(`WITH ${recursive}${parts.join(', ')}`)
  }

  /** Gives an expression without a name that of its text, as Snowflake does. */
  #endItem(end: number): void {
    if (this.#item < 0) return
    const name = nameOfItem(this.#cursor.tokens.slice(this.#item, end), this.#rewriter.context.source)
    this.#item = -1
    if (name !== null) this.#out.push('AS', quote(name))
  }
}

/** The name that an item without one gets, or null where it has one. */
function nameOfItem(item: readonly Token[], source: string): string | null {
  const last = item.at(-1)
  if (!last || isToken(last, '*') || item.some((token) => isToken(token, 'EXCLUDE'))) return null
  const isName = ({ kind, text }: Token) => kind === 'quoted' || (kind === 'word' && !KEYWORDS.has(text))
  if (item.every((token, index) => (index % 2 === 0 ? isName(token) : isToken(token, '.')))) {
    return item.length === 1 && sessionWordNames.has(last.text) ? last.text : null
  }
  const before = item.at(-2)
  if (before === undefined) return source.slice(last.start, last.end).toUpperCase()
  if (isToken(before, 'AS')) return null
  const endsOperand =
    before.kind !== 'symbol' ? !KEYWORDS.has(before.text) || ['END', 'NULL', 'TRUE', 'FALSE'].includes(before.text) : before.text === ')'
  const typed = item.some((token, index) => isToken(token, '::') && index >= item.length - 2)
  if (isName(last) && endsOperand && !typed && !(before.kind === 'word' && /^(DATE|TIME|TIMESTAMP)$/.test(before.text))) return null
  return source.slice(item[0]!.start, last.end).toUpperCase()
}

const sessionWordNames = new Set(['CURRENT_TIMESTAMP', 'CURRENT_DATE', 'CURRENT_TIME', 'LOCALTIMESTAMP', 'CURRENT_USER'])

function sessionWord(text: string, context: CallContext): string | null {
  return sessionWordNames.has(text) ? context.session(text) : null
}

function readChanges(cursor: TokenCursor): { readonly appendOnly: boolean } {
  const inside = new TokenCursor(cursor.parenthesised())
  inside.expect('INFORMATION', '=>')
  const kind = inside.name()
  if (kind !== 'DEFAULT' && kind !== 'APPEND_ONLY') throw unknown(`CHANGES(INFORMATION => ${kind})`)
  return { appendOnly: kind === 'APPEND_ONLY' }
}

/** AT(…), BEFORE(…) or END(…), with a value that stands in the statement. */
export function readTimeTravel(cursor: TokenCursor, context: Pick<RewriteContext, 'bind'>): TimeTravel | null {
  const kind = (['AT', 'BEFORE', 'END'] as const).find((one) => cursor.is(one, '('))
  if (!kind) return null
  cursor.next()
  const inside = new TokenCursor(cursor.parenthesised())
  const by = (['TIMESTAMP', 'OFFSET', 'STATEMENT', 'STREAM'] as const).find((one) => inside.accept(one))
  if (!by) throw unknown(`${kind}(${inside.peek()?.text ?? ''} …)`)
  inside.expect('=>')
  const rest = inside.rest()
  const [value, ...others] = rest.filter(({ kind: one }) => one === 'string' || one === 'number' || one === 'bind')
  if (!value || others.length > 0) throw unknown(`${kind}(${by} => …) with anything but one value`)
  const text = value.kind === 'bind' ? context.bind(value).replace(/^'(.*)'$/s, '$1') : value.text
  return { kind, by, value: isToken(rest[0], '-') ? `-${text}` : text }
}
