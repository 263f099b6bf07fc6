// Changes into Postgres: one transaction for whole transactions of the source, for all their tables, and for the position after them.

import type { ChangedTable, ChangeLoad, ChangeTarget, ChangeWriter } from '../../contract/log.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { State } from '../../core/state.ts'
import { printTableName } from '../../core/table.ts'
import { encodeCells } from '../../formats/pg-copy-cells.ts'
import { loggedChanges } from '../../sql/logged-changes.ts'
import { schemaStatements } from '../../sql/schema-statements.ts'
import { type ChangeStatements, changeStatements } from './change-statements.ts'
import { CopyIn } from './copy-in.ts'
import type { PostgresTable } from './describe.ts'
import { POSTGRES } from './dialect.ts'
import { postgresError } from './errors.ts'
import { type ForeignKeys, readForeignKeys } from './foreign-keys.ts'
import type { Session } from './session.ts'
import type { StateStore } from './state-store.ts'

const COPY_BYTES = 256 * 1024

export class PostgresChangeTarget implements ChangeTarget {
  readonly values = ['pg-binary', 'pg-text'] as const
  readonly restMs = 0
  readonly copyWorkers = 4
  readonly #open: () => Promise<Session>
  readonly #store: StateStore

  constructor(open: () => Promise<Session>, store: StateStore) {
    this.#open = open
    this.#store = store
  }

  async open(load: ChangeLoad): Promise<ChangeWriter> {
    const session = await this.#open()
    try {
      const keys = await readForeignKeys(
        session,
        load.tables.map(({ table }) => table.name),
      )
      return new PostgresChangeWriter(session, load, this.#store, keys)
    } catch (error) {
      await session.close()
      throw error
    }
  }
}

type Kind = 'rows' | 'partial' | 'gone' | 'log'

interface Into {
  readonly number: number
  readonly changed: ChangedTable
  readonly sql: ChangeStatements
  readonly upserts: boolean
  readonly keyPlaces: readonly number[]
  readonly allPlaces: readonly number[]
  /** Temporary tables that exist, and whether rows of an earlier chunk of the same transaction are in them. */
  readonly made: Set<Kind>
}

/** What a chunk does to a table; its rows and old keys stand in temporary tables. */
interface Staged {
  readonly into: Into
  readonly rows: number
  readonly deletes: number
}

class PostgresChangeWriter implements ChangeWriter {
  readonly #session: Session
  readonly #load: ChangeLoad
  readonly #store: StateStore
  readonly #foreignKeys: ForeignKeys
  readonly #tables: readonly Into[]
  #isOpen = false
  #changesSchema: boolean

