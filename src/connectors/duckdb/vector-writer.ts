// Tuples of PostgreSQL's binary COPY → the vectors of one DuckDB data chunk. Fixed-width values go through typed arrays that are
// copied in whole; text is never touched one by one: the tuples' bytes are copied into DuckDB's memory once, as one BLOB, and the
// string headers point into it.
// Layout of duckdb_string_t (16 bytes: length, then 12 bytes of text, or 4 of text and a pointer):
// https://duckdb.org/docs/stable/clients/c/vector#strings

import { type DuckDBDecimalType, type DuckDBType, DuckDBTypeId } from '@duckdb/node-api'
import duckdb from '@duckdb/node-bindings'
import { LoadError } from '../../core/errors.ts'
import { createTupleIndex, indexTuples, readValidity, type TupleIndex } from '../../formats/pg-copy-index.ts'
import {
  type Place,
  readBooleans,
  readDates,
  readIntervals,
  readLongs,
  readShorts,
  readTimestamps,
  readUuids,
  readWords,
  readZonedTimes,
} from '../../formats/pg-copy-values.ts'
import { readDecimals } from '../../formats/pg-numeric.ts'

const VECTOR_SIZE = duckdb.vector_size()

/** `pointer` is the address at which byte 0 of `bytes` would stand in DuckDB's memory. */
type Read = (bytes: Uint8Array, index: TupleIndex, column: number, place: Place, pointer: number) => void

interface ColumnWriter {
  readonly place: Place
  readonly buffer: ArrayBuffer
  readonly rowBytes: number
  readonly read: Read
}

/** Writes for one DuckDB thread: what it wrote last must not be overwritten before that thread asks again. */
export class VectorWriter {
  /** Rows written by the last `fill`. */
  rows = 0
  readonly #columns: readonly ColumnWriter[]
  readonly #index: TupleIndex
  readonly #valid = new Uint8Array(VECTOR_SIZE / 8)
  readonly #text: duckdb.DataChunk | null

  constructor(names: readonly string[], types: readonly DuckDBType[]) {
    this.#columns = types.map((type, i) => columnWriter(type, { column: names[i] as string, rowsBefore: 0 }))
    this.#index = createTupleIndex(types.length, VECTOR_SIZE)
    this.#text = types.some(isText)
      ? duckdb.create_data_chunk([duckdb.create_logical_type(DuckDBTypeId.BLOB as number as duckdb.Type)])
      : null
  }

