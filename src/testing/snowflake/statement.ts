// One statement on its way: who asked, its tokens, its binds, and how tables and streams appear in it.

import { type Catalog, type ObjectName, printPath, type Stream, type Table } from './catalog.ts'
import type { EmulatorClock } from './clock.ts'
import type { Faults } from './faults.ts'
import { sessionText } from './functions.ts'
import { literal } from './identifiers.ts'
import { informationSchema } from './information-schema.ts'
import { QueryRewriter, type RelationRequest, type RewriteContext, type TimeTravel } from './query-rewriter.ts'
import type { Session } from './session.ts'
import { doesNotExist, SnowflakeError, unknown } from './snowflake-error.ts'
import type { StageFiles } from './stage-files.ts'
import { type Store, tableAt } from './store.ts'
import { appendedRows, checkReadable, netChanges, streamRows } from './streams.ts'
import { readTime, textFormats, writeTime } from './time-formats.ts'
import { TokenCursor } from './token-cursor.ts'
import type { Token } from './tokenizer.ts'
import type { Transaction, Transactions } from './transactions.ts'

export interface Machine {
  readonly store: Store
  readonly catalog: Catalog
  readonly clock: EmulatorClock
  readonly transactions: Transactions
  readonly stage: StageFiles
  readonly faults: Faults
  /** The only one that there is. */
  readonly warehouse: string
  /** The last commit before a statement began, by its query id. */
  readonly versionsBefore: Map<string, number>
  readonly endSession: (id: number) => Promise<boolean>
}

export type Binds = Readonly<Record<string, { readonly type: string; readonly value: string | null | readonly (string | null)[] }>>

export interface Statement {
  readonly machine: Machine
  readonly session: Session
  readonly source: string
  readonly tokens: readonly Token[]
  /** Those of all statements that came with it: binds are counted through all of them. */
  readonly allTokens: readonly Token[]
  readonly binds: Binds
  readonly queryId: string
  readonly startedAt: number
  readonly signal: AbortSignal
}

export const VERSION = '9.99.0'

/** The tables and streams that a statement reads, each seen as its transaction sees it. */
export class Reader implements RewriteContext {
  readonly streams = new Set<Stream>()
  readonly rewriter: QueryRewriter
  readonly source: string
  /** Which of the rows, where a bind holds many. */
  bindRow = 0
  /** Reads tables, and not only what is known of them. */
  usesWarehouse = false
  readonly #statement: Statement
  readonly #transaction: Transaction | null

  constructor(statement: Statement, transaction: Transaction | null) {
    this.#statement = statement
    this.#transaction = transaction
    this.source = statement.source
    this.rewriter = new QueryRewriter(this)
  }

