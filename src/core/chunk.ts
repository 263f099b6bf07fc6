import type { ColumnVector } from './columns.ts'

/**
 * `columns` is the universal one. `pg-copy-binary` are whole tuples of PostgreSQL's binary COPY, without its header and
 * trailer: they pass from socket to socket unopened. `csv` are whole lines without a header, ended by \n: every value but NULL in double
 * quotes, binary as hex, floats as NaN, inf and -inf, times as ISO 8601 with a blank, the zone as +00.
 */
export type Format = 'columns' | 'pg-copy-binary' | 'csv'

export interface ColumnsChunk {
  readonly format: 'columns'
  readonly rows: number
  readonly columns: readonly ColumnVector[]
}

export interface BytesChunk {
  readonly format: 'pg-copy-binary' | 'csv'
  readonly rows: number
  readonly bytes: Uint8Array
}

/** A bounded piece of a slice. */
export type Chunk = ColumnsChunk | BytesChunk

/** Size on its way, for progress and memory bounds. */
export function chunkSize(chunk: Chunk): number {
  if (chunk.format !== 'columns') return chunk.bytes.byteLength
  let bytes = 0
  for (const column of chunk.columns) bytes += column.data.byteLength + (column.bytes?.byteLength ?? 0)
  return bytes
}
