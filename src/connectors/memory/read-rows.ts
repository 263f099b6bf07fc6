// Rows of a memory table as chunks; between two chunks others may act.

import type { ReadOptions } from '../../contract/read-options.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { type MemoryDatabase, type MemoryTable, placeOf, type Version, valueAt } from './database.ts'
import { type Cells, toChunk } from './vectors.ts'

/** What a value weighs on its way, roughly: chunks are cut by it. */
const VALUE_BYTES = 16

export async function* readRows(
  database: MemoryDatabase,
  table: MemoryTable,
  isRead: (version: Version) => boolean,
  options: ReadOptions,
): AsyncIterable<Chunk> {
  const places = options.columns.map((column) => placeOf(table, column.name))
  const types = options.columns.map((column) => column.type)
  const size = Math.max(1, Math.floor(options.chunkBytes / (VALUE_BYTES * places.length)))
  let rows: Cells[] = []
  for (const version of table.versions) {
    if (!isRead(version)) continue
    rows.push(places.map((place) => valueAt(table, version, place)))
    if (rows.length < size) continue
    yield toChunk(types, rows)
    rows = []
    database.interrupt()
    if (options.signal.aborted) throw new LoadError('stopped', 'The read was stopped.')
  }
  if (rows.length > 0) yield toChunk(types, rows)
}
