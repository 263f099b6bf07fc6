// Many changes of a row → one. What is left says the same as all of them one by one: rows to delete, and whole rows to write. A row that
// moved to another key leaves its old one; a value that was not sent again is carried from the change that had it, or, where none had it,
// taken from the row that the target has under the key of before (`base`).

import { ABSENT, type ChangesChunk, type ChangeTable, DELETE, INSERT, NONE, NULL, TRUNCATE, UNCHANGED } from './changes-chunk.ts'
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

interface Entry {
  live: boolean
  row: number
  /** The key under which the target had the row before these changes; NONE for a row that is new. */
  base: number
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

class TableFold {
  readonly #chunk: ChangesChunk
  readonly #table: ChangeTable
  readonly #number: number
  readonly #entries = new Map<string, Entry>()
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
      this.#entries.clear()
      this.#truncated = true
    } else this.#update(row, old)
  }

  #insert(row: number): void {
    this.#entries.set(this.#keyOf(row), { live: true, row, base: NONE })
  }

  #delete(old: number): void {
    const key = this.#keyOf(old)
    this.#entries.set(key, { live: false, row: old, base: NONE })
  }

  #update(row: number, old: number): void {
    // A key column that was not sent again is the one of before.
    const before = old === NONE ? row : old
    if (old !== NONE) this.#fillKey(row, old)
    const key = this.#keyOf(row)
    const oldKey = old === NONE ? key : this.#keyOf(before)
    const known = this.#entries.get(oldKey)
    const merged = known?.live === true ? this.#merge(row, known.row) : row
    const base = known?.live === true ? known.base : before
    if (oldKey !== key) this.#entries.set(oldKey, { live: false, row: before, base: NONE })
    this.#entries.set(key, { live: true, row: merged, base })
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

  /** A text that is equal for equal keys only. */
  #keyOf(row: number): string {
    const { start, length, bytes } = this.#chunk
    let text = ''
    for (const place of this.#table.key) {
      const size = length[row + place] as number
      if (size === NULL) throw new LoadError('null-key', 'A change has NULL in its key.')
      invariant(size !== UNCHANGED && size !== ABSENT, 'a change came without its key')
      const from = start[row + place] as number
      text += `${size}:`
      for (let at = from; at < from + size; at++) text += String.fromCharCode(bytes[at] as number)
    }
    return text
  }

  finish(): FoldedTable {
    const deletes: number[] = []
    const rows: number[] = []
    const bases: number[] = []
    for (const { live, row, base } of this.#entries.values()) {
      if (!live) deletes.push(row)
      else {
        rows.push(row)
        bases.push(this.#lacks(row) ? base : NONE)
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
