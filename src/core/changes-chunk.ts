// Changes of a source's log, in order, as numbers and bytes: no object a change. A change has cells for its new row and, where its key
// may have changed or the row is gone, for its old one; a cell is a place in the shared bytes. Many chunks pass through one object.

import { invariant } from './invariant.ts'

export const INSERT = 0
export const UPDATE = 1
export const DELETE = 2
export const TRUNCATE = 3
export type ChangeOp = typeof INSERT | typeof UPDATE | typeof DELETE | typeof TRUNCATE

/** Lengths that are none: the value is NULL; it is what it was (and was not sent); it was not sent and is not known. */
export const NULL = -1
export const UNCHANGED = -2
export const ABSENT = -3
/** No row. */
export const NONE = -1

/** What of a table the meaning of its changes depends on. */
export interface ChangeTable {
  /** How many cells a row has. */
  readonly width: number
  /** Places of the columns that identify a row. */
  readonly key: readonly number[]
}

/** A transaction of the source. */
export interface Transaction {
  /** Its first change in this chunk, and how many of its changes came in earlier ones. */
  readonly first: number
  readonly before: number
  /** Where it was committed, as the source writes it; and when, microseconds from 1970. */
  readonly position: string
  readonly committedMicros: bigint
}

/** A place between two changes. */
export interface Mark {
  readonly count: number
  readonly cells: number
  readonly used: number
}

const FIRST_CHANGES = 1024
const FIRST_CELLS = 16_384
const FIRST_BYTES = 256 * 1024

export class ChangesChunk {
  /** Number of changes. */
  count = 0
  /** Of each change: its table's number, what it is, and the first cell of its new and of its old row; NONE where there is none. */
  table = new Uint16Array(FIRST_CHANGES)
  op = new Uint8Array(FIRST_CHANGES)
  row = new Int32Array(FIRST_CHANGES)
  old = new Int32Array(FIRST_CHANGES)
  /** Number of cells, and of each where its bytes begin and how many they are, or NULL, UNCHANGED, ABSENT. */
  cells = 0
  start = new Int32Array(FIRST_CELLS)
  length = new Int32Array(FIRST_CELLS)
  used = 0
  /** Those that the changes belong to, in order; the first may have begun in an earlier chunk. */
  transactions: Transaction[] = []
  bytes = new Uint8Array(FIRST_BYTES)

  add(table: number, op: ChangeOp): void {
    if (this.count === this.op.length) {
      this.table = grown(this.table, this.count * 2)
      this.op = grown(this.op, this.count * 2)
      this.row = grown(this.row, this.count * 2)
      this.old = grown(this.old, this.count * 2)
    }
    this.table[this.count] = table
    this.op[this.count] = op
    this.row[this.count] = NONE
    this.old[this.count] = NONE
    this.count += 1
  }

  beginTransaction(position: string, committedMicros: bigint, before = 0): void {
    this.transactions.push({ first: this.count, before, position, committedMicros })
  }

  /** Room for a row; returns its first cell. Every cell is ABSENT until it is set. */
  addRow(width: number): number {
    const first = this.cells
    if (first + width > this.start.length) {
      const size = Math.max(this.start.length * 2, first + width)
      this.start = grown(this.start, size)
      this.length = grown(this.length, size)
    }
    this.start.fill(0, first, first + width)
    this.length.fill(ABSENT, first, first + width)
    this.cells += width
    return first
  }

  /** Copies a value: what it comes from may be used again at once. */
  setCell(cell: number, source: Uint8Array, from: number, length: number): void {
    this.#room(length)
    const { bytes, used } = this
    // A short copy by hand is quicker than a call of set().
    if (length < 32) for (let at = 0; at < length; at++) bytes[used + at] = source[from + at] as number
    else bytes.set(source.subarray(from, from + length), used)
    this.start[cell] = used
    this.length[cell] = length
    this.used += length
  }

  mark(cell: number, as: typeof NULL | typeof UNCHANGED | typeof ABSENT): void {
    this.length[cell] = as
  }

  /** The same value in another cell: the bytes are shared. */
  copyCell(from: number, to: number): void {
    this.start[to] = this.start[from] as number
    this.length[to] = this.length[from] as number
  }

  #room(length: number): void {
    if (this.used + length <= this.bytes.length) return
    const size = Math.max(this.bytes.length * 2, this.used + length)
    invariant(size < 0x7fff_ffff, 'a chunk of changes of more than 2 GiB')
    const bytes = new Uint8Array(size)
    bytes.set(this.bytes.subarray(0, this.used))
    this.bytes = bytes
  }

  /** Where the chunk ends now, for `moveTail`. */
  end(): Mark {
    return { count: this.count, cells: this.cells, used: this.used }
  }

  /** Takes away all changes after the mark. */
  cut({ count, cells, used }: Mark): void {
    this.count = count
    this.cells = cells
    this.used = used
  }

  /** Moves all changes after the mark into an empty chunk. */
  moveTail({ count, cells, used }: Mark, into: ChangesChunk): void {
    for (let change = count; change < this.count; change++) {
      into.add(this.table[change] as number, this.op[change] as ChangeOp)
      const [row, old] = [this.row[change] as number, this.old[change] as number]
      into.row[into.count - 1] = row === NONE ? NONE : row - cells
      into.old[into.count - 1] = old === NONE ? NONE : old - cells
    }
    const first = into.addRow(this.cells - cells)
    for (let cell = cells; cell < this.cells; cell++) {
      const length = this.length[cell] as number
      into.length[first + cell - cells] = length
      into.start[first + cell - cells] = length >= 0 ? (this.start[cell] as number) - used : 0
    }
    into.appendBytes(this.bytes.subarray(used, this.used))
    const kept = this.transactions.filter(({ first }) => first < count)
    for (const one of this.transactions.slice(kept.length)) into.transactions.push({ ...one, first: one.first - count })
    this.transactions = kept
    this.count = count
    this.cells = cells
    this.used = used
  }

  /** One change of another chunk; its table's rows have so many cells. */
  appendChange(from: ChangesChunk, change: number, width: number): void {
    this.add(from.table[change] as number, from.op[change] as ChangeOp)
    const at = this.count - 1
    this.row[at] = this.#appendRow(from, from.row[change] as number, width)
    this.old[at] = this.#appendRow(from, from.old[change] as number, width)
  }

  #appendRow(from: ChangesChunk, first: number, width: number): number {
    if (first === NONE) return NONE
    const row = this.addRow(width)
    for (let place = 0; place < width; place++) {
      const length = from.length[first + place] as number
      if (length < 0) this.length[row + place] = length
      else this.setCell(row + place, from.bytes, from.start[first + place] as number, length)
    }
    return row
  }

  appendBytes(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.bytes.set(bytes, this.used)
    this.used += bytes.length
  }

  /** Memory in use, roughly: what is bounded. */
  get size(): number {
    return this.used + this.cells * 8 + this.count * 11
  }

  clear(): void {
    this.count = 0
    this.cells = 0
    this.used = 0
    this.transactions = []
  }
}

/** The same numbers with room for more. */
export function grown<A extends Uint8Array | Uint16Array | Int32Array>(array: A, length: number): A {
  const larger = new (array.constructor as new (length: number) => A)(length)
  larger.set(array)
  return larger
}
