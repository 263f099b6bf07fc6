// Queries under way and done: a request that comes again is not run again, a long one is asked for later, and any can be cancelled.

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { execute, type Request, statementsOf } from './interpreter.ts'
import type { StatementResult } from './results.ts'
import type { Session } from './session.ts'
import { SnowflakeError } from './snowflake-error.ts'
import type { Machine, Statement } from './statement.ts'

export interface Done {
  readonly session: Session
  /** One, or those of several statements. */
  readonly results: readonly { readonly queryId: string; readonly result: StatementResult }[]
}

export interface Run {
  readonly queryId: string
  readonly sql: string
  readonly session: Session
  readonly done: Promise<Done>
  finished: boolean
  readonly controller: AbortController
}

/** What the emulator was asked to do, for tests that count statements. */
export interface SeenStatement {
  readonly sql: string
  readonly session: number
  readonly queryTag: string
}

/** Results that are kept for those who ask again. */
const KEPT = 50

export class QueryRuns {
  readonly seen: SeenStatement[] = []
  readonly #machine: Machine
  readonly #byRequest = new Map<string, Run>()
  readonly #byQuery = new Map<string, Run>()
  readonly #parts = new Map<string, StatementResult>()

  constructor(machine: Machine) {
    this.#machine = machine
  }

  /** Begins a request, or finds it where it has begun before. */
  start(requestId: string, session: Session, request: Request): Run {
    const before = this.#byRequest.get(requestId)
    if (before) return before
    const controller = new AbortController()
    const queryId = randomUUID()
    const run: Run = {
      queryId,
      sql: request.sql,
      session,
      controller,
      finished: false,
      done: this.#run(queryId, session, request, controller),
    }
    const finish = () => {
      run.finished = true
    }
    run.done.then(finish, finish)
    this.#byRequest.set(requestId, run)
    this.#byQuery.set(queryId, run)
    this.#forgetOld()
    return run
  }

  byRequest(requestId: string): Run | undefined {
    return this.#byRequest.get(requestId)
  }

  byQuery(queryId: string): Run | undefined {
    return this.#byQuery.get(queryId)
  }

  part(queryId: string): StatementResult | undefined {
    return this.#parts.get(queryId)
  }

  cancel(run: Run | undefined, reason = new SnowflakeError('000604', '57014', 'SQL execution canceled')): boolean {
    if (!run || run.finished) return false
    run.controller.abort(reason)
    this.#machine.store.interrupt(run.controller.signal)
    return true
  }

  cancelAll(session: Session): void {
    for (const run of this.#byRequest.values()) if (run.session === session) this.cancel(run)
  }

  async #run(queryId: string, session: Session, request: Request, controller: AbortController): Promise<Done> {
    const { signal } = controller
    const { faults, clock } = this.#machine
    const timeoutMs = session.timeoutMs('STATEMENT_TIMEOUT_IN_SECONDS')
    const seconds = timeoutMs / 1000
    const text = `Statement reached its statement or warehouse timeout of ${seconds} second(s) and was canceled.`
    const expired = new SnowflakeError('000630', '57014', text)
    const timer = setTimeout(() => this.#timeOut(queryId, expired), Math.min(timeoutMs, 2 ** 31 - 1))
    try {
      const slow = faults.take('slow', request.sql)
      if (slow) await pause(slow.milliseconds, undefined, { signal })
      if (faults.take('statement-timeout', request.sql)) throw expired
      const error = faults.take('error', request.sql)
      if (error) throw new SnowflakeError(error.code, error.sqlState, error.message)
      const aborted = session.transaction && faults.take('aborted-transaction', request.sql)
      if (aborted && session.transaction) await this.#machine.transactions.rollback(session.transaction)
      const statements = statementsOf(request)
      const allTokens = statements.flat()
      const results: { queryId: string; result: StatementResult }[] = []
      for (const tokens of statements) {
        this.seen.push({ sql: partOf(request.sql, tokens), session: session.id, queryTag: session.parameter('QUERY_TAG') })
        const own = statements.length === 1 ? queryId : randomUUID()
        const statement: Statement = {
          machine: this.#machine,
          session,
          source: request.sql,
          tokens,
          allTokens,
          binds: request.binds,
          queryId: own,
          startedAt: clock.now(),
          signal,
        }
        const result = await execute(statement, request.describeOnly)
        results.push({ queryId: own, result })
        this.#parts.set(own, result)
      }
      return { session, results }
    } catch (error) {
      throw signal.aborted ? signal.reason : error
    } finally {
      clearTimeout(timer)
    }
  }

  #timeOut(queryId: string, reason: SnowflakeError): void {
    this.cancel(this.#byQuery.get(queryId), reason)
  }

  #forgetOld(): void {
    for (const [requestId, run] of this.#byRequest) {
      if (this.#byRequest.size <= KEPT) return
      if (!run.finished) continue
      this.#byRequest.delete(requestId)
      this.#byQuery.delete(run.queryId)
      run.done.then(
        ({ results }) => results.forEach(({ queryId, result }) => void this.#drop(queryId, result)),
        () => undefined,
      )
    }
  }

  async #drop(queryId: string, result: StatementResult): Promise<void> {
    this.#parts.delete(queryId)
    await result.drop()
  }
}

function partOf(sql: string, tokens: Statement['tokens']): string {
  const [first] = tokens
  return first ? sql.slice(first.start, tokens.at(-1)!.end) : sql
}
