// Changes into DuckDB: values arrive as PostgreSQL's text in temporary tables, and are cast on their way into the tables. One transaction
// for whole transactions of the source, for all their tables, and for the position after them. There is no unique key to go by: rows
// that were changed go, and come back as they are now.

import type { ChangedTable, ChangeLoad, ChangeTarget, ChangeWriter } from '../../contract/log.ts'
import { COMMITTED_AT, DELETED_AT, LACKS, MARKS, OP, ORDINAL, POSITION } from '../../core/change-marks.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { State } from '../../core/state.ts'
import { type Column, printTableName } from '../../core/table.ts'
import { encodeCells } from '../../formats/pg-copy-cells.ts'
import { loggedChanges } from '../../sql/logged-changes.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection, Database } from './database.ts'
import { schemaStatements, tableIdentifier } from './dialect.ts'
import type { StateStore } from './state-store.ts'

const COPY_BYTES = 256 * 1024

export class DuckdbChangeTarget implements ChangeTarget {
  readonly values = ['pg-text'] as const
  /** Every commit looks for its rows in the whole table: a few large ones cost less than many small ones. */
  readonly restMs = 500
  /** More take more memory, and are hardly quicker: the rows go through one thread into the file. */
  readonly copyWorkers = 1
  readonly #open: () => Database
  readonly #store: StateStore

  constructor(open: () => Database, store: StateStore) {
    this.#open = open
    this.#store = store
  }

  async open(load: ChangeLoad): Promise<ChangeWriter> {
    const connection = await this.#open().connect()
    return new DuckdbChangeWriter(connection, load, this.#store)
  }
}

class DuckdbChangeWriter implements ChangeWriter {
  readonly #connection: Connection
  readonly #load: ChangeLoad
  readonly #store: StateStore
  readonly #tables: readonly TableWriter[]
  #isOpen = false
  #changesSchema: boolean

