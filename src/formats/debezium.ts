// Debezium's change events as Kafka Connect's JsonConverter writes them, with schemas or without → changes. One decoder reads one table's
// topic: the whole envelope, or rows that ExtractNewRecordState has taken out of it. What can't be believed is an error, never a guess.
// https://debezium.io/documentation/reference/stable/connectors/postgresql.html

import { ABSENT, type ChangeOp, type ChangesChunk, ChangesChunk as Chunk, DELETE, INSERT, TRUNCATE, UPDATE } from '../core/changes-chunk.ts'
import { LoadError } from '../core/errors.ts'
import type { DebeziumColumn, DebeziumModes } from './debezium-encoding.ts'
import { JsonReader, OBJECT } from './debezium-json.ts'
import { Payload } from './debezium-payload.ts'
import { DEFAULT_PLACEHOLDER, type Placeholder, PlaceholderForms } from './debezium-placeholder.ts'
import { badMessage } from './debezium-refusal.ts'
import { type RowKind, RowReader } from './debezium-row.ts'
import { type ConnectSchema, SchemaMemory } from './debezium-schema.ts'
import { isAddedField } from './debezium-shape.ts'
import {
  readText,
  readTransactionPlace,
  type SourcePosition,
  SourceReader,
  type TransactionPlace,
  transactionNumber,
} from './debezium-source.ts'
import { TextBuilder, utf8Bytes } from './debezium-text.ts'

export interface DebeziumTable {
  /** As the source calls it: a topic may be named otherwise, and hold two tables. */
  readonly schema: string
  readonly name: string
  /** Its number in the chunk, and how many cells a row has. */
  readonly number: number
  readonly width: number
  readonly columns: readonly DebeziumColumn[]
  /** Names of columns; empty where nothing identifies a row. */
  readonly key: readonly string[]
  /** REPLICA IDENTITY FULL: rows of before are whole and true. Otherwise only their key is; the rest is made up. */
  readonly wholeBefore: boolean
}

export interface DebeziumOptions {
  readonly modes: DebeziumModes
  readonly form: 'envelope' | 'unwrapped'
  /** Of unwrapped rows: a delete is a row with `__deleted`. Until the first row shows it. */
  readonly rewritesDeletes?: boolean
  readonly placeholder?: Placeholder
}

export interface DebeziumMessage {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: ReadonlyMap<string, Uint8Array | null>
}

export interface DebeziumEvent {
  /**
   * `change`: one change was added to the chunk. Nothing was for the others: `moving` is the first half of a change of key, of which the
   * second is a change; `message` is `pg_logical_emit_message`; `tombstone` is for Kafka's compaction alone.
   */
  readonly kind: 'change' | 'moving' | 'message' | 'tombstone'
  /** Null for a tombstone, and where an unwrapped row has no such fields. */
  readonly position: SourcePosition | null
  readonly transaction: TransactionPlace | null
  /** Names of fields that the table has no column for: it is not any more what it was. */
  readonly unknown: readonly string[]
}

const TOMBSTONE: DebeziumEvent = { kind: 'tombstone', position: null, transaction: null, unknown: [] }
/** An unwrapped row without `__op`. */
const EITHER = 'either'
const NEW_KEY = '__debezium.newkey'
const OLD_KEY = '__debezium.oldkey'
const [BEFORE, AFTER, SOURCE, OP, TRANSACTION] = ['before', 'after', 'source', 'op', 'transaction'].map(utf8Bytes) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
]

/** Where an object lies in its message, with its schema. */
interface Part {
  readonly bytes: Uint8Array
  readonly from: number
  readonly to: number
  readonly schema: ConnectSchema | null
}

export class DebeziumDecoder {
  readonly #table: DebeziumTable
  readonly #form: DebeziumOptions['form']
  readonly #keyPlaces: readonly number[]
  readonly #rows: RowReader
  readonly #source: SourceReader
  readonly #valueSchema = new SchemaMemory()
  readonly #keySchema = new SchemaMemory()
  readonly #reader = new JsonReader()
  readonly #part = new JsonReader()
  readonly #scratch = new TextBuilder()
  readonly #key = new Chunk()
  readonly #value = new Payload()
  readonly #keyPayload = new Payload()
  /** The row that the first half of a change of key has told of. */
  #moving: Part | null = null
  /** Of unwrapped rows, as the last of them has shown it. */
  #rewritesDeletes: boolean
  #op: string | null = null
  #before: Part | null = null
  #after: Part | null = null
  #transaction: TransactionPlace | null = null

