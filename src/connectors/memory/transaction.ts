// A transaction of the memory database. States: open → prepared → ended, or open → ended. It gets its number with its first
// write; what is written after a savepoint has a number of its own. A write that would have to wait is refused instead.

import { type MemoryDatabase, type MemoryTable, placeOf, type Unfinished, type Value, type Version, valueAt } from './database.ts'

/** Work that becomes visible all at once, or never. */
export class Transaction implements Unfinished {
  readonly start: bigint
  readonly wrote = new Set<MemoryTable>()
  state: 'open' | 'prepared' | 'ended' = 'open'
  readonly #database: MemoryDatabase
  /** One for the transaction and one per open savepoint; a number is assigned at the first write in it. */
  readonly #levels: { xid: number | null; readonly xids: number[] }[] = [{ xid: null, xids: [] }]

  constructor(database: MemoryDatabase) {
    this.#database = database
    this.start = database.clock
    database.unfinished.add(this)
  }

  /** The number of the whole transaction, whatever savepoint is open. */
  topXid(): number {
    const top = this.#levels[0] as { xid: number | null; readonly xids: number[] }
    if (top.xid === null) {
      top.xid = this.#database.assignXid()
      top.xids.push(top.xid)
    }
    return top.xid
  }

  #xid(): number {
    const top = this.topXid()
    const level = this.#levels.at(-1)
    if (level === undefined || this.#levels.length === 1) return top
    if (level.xid === null) {
      level.xid = this.#database.assignXid()
      level.xids.push(level.xid)
    }
    return level.xid
  }

  /** False where the key is taken, or may be. */
  insert(table: MemoryTable, row: Readonly<Record<string, Value>>): boolean {
    const values = table.columns.map((column) => (column.dropped ? null : (row[column.name] ?? null)))
    if (table.key.length > 0 && this.#find(table, this.#keyOf(table, row)) !== 'missing') return false
    this.#add(table, values)
    return true
  }

  /** False where there is no such row, or another transaction holds it. */
  update(table: MemoryTable, key: Readonly<Record<string, Value>>, changes: Readonly<Record<string, Value>>): boolean {
    const found = this.#find(table, this.#keyOf(table, key))
    if (typeof found === 'string') return false
    const values = table.columns.map((column, place) =>
      column.name in changes && !column.dropped ? (changes[column.name] ?? null) : valueAt(table, found, place),
    )
    found.xmax = this.#xid()
    this.#add(table, values)
    return true
  }

  /** False where there is no such row, or another transaction holds it. */
  remove(table: MemoryTable, key: Readonly<Record<string, Value>>): boolean {
    const found = this.#find(table, this.#keyOf(table, key))
    if (typeof found === 'string') return false
    found.xmax = this.#xid()
    this.wrote.add(table)
    return true
  }

  savepoint(): void {
    this.#levels.push({ xid: null, xids: [] })
  }

  /** Undoes what was written since the last savepoint, which is gone then. */
  rollbackToSavepoint(): void {
    if (this.#levels.length === 1) return
    for (const xid of this.#levels.pop()?.xids ?? []) this.#database.endXid(xid, 'aborted')
  }

  releaseSavepoint(): void {
    if (this.#levels.length === 1) return
    this.#levels.at(-2)?.xids.push(...(this.#levels.pop()?.xids ?? []))
  }

  /** First phase of a two-phase commit: the session is free, the transaction goes on without it. */
  prepare(): void {
    this.state = 'prepared'
  }

  commit(): void {
    this.#end('committed')
  }

  rollback(): void {
    this.#end('aborted')
  }

  #end(fate: 'committed' | 'aborted'): void {
    this.state = 'ended'
    for (const { xids } of this.#levels) for (const xid of xids) this.#database.endXid(xid, fate)
    this.#database.unfinished.delete(this)
  }

  #add(table: MemoryTable, values: readonly Value[]): void {
    table.versions.push({ values, xmin: this.#xid(), xmax: 0 })
    this.wrote.add(table)
  }

  #keyOf(table: MemoryTable, row: Readonly<Record<string, Value>>): readonly Value[] {
    return table.key.map((name) => row[name] ?? null)
  }

  #owns(xid: number): boolean {
    return this.#levels.some(({ xids }) => xids.includes(xid))
  }

  /** The version that this transaction may change. */
  #find(table: MemoryTable, key: readonly Value[]): Version | 'missing' | 'busy' {
    const places = table.key.map((name) => placeOf(table, name))
    for (let at = table.versions.length - 1; at >= 0; at--) {
      const version = table.versions[at] as Version
      if (!places.every((place, index) => valueAt(table, version, place) === key[index])) continue
      const made = this.#database.fate(version.xmin)
      if (made === 'aborted') continue
      if (made === 'running' && !this.#owns(version.xmin)) return 'busy'
      if (version.xmax === 0) return version
      const ended = this.#database.fate(version.xmax)
      if (ended === 'aborted') return version
      if (ended === 'running' && !this.#owns(version.xmax)) return 'busy'
    }
    return 'missing'
  }
}
