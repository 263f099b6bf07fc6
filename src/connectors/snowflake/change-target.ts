// Changes into Snowflake: one transaction for whole transactions of the source, for all their tables, and for the position after them.
// Schemas and temporary tables come before it, as they would end it; it holds nothing but statements on rows.

import type { ChangeLoad, ChangeTarget, ChangeWriter } from '../../contract/log.ts'
import type { ChangesChunk } from '../../core/changes-chunk.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { invariant } from '../../core/invariant.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { QuarantinedChange, Replayed } from '../../core/quarantine.ts'
import type { State } from '../../core/state.ts'
import type { TableName } from '../../core/table.ts'
import { loggedChanges } from '../../sql/logged-changes.ts'
import { ChangeStage, type PutChanges } from './change-stage.ts'
import { queryTag, type Session } from './session.ts'
import { changeSchema } from './stage.ts'
import type { StateStore } from './state-store.ts'
import { lostTransaction } from './transaction.ts'

export class SnowflakeChangeTarget implements ChangeTarget {
  readonly values = ['pg-text'] as const
  /** Every commit wakes the warehouse, of which at least a minute is billed. */
  readonly restMs = 60_000
  /** The commit alone is work for the warehouse, and it is one however many sessions put files. */
  readonly copyWorkers = 1
  readonly quarantines = false
  readonly #open: (tag: string) => Promise<Session>
  readonly #full: (table: TableName) => TableName
  readonly #store: StateStore

  /** `open`: a session of its own; `full`: a table's name with its schema. */
  constructor(open: (tag: string) => Promise<Session>, full: (table: TableName) => TableName, store: StateStore) {
    this.#open = open
    this.#full = full
    this.#store = store
  }

  async open(load: ChangeLoad): Promise<ChangeWriter> {
    invariant(load.maxQuarantined === null, 'Snowflake was asked for a quarantine')
    const session = await this.#open(queryTag(load.pipeline, load.runId))
    try {
      await this.#store.prepare(session)
    } catch (error) {
      await session.close()
      throw error
    }
    const tables = load.tables.map((one) => ({
      ...one,
      table: { ...one.table, name: this.#full(one.table.name) },
      changes: one.changes.map((change) => (change.kind === 'create-table' ? change : { ...change, table: this.#full(change.table) })),
    }))
    return new SnowflakeChangeWriter(session, { ...load, tables }, this.#store)
  }

  async quarantined(): Promise<readonly QuarantinedChange[]> {
    return []
  }

  async discard(): Promise<number> {
    return 0
  }
}

class SnowflakeChangeWriter implements ChangeWriter {
  readonly kept = 0
  readonly #session: Session
  readonly #load: ChangeLoad
  readonly #store: StateStore
  readonly #tables: readonly ChangeStage[]
  /** Of the transaction that is open. */
  #transaction: string | null = null
  #isReady = false
  #schemaChanged = false

  constructor(session: Session, load: ChangeLoad, store: StateStore) {
    this.#session = session
    this.#load = load
    this.#store = store
    this.#tables = load.tables.map((changed) => new ChangeStage(session, changed, load))
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    const transaction = await this.#beginWith(async () => {
      const put: PutChanges[] = []
      for (const one of folded) await keep(put, this.#into(one).put(chunk, one))
      return put
    })
    let sum = NO_ROWS
    for (const one of folded) sum = addCounts(sum, await this.#into(one).apply(one, transaction))
    return sum
  }

  #into({ table }: FoldedTable): ChangeStage {
    return this.#tables[table] as ChangeStage
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    const filled: ChangeStage[] = []
    const transaction = await this.#beginWith(async () => {
      const put: PutChanges[] = []
      for (const [number, table] of this.#tables.entries())
        await keep(put, table.putLog(chunk, loggedChanges(chunk, number, table.changed)))
      filled.push(...put.map(({ table }) => table))
      return put
    })
    let sum = NO_ROWS
    for (const table of filled) sum = addCounts(sum, await table.insertLog(transaction))
    return sum
  }

  /**
   * Changes are in their temporary tables before the transaction begins. Those that come later, as one transaction of the source may be
   * many chunks, take their places within it: COPY and DELETE end none.
   */
  async #beginWith(putAll: () => Promise<readonly PutChanges[]>): Promise<string> {
    if (this.#transaction === null) await this.#makeReady()
    const put = await putAll()
    try {
      for (const one of put) await one.table.fill(one)
    } finally {
      for (const { files } of put) await files.discard()
    }
    return this.#begin()
  }

  /** All tables at once: the transaction that is to come may touch each of them in any of its chunks. */
  async #makeReady(): Promise<void> {
    if (this.#isReady) return
    await this.#changeSchema()
    for (const table of this.#tables) await table.create()
    this.#isReady = true
  }

  async #changeSchema(): Promise<void> {
    if (this.#schemaChanged) return
    for (const { changes } of this.#load.tables) for (const change of changes) await changeSchema(this.#session, change)
    this.#schemaChanged = true
  }

  async #begin(): Promise<string> {
    if (this.#transaction !== null) return this.#transaction
    await this.#session.run('BEGIN')
    this.#transaction = await this.#session.value('SELECT CURRENT_TRANSACTION()')
    if (this.#transaction === null) throw lostTransaction(this.#session)
    return this.#transaction
  }

  /** The fence comes last: its lock is that of all pipelines, and is held only for moments. */
  async commit(from: State, to: State, moved: number): Promise<void> {
    if (this.#transaction === null) await this.#changeSchema()
    const session = this.#session
    const transaction = await this.#begin()
    await this.#store.advance(session, from, to, this.#load.runId, transaction)
    if (moved > 0) await this.#store.count(session, to.pipeline, moved, this.#load.runId)
    await session.run('COMMIT')
    this.#transaction = null
    await this.#store.confirm(session, to)
  }

  record(from: State, to: State, read: number, rows: RowCounts, seconds: number): Promise<void> {
    return this.#store.addHistory(this.#session, from, to, read, rows, { runId: this.#load.runId, cause: 'run' }, seconds)
  }

  async keepMessage(): Promise<void> {
    invariant(false, 'Snowflake keeps no messages')
  }

  async replay(): Promise<Replayed> {
    return { replayed: 0, left: 0 }
  }

  async abort(): Promise<void> {
    this.#transaction = null
    await this.#session.rollback()
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

async function keep(all: PutChanges[], one: Promise<PutChanges | null>): Promise<void> {
  const put = await one
  if (put !== null) all.push(put)
}
