// The changes of one table into it, inside a transaction of the writer's.

import type { ChangedTable, ChangeLoad } from '../../contract/log.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { printTableName } from '../../core/table.ts'
import { encodeCells } from '../../formats/pg-copy-cells.ts'
import type { LoggedChanges } from '../../sql/logged-changes.ts'
import { type ChangeStatements, changeStatements } from './change-statements.ts'
import { CopyIn } from './copy-in.ts'
import type { PostgresTable } from './describe.ts'
import { postgresError } from './errors.ts'
import type { Session } from './session.ts'

const COPY_BYTES = 256 * 1024

type Kind = 'rows' | 'partial' | 'gone' | 'log' | 'sieve'

export class TableWriter {
  readonly session: Session
  readonly changed: ChangedTable
  readonly sql: ChangeStatements
  readonly keyPlaces: readonly number[]
  readonly allPlaces: readonly number[]
  readonly #upserts: boolean
  /** Temporary tables that exist, and those that may have rows of an earlier chunk of the same transaction. */
  readonly #made = new Set<Kind>()
  readonly #dirty = new Set<Kind>()

  /** The foreign key by which what refers to a row is lost with it. */
  readonly #cascading: string | null

  constructor(session: Session, changed: ChangedTable, number: number, load: ChangeLoad, cascading: string | null) {
    this.#cascading = cascading
    const table = changed.table as Partial<PostgresTable> & ChangedTable['table']
    this.session = session
    this.changed = changed
    this.#upserts = table.keyGuaranteed && table.relationKind === 'r' && sameNames(table.key, changed.key)
    this.sql = changeStatements(changed, number, load.format, this.#upserts, load.write)
    this.keyPlaces = changed.key.map((name) => changed.columns.findIndex(({ target }) => target.name === name))
    this.allPlaces = changed.columns.map((_, place) => place)
  }

  /** Rows in temporary tables went with the transaction. */
  committed(): void {
    this.#dirty.clear()
  }

  /** Temporary tables that were made since the savepoint are gone. */
  rolledBack(): void {
    this.#made.clear()
  }

  async truncate(): Promise<number> {
    return (await this.session.execute(this.sql.deleteAll)).count
  }

  /** Rows and old keys into temporary tables, each row whole. */
  async stage(chunk: ChangesChunk, folded: FoldedTable): Promise<void> {
    const { sql, keyPlaces, allPlaces } = this
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
    if (folded.rows.length > 0) await this.empty('rows')
    if (partial.length > 0) await this.#complete(chunk, partial, bases)
    if (whole.length > 0) await this.copy(sql.copyRows, encodeCells(chunk, whole, allPlaces, COPY_BYTES))
    if (folded.deletes.length > 0) {
      await this.empty('gone')
      await this.copy(sql.copyGone, encodeCells(chunk, folded.deletes, keyPlaces, COPY_BYTES))
    }
  }

  /** The rows whose old keys are staged. */
  async deleteGone(): Promise<number> {
    return (await this.session.execute(this.sql.deleteGone)).count
  }

  /** Every change a row of its own. */
  async append(chunk: ChangesChunk, rows: readonly number[], extra: LoggedChanges['extra']): Promise<number> {
    await this.empty('log')
    await this.copy(this.sql.copyLog, encodeCells(chunk, rows, this.allPlaces, COPY_BYTES, extra))
    return (await this.session.execute(this.sql.insertLog)).count
  }

  /** What was not sent again is what the target has under the key of before. */
  async #complete(chunk: ChangesChunk, rows: readonly number[], bases: readonly number[]): Promise<void> {
    const { sql, changed } = this
    await this.empty('partial')
    const baseOf = new Map(rows.map((row, index) => [row, bases[index] as number]))
    const extra = (row: number): readonly Uint8Array[] => this.lacking(chunk, row, baseOf.get(row) as number)
    await this.copy(sql.copyPartial, encodeCells(chunk, rows, this.allPlaces, COPY_BYTES, extra))
    const { count } = await this.session.execute(sql.complete)
    if (count !== rows.length)
      throw new LoadError(
        'row-missing',
        `${rows.length - count} rows of table ${printTableName(changed.table.name)} were changed at the source, and are not at the target.`,
      )
  }

  /** What stands behind a row's values: the key under which the target has what it lacks, and which columns these are. */
  lacking(chunk: ChangesChunk, row: number, base: number): readonly Uint8Array[] {
    const keys = this.keyPlaces.map((place) => {
      const from = chunk.start[base + place] as number
      return chunk.bytes.subarray(from, from + (chunk.length[base + place] as number))
    })
    return [...keys, Buffer.from(this.allPlaces.map((place) => (chunk.length[row + place] === UNCHANGED ? '1' : '0')).join(''))]
  }

  /** The rows that are staged, so many. */
  async write(rows: number): Promise<{ inserted: number; updated: number }> {
    if (!this.#upserts) return this.#replace(rows)
    const { session, sql } = this
    try {
      // In one message: every answer that is waited for is a part of the latency.
      const [row] = await session.query(`SAVEPOINT before_rows; ${sql.upsert}; RELEASE SAVEPOINT before_rows`)
      const inserted = Number(row?.['inserted'])
      return { inserted, updated: Number(row?.['touched']) - inserted }
    } catch (error) {
      if (postgresError(error, session.what, 'target').code !== 'duplicate-key') throw error
      // Rows that exchange values of a unique column can't be written one over the other.
      await session.query('ROLLBACK TO SAVEPOINT before_rows')
      return this.#replace(rows)
    }
  }

  async #replace(rows: number): Promise<{ inserted: number; updated: number }> {
    if (this.#cascading !== null)
      throw new LoadError(
        'constraint-violated',
        `Rows of table ${printTableName(this.changed.table.name)} can't be replaced: by foreign key "${this.#cascading}" what refers to them would be lost.`,
        { where: this.session.what, hint: 'Make that constraint ON DELETE NO ACTION DEFERRABLE at the target, or drop it.' },
      )
    const updated = (await this.session.execute(this.sql.deleteRows)).count
    await this.session.query(this.sql.insertRows)
    return { inserted: rows - updated, updated }
  }

  /** A temporary table that is there, and has no rows. Every commit empties it; within a long transaction it is done by hand. */
  async empty(kind: Kind): Promise<void> {
    const { sql, session } = this
    const create = { rows: sql.createRows, partial: sql.createPartial, gone: sql.createGone, log: sql.createLog, sieve: sql.createSieve }[
      kind
    ]
    if (!this.#made.has(kind)) await session.query(create)
    if (this.#dirty.has(kind)) await session.query(sql.empty.replace('tidemark_rows_', `tidemark_${kind}_`))
    this.#made.add(kind)
    this.#dirty.add(kind)
  }

  async copy(statement: string, chunks: Iterable<Uint8Array>): Promise<void> {
    const copy = this.session.submit(new CopyIn(statement))
    try {
      for (const chunk of chunks) await copy.write(chunk)
      await copy.end()
    } catch (error) {
      throw postgresError(error, this.session.what, 'target')
    }
  }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name))
}
