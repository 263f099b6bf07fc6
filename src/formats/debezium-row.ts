// A row of a message → cells of a chunk: each field to its column's place, NULL, or what says that the value has not changed.

import { ABSENT, type ChangesChunk, NULL, UNCHANGED } from '../core/changes-chunk.ts'
import { type DebeziumColumn, type DebeziumModes, type Encoding, encodingOf, encodingOfSchema } from './debezium-encoding.ts'
import type { JsonReader } from './debezium-json.ts'
import type { PlaceholderForms } from './debezium-placeholder.ts'
import { badMessage, EXCLUDE, falsified } from './debezium-refusal.ts'
import type { ConnectSchema } from './debezium-schema.ts'
import { TextBuilder, utf8Bytes } from './debezium-text.ts'
import { ValueWriter } from './debezium-value.ts'

/**
 * What a row is: one that is new; one after a change, which may lack what has not changed; one of which it is not said whether it is new or
 * changed; or one of before.
 */
export type RowKind = 'new' | 'changed' | 'either' | 'old'

interface Field {
  readonly column: DebeziumColumn
  readonly name: Uint8Array
  readonly encoding: Encoding
  readonly absent: Uint8Array | null | undefined
}

export class RowReader {
  /** Fields that are no column of the table, since `clear`. */
  unknown: string[] = []
  /** A NULL after a change may stand for what was left out of it. */
  doubtsNull = true
  readonly #columns: readonly DebeziumColumn[]
  readonly #modes: DebeziumModes
  readonly #wholeBefore: boolean
  readonly #placeholder: PlaceholderForms
  readonly #plain: readonly Field[]
  readonly #planned = new WeakMap<ConnectSchema, readonly Field[]>()
  readonly #writer = new ValueWriter()
  readonly #scratch = new TextBuilder()
  readonly #seen: Int32Array
  #row = 0

  constructor(columns: readonly DebeziumColumn[], modes: DebeziumModes, wholeBefore: boolean, placeholder: PlaceholderForms) {
    this.#columns = columns
    this.#modes = modes
    this.#wholeBefore = wholeBefore
    this.#placeholder = placeholder
    this.#plain = columns.map((column) => fieldOf(column, encodingOf(column, modes)))
    this.#seen = new Int32Array(columns.length)
  }