  /** Fills the chunk with tuples from `from` on, and returns where the next one begins. */
  fill(chunk: duckdb.DataChunk, bytes: Uint8Array, from: number, rowsBefore: number): number {
    const index = this.#index
    const end = indexTuples(index, bytes, from)
    const { rows } = index
    duckdb.data_chunk_set_size(chunk, rows)
    const pointer = this.#text === null ? 0 : copyIn(this.#text, bytes.subarray(from, end)) - from
    for (let column = 0; column < this.#columns.length; column++) {
      const { place, buffer, rowBytes, read } = this.#columns[column] as ColumnWriter
      place.rowsBefore = rowsBefore
      read(bytes, index, column, place, pointer)
      const vector = duckdb.data_chunk_get_vector(chunk, column)
      duckdb.copy_data_to_vector(vector, 0, buffer, 0, rowBytes * rows)
      if (readValidity(index, column, this.#valid) > 0) {
        duckdb.vector_ensure_validity_writable(vector)
        duckdb.copy_data_to_vector_validity(vector, 0, this.#valid.buffer, 0, VECTOR_SIZE / 8)
      }
    }
    this.rows = rows
    return end
  }
}

/** Copies the bytes into the heap of the chunk's only vector and returns their address there. */
function copyIn(chunk: duckdb.DataChunk, bytes: Uint8Array): number {
  duckdb.data_chunk_reset(chunk)
  const vector = duckdb.data_chunk_get_vector(chunk, 0)
  duckdb.vector_assign_string_element_len(vector, 0, bytes)
  const header = duckdb.vector_get_data(vector, 16)
  const view = new DataView(header.buffer, header.byteOffset, 16)
  // Up to 12 bytes stand in the header itself; then no string in them is longer, and none needs an address.
  return bytes.length <= 12 ? 0 : view.getUint32(8, true) + view.getUint32(12, true) * 4_294_967_296
}

function isText(type: DuckDBType): boolean {
  return type.typeId === DuckDBTypeId.VARCHAR || type.typeId === DuckDBTypeId.BLOB
}

// DuckDB's ranges are symmetric: −infinity is not the least value but the one above it.
const LEAST_DATE = -0x7fffffff
const LEAST_TIMESTAMP_LOW = 1

function columnWriter(type: DuckDBType, place: Place): ColumnWriter {
  const words = (perRow: number, read: (out: Int32Array) => Read): ColumnWriter => {
    const out = new Int32Array(VECTOR_SIZE * perRow)
    return { place, buffer: out.buffer, rowBytes: perRow * 4, read: read(out) }
  }
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN: {
      const out = new Uint8Array(VECTOR_SIZE)
      return { place, buffer: out.buffer, rowBytes: 1, read: (b, i, c, p) => readBooleans(b, i, c, out, p) }
    }
    case DuckDBTypeId.TINYINT: {
      const out = new Int8Array(VECTOR_SIZE)
      return { place, buffer: out.buffer, rowBytes: 1, read: (b, i, c, p) => readShorts(b, i, c, out, p) }
    }
    case DuckDBTypeId.SMALLINT: {
      const out = new Int16Array(VECTOR_SIZE)
      return { place, buffer: out.buffer, rowBytes: 2, read: (b, i, c, p) => readShorts(b, i, c, out, p) }
    }
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.FLOAT:
      return words(1, (out) => (b, i, c, p) => readWords(b, i, c, out, p))
    case DuckDBTypeId.BIGINT:
    case DuckDBTypeId.DOUBLE:
    case DuckDBTypeId.TIME:
      return words(2, (out) => (b, i, c, p) => readLongs(b, i, c, out, p))
    case DuckDBTypeId.TIME_TZ:
      return words(2, (out) => (b, i, c, p) => readZonedTimes(b, i, c, out, p))
    case DuckDBTypeId.DATE:
      return words(1, (out) => (b, i, c, p) => readDates(b, i, c, out, p, LEAST_DATE))
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
      return words(2, (out) => (b, i, c, p) => readTimestamps(b, i, c, out, p, LEAST_TIMESTAMP_LOW))
    case DuckDBTypeId.INTERVAL:
      return words(4, (out) => (b, i, c, p) => readIntervals(b, i, c, out, p))
    case DuckDBTypeId.UUID:
      return words(4, uuidReader)
    case DuckDBTypeId.HUGEINT:
      return words(4, (out) => (b, i, c, p) => readDecimals(b, i, c, out, 4, { precision: 38, scale: 0 }, p))
    case DuckDBTypeId.DECIMAL:
      return decimalWriter(type, place)
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.BLOB:
      return words(4, (out) => textReader(out, type.alias === 'JSON'))
    default:
      throw new LoadError('bug', `Column "${place.column}" has the DuckDB type ${type}, which was never promised to hold anything.`)
  }
}

/** DuckDB keeps decimals in 16, 32, 64 or 128 bits, as their width asks. */
function decimalWriter({ width, scale }: DuckDBDecimalType, place: Place): ColumnWriter {
  const type = { precision: width, scale }
  const words = width > 18 ? 4 : 2
  const out = new Int32Array(VECTOR_SIZE * words)
  if (width > 9) return { place, buffer: out.buffer, rowBytes: words * 4, read: (b, i, c, p) => readDecimals(b, i, c, out, words, type, p) }
  const narrow = width > 4 ? new Int32Array(VECTOR_SIZE) : new Int16Array(VECTOR_SIZE)
  const read: Read = (b, i, c, p) => {
    readDecimals(b, i, c, out, 2, type, p)
    for (let row = 0; row < i.rows; row++) narrow[row] = out[row * 2] as number
  }
  return { place, buffer: narrow.buffer, rowBytes: narrow.BYTES_PER_ELEMENT, read }
}

/** A UUID is a 128-bit integer, low half first, its highest bit flipped so that it sorts as text does. */
function uuidReader(out: Int32Array): Read {
  const raw = new Uint8Array(VECTOR_SIZE * 16)
  const swapped = new Uint8Array(out.buffer)
  return (bytes, index, column, place) => {
    readUuids(bytes, index, column, raw, place)
    for (let row = 0, at = 0; row < index.rows; row++, at += 16) {
      for (let i = 0; i < 16; i++) swapped[at + i] = raw[at + 15 - i] as number
      swapped[at + 15] = (swapped[at + 15] as number) ^ 0x80
    }
  }
}

function textReader(out: Int32Array, json: boolean): Read {
  return (bytes, index, column, _place, pointer) => {
    const { positions, lengths, rows } = index
    const from = column * index.capacity
    for (let row = 0, at = 0; row < rows; row++, at += 4) {
      let p = positions[from + row] as number
      let length = lengths[from + row] as number
      if (length < 0) length = 0
      else if (json && length > 0 && bytes[p] === 1) {
        p++
        length--
      }
      out[at] = length
      if (length <= 12) {
        out[at + 1] = packed(bytes, p, length)
        out[at + 2] = packed(bytes, p + 4, length - 4)
        out[at + 3] = packed(bytes, p + 8, length - 8)
      } else {
        const address = pointer + p
        out[at + 1] = packed(bytes, p, 4)
        out[at + 2] = address | 0
        out[at + 3] = Math.floor(address / 4_294_967_296)
      }
    }
  }
}

/** Up to four bytes as they stand, zeros after them. */
function packed(bytes: Uint8Array, p: number, length: number): number {
  if (length >= 4)
    return (bytes[p] as number) | ((bytes[p + 1] as number) << 8) | ((bytes[p + 2] as number) << 16) | ((bytes[p + 3] as number) << 24)
  if (length <= 0) return 0
  let word = bytes[p] as number
  if (length > 1) word |= (bytes[p + 1] as number) << 8
  if (length > 2) word |= (bytes[p + 2] as number) << 16
  return word
}
