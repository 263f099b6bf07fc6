// Changes into DuckDB: values arrive as PostgreSQL's text in temporary tables, and are cast on their way into the tables. One transaction
// for whole transactions of the source, for all their tables, and for the position after them. There is no unique key to go by: rows
// that were changed go, and come back as they are now.

import type { ChangeLoad, ChangeTarget, ChangeWriter, Reread } from '../../contract/log.ts'
import type { ChangesChunk } from '../../core/changes-chunk.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { QuarantinedChange, Replayed, UnreadableMessage } from '../../core/quarantine.ts'
import type { State } from '../../core/state.ts'
import { loggedChanges } from '../../sql/logged-changes.ts'
import { Quarantine, type Refused } from '../../sql/quarantine.ts'
import type { Connection, Database } from './database.ts'
import { schemaStatements } from './dialect.ts'
import type { StateStore } from './state-store.ts'
import { TableWriter } from './table-writer.ts'

export class DuckdbChangeTarget implements ChangeTarget {
  readonly values = ['pg-text'] as const
  /** Every commit looks for its rows in the whole table: a few large ones cost less than many small ones. */
  readonly restMs = 500
  /** More take more memory, and are hardly quicker: the rows go through one thread into the file. */
  readonly copyWorkers = 1
  readonly quarantines = true
  readonly #open: () => Database
  readonly #main: () => Promise<Connection | null>
  readonly #store: StateStore

  /** `main`: the target's connection, null where there is no file yet. */
  constructor(open: () => Database, main: () => Promise<Connection | null>, store: StateStore) {
    this.#open = open
    this.#main = main
    this.#store = store
  }

  async open(load: ChangeLoad): Promise<ChangeWriter> {
    const connection = await this.#open().connect()
    try {
      if (load.maxQuarantined !== null) await this.#store.quarantine.make(connection)
      return new DuckdbChangeWriter(connection, load, this.#store, await Quarantine.open(connection, this.#store.quarantine, load))
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  async quarantined(pipeline: string): Promise<readonly QuarantinedChange[]> {
    const connection = await this.#main()
    const { quarantine } = this.#store
    return connection !== null && (await quarantine.exists(connection)) ? quarantine.list(connection, pipeline) : []
  }

  async discard(pipeline: string, ids: readonly string[]): Promise<number> {
    const connection = await this.#main()
    let gone = 0
    for (const change of connection === null ? [] : await this.quarantined(pipeline))
      if (ids.includes(change.id) && connection !== null) gone += await this.#store.quarantine.remove(connection, pipeline, change)
    return gone
  }
}

class DuckdbChangeWriter implements ChangeWriter {
  readonly #connection: Connection
  readonly #load: ChangeLoad
  readonly #store: StateStore
  readonly #quarantine: Quarantine | null
  readonly #tables: readonly TableWriter[]
  #isOpen = false
  #changesSchema: boolean

  constructor(connection: Connection, load: ChangeLoad, store: StateStore, quarantine: Quarantine | null) {
    this.#connection = connection
    this.#load = load
    this.#store = store
    this.#quarantine = quarantine
    const softly = load.write === 'soft-delete'
    const refuseMore = quarantine === null ? null : quarantine.refuseMoreThanFit.bind(quarantine)
    this.#changesSchema = load.tables.some(({ changes }) => changes.length > 0)
    this.#tables = load.tables.map((changed, number) => new TableWriter(connection, changed, number, { softly, refuseMore }))
  }

  get kept(): number {
    return this.#quarantine?.count ?? 0
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    await this.#begin()
    const carried = this.#quarantine === null ? folded : await this.#quarantine.carry(chunk, folded)
    return this.#applyAll(chunk, carried, (table, refused) => this.#quarantine?.keep(chunk, table, refused))
  }

  async #applyAll(
    chunk: ChangesChunk,
    folded: readonly FoldedTable[],
    keep: (table: number, refused: readonly Refused[]) => Promise<void> | undefined,
  ): Promise<RowCounts> {
    let sum = NO_ROWS
    for (const one of folded) {
      const { counts, refused } = await (this.#tables[one.table] as TableWriter).apply(chunk, one)
      await keep(one.table, refused)
      sum = addCounts(sum, counts)
    }
    return sum
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    await this.#begin()
    return this.#appendAll(chunk, (table, refused, changes) => this.#quarantine?.keep(chunk, table, refused, changes))
  }

  async #appendAll(
    chunk: ChangesChunk,
    keep: (table: number, refused: readonly Refused[], changes: ReadonlyMap<number, number>) => Promise<void> | undefined,
  ): Promise<RowCounts> {
    let sum = NO_ROWS
    for (const [number, table] of this.#tables.entries()) {
      const logged = loggedChanges(chunk, number, table.changed)
      if (logged.rows.length === 0) continue
      const { counts, refused } = await table.append(chunk, logged)
      await keep(number, refused, logged.changes)
      sum = addCounts(sum, counts)
    }
    return sum
  }

  async keepMessage(chunk: ChangesChunk, message: UnreadableMessage): Promise<void> {
    await this.#begin()
    await this.#quarantine?.keepMessage(chunk, message)
  }

  async replay(ids: readonly string[] | null, reread: Reread | null): Promise<Replayed> {
    const quarantine = this.#quarantine
    if (quarantine === null) return { replayed: 0, left: 0 }
    await this.#begin()
    const replayed = await quarantine.replay(ids, reread, ({ chunk, folded }, keep) =>
      this.#load.write === 'append' ? this.#appendAll(chunk, keep) : this.#applyAll(chunk, folded, keep),
    )
    await this.#end()
    return replayed
  }

  async #begin(): Promise<void> {
    if (this.#isOpen) return
    await this.#connection.run('BEGIN TRANSACTION')
    this.#isOpen = true
    if (!this.#changesSchema) return
    for (const { changes } of this.#load.tables)
      for (const change of changes) for (const statement of schemaStatements(change)) await this.#connection.run(statement)
  }

  async commit(from: State, to: State, moved: number): Promise<void> {
    await this.#begin()
    await this.#store.advance(this.#connection, from, to, this.#load.runId)
    if (moved > 0) await this.#store.count(this.#connection, to.pipeline, moved, this.#load.runId)
    await this.#end()
  }

  async record(from: State, to: State, read: number, rows: RowCounts, seconds: number): Promise<void> {
    await this.#begin()
    await this.#store.addHistory(this.#connection, from, to, read, rows, { runId: this.#load.runId, cause: 'run' }, seconds)
    await this.#end()
  }

  async #end(): Promise<void> {
    await this.#connection.run('COMMIT')
    this.#isOpen = false
    this.#changesSchema = false
  }

  async abort(): Promise<void> {
    if (this.#isOpen) await this.#connection.run('ROLLBACK').catch(() => 0)
    this.#isOpen = false
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