  textFormats(): string {
    return textFormats((name) => this.#statement.session.parameter(name))
  }

  bind(token: Token): string {
    const name = token.text === '' ? String(bindNumber(this.#statement.allTokens, token)) : token.text
    const bind = this.#statement.binds[name]
    if (!bind) throw new SnowflakeError('002049', '42601', `SQL compilation error:\nBind variable :${name} not set.`)
    const value = Array.isArray(bind.value) ? (bind.value[this.bindRow] as string | null) : (bind.value as string | null)
    if (value === null) return 'NULL::VARCHAR'
    if (bind.type === 'FIXED' || bind.type === 'REAL') return `(${Number.isFinite(Number(value)) ? value : literal(value)})`
    if (bind.type === 'BOOLEAN') return String(/^(true|1)$/i.test(value))
    if (bind.type === 'TEXT') return literal(value)
    throw unknown(`a bind of type ${bind.type}`)
  }

  table(name: readonly string[]): Table {
    const { session, machine } = this.#statement
    const path = session.path(name)
    const table = machine.catalog.findTable(path, session.id)
    if (!table) throw doesNotExist('Object', printPath(path))
    machine.faults.checkGrant(path, 'SELECT')
    return table
  }

  relation({ name, at, changes }: RelationRequest): string {
    const { machine, session } = this.#statement
    const path = session.path(name)
    if (path.schema === 'INFORMATION_SCHEMA') return informationSchema(machine, path, session.id)
    this.usesWarehouse = true
    const stream = machine.catalog.findStream(path)
    if (stream) {
      if (at || changes) throw unknown('AT, BEFORE or CHANGES of a stream')
      return this.#streamRows(stream, path)
    }
    const table = this.table(name)
    if (changes) return this.#changes(table, at, changes)
    const { version } = machine.store
    if (at) return tableAt(table, this.#versionOf(at, table), null)
    return tableAt(table, version, this.#transaction?.id ?? null)
  }

  #streamRows(stream: Stream, path: ObjectName): string {
    const { machine } = this.#statement
    machine.faults.checkGrant(path, 'SELECT')
    // Without a grant on its table a stream says that the table is gone, as has been seen on accounts.
    checkReadable(stream, machine.clock, machine.faults.lacks(printPath(stream.table.path), 'SELECT'))
    this.streams.add(stream)
    return streamRows(stream, this.#transaction?.startVersion ?? machine.store.version)
  }

  #changes(table: Table, at: TimeTravel | null, { appendOnly, end }: NonNullable<RelationRequest['changes']>): string {
    if (!at) throw unknown('CHANGES without AT')
    const after = this.#versionOf(at, table)
    if (table.trackedSince === null || table.trackedSince > after) {
      const what = 'Change tracking is not enabled or has been missing for the time range requested on table'
      throw new SnowflakeError('091930', '55000', `SQL compilation error:\n${what} '${printPath(table.path)}'.`)
    }
    const to = end ? this.#versionOf(end, table) : this.#statement.machine.store.version
    const window = { after, to: Math.max(after, to) }
    return appendOnly ? appendedRows(table, window) : netChanges(table, window)
  }

  #versionOf(point: TimeTravel, table: Table): number {
    return versionOf(this.#statement, point, table)
  }

  session(name: string): string | null {
    const { session, startedAt } = this.#statement
    const now = `TIMESTAMPTZ '${writeTime(startedAt)}+00'`
    switch (name) {
      case 'CURRENT_TIMESTAMP':
      case 'LOCALTIMESTAMP':
      case 'GETDATE':
      case 'SYSTIMESTAMP':
        return now
      case 'SYSDATE':
        return `timezone('UTC', ${now})`
      case 'CURRENT_DATE':
        return `${now}::DATE`
      case 'CURRENT_TIME':
        return `${now}::TIME`
      case 'CURRENT_VERSION':
        return sessionText(VERSION)
      case 'CURRENT_ACCOUNT':
        return sessionText('EMULATED')
      case 'CURRENT_USER':
        return sessionText(session.user)
      case 'CURRENT_ROLE':
        return sessionText(session.role)
      case 'CURRENT_WAREHOUSE':
        return sessionText(session.warehouse)
      case 'CURRENT_DATABASE':
        return sessionText(session.database)
      case 'CURRENT_SCHEMA':
        return sessionText(session.schema)
      case 'CURRENT_SESSION':
        return sessionText(String(session.id))
      case 'CURRENT_STATEMENT':
        return sessionText(this.source)
      case 'CURRENT_TRANSACTION':
        return sessionText(session.transaction === null ? null : String(session.transaction.id))
      default:
        return null
    }
  }

  streamHasData(name: string): boolean {
    const { machine, session } = this.#statement
    const stream = findStream(machine, session, name)
    if (stream.table.dropped) checkReadable(stream, machine.clock)
    machine.faults.checkGrant(stream.path, 'SELECT')
    const has = stream.initial || stream.table.lastChange > stream.offset
    // An empty stream that is asked stays young; one with changes does not.
    if (!has) stream.movedAt = machine.clock.now()
    return has
  }
}

function bindNumber(tokens: readonly Token[], token: Token): number {
  return tokens.filter(({ kind, text, start }) => kind === 'bind' && text === '' && start <= token.start).length
}

/** A stream by the text that a function or AT(STREAM => …) names it by. */
function findStream(machine: Machine, session: Session, name: string): Stream {
  const parts = name.split('.').map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toUpperCase()))
  const path = session.path(parts)
  const stream = machine.catalog.findStream(path)
  if (!stream) throw doesNotExist('Stream', printPath(path))
  return stream
}

/** The commit up to which a moment sees. */
export function versionOf({ machine, session, startedAt }: Statement, point: TimeTravel, table: Table): number {
  const timed = (time: number) => {
    if (time < table.createdAt) {
      const text = `Time travel data is not available for table ${table.path.name}. The requested time is either beyond the allowed time travel period or before the object creation time.`
      throw new SnowflakeError('000707', '02000', text)
    }
    return machine.store.versionAt(point.kind === 'BEFORE' ? time - 0.001 : time)
  }
  switch (point.by) {
    case 'TIMESTAMP':
      return timed(readTime(point.value))
    case 'OFFSET':
      return timed(startedAt + Number(point.value) * 1000)
    case 'STREAM':
      return findStream(machine, session, point.value).offset
    default: {
      const before = machine.versionsBefore.get(point.value)
      if (before === undefined) throw new SnowflakeError('000709', '02000', `Statement ${point.value} not found`)
      return point.kind === 'BEFORE' ? before : before + 1
    }
  }
}

export function cursorOf(statement: Statement): TokenCursor {
  return new TokenCursor(statement.tokens)
}

/** How many rows the binds hold. */
export function bindRows({ binds }: Statement): number {
  return Math.max(1, ...Object.values(binds).map(({ value }) => (Array.isArray(value) ? value.length : 1)))
}
