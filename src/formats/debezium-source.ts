// Where in the source's log a change stands, and in which of its transactions; and the topics beside those of tables: heartbeats, and the
// begin and end of transactions.

import { connectorNamed, isInDatabase, logPlace, type SourceConnector } from './debezium-connectors.ts'
import { JsonReader } from './debezium-json.ts'
import { badMessage } from './debezium-refusal.ts'
import { TextBuilder, utf8Bytes, utf8Text } from './debezium-text.ts'
import { readInteger } from './debezium-time.ts'

/** By it the newer of two changes of one row is told: a row's lock keeps them apart in the log. */
export interface SourcePosition {
  /** Of the change itself. Changes of one COPY, and both halves of a change of key, share it. null where nothing tells the order of places. */
  readonly lsn: bigint | null
  /** Of the last commit before it; of SQL Server its own. */
  readonly lastCommit: bigint | null
  readonly txId: bigint | null
  /** When it was committed, microseconds from 1970 by the source's clock; of a snapshot's row when it was read. */
  readonly micros: bigint | null
  /** A row that was read and not changed: by the first snapshot, or beside the stream, when it may be older than what was streamed. */
  readonly snapshot: 'none' | 'initial' | 'incremental'
  /** Of a row that was read: it is the first of its table, the last, or the last of all. Connectors before 2.0 mark only the last of all. */
  readonly mark: 'first' | 'last' | 'last-of-all' | null
}

/** Only with `provide.transaction.metadata`. */
export interface TransactionPlace {
  /** The source's number of the transaction. What Debezium calls its id has each event's own place in the log behind it. */
  readonly txId: string
  /** From 1, over all tables. */
  readonly order: number
}

export interface TransactionEvent {
  readonly status: 'BEGIN' | 'END'
  readonly txId: string
  /** In the source's log; of an end, that of the commit. null where the id does not say it. */
  readonly place: bigint | null
  /** At the end: how many events there were, in all, and of each table, as `schema.table`. */
  readonly events: number | null
  readonly tables: ReadonlyMap<string, number>
  readonly millis: number | null
}

/** Those of `source` that count. */
const NAMES: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [
  ...['connector', 'snapshot', 'db', 'sequence', 'ts_us', 'ts_ms', 'schema', 'table', 'txId', 'lsn'],
  ...['commit_lsn', 'change_lsn', 'event_serial_no'],
].map((name) => ({ name, bytes: utf8Bytes(name) }))

const POSTGRESQL = utf8Bytes('postgresql')
const MARKS: Readonly<Record<string, SourcePosition['mark']>> = {
  first: 'first',
  first_in_data_collection: 'first',
  last_in_data_collection: 'last',
  last: 'last-of-all',
}
const ID = utf8Bytes('id')
const TOTAL_ORDER = utf8Bytes('total_order')
const scratch = new TextBuilder()

/** What a message says of its source, from an envelope's `source` or from fields that were added to an unwrapped row. */
export class SourceReader {
  lsn: bigint | null = null
  lastCommit: bigint | null = null
  txId: bigint | null = null
  micros: bigint | null = null
  snapshot: SourcePosition['snapshot'] = 'none'
  connector: SourceConnector = 'postgresql'
  #hasSequence = false
  #isOtherSchema = false
  #isOtherDatabase = false
  /** Of SQL Server. */
  #commit: bigint | null = null
  #change: bigint | null = null
  #serial = 0n
  #isOtherTable = false
  mark: SourcePosition['mark'] = null
  readonly #schema: Uint8Array
  readonly #table: Uint8Array

  constructor({ schema, name }: { readonly schema: string; readonly name: string }) {
    this.#schema = utf8Bytes(JSON.stringify(schema).slice(1, -1))
    this.#table = utf8Bytes(JSON.stringify(name).slice(1, -1))
  }

  clear(): void {
    this.lsn = null
    this.lastCommit = null
    this.txId = null
    this.micros = null
    this.snapshot = 'none'
    this.connector = 'postgresql'
    this.#hasSequence = false
    this.#isOtherSchema = false
    this.#isOtherDatabase = false
    this.#isOtherTable = false
    this.#commit = null
    this.#change = null
    this.#serial = 0n
    this.mark = null
  }

  readObject(reader: JsonReader): void {
    if (!reader.beginObject()) return
    do {
      reader.name()
      const name = this.#nameOf(reader)
      if (name === null) reader.skip()
      else this.readField(name, reader)
    } while (reader.moreMembers())
  }

