// COPY … FROM STDIN (FORMAT binary) on a pg connection: header, tuples as they come, trailer. Resolves only after the
// server has said how many rows it took.

import type { Socket } from 'node:net'
import type { Connection, Submittable } from 'pg'
import { LoadError } from '../../core/errors.ts'

const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = Buffer.from([0xff, 0xff])

export class CopyIn implements Submittable {
  readonly #sql: string
  #stream: Socket | null = null
  #error: unknown = null
  #rows: number | null = null
  readonly #opened = Promise.withResolvers<void>()
  readonly #done = Promise.withResolvers<number>()

  constructor(sql: string) {
    this.#sql = sql
    // Whoever writes or ends meets the error; nobody else has to.
    this.#opened.promise.catch(() => {})
    this.#done.promise.catch(() => {})
  }

  /** The server waits for more; once it has refused or taken all, the connection is free for what comes next. */
  get underWay(): boolean {
    return this.#error === null && this.#rows === null
  }

  submit(connection: Connection): void {
    this.#stream = (connection as unknown as { stream: Socket }).stream
    ;(connection as unknown as { query(sql: string): void }).query(this.#sql)
  }

  handleCopyInResponse(): void {
    this.#frame(HEADER)
    this.#opened.resolve()
  }

  /** Whole tuples. Resolves when the system has them, so that the buffer may be filled again. */
  async write(tuples: Uint8Array): Promise<void> {
    await this.#opened.promise
    if (this.#error !== null) throw this.#error
    await new Promise<void>((resolve) => this.#frame(tuples, resolve))
    if (this.#error !== null) throw this.#error
  }

  /** Number of rows that the server took. */
  async end(): Promise<number> {
    await this.#opened.promise
    if (this.#error === null) {
      this.#frame(TRAILER)
      this.#stream?.write(Buffer.from([0x63, 0, 0, 0, 4]))
    }
    return this.#done.promise
  }

  #frame(payload: Uint8Array, done: () => void = () => {}): void {
    const stream = this.#stream
    // Whoever closed it has rejected what waits for the end.
    if (stream === null || stream.destroyed) {
      done()
      return
    }
    const head = Buffer.allocUnsafe(5)
    head[0] = 0x64
    head.writeInt32BE(payload.byteLength + 4, 1)
    stream.cork()
    stream.write(head)
    stream.write(payload, () => done())
    stream.uncork()
  }

  handleCommandComplete(message: { text: string }): void {
    this.#rows = Number(/^COPY (\d+)/.exec(message.text)?.[1] ?? Number.NaN)
  }

  handleReadyForQuery(): void {
    if (this.#error !== null) this.#done.reject(this.#error)
    else if (this.#rows === null) this.#done.reject(new LoadError('target-failed', 'The target did not say how many rows it took.'))
    else this.#done.resolve(this.#rows)
  }

  handleError(error: unknown): void {
    this.#error ??= error
    this.#opened.reject(error)
    this.#done.reject(error)
  }

  // The rest of what pg calls on a query; COPY sends none of these.
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
}
