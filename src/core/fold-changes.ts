// Many changes of a row → one. What is left says the same as all of them one by one: rows to delete, and whole rows to write. A row that
// moved to another key leaves its old one; a value that was not sent again is carried from the change that had it, or, where none had it,
// taken from the row that the target has under the key of before (`base`).

import { ABSENT, type ChangesChunk, type ChangeTable, DELETE, grown, INSERT, NONE, NULL, TRUNCATE, UNCHANGED } from './changes-chunk.ts'
import { LoadError } from './errors.ts'
import { invariant } from './invariant.ts'

/** What became of one table. Numbers are first cells of rows in the chunk. */
export interface FoldedTable {
  readonly table: number
  /** All rows of before are gone. */
  readonly truncated: boolean
  /** Rows of which only the key counts. */
  readonly deletes: readonly number[]
  readonly rows: readonly number[]
  /** Of each of `rows`: the row with the key under which the target has what it lacks; NONE where it lacks nothing. */
  readonly bases: readonly number[]
}

/** In the order of the tables' numbers; tables without changes are left out. Throws `null-key`. Adds merged rows to the chunk. */
export function foldChanges(chunk: ChangesChunk, tables: readonly ChangeTable[]): readonly FoldedTable[] {
  const folds = new Map<number, TableFold>()
  for (let change = 0; change < chunk.count; change++) {
    const number = chunk.table[change] as number
    let fold = folds.get(number)
    if (fold === undefined) {
      fold = new TableFold(chunk, tables[number] as ChangeTable, number)
      folds.set(number, fold)
    }
    fold.take(change)
  }
  return [...folds.values()].map((fold) => fold.finish()).sort((a, b) => a.table - b.table)
}

const FIRST_ENTRIES = 256

class TableFold {
  readonly #chunk: ChangesChunk
  readonly #table: ChangeTable
  readonly #number: number
  /** One entry a key, as numbers in the order of their first changes: a row that has the key, whether there is a row now, and which. */
  #count = 0
  #keys = new Int32Array(FIRST_ENTRIES)
  #live = new Uint8Array(FIRST_ENTRIES)
  #rows = new Int32Array(FIRST_ENTRIES)
  /** The key under which the target had the row before these changes; NONE for a row that is new. */
  #bases = new Int32Array(FIRST_ENTRIES)
  /** Where an entry is found: its number at the place that its key's bytes give, or at the next free one. */
  #places = new Int32Array(FIRST_ENTRIES * 2).fill(NONE)
  #truncated = false

  constructor(chunk: ChangesChunk, table: ChangeTable, number: number) {
    this.#chunk = chunk
    this.#table = table
    this.#number = number
  }

  take(change: number): void {
    const op = this.#chunk.op[change]
    const row = this.#chunk.row[change] as number
    const old = this.#chunk.old[change] as number
    if (op === INSERT) this.#insert(row)
    else if (op === DELETE) this.#delete(old)
    else if (op === TRUNCATE) {
      this.#count = 0
      this.#places.fill(NONE)
      this.#truncated = true
    } else this.#update(row, old)
  }

