// Protocol 2 of PostgreSQL's logical replication: a large transaction comes in pieces before it is committed, between other transactions.
// Here the pieces are told from the rest, and its messages become those of protocol 1, each with the transaction that it belongs to.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

import { LoadError } from '../core/errors.ts'
import { EPOCH_MICROS } from './pgoutput.ts'

/** Keeps what may still be rolled back. `top` is a transaction, `xid` itself or a subtransaction of it. */
export interface OpenTransactions {
  /** A message of protocol 1: `kind`, and the bytes after it. Valid during the call. */
  keep(top: number, xid: number, kind: number, bytes: Uint8Array, from: number, to: number): void
  /** The piece is over. */
  pause(): void
  /** With `xid` the same as `top` the whole transaction was rolled back. */
  abort(top: number, xid: number): void
  commit(top: number, commitLsn: bigint, endLsn: bigint, commitMicros: bigint): void
}

const STREAM_START = 0x53
const STREAM_STOP = 0x45
const STREAM_COMMIT = 0x63
const STREAM_ABORT = 0x41
const ORIGIN = 0x4f
/** Relation, type, insert, update, delete, truncate, message: they have the number of their transaction within a piece. */
const KEPT = new Set([0x52, 0x59, 0x49, 0x55, 0x44, 0x54, 0x4d])
const COMMIT_BYTES = 30
const ABORT_BYTES = 9

export class StreamedPieces {
  readonly #open: OpenTransactions
  readonly #known = new Set<number>()
  /** The transaction whose piece is being read. */
  #top: number | null = null

  constructor(open: OpenTransactions) {
    this.#open = open
  }

  /** False: the message is one of protocol 1, and about nothing that is open. Throws `log-corrupted`. */
  take(bytes: Uint8Array, from: number, to: number): boolean {
    if (from >= to) throw corrupted('has an empty message')
    const kind = bytes[from]
    if (this.#top !== null) {
      this.#inside(this.#top, bytes, from, to)
      return true
    }
    if (kind === STREAM_START) this.#start(bytes, from, to)
    else if (kind === STREAM_COMMIT) this.#commit(bytes, from, to)
    else if (kind === STREAM_ABORT) this.#abort(bytes, from, to)
    else if (kind === STREAM_STOP) throw corrupted('ends a piece of a transaction that it has not begun')
    else return false
    return true
  }

  #inside(top: number, bytes: Uint8Array, from: number, to: number): void {
    const kind = bytes[from] as number
    if (KEPT.has(kind)) {
      if (to - from < 5) throw corrupted('has a message that ends too early')
      this.#open.keep(top, word(bytes, from + 1), kind, bytes, from + 5, to)
    } else if (kind === STREAM_STOP) {
      expectSize(from, to, 1)
      this.#top = null
      this.#open.pause()
    } else if (kind !== ORIGIN)
      throw corrupted(`has a message of kind ${JSON.stringify(String.fromCharCode(kind))} within a transaction that is open`)
  }

  #start(bytes: Uint8Array, from: number, to: number): void {
    expectSize(from, to, 6)
    const top = word(bytes, from + 1)
    const isFirst = bytes[from + 5] === 1
    if (isFirst === this.#known.has(top)) throw corrupted('begins a transaction twice, or goes on with one that it has not begun')
    this.#known.add(top)
    this.#top = top
  }

  #commit(bytes: Uint8Array, from: number, to: number): void {
    expectSize(from, to, COMMIT_BYTES)
    const top = word(bytes, from + 1)
    if (!this.#known.delete(top)) throw corrupted('commits a transaction that it has not begun')
    this.#open.commit(top, long(bytes, from + 6), long(bytes, from + 14), long(bytes, from + 22) + EPOCH_MICROS)
  }

  #abort(bytes: Uint8Array, from: number, to: number): void {
    expectSize(from, to, ABORT_BYTES)
    const [top, xid] = [word(bytes, from + 1), word(bytes, from + 5)]
    // Of one that is not known there is nothing to forget.
    if (!this.#known.has(top)) return
    if (xid === top) this.#known.delete(top)
    this.#open.abort(top, xid)
  }
}

function expectSize(from: number, to: number, size: number): void {
  if (to - from < size) throw corrupted('has a message that ends too early')
  if (to - from > size) throw corrupted('has a message that is longer than what it says')
}

function word(bytes: Uint8Array, at: number): number {
  const [a, b, c, d] = [bytes[at] as number, bytes[at + 1] as number, bytes[at + 2] as number, bytes[at + 3] as number]
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

function long(bytes: Uint8Array, at: number): bigint {
  return (BigInt(word(bytes, at)) << 32n) | BigInt(word(bytes, at + 4))
}

function corrupted(what: string): LoadError {
  return new LoadError('log-corrupted', `The source's log ${what}.`)
}
