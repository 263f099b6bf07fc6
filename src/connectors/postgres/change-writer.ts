// Changes into Postgres: one transaction for whole transactions of the source, for all their tables, and for the position after them.

import type { ChangeLoad, ChangeTarget, ChangeWriter, Reread } from '../../contract/log.ts'
import type { ChangesChunk } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import { isBadRow, type QuarantinedChange, type Replayed, type UnreadableMessage } from '../../core/quarantine.ts'
import type { State } from '../../core/state.ts'
import { loggedChanges } from '../../sql/logged-changes.ts'
import { Quarantine, type Refused } from '../../sql/quarantine.ts'
import { schemaStatements } from '../../sql/schema-statements.ts'
import { POSTGRES } from './dialect.ts'
import { postgresError } from './errors.ts'
import { type ForeignKeys, readForeignKeys } from './foreign-keys.ts'
import type { Session } from './session.ts'
import { Sieve, siftLogged } from './sieve.ts'
import { runnerOf, type StateStore } from './state-store.ts'
import { TableWriter } from './table-writer.ts'

export class PostgresChangeTarget implements ChangeTarget {
  readonly values = ['pg-binary', 'pg-text'] as const
  readonly restMs = 0
  readonly copyWorkers = 4
  readonly quarantines = true
  readonly #open: () => Promise<Session>
  readonly #main: () => Promise<Session>
  readonly #store: StateStore

  /** `open`: a session of its own; `main`: the target's. */
  constructor(open: () => Promise<Session>, main: () => Promise<Session>, store: StateStore) {
    this.#open = open
    this.#main = main
    this.#store = store
  }