  constructor(session: Session, load: ChangeLoad, store: StateStore, foreignKeys: ForeignKeys) {
    this.#foreignKeys = foreignKeys
    this.#session = session
    this.#load = load
    this.#store = store
    this.#changesSchema = load.tables.some(({ changes }) => changes.length > 0)
    this.#tables = load.tables.map((changed, number) => {
      const table = changed.table as Partial<PostgresTable> & ChangedTable['table']
      const upserts = table.keyGuaranteed && table.relationKind === 'r' && sameNames(table.key, changed.key)
      const places = changed.columns.map((_, place) => place)
      return {
        number,
        changed,
        upserts,
        sql: changeStatements(changed, number, load.format, upserts, load.write),
        keyPlaces: changed.key.map((name) => changed.columns.findIndex(({ target }) => target.name === name)),
        allPlaces: places,
        made: new Set(),
      }
    })
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    try {
      await this.#begin()
      const inOrder = this.#foreignKeys.order.flatMap((number) => folded.filter(({ table }) => table === number))
      let counts = NO_ROWS
      for (const { table } of inOrder.filter(({ truncated }) => truncated).reverse())
        counts = addCounts(counts, await this.#truncate(this.#tables[table] as Into))
      const staged: Staged[] = []
      for (const one of inOrder) staged.push(await this.#stage(this.#tables[one.table] as Into, chunk, one))
      return addCounts(counts, await this.#write(staged))
    } catch (error) {
      throw this.#mapped(error)
    }
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    try {
      await this.#begin()
      let inserted = 0
      for (const [number, into] of this.#tables.entries()) {
        const { rows, extra } = loggedChanges(chunk, number, into.changed)
        if (rows.length === 0) continue
        await this.#make(into, 'log')
        await this.#copy(into.sql.copyLog, encodeCells(chunk, rows, into.allPlaces, COPY_BYTES, extra))
        inserted += (await this.#session.execute(into.sql.insertLog)).count
      }
      return { ...NO_ROWS, inserted }
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
    for (const { changed } of this.#tables)
      for (const change of changed.changes) for (const statement of schemaStatements(POSTGRES, change)) await this.#session.query(statement)
  }

  async #truncate({ sql }: Into): Promise<RowCounts> {
    return { ...NO_ROWS, deleted: (await this.#session.execute(sql.deleteAll)).count }
  }

  async #stage(into: Into, chunk: ChangesChunk, folded: FoldedTable): Promise<Staged> {
    const { sql, keyPlaces, allPlaces } = into
    const whole: number[] = []
    const partial: number[] = []
    const bases: number[] = []
    for (const [index, row] of folded.rows.entries()) {
      const base = folded.bases[index] as number
      if (base === NONE) whole.push(row)
      else {
        partial.push(row)
        bases.push(base)
      }
    }
    if (folded.rows.length > 0) await this.#make(into, 'rows')
    if (partial.length > 0) await this.#complete(into, chunk, partial, bases)
    if (whole.length > 0) await this.#copy(sql.copyRows, encodeCells(chunk, whole, allPlaces, COPY_BYTES))
    if (folded.deletes.length > 0) {
      await this.#make(into, 'gone')
      await this.#copy(sql.copyGone, encodeCells(chunk, folded.deletes, keyPlaces, COPY_BYTES))
    }
    return { into, rows: folded.rows.length, deletes: folded.deletes.length }
  }

  /**
   * Old keys go before rows come, which may take over their values in unique columns. Foreign keys want it the other way: what is
   * referred to by nothing any more goes when rows that refer to something else are in. Where both are there, both ways are tried.
   */
  async #write(staged: readonly Staged[]): Promise<RowCounts> {
    if (!this.#foreignKeys.any) return addCounts(await this.#deleteGone(staged), await this.#writeRows(staged))
    await this.#session.query('SAVEPOINT before_order')
    try {
      const counts = addCounts(await this.#writeRows(staged), await this.#deleteGone(staged))
      await this.#session.query('RELEASE SAVEPOINT before_order')
      return counts
    } catch (error) {
      if (!['duplicate-key', 'constraint-violated'].includes(this.#mapped(error).code)) throw error
      await this.#session.query('ROLLBACK TO SAVEPOINT before_order')
      return addCounts(await this.#deleteGone(staged), await this.#writeRows(staged))
    }
  }

  /** Tables that refer to others first. */
  async #deleteGone(staged: readonly Staged[]): Promise<RowCounts> {
    let deleted = 0
    for (const { into, deletes } of staged.toReversed())
      if (deletes > 0) deleted += (await this.#session.execute(into.sql.deleteGone)).count
    return { ...NO_ROWS, deleted }
  }

  /** Tables that are referred to first. */
  async #writeRows(staged: readonly Staged[]): Promise<RowCounts> {
    let counts = NO_ROWS
    for (const { into, rows } of staged) {
      if (rows === 0) continue
      const { inserted, updated } = into.upserts ? await this.#upsert(into, rows) : await this.#replace(into, rows)
      counts = addCounts(counts, { ...NO_ROWS, inserted, updated })
    }
    return counts
  }

  /** What was not sent again is what the target has under the key of before. */
  async #complete(into: Into, chunk: ChangesChunk, rows: readonly number[], bases: readonly number[]): Promise<void> {
    const { sql, keyPlaces, allPlaces, changed } = into
    await this.#make(into, 'partial')
    const baseOf = new Map(rows.map((row, index) => [row, bases[index] as number]))
    const extra = (row: number): readonly Uint8Array[] => {
      const base = baseOf.get(row) as number
      const keys = keyPlaces.map((place) => {
        const from = chunk.start[base + place] as number
        return chunk.bytes.subarray(from, from + (chunk.length[base + place] as number))
      })
      const lacks = allPlaces.map((place) => (chunk.length[row + place] === UNCHANGED ? '1' : '0')).join('')
      return [...keys, Buffer.from(lacks)]
    }
    await this.#copy(sql.copyPartial, encodeCells(chunk, rows, allPlaces, COPY_BYTES, extra))
    const { count } = await this.#session.execute(sql.complete)
    if (count !== rows.length)
      throw new LoadError(
        'row-missing',
        `${rows.length - count} rows of table ${printTableName(changed.table.name)} were changed at the source, and are not at the target.`,
      )
  }

  async #upsert(into: Into, rows: number): Promise<{ inserted: number; updated: number }> {
    const session = this.#session
    try {
      // In one message: every answer that is waited for is a part of the latency.
      const [row] = await session.query(`SAVEPOINT before_rows; ${into.sql.upsert}; RELEASE SAVEPOINT before_rows`)
      const inserted = Number(row?.['inserted'])
      return { inserted, updated: Number(row?.['touched']) - inserted }
    } catch (error) {
      if (postgresError(error, session.what, 'target').code !== 'duplicate-key') throw error
      // Rows that exchange values of a unique column can't be written one over the other.
      await session.query('ROLLBACK TO SAVEPOINT before_rows')
      return this.#replace(into, rows)
    }
  }

  async #replace(into: Into, rows: number): Promise<{ inserted: number; updated: number }> {
    const cascading = this.#foreignKeys.cascading.get(into.number)
    if (cascading !== undefined)
      throw new LoadError(
        'constraint-violated',
        `Rows of table ${printTableName(into.changed.table.name)} can't be replaced: by foreign key "${cascading}" what refers to them would be lost.`,
        { where: this.#session.what, hint: 'Make that constraint ON DELETE NO ACTION DEFERRABLE at the target, or drop it.' },
      )
    const updated = (await this.#session.execute(into.sql.deleteRows)).count
    await this.#session.query(into.sql.insertRows)
    return { inserted: rows - updated, updated }
  }

  async #make(into: Into, kind: Kind): Promise<void> {
    const { sql, made } = into
    const create = { rows: sql.createRows, partial: sql.createPartial, gone: sql.createGone, log: sql.createLog }[kind]
    if (!made.has(kind)) await this.#session.query(create)
    // Emptied by every commit; within a long transaction by hand.
    else if (this.#dirty.has(`${sql.copyRows}${kind}`)) await this.#session.query(sql.empty.replace('tidemark_rows_', `tidemark_${kind}_`))
    made.add(kind)
    this.#dirty.add(`${sql.copyRows}${kind}`)
  }

  readonly #dirty = new Set<string>()

  async #copy(statement: string, chunks: Iterable<Uint8Array>): Promise<void> {
    const copy = this.#session.submit(new CopyIn(statement))
    for (const chunk of chunks) await copy.write(chunk)
    await copy.end()
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
    this.#dirty.clear()
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

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name))
}