  /** It is of another table than the one that was expected. */
  get isOther(): boolean {
    return this.#isOtherTable || (isInDatabase(this.connector) ? this.#isOtherDatabase : this.#isOtherSchema)
  }

  #nameOf(reader: JsonReader): string | null {
    for (let index = 0; index < NAMES.length; index++) {
      const one = NAMES[index] as (typeof NAMES)[number]
      if (reader.is(one.bytes)) return one.name
    }
    return null
  }

  /** Returns whether the name is one that counts; if not, the value is still there. */
  readField(name: string, reader: JsonReader): boolean {
    switch (name) {
      case 'lsn':
        this.lsn = readLong(reader) ?? this.lsn
        return true
      case 'txId':
        // A text with Oracle.
        if (reader.peek() === 0x22) reader.skip()
        else this.txId = readLong(reader)
        return true
      case 'connector':
        this.#readConnector(reader)
        return true
      case 'commit_lsn':
      case 'change_lsn':
      case 'event_serial_no':
        this.#place(name, reader)
        return true
      case 'ts_us':
        this.micros = readLong(reader) ?? this.micros
        return true
      case 'ts_ms': {
        const millis = readLong(reader)
        if (millis !== null && this.micros === null) this.micros = millis * 1000n
        return true
      }
      case 'sequence':
        if (this.connector === 'postgresql') this.#sequence(reader)
        else reader.skip()
        return true
      case 'snapshot': {
        const text = readText(reader)
        this.snapshot = text === null || text === 'false' ? 'none' : text === 'incremental' ? 'incremental' : 'initial'
        this.mark = (text === null ? null : MARKS[text]) ?? null
        return true
      }
      case 'schema':
        this.#isOtherSchema = !isExpected(this.#schema, reader)
        return true
      case 'db':
        this.#isOtherDatabase = !isExpected(this.#schema, reader)
        return true
      case 'table':
        this.#isOtherTable = !isExpected(this.#table, reader)
        return true
    }
    return false
  }

  #readConnector(reader: JsonReader): void {
    if (reader.null()) return
    reader.string()
    if (!reader.is(POSTGRESQL)) this.connector = connectorNamed(reader.text(scratch))
  }

  #place(name: string, reader: JsonReader): void {
    if (name === 'event_serial_no') {
      this.#serial = readSerial(reader)
      return
    }
    const text = readText(reader)
    const place = text === null ? null : logPlace(text)
    if (text !== null && place === null) throw badMessage('has a place in the log that is none')
    if (name === 'commit_lsn') this.#commit = place
    else this.#change = place
  }

  /** `["<last commit>","<this>"]`, as a text of JSON: both in escaped quotes, or null. */
  #sequence(reader: JsonReader): void {
    if (reader.null()) return
    this.#hasSequence = true
    reader.string()
    const { bytes, from, to } = reader
    let item = 0
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number
      if (byte === 0x2c) item++
      if (byte < 0x30 || byte > 0x39) continue
      let digits = 0
      const first = at
      for (; at < to && (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39; at++)
        digits = digits * 10 + (bytes[at] as number) - 0x30
      const value = at - first <= 15 ? BigInt(digits) : BigInt(utf8Text(bytes, first, Math.min(at, first + 20)) as string)
      if (item === 0) this.lastCommit = value
      else if (item === 1) this.lsn ??= value
      at--
    }
    if (item !== 1 || bytes[from] !== 0x5b || bytes[to - 1] !== 0x5d) throw badMessage('has a sequence of log positions that is none')
  }

  /** Places of transactions lie among each other: without the commit before it, a place tells nothing of an order. */
  position(): SourcePosition {
    const { lastCommit, txId, micros, snapshot, mark } = this
    const [commit, change] = [this.#commit, this.#change]
    // What SQL Server's log says comes in the order of commits and, within them, of changes; a snapshot has the place of its beginning.
    if (this.connector === 'sqlserver' && commit !== null && (change !== null || snapshot !== 'none'))
      return change === null
        ? { lsn: commit, lastCommit: null, txId, micros, snapshot, mark }
        : { lsn: (change << 32n) | this.#serial, lastCommit: commit, txId, micros, snapshot, mark }
    return { lsn: this.#hasSequence ? this.lsn : null, lastCommit, txId, micros, snapshot, mark }
  }
}

/** A number; in the documentation's examples it is a text. */
function readSerial(reader: JsonReader): bigint {
  if (reader.peek() !== 0x22) return readLong(reader) ?? 0n
  const text = readText(reader) ?? ''
  if (!/^\d{1,9}$/.test(text)) throw badMessage('has a place in the log that is none')
  return BigInt(text)
}

function isExpected(name: Uint8Array, reader: JsonReader): boolean {
  if (reader.null()) return true
  reader.string()
  return reader.is(name)
}

function readLong(reader: JsonReader): bigint | null {
  return reader.null() ? null : BigInt(readInteger(reader))
}

export function readText(reader: JsonReader): string | null {
  if (reader.null()) return null
  reader.string()
  return reader.text(scratch)
}

export function readTransactionPlace(reader: JsonReader): TransactionPlace | null {
  if (reader.null()) return null
  let id: string | null = null
  let order: bigint | null = null
  if (reader.beginObject()) {
    do {
      reader.name()
      if (reader.is(ID)) id = readText(reader)
      else if (reader.is(TOTAL_ORDER)) order = readLong(reader)
      else reader.skip()
    } while (reader.moreMembers())
  }
  if (id === null || order === null) throw badMessage('has a transaction without its id or its order')
  return { txId: transactionNumber(id), order: Number(order) }
}

/** PostgreSQL's, in front of the place of the event; what other connectors call one has no such place behind it. */
export function transactionNumber(id: string): string {
  return /^\d+:\d+$/.test(id) ? id.slice(0, id.indexOf(':')) : id
}

/** A message of the topic `<prefix>.transaction`; null for a tombstone. Throws `bad-message`. */
export function readTransactionEvent(value: Uint8Array | null): TransactionEvent | null {
  if (value === null) return null
  const reader = openPayload(value)
  let [status, id, events, millis]: [string | null, string | null, bigint | null, bigint | null] = [null, null, null, null]
  const tables = new Map<string, number>()
  if (reader.beginObject()) {
    do {
      reader.name()
      const name = reader.text(scratch)
      if (name === 'status') status = readText(reader)
      else if (name === 'id') id = readText(reader)
      else if (name === 'event_count') events = readLong(reader)
      else if (name === 'ts_ms') millis = readLong(reader)
      else if (name === 'data_collections') readCounts(reader, tables)
      else reader.skip()
    } while (reader.moreMembers())
  }
  if ((status !== 'BEGIN' && status !== 'END') || id === null || (status === 'END' && events === null))
    throw badMessage('is no begin and no end of a transaction')
  return {
    status,
    txId: transactionNumber(id),
    place: /:\d{1,20}$/.test(id) ? BigInt(id.slice(id.lastIndexOf(':') + 1)) : null,
    events: events === null ? null : Number(events),
    tables,
    millis: millis === null ? null : Number(millis),
  }
}

function readCounts(reader: JsonReader, into: Map<string, number>): void {
  if (reader.null() || !reader.beginArray()) return
  do {
    let name: string | null = null
    let count: bigint | null = null
    if (reader.beginObject()) {
      do {
        reader.name()
        const member = reader.text(scratch)
        if (member === 'data_collection') name = readText(reader)
        else if (member === 'event_count') count = readLong(reader)
        else reader.skip()
      } while (reader.moreMembers())
    }
    if (name === null || count === null) throw badMessage('counts events of a table without a name or a number')
    into.set(name, Number(count))
  } while (reader.moreItems())
}

/** When the connector was alive, milliseconds from 1970; null for a tombstone. Throws `bad-message`. */
export function readHeartbeat(value: Uint8Array | null): number | null {
  if (value === null) return null
  const reader = openPayload(value)
  let millis: bigint | null = null
  if (reader.beginObject()) {
    do {
      reader.name()
      if (reader.text(scratch) === 'ts_ms') millis = readLong(reader)
      else reader.skip()
    } while (reader.moreMembers())
  }
  if (millis === null) throw badMessage('is a heartbeat without its time')
  return Number(millis)
}

/** The value itself, or what stands beside its schema. The whole is checked to be JSON. */
function openPayload(value: Uint8Array): JsonReader {
  const reader = new JsonReader()
  reader.open(value)
  reader.skip()
  reader.close()
  reader.open(value)
  if (reader.peek() !== 0x7b) throw badMessage('is no object')
  if (!reader.beginObject()) return reopened(reader, value)
  do {
    reader.name()
    if (reader.text(scratch) !== 'payload') {
      reader.skip()
      continue
    }
    if (reader.peek() !== 0x7b) break
    return reader
  } while (reader.moreMembers())
  return reopened(reader, value)
}

function reopened(reader: JsonReader, value: Uint8Array): JsonReader {
  reader.open(value)
  return reader
}