  #insert(row: number): void {
    this.#set(this.#entryOf(row), true, row, NONE)
  }

  #delete(old: number): void {
    const entry = this.#entryOf(old)
    if (!this.#isOther(entry, old)) this.#set(entry, false, old, NONE)
  }

  #update(row: number, old: number): void {
    // A key column that was not sent again is the one of before.
    const before = old === NONE ? row : old
    if (old !== NONE) this.#fillKey(row, old)
    const left = this.#entryOf(before)
    const known = this.#live[left] === 1
    const entry = old === NONE ? left : this.#entryOf(row)
    if (this.#isOther(left, old)) {
      // It moves away before the commit, and says then what it has become.
      if (entry !== left) this.#set(entry, true, row, before)
      return
    }
    const merged = known ? this.#merge(row, this.#rows[left] as number) : row
    const base = known ? (this.#bases[left] as number) : before
    if (entry !== left) this.#set(left, false, before, NONE)
    this.#set(entry, true, merged, base)
  }

  #set(entry: number, live: boolean, row: number, base: number): void {
    this.#live[entry] = live ? 1 : 0
    this.#rows[entry] = row
    this.#bases[entry] = base
  }

  /**
   * Where a key is checked at the commit only, a row may come to the key of another that is still there. The one of before is told by
   * what it was: it is not the row that has come.
   */
  #isOther(entry: number, old: number): boolean {
    if (this.#live[entry] !== 1 || old === NONE) return false
    const row = this.#rows[entry] as number
    for (let place = 0; place < this.#table.width; place++) if (this.#differs(row + place, old + place)) return true
    return false
  }

  /** Both are known, and are not the same. */
  #differs(cell: number, other: number): boolean {
    const { start, length, bytes } = this.#chunk
    const size = length[cell] as number
    if (size < NULL || (length[other] as number) < NULL) return false
    if (size !== length[other]) return true
    const [from, to] = [start[cell] as number, start[other] as number]
    for (let at = 0; at < size; at++) if (bytes[from + at] !== bytes[to + at]) return true
    return false
  }

  #fillKey(row: number, old: number): void {
    const { length } = this.#chunk
    for (const place of this.#table.key) if (length[row + place] === UNCHANGED) this.#chunk.copyCell(old + place, row + place)
  }

  /** The newer row with what it lacks from the older one. */
  #merge(row: number, older: number): number {
    const { width } = this.#table
    const chunk = this.#chunk
    for (let place = 0; place < width; place++) if (chunk.length[row + place] === UNCHANGED) chunk.copyCell(older + place, row + place)
    return row
  }

  /** The entry of the row's key; a new one, without a row, where there was none. */
  #entryOf(row: number): number {
    const last = this.#places.length - 1
    for (let place = this.#hashOf(row) & last; ; place = (place + 1) & last) {
      const entry = this.#places[place] as number
      if (entry === NONE) return this.#addEntry(row, place)
      if (this.#isSameKey(this.#keys[entry] as number, row)) return entry
    }
  }

  #addEntry(row: number, place: number): number {
    const entry = this.#count++
    this.#places[place] = entry
    if (entry === this.#keys.length) this.#grow()
    this.#keys[entry] = row
    this.#live[entry] = 0
    if (this.#count * 2 > this.#places.length) this.#spread()
    return entry
  }

  #grow(): void {
    const length = this.#keys.length * 2
    this.#keys = grown(this.#keys, length)
    this.#live = grown(this.#live, length)
    this.#rows = grown(this.#rows, length)
    this.#bases = grown(this.#bases, length)
  }

  #spread(): void {
    this.#places = new Int32Array(this.#places.length * 2).fill(NONE)
    const last = this.#places.length - 1
    for (let entry = 0; entry < this.#count; entry++) {
      let place = this.#hashOf(this.#keys[entry] as number) & last
      while (this.#places[place] !== NONE) place = (place + 1) & last
      this.#places[place] = entry
    }
  }

  #hashOf(row: number): number {
    const { start, length, bytes } = this.#chunk
    let hash = 0x811c_9dc5
    for (const cell of this.#table.key) {
      const size = length[row + cell] as number
      if (size === NULL) throw new LoadError('null-key', 'A change has NULL in its key.')
      invariant(size !== UNCHANGED && size !== ABSENT, 'a change came without its key')
      const from = start[row + cell] as number
      hash = Math.imul(hash ^ size, 0x0100_0193)
      for (let at = from; at < from + size; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193)
    }
    return (hash ^ (hash >>> 15)) >>> 0
  }

  #isSameKey(one: number, other: number): boolean {
    const { start, length, bytes } = this.#chunk
    for (const cell of this.#table.key) {
      const size = length[one + cell] as number
      if (size !== length[other + cell]) return false
      const [a, b] = [start[one + cell] as number, start[other + cell] as number]
      for (let at = 0; at < size; at++) if (bytes[a + at] !== bytes[b + at]) return false
    }
    return true
  }

  finish(): FoldedTable {
    const deletes: number[] = []
    const rows: number[] = []
    const bases: number[] = []
    for (let entry = 0; entry < this.#count; entry++) {
      const row = this.#rows[entry] as number
      if (this.#live[entry] === 0) deletes.push(row)
      else {
        rows.push(row)
        bases.push(this.#lacks(row) ? (this.#bases[entry] as number) : NONE)
      }
    }
    return { table: this.#number, truncated: this.#truncated, deletes, rows, bases }
  }

  #lacks(row: number): boolean {
    const { length } = this.#chunk
    for (let cell = row; cell < row + this.#table.width; cell++) if (length[cell] === UNCHANGED) return true
    return false
  }
}
