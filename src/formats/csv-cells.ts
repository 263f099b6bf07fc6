// Rows of a chunk of changes, whose values are PostgreSQL's text → lines of CSV, as `csv` in core/chunk.ts promises them.

import type { ChangesChunk } from '../core/changes-chunk.ts'
import type { DataType } from '../core/data-type.ts'
import { putText } from './csv.ts'
import { TextBuilder } from './debezium-text.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const NEWLINE = 0x0a

/** A cell of a row by its place, what its column holds, and what the source's does. */
export interface CsvCell {
  readonly place: number
  readonly type: DataType
  readonly from: DataType
}

/**
 * Cells without a value become NULL. `extra` is appended to each row; null is NULL. Lazily, and a chunk is valid until the next is asked
 * for.
 */
export function* csvOfCells(
  chunk: ChangesChunk,
  rows: readonly number[],
  cells: readonly (CsvCell | null)[],
  chunkBytes: number,
  extra: (row: number) => readonly (Uint8Array | null)[],
): Generator<Uint8Array> {
  const lines = new TextBuilder()
  const { start, length, bytes } = chunk
  for (const row of rows) {
    let first = true
    for (const cell of cells) {
      if (!first) lines.byte(COMMA)
      first = false
      const size = cell === null ? -1 : (length[row + cell.place] as number)
      if (cell === null || size < 0) continue
      const from = start[row + cell.place] as number
      lines.byte(QUOTE)
      putValue(lines, cell, bytes, from, from + size)
      lines.byte(QUOTE)
    }
    for (const value of extra(row)) {
      lines.byte(COMMA)
      if (value === null) continue
      lines.byte(QUOTE)
      putText(lines, value, 0, value.length)
      lines.byte(QUOTE)
    }
    lines.byte(NEWLINE)
    if (lines.length < chunkBytes) continue
    yield lines.bytes.subarray(0, lines.length)
    lines.clear()
  }
  if (lines.length > 0) yield lines.bytes.subarray(0, lines.length)
}

/** Where PostgreSQL prints a value otherwise than the format promises, it is as short as it takes to tell. */
function putValue(lines: TextBuilder, { type: { kind }, from: source }: CsvCell, bytes: Uint8Array, from: number, to: number): void {
  // \x6f6b
  if (kind === 'bytes') lines.copy(bytes, from + 2, to)
  else if (kind === 'boolean') lines.ascii(bytes[from] === 0x74 ? 'true' : 'false')
  // Infinity and -Infinity.
  else if (kind === 'float' && to - from >= 8 && bytes[to - 1] === 0x79) lines.ascii(bytes[from] === 0x2d ? '-inf' : 'inf')
  // What 32 bits print shortly is another number in 64.
  else if (kind === 'float' && source.kind === 'float' && source.bits === 32) lines.ascii(String(Math.fround(numberOf(bytes, from, to))))
  else putText(lines, bytes, from, to)
}

function numberOf(bytes: Uint8Array, from: number, to: number): number {
  return Number(String.fromCharCode(...bytes.subarray(from, to)))
}