  constructor(table: DebeziumTable, { modes, form, rewritesDeletes = false, placeholder = DEFAULT_PLACEHOLDER }: DebeziumOptions) {
    this.#table = table
    this.#form = form
    this.#rewritesDeletes = rewritesDeletes
    this.#source = new SourceReader(table)
    this.#keyPlaces = table.key.map((name) => {
      const place = table.columns.find((column) => column.name === name)?.place
      if (place === undefined || place === null) throw badMessage(`is of a table whose key "${name}" is not loaded`)
      return place
    })
    this.#rows = new RowReader(table.columns, modes, table.wholeBefore, new PlaceholderForms(placeholder))
  }

  /** Adds at most one change to the chunk, and none where it throws: `bad-message`, `value-refused`. */
  decode(message: DebeziumMessage, chunk: ChangesChunk): DebeziumEvent {
    const mark = chunk.end()
    try {
      return this.#decode(message, chunk)
    } catch (error) {
      chunk.cut(mark)
      throw error
    }
  }

  /**
   * A row at the end of the chunk of which only the key is known; null where the message does not say which row it is of, or where that row
   * moved. For a message that `decode` has just refused.
   */
  readKeyOnly({ key, headers }: DebeziumMessage, chunk: ChangesChunk): number | null {
    const hasKey = this.#keyPlaces.length > 0
    if (headers.has(NEW_KEY) || headers.has(OLD_KEY) || this.#source.isOther || (hasKey && key === null)) return null
    const mark = chunk.end()
    const row = chunk.addRow(this.#table.width)
    try {
      if (key !== null && hasKey) this.#readKey(key, chunk, row)
      return row
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      chunk.cut(mark)
      return null
    }
  }

  #decode(message: DebeziumMessage, chunk: ChangesChunk): DebeziumEvent {
    if (this.#rows.unknown.length > 0) this.#rows.unknown = []
    this.#source.clear()
    this.#transaction = null
    const reader = this.#reader
    if (message.value === null || !this.#value.enter(reader, message.value, this.#valueSchema)) return this.#tombstone(message, chunk)
    const { schema } = this.#value
    if (this.#form === 'envelope') this.#openEnvelope(reader, schema)
    else this.#openRow(reader, schema)
    // Only PostgreSQL leaves out of an update what it stores apart from the row.
    this.#rows.doubtsNull = this.#source.connector === 'postgresql'
    // How other connectors number what is in a transaction is not known well enough to put one together.
    if (this.#source.connector !== 'postgresql') this.#transaction = null
    this.#value.leave(reader)
    const kind = this.#apply(message, chunk)
    const position = this.#form === 'envelope' ? this.#source.position() : this.#placeOfRow()
    return { kind, position, transaction: this.#transaction, unknown: this.#rows.unknown }
  }

  /** Where deletes are tombstones, which have no place, changes have none either: what is written again is applied again, in its order. */
  #placeOfRow(): SourcePosition | null {
    const position = this.#source.position()
    return this.#rewritesDeletes && this.#source.lsn !== null ? position : null
  }

  /** After a delete of an envelope it says nothing; where rows were unwrapped, it may be all that is left of one. */
  #tombstone({ key, headers }: DebeziumMessage, chunk: ChangesChunk): DebeziumEvent {
    if (this.#form === 'envelope' || this.#rewritesDeletes || key === null || this.#keyPlaces.length === 0 || headers.has(NEW_KEY))
      return TOMBSTONE
    const old = this.#addChange(DELETE, chunk)
    this.#readKey(key, chunk, old)
    return { ...TOMBSTONE, kind: 'change' }
  }

  #openEnvelope(reader: JsonReader, schema: ConnectSchema | null): void {
    this.#op = null
    this.#before = null
    this.#after = null
    if (reader.beginObject()) {
      do {
        reader.name()
        if (reader.is(BEFORE)) this.#before = this.#member(reader, schema, 'before', this.#table.wholeBefore)
        else if (reader.is(AFTER)) this.#after = this.#member(reader, schema, 'after', true)
        else if (reader.is(SOURCE) && reader.peek() === OBJECT) this.#source.readObject(reader)
        else if (reader.is(OP)) this.#op = readText(reader)
        else if (reader.is(TRANSACTION)) this.#transaction = readTransactionPlace(reader)
        else reader.skip()
      } while (reader.moreMembers())
    }
    if (this.#op === null) throw badMessage('has no `op`', UNWRAPPED)
    if (this.#op !== 'm') this.#checkTable()
  }

  /** `isRead`: its form is looked at later, when it is read. */
  #member(reader: JsonReader, schema: ConnectSchema | null, name: string, isRead: boolean): Part | null {
    if (reader.null()) return null
    if (reader.peek() !== OBJECT) throw badMessage(`has a \`${name}\` that is no object`)
    const from = reader.at
    if (isRead) reader.leap()
    else reader.skip()
    return { bytes: reader.bytes, from, to: reader.at, schema: schema === null ? null : (schema.fields.get(name) ?? null) }
  }

  #checkTable(): void {
    if (this.#source.isOther)
      throw badMessage(
        `is of another table in a topic of "${this.#table.schema}.${this.#table.name}"`,
        'Two tables share the topic: their names differ in signs that topics can not have. Give one of them another topic.',
      )
  }

  /** An unwrapped row is its own `after`; what was added to it tells the rest. */
  #openRow(reader: JsonReader, schema: ConnectSchema | null): void {
    const from = reader.at
    let isDeleted: boolean | null = null
    let op: string | null = null
    if (reader.beginObject()) {
      do {
        reader.name()
        const name = reader.bytes[reader.from] === 0x5f ? reader.text(this.#scratch) : ''
        if (!name.startsWith('__') || this.#table.columns.some((column) => column.name === name)) reader.skip()
        else if (name === '__deleted') isDeleted = readFlag(reader)
        else if (name === '__op') op = readText(reader)
        else if (name === '__transaction_id') {
          const id = readText(reader)
          if (id !== null) this.#source.txId ??= numberOf(transactionNumber(id))
        } else if (!this.#source.readField(name.replace(/^__(source_)?/, ''), reader)) reader.skip()
      } while (reader.moreMembers())
    }
    this.#checkTable()
    const payload: Part = { bytes: reader.bytes, from, to: reader.at, schema }
    this.#rewritesDeletes = isDeleted !== null
    this.#op = isDeleted ? 'd' : (op ?? EITHER)
    this.#before = isDeleted ? payload : null
    this.#after = isDeleted ? null : payload
  }

  #apply(message: DebeziumMessage, chunk: ChangesChunk): DebeziumEvent['kind'] {
    const op = this.#op as string
    if (op === 'm') return 'message'
    if (op === 't') {
      chunk.add(this.#table.number, TRUNCATE)
      return 'change'
    }
    if (message.key === null && this.#keyPlaces.length > 0) throw badMessage('has no key, though its table has one', NO_KEY)
    if (op === 'd') return this.#delete(message, chunk)
    if (op !== 'r' && op !== 'c' && op !== 'u' && op !== EITHER)
      throw badMessage(`has an \`op\` that is not known: ${JSON.stringify(op.slice(0, 8))}`)
    if (this.#after === null) throw badMessage(`has no \`after\`, though its \`op\` is ${op}`)
    const oldKey = message.headers.get(OLD_KEY) ?? null
    if ((op === 'r' || op === 'c') && oldKey === null) {
      const row = this.#addChange(INSERT, chunk)
      this.#readRow(this.#after, 'new', chunk, row, null)
      this.#checkKey(chunk, row)
    } else this.#update(op === EITHER && oldKey === null ? 'either' : 'changed', oldKey, chunk)
    return 'change'
  }

  #update(kind: RowKind, oldKey: Uint8Array | null, chunk: ChangesChunk): void {
    const row = this.#addChange(UPDATE, chunk)
    this.#readRow(this.#after as Part, kind, chunk, row, null)
    this.#checkKey(chunk, row)
    const before = oldKey === null ? this.#before : this.#moving
    this.#moving = null
    if (before === null && oldKey === null) return
    const { width, wholeBefore } = this.#table
    if (oldKey === null && !wholeBefore) return
    const old = chunk.addRow(width)
    chunk.old[chunk.count - 1] = old
    if (before !== null) this.#readRow(before, 'old', chunk, old, null)
    if (oldKey !== null) this.#readKey(oldKey, chunk, old)
    if (wholeBefore)
      for (let place = 0; place < width; place++)
        if ((chunk.length[row + place] as number) < -1 && (chunk.length[old + place] as number) >= -1)
          chunk.copyCell(old + place, row + place)
  }

  #delete(message: DebeziumMessage, chunk: ChangesChunk): DebeziumEvent['kind'] {
    const before = this.#before
    if (message.headers.has(NEW_KEY)) {
      // The other half carries all of it: the old key in a header, and the row. Only a whole row of before is not there again.
      const isKept = before !== null && this.#table.wholeBefore
      this.#moving = isKept ? { ...before, bytes: before.bytes.slice(before.from, before.to), from: 0, to: before.to - before.from } : null
      return 'moving'
    }
    const old = this.#addChange(DELETE, chunk)
    if (before !== null) this.#readRow(before, 'old', chunk, old, this.#table.wholeBefore ? null : this.#keyPlaces)
    if (message.key !== null) this.#readKey(message.key, chunk, old)
    return 'change'
  }

  /** Returns the first cell of the new row, or of the old one where it is gone. */
  #addChange(op: ChangeOp, chunk: ChangesChunk): number {
    chunk.add(this.#table.number, op)
    const row = chunk.addRow(this.#table.width)
    if (op === DELETE) chunk.old[chunk.count - 1] = row
    else chunk.row[chunk.count - 1] = row
    return row
  }

  #readRow({ bytes, from, to, schema }: Part, kind: RowKind, chunk: ChangesChunk, row: number, only: readonly number[] | null): void {
    this.#part.open(bytes, from, to)
    this.#rows.read(this.#part, schema, kind, chunk, row, only, this.#form === 'unwrapped' ? isAddedField : null)
  }

  /** The key of the message is what counts; a row of another key is not the one of before. */
  #readKey(bytes: Uint8Array, chunk: ChangesChunk, row: number): void {
    const reader = this.#part
    if (!this.#keyPayload.enter(reader, bytes, this.#keySchema)) throw badMessage('has a key that is null')
    const key = this.#key
    key.clear()
    const own = key.addRow(this.#table.width)
    const { unknown } = this.#rows
    this.#rows.unknown = []
    this.#rows.read(reader, this.#keyPayload.schema, 'old', key, own, this.#keyPlaces)
    this.#keyPayload.leave(reader)
    this.#rows.unknown = unknown
    const isSame = this.#keyPlaces.every((place) => key.length[own + place] === ABSENT || sameCell(chunk, row + place, key, own + place))
    if (!isSame) for (let place = 0; place < this.#table.width; place++) chunk.mark(row + place, ABSENT)
    for (const place of this.#keyPlaces) {
      const length = key.length[own + place] as number
      if (length === ABSENT) continue
      if (length < 0) chunk.mark(row + place, -1)
      else chunk.setCell(row + place, key.bytes, key.start[own + place] as number, length)
    }
    this.#checkKey(chunk, row)
  }

  #checkKey(chunk: ChangesChunk, row: number): void {
    for (const [index, place] of this.#keyPlaces.entries())
      if ((chunk.length[row + place] as number) < -1) throw badMessage(`lacks the key column "${this.#table.key[index]}"`, NO_KEY)
  }
}

const UNWRAPPED =
  'If the connector uses ExtractNewRecordState, say it with `source: { form: unwrapped }`; if not, see what else writes to the topic.'
const NO_KEY = 'Let the connector send the key of the table: see `message.key.columns`, and transforms that change keys.'

function sameCell(a: ChangesChunk, cell: number, b: ChangesChunk, other: number): boolean {
  const length = a.length[cell] as number
  if (length !== b.length[other]) return false
  const [from, start] = [a.start[cell] as number, b.start[other] as number]
  for (let at = 0; at < length; at++) if (a.bytes[from + at] !== b.bytes[start + at]) return false
  return true
}

function readFlag(reader: JsonReader): boolean {
  const first = reader.peek()
  return first === 0x74 || first === 0x66 ? reader.boolean() : readText(reader) === 'true'
}

function numberOf(text: string): bigint | null {
  return /^\d{1,20}$/.test(text) ? BigInt(text) : null
}