  #fields(schema: ConnectSchema | null): readonly Field[] {
    if (schema === null) return this.#plain
    const known = this.#planned.get(schema)
    if (known !== undefined) return known
    const fields = this.#columns.map((column) => {
      const own = schema.fields.get(column.name)
      // A column that is not loaded may be of any kind.
      return fieldOf(column, own === undefined || column.place === null ? IGNORED : encodingOfSchema(own, column, this.#modes))
    })
    this.#planned.set(schema, fields)
    return fields
  }

  /** The object at the reader into the cells from `row` on. `meta` is asked first for fields that are no columns, and takes their value. */
  read(
    reader: JsonReader,
    schema: ConnectSchema | null,
    kind: RowKind,
    chunk: ChangesChunk,
    row: number,
    only: readonly number[] | null,
    meta: ((name: string) => boolean) | null = null,
  ): void {
    const fields = this.#fields(schema)
    this.#row += 1
    let expected = 0
    if (reader.beginObject()) {
      do {
        reader.name()
        const index = this.#find(fields, expected, reader)
        if (index < 0) {
          const name = reader.text(this.#scratch)
          if (meta?.(name) !== true && !this.unknown.includes(name)) this.unknown.push(name)
          reader.skip()
          continue
        }
        expected = index + 1
        const { column, encoding } = fields[index] as Field
        this.#seen[index] = this.#row
        if (column.place === null || (only !== null && !only.includes(column.place))) reader.skip()
        else this.#cell(encoding, column.name, reader, kind, chunk, row + column.place)
      } while (reader.moreMembers())
    }
    if (kind !== 'old') this.#fillAbsent(fields, kind, chunk, row)
  }

  /** Fields come in the order of the columns, but for those that one side does not have. */
  #find(fields: readonly Field[], expected: number, reader: JsonReader): number {
    for (let index = expected; index < fields.length; index++) if (reader.is((fields[index] as Field).name)) return index
    for (let index = 0; index < expected; index++) if (reader.is((fields[index] as Field).name)) return index
    if (!reader.escaped) return -1
    // The same name may be written with other escapes.
    const name = reader.text(this.#scratch)
    return fields.findIndex(({ column }) => column.name === name)
  }

  #cell(encoding: Encoding, column: string, reader: JsonReader, kind: RowKind, chunk: ChangesChunk, cell: number): void {
    const first = reader.peek()
    if (first === 0x6e) {
      reader.null()
      if (this.doubtsNull && (kind === 'changed' || kind === 'either') && !this.#wholeBefore) this.#checkNull(encoding, column)
      chunk.mark(cell, NULL)
      return
    }
    const { at } = reader
    if (first === 0x22) {
      reader.string()
      if (this.#placeholder.isText(reader.bytes, reader.from, reader.to)) {
        this.#unchanged(column, kind, chunk, cell)
        return
      }
      if (encoding.as === 'text' && !reader.escaped) {
        chunk.setCell(cell, reader.bytes, reader.from, reader.to - reader.from)
        return
      }
      reader.at = at
    } else if (first === 0x5b || first === 0x7b) {
      const size = this.#placeholder.sizeAt(reader.bytes, at, reader.end)
      if (size > 0) {
        reader.at = at + size
        this.#unchanged(column, kind, chunk, cell)
        return
      }
    }
    this.#writer.write(encoding, reader, column)
    const { bytes, length } = this.#writer.out
    chunk.setCell(cell, bytes, 0, length)
  }

  #unchanged(column: string, kind: RowKind, chunk: ChangesChunk, cell: number): void {
    if (kind === 'new') throw badMessage(`has the placeholder of an unchanged value in column "${column}" of a new row`)
    chunk.mark(cell, kind === 'old' ? ABSENT : UNCHANGED)
  }

  /** Some modes write NULL for what is stored apart from its row and has not changed. */
  #checkNull(encoding: Encoding, column: string): void {
    if (encoding.as === 'base64' && encoding.meaning === 'bytea' && this.#modes.binary !== 'bytes')
      throw falsified(column, 'NULL may stand for bytes that have not changed', BYTES_MODE)
    if (encoding.as === 'variable-decimal') throw falsified(column, 'NULL may stand for a long number that has not changed', STRING_MODE)
  }

  #fillAbsent(fields: readonly Field[], kind: RowKind, chunk: ChangesChunk, row: number): void {
    for (let index = 0; index < fields.length; index++) {
      if (this.#seen[index] === this.#row) continue
      const { column, absent } = fields[index] as Field
      if (column.place === null) continue
      const cell = row + column.place
      if (kind === 'changed' || (kind === 'either' && absent === undefined)) chunk.mark(cell, UNCHANGED)
      else if (absent === undefined) throw falsified(column.name, 'a new row came without it', LEFT_OUT)
      else if (absent === null) chunk.mark(cell, NULL)
      else chunk.setCell(cell, absent, 0, absent.length)
    }
  }
}

const IGNORED: Encoding = { as: 'text' }
const BYTES_MODE = 'Set `binary.handling.mode=bytes` (or `hex`) for the connector, and copy the table again.'
const STRING_MODE = 'Set `decimal.handling.mode=string` for the connector, and copy the table again.'
const LEFT_OUT = `See whether the connector leaves it out by \`column.exclude.list\`, or by its type: \`include.unknown.datatypes=true\`. ${EXCLUDE}`

function fieldOf(column: DebeziumColumn, encoding: Encoding): Field {
  const absent = column.absent === undefined || column.absent === null ? column.absent : utf8Bytes(column.absent)
  return { column, name: utf8Bytes(JSON.stringify(column.name).slice(1, -1)), encoding, absent }
}
