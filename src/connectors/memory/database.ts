// Tables in memory under PostgreSQL's rules of visibility: rows are versions, each made and ended by a transaction number;
// a snapshot sees what was committed when it was taken. A version keeps the columns that its table had then; a column
// added later shows its default in older ones. The clock stands still unless it is moved.

import type { DataType } from '../../core/data-type.ts'

/** What a cell holds: times are microseconds. */
export type Value = string | bigint | null

export interface MemoryColumn {
  name: string
  readonly type: DataType
  readonly nullable: boolean
  /** What versions show that are older than the column. */
  readonly missing: Value
  dropped: boolean
}

export interface Version {
  readonly values: readonly Value[]
  readonly xmin: number
  /** 0 as long as nobody ended it; an aborted transaction's number means the same. */
  xmax: number
}

export interface MemoryTable {
  readonly id: number
  readonly name: string
  readonly columns: MemoryColumn[]
  /** Kept unique and free of NULL; empty: the table has no key. */
  readonly key: readonly string[]
  readonly versions: Version[]
}

/** A transaction as others see it. */
export interface Unfinished {
  readonly start: bigint
  readonly state: 'open' | 'prepared' | 'ended'
  readonly wrote: ReadonlySet<MemoryTable>
}

/** What was committed at one moment: everything below `xmax` that was not running. */
export interface Snapshot {
  readonly xmin: number
  readonly xmax: number
  readonly running: ReadonlySet<number>
}

export type ColumnDefinition = Pick<MemoryColumn, 'name' | 'type'> & { readonly nullable?: boolean; readonly missing?: Value }

let databases = 0

/** A small MVCC database. */
export class MemoryDatabase {
  readonly identity = `memory:${++databases}`
  /** Microseconds from 1970-01-01. */
  clock = 1_700_000_000_000_000n
  readonly tables = new Map<string, MemoryTable>()
  /** Transactions that have not ended, prepared ones included. */
  readonly unfinished = new Set<Unfinished>()
  /** Called at every look from outside: between two of them others may act. */
  interrupt: () => void = () => {}
  readonly #running = new Set<number>()
  readonly #aborted = new Set<number>()
  #nextXid = 3
  #nextTable = 1

  createTable(name: string, columns: readonly ColumnDefinition[], key: readonly string[] = []): MemoryTable {
    const table: MemoryTable = { id: this.#nextTable++, name, columns: columns.map(memoryColumn), key, versions: [] }
    this.tables.set(name, table)
    return table
  }

  snapshot(): Snapshot {
    return { xmin: this.oldestRunning(), xmax: this.#nextXid, running: new Set(this.#running) }
  }

  /** Every transaction below this number has ended. */
  oldestRunning(): number {
    let oldest = this.#nextXid
    for (const xid of this.#running) if (xid < oldest) oldest = xid
    return oldest
  }

  isVisible(version: Version, snapshot: Snapshot): boolean {
    return this.#sees(snapshot, version.xmin) && !(version.xmax !== 0 && this.#sees(snapshot, version.xmax))
  }

  #sees(snapshot: Snapshot, xid: number): boolean {
    return xid < snapshot.xmax && !snapshot.running.has(xid) && !this.#aborted.has(xid)
  }

  fate(xid: number): 'running' | 'committed' | 'aborted' {
    return this.#running.has(xid) ? 'running' : this.#aborted.has(xid) ? 'aborted' : 'committed'
  }

  assignXid(): number {
    const xid = this.#nextXid++
    this.#running.add(xid)
    return xid
  }

  endXid(xid: number, fate: 'committed' | 'aborted'): void {
    this.#running.delete(xid)
    if (fate === 'aborted') this.#aborted.add(xid)
  }

  get nextXid(): number {
    return this.#nextXid
  }

  /** False while a transaction that wrote to the table is unfinished: an ALTER would wait for it. */
  isFree(table: MemoryTable): boolean {
    for (const transaction of this.unfinished) if (transaction.wrote.has(table)) return false
    return true
  }

  /** ALTER TABLE … ADD COLUMN … DEFAULT: no row is touched. */
  addColumn(table: MemoryTable, column: ColumnDefinition): void {
    table.columns.push(memoryColumn(column))
  }

  dropColumn(table: MemoryTable, name: string): void {
    const column = table.columns.find((one) => one.name === name && !one.dropped)
    if (column !== undefined) column.dropped = true
  }

  renameColumn(table: MemoryTable, name: string, to: string): void {
    const column = table.columns.find((one) => one.name === name && !one.dropped)
    if (column !== undefined) column.name = to
  }
}

function memoryColumn({ name, type, nullable = true, missing = null }: ColumnDefinition): MemoryColumn {
  return { name, type, nullable, missing, dropped: false }
}

/** Where a column's values lie in a version; -1 where there is no such column. */
export function placeOf(table: MemoryTable, name: string): number {
  return table.columns.findIndex((column) => column.name === name && !column.dropped)
}

/** The value of a version at a place, also where the version is older than the column. */
export function valueAt(table: MemoryTable, version: Version, place: number): Value {
  return place < version.values.length ? (version.values[place] ?? null) : (table.columns[place]?.missing ?? null)
}
