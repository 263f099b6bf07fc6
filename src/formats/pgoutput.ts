// PostgreSQL's logical replication messages (pgoutput, protocol 1) → changes. Every length is checked before it is believed; values are
// copied into the chunk, so that the bytes they came in may be used again.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

import { ABSENT, type ChangeOp, type ChangesChunk, DELETE, INSERT, NONE, NULL, TRUNCATE, UNCHANGED, UPDATE } from '../core/changes-chunk.ts'
import { LoadError } from '../core/errors.ts'

export interface RelationColumn {
  readonly name: string
  readonly isKey: boolean
  readonly typeOid: number
  readonly modifier: number
}

export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** d default, n nothing, f full, i index. */
  readonly identity: string
  readonly columns: readonly RelationColumn[]
}

/** Where the changes of a relation go: the table's number in the chunk, or null for one that is not wanted. */
export interface RelationTarget {
  readonly table: number
  readonly width: number
  /** Of each column of the relation its place in the row; -1 for one that is not loaded. */
  readonly places: readonly number[]
  /** Of places that the relation has no column for: the value that rows have there which are older than the column. */
  readonly missing: readonly { readonly place: number; readonly value: Uint8Array }[]
  /** Columns of the relation whose texts are filled up with spaces, which are no part of the value; null: none. */
  readonly padded?: readonly boolean[] | null
}

export interface Receiver {
  /** Before the first change of a relation, and again whenever it has changed. */
  relation(relation: Relation): RelationTarget | null
  begin(finalLsn: bigint, commitMicros: bigint, xid: number): void
  commit(endLsn: bigint): void
  /** `pg_logical_emit_message`. */
  message(prefix: string, content: Uint8Array, lsn: bigint): void
}

/** Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
export const EPOCH_MICROS = 946_684_800_000_000n

export class PgoutputDecoder {
  readonly #receiver: Receiver
  readonly #chunk: () => ChangesChunk
  readonly #relations = new Map<number, RelationTarget | null>()
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #end = 0

  constructor(receiver: Receiver, chunk: () => ChangesChunk) {
    this.#receiver = receiver
    this.#chunk = chunk
  }

  /** One message; throws `log-corrupted`. */
  decode(bytes: Uint8Array, from: number, to: number): void {
    this.#bytes = bytes
    this.#at = from
    this.#end = to
    const kind = this.#byte()
    switch (kind) {
      case 0x49: // I
        this.#insert()
        break
      case 0x55: // U
        this.#update()
        break
      case 0x44: // D
        this.#delete()
        break
      case 0x42: {
        const lsn = this.#long()
        this.#receiver.begin(lsn, this.#long() + EPOCH_MICROS, this.#word())
        break
      }
      case 0x43: {
        this.#byte()
        this.#long()
        const end = this.#long()
        this.#long()
        this.#receiver.commit(end)
        break
      }
      case 0x52:
        this.#relation()
        return
      case 0x54:
        this.#truncate()
        break
      case 0x4d: {
        this.#byte()
        const lsn = this.#long()
        const prefix = this.#text()
        const size = this.#length()
        this.#receiver.message(prefix, this.#bytes.slice(this.#at, this.#at + size), lsn)
        this.#at += size
        break
      }
      case 0x59: // type: the catalogs say more
        this.#word()
        this.#text()
        this.#text()
        break
      case 0x4f: // origin
        this.#long()
        this.#text()
        break
      default:
        throw corrupted(`has a message of kind ${JSON.stringify(String.fromCharCode(kind))}, which this version does not know`)
    }
    if (this.#at !== this.#end) throw corrupted('has a message that is longer than what it says')
  }

  #insert(): void {
    const target = this.#target()
    this.#expect(0x4e)
    if (target === null) {
      this.#skipTuple()
      return
    }
    const chunk = this.#change(target, INSERT)
    chunk.row[chunk.count - 1] = this.#tuple(target, chunk)
  }

  #update(): void {
    const target = this.#target()
    let kind = this.#byte()
    if (target === null) {
      if (kind !== 0x4e) {
        this.#skipTuple()
        this.#byte()
      }
      this.#skipTuple()
      return
    }
    const chunk = this.#change(target, UPDATE)
    let old = NONE
    const isFull = kind === 0x4f
    if (kind === 0x4b || isFull) {
      old = this.#tuple(target, chunk)
      // In a key tuple what is no key is NULL, and means that it was not sent.
      if (!isFull) forget(chunk, old, target)
      kind = this.#byte()
    }
    if (kind !== 0x4e) throw corrupted('has an update without a new row')
    const row = this.#tuple(target, chunk)
    if (isFull)
      for (let place = 0; place < target.width; place++)
        if (chunk.length[row + place] === UNCHANGED) chunk.copyCell(old + place, row + place)
    chunk.row[chunk.count - 1] = row
    chunk.old[chunk.count - 1] = old
  }

  #delete(): void {
    const target = this.#target()
    const kind = this.#byte()
    if (kind !== 0x4b && kind !== 0x4f) throw corrupted('has a delete without its key')
    if (target === null) {
      this.#skipTuple()
      return
    }
    const chunk = this.#change(target, DELETE)
    const old = this.#tuple(target, chunk)
    if (kind === 0x4b) forget(chunk, old, target)
    chunk.old[chunk.count - 1] = old
  }

  #truncate(): void {
    const count = this.#length()
    this.#byte()
    for (let index = 0; index < count; index++) {
      const target = this.#target()
      if (target !== null) this.#change(target, TRUNCATE)
    }
  }

  #change(target: RelationTarget, op: ChangeOp): ChangesChunk {
    const chunk = this.#chunk()
    chunk.add(target.table, op)
    return chunk
  }

  #target(): RelationTarget | null {
    const oid = this.#word()
    const target = this.#relations.get(oid)
    if (target === undefined) throw corrupted(`has a change of relation ${oid}, which it has not described`)
    return target
  }

  #tuple({ width, places, missing, padded = null }: RelationTarget, chunk: ChangesChunk): number {
    const count = this.#short()
    if (count !== places.length) throw corrupted(`has a row of ${count} columns for a relation of ${places.length}`)
    const row = chunk.addRow(width)
    for (let column = 0; column < count; column++) {
      const place = places[column] as number
      const kind = this.#byte()
      if (kind === 0x74 || kind === 0x62) {
        const size = this.#length()
        const kept = padded?.[column] === true ? this.#unpadded(size) : size
        if (place >= 0) chunk.setCell(row + place, this.#bytes, this.#at, kept)
        this.#at += size
      } else if (kind === 0x6e) {
        if (place >= 0) chunk.mark(row + place, NULL)
      } else if (kind === 0x75) {
        if (place >= 0) chunk.mark(row + place, UNCHANGED)
      } else throw corrupted('has a value of unknown kind')
    }
    for (const { place, value } of missing) chunk.setCell(row + place, value, 0, value.length)
    return row
  }

  #unpadded(size: number): number {
    let kept = size
    while (kept > 0 && this.#bytes[this.#at + kept - 1] === 0x20) kept--
    return kept
  }

  #skipTuple(): void {
    for (let left = this.#short(); left > 0; left--) {
      const kind = this.#byte()
      if (kind === 0x74 || kind === 0x62) {
        // Not in one expression: the place is read before the length moves it.
        const size = this.#length()
        this.#at += size
      } else if (kind !== 0x6e && kind !== 0x75) throw corrupted('has a value of unknown kind')
    }
  }

  #relation(): void {
    const oid = this.#word()
    const schema = this.#text()
    const name = this.#text()
    const identity = String.fromCharCode(this.#byte())
    const columns: RelationColumn[] = []
    for (let left = this.#short(); left > 0; left--) {
      const isKey = (this.#byte() & 1) === 1
      const column = this.#text()
      const typeOid = this.#word()
      columns.push({ name: column, isKey, typeOid, modifier: this.#word() | 0 })
    }
    if (this.#at !== this.#end) throw corrupted('has a relation that is longer than what it says')
    this.#relations.set(oid, this.#receiver.relation({ oid, schema: schema === '' ? 'pg_catalog' : schema, name, identity, columns }))
  }

  #need(size: number): void {
    if (this.#at + size > this.#end) throw corrupted('has a message that ends too early')
  }

  #expect(kind: number): void {
    if (this.#byte() !== kind) throw corrupted('has a message of another form than its kind')
  }

  #byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++] as number
  }

  #short(): number {
    this.#need(2)
    const value = ((this.#bytes[this.#at] as number) << 8) | (this.#bytes[this.#at + 1] as number)
    this.#at += 2
    return value
  }

  #word(): number {
    this.#need(4)
    const { at, bytes } = { at: this.#at, bytes: this.#bytes }
    this.#at += 4
    return (
      (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>>
      0
    )
  }

  /** A length whose bytes are all there. */
  #length(): number {
    const size = this.#word()
    this.#need(size)
    return size
  }

  #long(): bigint {
    const high = this.#word()
    return (BigInt(high) << 32n) | BigInt(this.#word())
  }

  /** UTF-8 up to a NUL. */
  #text(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    if (end < 0 || end >= this.#end) throw corrupted('has a name without an end')
    const text = utf8(this.#bytes, this.#at, end)
    this.#at = end + 1
    return text
  }
}

function forget(chunk: ChangesChunk, row: number, { width }: RelationTarget): void {
  for (let cell = row; cell < row + width; cell++) if (chunk.length[cell] === NULL) chunk.mark(cell, ABSENT)
}

/** Without TextDecoder, which is no part of the language. */
function utf8(bytes: Uint8Array, from: number, to: number): string {
  let escaped = ''
  for (let at = from; at < to; at++) escaped += `%${(bytes[at] as number).toString(16).padStart(2, '0')}`
  try {
    return decodeURIComponent(escaped)
  } catch (cause) {
    throw new LoadError('log-corrupted', "The source's log has a name that is no UTF-8.", { cause })
  }
}

function corrupted(what: string): LoadError {
  return new LoadError('log-corrupted', `The source's log ${what}.`)
}
