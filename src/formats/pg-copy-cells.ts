// Rows of a chunk of changes → tuples of PostgreSQL's binary COPY: the cells' bytes with their lengths before them.

import type { ChangesChunk } from '../core/changes-chunk.ts'

/**
 * `places`: which cells of a row, in this order. Cells without a value become NULL. `extra` is appended to each row, already encoded.
 * Lazily: who receives has something to do while the rest is encoded. A chunk is valid until the next is asked for.
 */
export function* encodeCells(
  chunk: ChangesChunk,
  rows: readonly number[],
  places: readonly number[],
  chunkBytes: number,
  extra: ((row: number) => readonly Uint8Array[]) | null = null,
): Generator<Uint8Array> {
  const writer = new TupleWriter(chunkBytes)
  const { start, length, bytes } = chunk
  for (const row of rows) {
    const more = extra === null ? NO_VALUES : extra(row)
    const full = writer.takeFull()
    if (full !== null) yield full
    writer.beginRow(places.length + more.length)
    for (const place of places) {
      const size = length[row + place] as number
      if (size < 0) writer.putNull()
      else writer.put(bytes, start[row + place] as number, size)
    }
    for (const value of more) writer.put(value, 0, value.length)
  }
  const rest = writer.take()
  if (rest.length > 0) yield rest
}

const NO_VALUES: readonly Uint8Array[] = []

class TupleWriter {
  readonly #chunkBytes: number
  #bytes: Uint8Array
  #used = 0

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes
    this.#bytes = new Uint8Array(chunkBytes)
  }

  /** A chunk ends between two rows. */
  takeFull(): Uint8Array | null {
    return this.#used >= this.#chunkBytes - 4096 && this.#used > 0 ? this.take() : null
  }

  take(): Uint8Array {
    const full = this.#bytes.subarray(0, this.#used)
    this.#used = 0
    return full
  }

  beginRow(columns: number): void {
    this.#room(2)
    this.#bytes[this.#used++] = columns >> 8
    this.#bytes[this.#used++] = columns & 255
  }

  putNull(): void {
    this.#word(0xffff_ffff)
  }

  put(source: Uint8Array, from: number, size: number): void {
    this.#word(size)
    this.#room(size)
    if (size < 32) for (let at = 0; at < size; at++) this.#bytes[this.#used + at] = source[from + at] as number
    else this.#bytes.set(source.subarray(from, from + size), this.#used)
    this.#used += size
  }

  #word(value: number): void {
    this.#room(4)
    const bytes = this.#bytes
    bytes[this.#used++] = value >>> 24
    bytes[this.#used++] = (value >>> 16) & 255
    bytes[this.#used++] = (value >>> 8) & 255
    bytes[this.#used++] = value & 255
  }

  #room(size: number): void {
    if (this.#used + size <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#used + size))
    larger.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = larger
  }
}
