// COPY … TO STDOUT, framed by hand: pg-protocol reuses its buffers and hands out one message a row, both
// of which cost more than the data. Here whole tuples are gathered into chunks while the socket is paused whenever the
// consumer is behind. States: waiting → copying → tail (the client's own parser has the socket again) → done.

import type { BytesChunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { SocketQuery } from './socket-query.ts'

const COPY_DATA = 0x64
const COPY_DONE = 0x63
const COPY_OUT_RESPONSE = 0x48
const ERROR_RESPONSE = 0x45
const HEADER_BYTES = 19 // signature, flags, length of an (empty) extension
const TRAILER_BYTES = 2
/** PostgreSQL's own limit of a message is 1 GiB − 1. */
const MAX_MESSAGE_BYTES = 0x3fff_ffff

/** A chunk's bytes are good until the next chunk is asked for: its buffer is then filled again. */
export class CopyOut extends SocketQuery implements AsyncIterable<BytesChunk> {
  protected readonly sql: string
  readonly #chunkBytes: number
  /** The five bytes before every message, as far as they have arrived. */
  readonly #head = Buffer.alloc(5)
  #headBytes = 0
  /** Bytes of the message under way that are still to come, and the other kinds of message gathered for the parser. */
  #bodyLeft = 0
  #aside: Buffer[] = []
  readonly #free: Buffer[] = []
  #buffer: Buffer
  #used = 0
  #rowStart = 0
  #rowsInBuffer = 0
  readonly #format: BytesChunk['format']
  #headerSeen: boolean
  #trailerSeen: boolean
  readonly #ready: { chunk: BytesChunk; buffer: Buffer }[] = []
  #rowsSent = 0
  #rowsReported: number | null = null
  #error: unknown = null
  #finished = false
  #wake: (() => void) | null = null

  constructor(sql: string, chunkBytes: number, format: BytesChunk['format']) {
    super()
    this.#format = format
    // Only the binary format has them.
    this.#headerSeen = format === 'csv'
    this.#trailerSeen = format === 'csv'
    this.sql = sql
    this.#chunkBytes = chunkBytes
    this.#buffer = Buffer.allocUnsafeSlow(chunkBytes)
  }

  protected readonly onData = (data: Buffer): void => {
    try {
      this.#take(data)
    } catch (error) {
      this.#error = error
      this.stream?.destroy()
      this.#signal()
    }
  }

  #take(data: Buffer): void {
    let at = 0
    while (at < data.length) {
      if (this.#headBytes < 5) {
        const taken = data.copy(this.#head, this.#headBytes, at, at + 5 - this.#headBytes)
        this.#headBytes += taken
        at += taken
        if (this.#headBytes < 5) break
        if (this.#head[0] === COPY_DONE || this.#head[0] === ERROR_RESPONSE) {
          this.handBack(Buffer.concat([this.#head, data.subarray(at)]))
          return
        }
        this.#beginMessage()
      }
      const end = Math.min(at + this.#bodyLeft, data.length)
      if (this.#head[0] === COPY_DATA) this.#used += data.copy(this.#buffer, this.#used, at, end)
      else this.#aside.push(data.subarray(at, end))
      this.#bodyLeft -= end - at
      at = end
      if (this.#bodyLeft === 0) this.#endMessage()
    }
    if (this.#ready.length === 0 && this.#wake !== null) this.#flush(0)
    if (this.#ready.length > 1) this.stream?.pause()
  }

  #beginMessage(): void {
    const size = this.#head.readInt32BE(1)
    if (size < 4 || size > MAX_MESSAGE_BYTES) throw new LoadError('short-read', 'The source sent a message of impossible length.')
    this.#bodyLeft = size - 4
    if (this.#head[0] !== COPY_DATA) return
    if (this.#used + this.#bodyLeft > this.#buffer.length) this.#flush(this.#bodyLeft)
    this.#rowStart = this.#used
  }

  #endMessage(): void {
    this.#headBytes = 0
    if (this.#head[0] === COPY_DATA) {
      this.#endRow()
      return
    }
    const message = Buffer.concat([this.#head, ...this.#aside])
    this.#aside = []
    if (this.#head[0] !== COPY_OUT_RESPONSE) this.toParser(message)
  }

  #endRow(): void {
    const start = this.#rowStart
    if (!this.#headerSeen) {
      this.#headerSeen = true
      const skip = this.#used - start < HEADER_BYTES ? -1 : HEADER_BYTES + this.#buffer.readInt32BE(start + HEADER_BYTES - 4)
      if (skip < 0 || start + skip > this.#used) throw new LoadError('short-read', 'The source sent a broken COPY header.')
      this.#buffer.copyWithin(start, start + skip, this.#used)
      this.#used -= skip
      if (this.#used === start) return
    }
    if (this.#format === 'pg-copy-binary' && this.#used - start === TRAILER_BYTES && this.#buffer.readInt16BE(start) === -1) {
      this.#trailerSeen = true
      this.#used = start
      return
    }
    this.#rowsInBuffer += 1
    this.#rowsSent += 1
  }

  /** Hands on the whole rows that there are, and makes room for a message of `needed` bytes. */
  #flush(needed: number): void {
    if (this.#rowsInBuffer === 0) {
      if (needed > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(needed)
      return
    }
    const unfinished = this.#headBytes === 5 && this.#head[0] === COPY_DATA && needed === 0 ? this.#used - this.#rowStart : 0
    if (unfinished > 0) return
    const bytes = this.#buffer.subarray(0, this.#used)
    this.#ready.push({ chunk: { format: this.#format, rows: this.#rowsInBuffer, bytes }, buffer: this.#buffer })
    const size = Math.max(this.#chunkBytes, needed)
    const free = this.#free.pop()
    this.#buffer = free !== undefined && free.length >= size ? free : Buffer.allocUnsafeSlow(size)
    this.#used = 0
    this.#rowsInBuffer = 0
    this.#signal()
  }

  override handleCommandComplete(message: { text: string }): void {
    this.#rowsReported = Number(/^COPY (\d+)/.exec(message.text)?.[1] ?? Number.NaN)
  }

  override handleReadyForQuery(): void {
    this.#flush(0)
    this.#finished = true
    if (this.#error === null && (this.#rowsReported !== this.#rowsSent || !this.#trailerSeen))
      this.#error = new LoadError('short-read', `The source said it sent ${this.#rowsReported} rows; ${this.#rowsSent} arrived.`)
    this.#signal()
  }

  override handleError(error: unknown): void {
    this.#error ??= error
    this.#signal()
  }

  #signal(): void {
    this.#wake?.()
    this.#wake = null
  }

  async *[Symbol.asyncIterator](): AsyncIterator<BytesChunk> {
    for (;;) {
      if (this.#error !== null) throw this.#error
      const next = this.#ready.shift()
      if (next !== undefined) {
        if (this.#ready.length < 2) this.stream?.resume()
        yield next.chunk
        if (next.buffer.length === this.#chunkBytes) this.#free.push(next.buffer)
      } else if (this.#finished) return
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }

  // The rest of what pg calls on a query; COPY sends none of these.
}
