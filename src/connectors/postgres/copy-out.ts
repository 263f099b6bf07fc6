// COPY … TO STDOUT (FORMAT binary), framed by hand: pg-protocol reuses its buffers and hands out one message a row, both
// of which cost more than the data. Here whole tuples are gathered into chunks while the socket is paused whenever the
// consumer is behind. States: waiting → copying → tail (the client's own parser has the socket again) → done.

import type { Socket } from 'node:net'
import type { Connection, Submittable } from 'pg'
import type { BytesChunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'

const COPY_DATA = 0x64
const COPY_DONE = 0x63
const COPY_OUT_RESPONSE = 0x48
const HEADER_BYTES = 19 // signature, flags, length of an (empty) extension
const TRAILER_BYTES = 2
/** PostgreSQL's own limit of a message is 1 GiB − 1. */
const MAX_MESSAGE_BYTES = 0x3fff_ffff

type Listener = (data: Buffer) => void

export class CopyOut implements Submittable, AsyncIterable<BytesChunk> {
  readonly #sql: string
  readonly #chunkBytes: number
  #stream: Socket | null = null
  #parserListeners: Listener[] = []
  /** Pieces of a message that has not arrived whole, and how many bytes it takes to go on. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #neededBytes = 0
  #buffer: Buffer
  #used = 0
  #rowsInBuffer = 0
  #headerSeen = false
  #trailerSeen = false
  readonly #ready: BytesChunk[] = []
  #rowsSent = 0
  #rowsReported: number | null = null
  #error: unknown = null
  #finished = false
  #wake: (() => void) | null = null

  constructor(sql: string, chunkBytes: number) {
    this.#sql = sql
    this.#chunkBytes = chunkBytes
    this.#buffer = Buffer.allocUnsafeSlow(chunkBytes)
  }

  submit(connection: Connection): void {
    const stream = (connection as unknown as { stream: Socket }).stream
    this.#stream = stream
    this.#parserListeners = stream.listeners('data') as Listener[]
    stream.removeAllListeners('data')
    stream.on('data', this.#onData)
    ;(connection as unknown as { query(sql: string): void }).query(this.#sql)
  }

  readonly #onData = (data: Buffer): void => {
    this.#pieces.push(data)
    this.#pieceBytes += data.length
    if (this.#pieceBytes < this.#neededBytes) return
    const whole = this.#pieces.length === 1 ? data : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#pieceBytes = 0
    try {
      this.#take(whole)
    } catch (error) {
      this.#error = error
      this.#stream?.destroy()
      this.#signal()
    }
  }

  /** Works through whole messages; keeps what is left of the last one. */
  #take(data: Buffer): void {
    let at = 0
    while (data.length - at >= 5) {
      const type = data[at]
      const size = data.readInt32BE(at + 1)
      if (size < 4 || size > MAX_MESSAGE_BYTES) throw new LoadError('short-read', 'The source sent a message of impossible length.')
      const end = at + 1 + size
      if (end > data.length) break
      if (type === COPY_DATA) this.#row(data, at + 5, end)
      else if (type === COPY_DONE || type === 0x45) return this.#handBack(data.subarray(at))
      else if (type !== COPY_OUT_RESPONSE) for (const listener of this.#parserListeners) listener(data.subarray(at, end))
      at = end
    }
    const left = data.length - at
    this.#neededBytes = left < 5 ? 5 : 1 + data.readInt32BE(at + 1)
    if (left > 0) this.#pieces.push(data.subarray(at))
    this.#pieceBytes = left
    if (this.#rowsInBuffer > 0 && this.#ready.length === 0 && this.#wake !== null) this.#flush()
    if (this.#ready.length > 1) this.#stream?.pause()
  }

  #row(data: Buffer, from: number, end: number): void {
    let start = from
    if (!this.#headerSeen) {
      this.#headerSeen = true
      start += HEADER_BYTES + data.readInt32BE(from + HEADER_BYTES - 4)
      if (start > end) throw new LoadError('short-read', 'The source sent a broken COPY header.')
      if (start === end) return
    }
    const length = end - start
    if (length === TRAILER_BYTES && data.readInt16BE(start) === -1) {
      this.#trailerSeen = true
      return
    }
    if (this.#used + length > this.#buffer.length) this.#flush(length)
    data.copy(this.#buffer, this.#used, start, end)
    this.#used += length
    this.#rowsInBuffer += 1
    this.#rowsSent += 1
  }

  #flush(nextLength = 0): void {
    if (this.#rowsInBuffer > 0) {
      this.#ready.push({ format: 'pg-copy-binary', rows: this.#rowsInBuffer, bytes: this.#buffer.subarray(0, this.#used) })
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, nextLength))
      this.#used = 0
      this.#rowsInBuffer = 0
      this.#signal()
    } else if (nextLength > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(nextLength)
  }

  /** The data is over (or refused): the client's own parser goes on with what follows. */
  #handBack(data: Buffer): void {
    const stream = this.#stream
    if (stream === null) return
    stream.off('data', this.#onData)
    for (const listener of this.#parserListeners) stream.on('data', listener)
    for (const listener of this.#parserListeners) listener(data)
  }

  handleCommandComplete(message: { text: string }): void {
    this.#rowsReported = Number(/^COPY (\d+)/.exec(message.text)?.[1] ?? Number.NaN)
  }

  handleReadyForQuery(): void {
    this.#flush()
    this.#finished = true
    if (this.#error === null && (this.#rowsReported !== this.#rowsSent || !this.#trailerSeen))
      this.#error = new LoadError('short-read', `The source said it sent ${this.#rowsReported} rows; ${this.#rowsSent} arrived.`)
    this.#signal()
  }

  handleError(error: unknown): void {
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
      const chunk = this.#ready.shift()
      if (chunk !== undefined) {
        if (this.#ready.length < 2) this.#stream?.resume()
        yield chunk
      } else if (this.#finished) return
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }

  // The rest of what pg calls on a query; COPY sends none of these.
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
}