  constructor(connection: Connection, load: ChangeLoad, store: StateStore) {
    this.#connection = connection
    this.#load = load
    this.#store = store
    this.#changesSchema = load.tables.some(({ changes }) => changes.length > 0)
    this.#tables = load.tables.map((changed, number) => new TableWriter(connection, changed, number, load.write === 'soft-delete'))
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    await this.#begin()
    let counts = NO_ROWS
    for (const one of folded) counts = addCounts(counts, await (this.#tables[one.table] as TableWriter).apply(chunk, one))
    return counts
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    await this.#begin()
    let inserted = 0
    for (const [number, writer] of this.#tables.entries()) inserted += await writer.append(chunk, number)
    return { ...NO_ROWS, inserted }
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

class TableWriter {
  readonly #connection: Connection
  readonly #changed: ChangedTable
  readonly #rows: string
  readonly #partial: string
  readonly #gone: string
  readonly #names: readonly string[]
  readonly #keyPlaces: readonly number[]
  readonly #allPlaces: readonly number[]
  readonly #softly: boolean
  readonly #made = new Set<string>()

  constructor(connection: Connection, changed: ChangedTable, number: number, softly: boolean) {
    this.#softly = softly
    this.#connection = connection
    this.#changed = changed
    this.#rows = `_tidemark_rows_${number}`
    this.#partial = `_tidemark_partial_${number}`
    this.#gone = `_tidemark_gone_${number}`
    this.#names = changed.columns.map(({ target }) => target.name)
    this.#keyPlaces = changed.key.map((name) => this.#names.indexOf(name))
    this.#allPlaces = this.#names.map((_, place) => place)
  }

  async apply(chunk: ChangesChunk, folded: FoldedTable): Promise<RowCounts> {
    const target = tableIdentifier(this.#changed.table.name)
    const { rows, bases } = folded
    const whole = rows.filter((_, index) => bases[index] === NONE)
    const partial = rows.filter((_, index) => bases[index] !== NONE)
    const mark = identifier(DELETED_AT)
    let deleted = 0
    if (folded.truncated)
      deleted = await this.#connection.run(
        this.#softly ? `UPDATE ${target} SET ${mark} = now() WHERE ${mark} IS NULL` : `DELETE FROM ${target}`,
      )
    if (rows.length > 0) await this.#empty(this.#rows, this.#names)
    if (partial.length > 0) {
      const found = bases.filter((base) => base !== NONE)
      await this.#complete(chunk, partial, found)
    }
    if (whole.length > 0) await this.#feed(this.#rows, this.#names, encodeCells(chunk, whole, this.#allPlaces, COPY_BYTES))
    if (folded.deletes.length > 0) {
      await this.#empty(this.#gone, this.#changed.key)
      await this.#feed(this.#gone, this.#changed.key, encodeCells(chunk, folded.deletes, this.#keyPlaces, COPY_BYTES))
      const gone = temporary(this.#gone)
      deleted += await this.#connection.run(
        this.#softly
          ? `UPDATE ${target} AS t SET ${mark} = now() FROM ${gone} AS g WHERE ${this.#sameKey('g')} AND t.${mark} IS NULL`
          : `DELETE FROM ${target} AS t USING ${gone} AS g WHERE ${this.#sameKey('g')}`,
      )
    }
    if (rows.length === 0) return { ...NO_ROWS, deleted }
    const updated = await this.#connection.run(`DELETE FROM ${target} AS t USING ${temporary(this.#rows)} AS s WHERE ${this.#sameKey('s')}`)
    const names = this.#names.map(identifier).join(', ')
    const values = this.#changed.columns.map(({ target: column }) => cast(`s.${identifier(column.name)}`, column)).join(', ')
    await this.#connection.run(`INSERT INTO ${target} (${names}) SELECT ${values} FROM ${temporary(this.#rows)} AS s`)
    return { ...NO_ROWS, inserted: rows.length - updated, updated, deleted }
  }

  async append(chunk: ChangesChunk, number: number): Promise<number> {
    const { rows, extra } = loggedChanges(chunk, number, this.#changed)
    if (rows.length === 0) return 0
    const marks = MARKS.append.map(({ name }) => name)
    const all = [...this.#names, ...marks]
    await this.#empty(this.#rows, all)
    await this.#feed(this.#rows, all, encodeCells(chunk, rows, this.#allPlaces, COPY_BYTES, extra))
    const values = this.#changed.columns.map(({ target: column }) => cast(`s.${identifier(column.name)}`, column))
    const marked = [
      `s.${identifier(OP)}`,
      `s.${identifier(POSITION)}`,
      `CAST(s.${identifier(ORDINAL)} AS BIGINT)`,
      `CAST(s.${identifier(COMMITTED_AT)} AS TIMESTAMPTZ)`,
      `nullif(s.${identifier(LACKS)}, '')`,
    ]
    return this.#connection.run(
      `INSERT INTO ${tableIdentifier(this.#changed.table.name)} (${all.map(identifier).join(', ')}) SELECT ${[...values, ...marked].join(', ')} FROM ${temporary(this.#rows)} AS s`,
    )
  }

  /** What was not sent again is taken as it is, before anything is deleted: as text it would not come back the same. */
  async #complete(chunk: ChangesChunk, rows: readonly number[], bases: readonly number[]): Promise<void> {
    const { key, columns, table } = this.#changed
    const base = key.map((name) => `base of ${name}`)
    const all = [...this.#names, ...base, 'lacks']
    await this.#empty(this.#partial, all)
    const baseOf = new Map(rows.map((row, index) => [row, bases[index] as number]))
    const extra = (row: number): readonly Uint8Array[] => {
      const from = baseOf.get(row) as number
      const keys = this.#keyPlaces.map((place) => {
        const start = chunk.start[from + place] as number
        return chunk.bytes.subarray(start, start + (chunk.length[from + place] as number))
      })
      return [...keys, Buffer.from(this.#allPlaces.map((place) => (chunk.length[row + place] === UNCHANGED ? '1' : '0')).join(''))]
    }
    await this.#feed(this.#partial, all, encodeCells(chunk, rows, this.#allPlaces, COPY_BYTES, extra))
    const filled = columns.map(({ target }, place) => {
      const name = identifier(target.name)
      return `CASE WHEN substr(p."lacks", ${place + 1}, 1) = '1' THEN ${asText(`t.${name}`, target)} ELSE p.${name} END`
    })
    const count = await this.#connection.run(
      `INSERT INTO ${temporary(this.#rows)} SELECT ${filled.join(', ')} FROM ${temporary(this.#partial)} AS p JOIN ${tableIdentifier(table.name)} AS t ON ${this.#sameKey('p', 'base of ')}`,
    )
    if (count !== rows.length)
      throw new LoadError(
        'row-missing',
        `${rows.length - count} rows of table ${printTableName(table.name)} were changed at the source, and are not at the target.`,
      )
  }

  #sameKey(alias: string, prefix = ''): string {
    return this.#keyPlaces
      .map((place) => {
        const column = (this.#changed.columns[place] as ChangedTable['columns'][number]).target
        return `t.${identifier(column.name)} = ${cast(`${alias}.${identifier(prefix + column.name)}`, column)}`
      })
      .join(' AND ')
  }

  async #empty(name: string, columns: readonly string[]): Promise<void> {
    if (this.#made.has(name)) await this.#connection.run(`DELETE FROM ${temporary(name)}`)
    else
      await this.#connection.run(
        `CREATE TEMP TABLE ${identifier(name)} (${columns.map((column) => `${identifier(column)} VARCHAR`).join(', ')})`,
      )
    this.#made.add(name)
  }

  async #feed(name: string, columns: readonly string[], chunks: Iterable<Uint8Array>): Promise<void> {
    const feed = await this.#connection.feed(temporary(name), columns)
    try {
      for (const chunk of chunks) await feed.write(chunk)
      await feed.drain()
    } finally {
      await feed.close()
    }
  }
}

function temporary(name: string): string {
  return `temp.${identifier(name)}`
}

/** PostgreSQL's text as a value of the column's type. */
function cast(text: string, { type, native }: Column): string {
  switch (type.kind) {
    case 'bytes':
      return `unhex(substr(${text}, 3))`
    case 'boolean':
      return `(${text} = 't')`
    // DuckDB writes years before the first with brackets.
    case 'date':
    case 'timestamp':
      return `CAST(replace(${text}, ' BC', ' (BC)') AS ${native})`
    default:
      return native === 'VARCHAR' ? text : `CAST(${text} AS ${native})`
  }
}

/** The way back. */
function asText(value: string, { type }: Column): string {
  switch (type.kind) {
    case 'bytes':
      return `'\\x' || lower(hex(${value}))`
    case 'boolean':
      return `CASE ${value} WHEN true THEN 't' WHEN false THEN 'f' END`
    case 'date':
    case 'timestamp':
      return `replace(CAST(${value} AS VARCHAR), ' (BC)', ' BC')`
    default:
      return `CAST(${value} AS VARCHAR)`
  }
}