  async open(load: ChangeLoad): Promise<ChangeWriter> {
    const session = await this.#open()
    try {
      if (load.maxQuarantined !== null) await this.#store.makeQuarantine(session)
      const quarantine = await Quarantine.open(runnerOf(session), this.#store.quarantine, load)
      const names = load.tables.map(({ table }) => table.name)
      return new PostgresChangeWriter(session, load, this.#store, quarantine, await readForeignKeys(session, names))
    } catch (error) {
      await session.close()
      throw error
    }
  }

  async quarantined(pipeline: string): Promise<readonly QuarantinedChange[]> {
    const runner = runnerOf(await this.#main())
    const { quarantine } = this.#store
    return (await quarantine.exists(runner)) ? quarantine.list(runner, pipeline) : []
  }

  async discard(pipeline: string, ids: readonly string[]): Promise<number> {
    const runner = runnerOf(await this.#main())
    let gone = 0
    for (const change of await this.quarantined(pipeline))
      if (ids.includes(change.id)) gone += await this.#store.quarantine.remove(runner, pipeline, change)
    return gone
  }
}

class PostgresChangeWriter implements ChangeWriter {
  readonly #session: Session
  readonly #load: ChangeLoad
  readonly #store: StateStore
  readonly #quarantine: Quarantine | null
  readonly #foreignKeys: ForeignKeys
  readonly #tables: readonly TableWriter[]
  #isOpen = false
  #changesSchema: boolean

  constructor(session: Session, load: ChangeLoad, store: StateStore, quarantine: Quarantine | null, foreignKeys: ForeignKeys) {
    this.#session = session
    this.#load = load
    this.#store = store
    this.#quarantine = quarantine
    this.#foreignKeys = foreignKeys
    this.#changesSchema = load.tables.some(({ changes }) => changes.length > 0)
    this.#tables = load.tables.map(
      (changed, number) => new TableWriter(session, changed, number, load, foreignKeys.cascading.get(number) ?? null),
    )
  }

  get kept(): number {
    return this.#quarantine?.count ?? 0
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    try {
      await this.#begin()
      if (this.#quarantine === null) return await this.#applyAll(chunk, folded)
      const carried = await this.#quarantine.carry(chunk, folded)
      return await this.#applyOrSift(chunk, carried, (table, refused) => this.#quarantine?.keep(chunk, table, refused))
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async #applyAll(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    const { order, any } = this.#foreignKeys
    const inOrder = order.flatMap((number) => folded.filter(({ table }) => table === number))
    let deleted = 0
    for (const one of inOrder.toReversed()) if (one.truncated) deleted += await this.#into(one).truncate()
    for (const one of inOrder) await this.#into(one).stage(chunk, one)
    const written = any ? await this.#writeEitherWay(inOrder) : await this.#writeAfterDeletes(inOrder)
    return addCounts({ ...NO_ROWS, deleted }, written)
  }

  #into({ table }: FoldedTable): TableWriter {
    return this.#tables[table] as TableWriter
  }

  /**
   * Old keys go before rows come, which may take over their values in unique columns. Foreign keys want it the other way: what is
   * referred to by nothing any more goes when rows that refer to something else are in. Where both are there, both ways are tried.
   */
  async #writeEitherWay(inOrder: readonly FoldedTable[]): Promise<RowCounts> {
    await this.#session.query('SAVEPOINT before_order')
    try {
      const counts = addCounts(await this.#writeRows(inOrder), await this.#deleteGone(inOrder))
      await this.#session.query('RELEASE SAVEPOINT before_order')
      return counts
    } catch (error) {
      if (!['duplicate-key', 'constraint-violated'].includes(this.#mapped(error).code)) throw error
      await this.#session.query('ROLLBACK TO SAVEPOINT before_order')
      return this.#writeAfterDeletes(inOrder)
    }
  }

  async #writeAfterDeletes(inOrder: readonly FoldedTable[]): Promise<RowCounts> {
    return addCounts(await this.#deleteGone(inOrder), await this.#writeRows(inOrder))
  }

  /** Tables that refer to others first. */
  async #deleteGone(inOrder: readonly FoldedTable[]): Promise<RowCounts> {
    let deleted = 0
    for (const one of inOrder.toReversed()) if (one.deletes.length > 0) deleted += await this.#into(one).deleteGone()
    return { ...NO_ROWS, deleted }
  }

  /** Tables that are referred to first. */
  async #writeRows(inOrder: readonly FoldedTable[]): Promise<RowCounts> {
    let counts = NO_ROWS
    for (const one of inOrder)
      if (one.rows.length > 0) counts = addCounts(counts, { ...NO_ROWS, ...(await this.#into(one).write(one.rows.length)) })
    return counts
  }

  /** All at once; where that is refused, all but the rows that are, which `keep` gets. */
  async #applyOrSift(
    chunk: ChangesChunk,
    folded: readonly FoldedTable[],
    keep: (table: number, refused: readonly Refused[]) => Promise<void> | undefined,
  ): Promise<RowCounts> {
    const whole = await this.#orNothing(() => this.#applyAll(chunk, folded))
    if (whole !== null) return whole
    const sieves = folded.map((one) => new Sieve(this.#tables[one.table] as TableWriter, chunk, one, this.#refuseMore))
    let counts = NO_ROWS
    for (const sieve of sieves) counts = addCounts(counts, await sieve.sift())
    for (const sieve of sieves) counts = addCounts(counts, await sieve.tryAgain())
    for (const sieve of sieves) {
      const refused = await sieve.refused()
      await keep(sieve.number, refused)
      counts = { ...counts, quarantined: counts.quarantined + refused.length }
    }
    return counts
  }

  readonly #refuseMore = (refused: number, last: LoadError): void => this.#quarantine?.refuseMoreThanFit(refused, last)

  /** null where rows are refused, and then nothing is changed. */
  async #orNothing<T>(work: () => Promise<T>): Promise<T | null> {
    await this.#session.query('SAVEPOINT before_chunk')
    try {
      const result = await work()
      await this.#session.query('RELEASE SAVEPOINT before_chunk')
      return result
    } catch (error) {
      if (!isBadRow(this.#mapped(error))) throw error
      await this.#session.query('ROLLBACK TO SAVEPOINT before_chunk')
      for (const table of this.#tables) table.rolledBack()
      return null
    }
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    try {
      await this.#begin()
      return await this.#appendOrSift(chunk, (table, refused, changes) => this.#quarantine?.keep(chunk, table, refused, changes))
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async #appendOrSift(
    chunk: ChangesChunk,
    keep: (table: number, refused: readonly Refused[], changes: ReadonlyMap<number, number>) => Promise<void> | undefined,
  ): Promise<RowCounts> {
    let counts = NO_ROWS
    for (const [number, table] of this.#tables.entries()) {
      const logged = loggedChanges(chunk, number, table.changed)
      if (logged.rows.length === 0) continue
      const append = () => table.append(chunk, logged.rows, logged.extra)
      const whole = this.#quarantine === null ? await append() : await this.#orNothing(append)
      const { inserted, refused } =
        whole === null ? await siftLogged(table, chunk, logged, this.#refuseMore) : { inserted: whole, refused: [] }
      await keep(number, refused, logged.changes)
      counts = addCounts(counts, { ...NO_ROWS, inserted, quarantined: refused.length })
    }
    return counts
  }

  async keepMessage(chunk: ChangesChunk, message: UnreadableMessage): Promise<void> {
    try {
      await this.#begin()
      await this.#quarantine?.keepMessage(chunk, message)
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async replay(ids: readonly string[] | null, reread: Reread | null): Promise<Replayed> {
    const quarantine = this.#quarantine
    if (quarantine === null) return { replayed: 0, left: 0 }
    try {
      await this.#begin()
      const replayed = await quarantine.replay(ids, reread, ({ chunk, folded }, keep) =>
        this.#load.write === 'append' ? this.#appendOrSift(chunk, keep) : this.#applyOrSift(chunk, folded, keep),
      )
      await this.#end()
      return replayed
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async #begin(): Promise<void> {
    if (this.#isOpen) return
    await this.#session.query('BEGIN')
    this.#isOpen = true
    if (this.#foreignKeys.any) await this.#session.query('SET CONSTRAINTS ALL DEFERRED')
    if (!this.#changesSchema) return
    for (const { changes } of this.#load.tables)
      for (const change of changes) for (const statement of schemaStatements(POSTGRES, change)) await this.#session.query(statement)
  }

  async commit(from: State, to: State, moved: number): Promise<void> {
    try {
      await this.#begin()
      await this.#store.advance(this.#session, from, to, this.#load.runId)
      if (moved > 0) await this.#store.count(this.#session, to.pipeline, moved, this.#load.runId)
      await this.#end()
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async record(from: State, to: State, read: number, rows: RowCounts, seconds: number): Promise<void> {
    await this.#begin()
    await this.#store.addHistory(this.#session, from, to, read, rows, { runId: this.#load.runId, cause: 'run' }, seconds)
    await this.#end()
  }

  async #end(): Promise<void> {
    const { command } = await this.#session.execute('COMMIT')
    this.#isOpen = false
    this.#changesSchema = false
    for (const table of this.#tables) table.committed()
    if (command !== 'COMMIT') throw new LoadError('target-failed', `${this.#session.what} answered COMMIT with ${command}.`)
  }

  #mapped(error: unknown): LoadError {
    return postgresError(error, this.#session.what, 'target')
  }

  async abort(): Promise<void> {
    if (this.#isOpen) await this.#session.query('ROLLBACK').catch(() => this.#session.destroy())
    this.#isOpen = false
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}
