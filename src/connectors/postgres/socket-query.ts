// A statement that reads its connection's socket itself, because pg hands out one message at a time from buffers that it reuses. Other
// messages still go to the client's own parser, and the socket goes back to it with the end of the data.

import type { Socket } from 'node:net'
import type { Connection, Submittable } from 'pg'

type Listener = (data: Buffer) => void

export abstract class SocketQuery implements Submittable {
  protected stream: Socket | null = null
  #parserListeners: Listener[] = []

  protected abstract readonly sql: string
  protected abstract readonly onData: Listener
  abstract handleError(error: unknown): void

  submit(connection: Connection): void {
    const stream = (connection as unknown as { stream: Socket }).stream
    this.stream = stream
    this.#parserListeners = stream.listeners('data') as Listener[]
    stream.removeAllListeners('data')
    stream.on('data', this.onData)
    ;(connection as unknown as { query(sql: string): void }).query(this.sql)
  }

  /** Whole messages that are not about the data. */
  protected toParser(data: Buffer): void {
    for (const listener of this.#parserListeners) listener(data)
  }

  /** The data is over (or refused): the client's own parser goes on with what follows. */
  protected handBack(data: Buffer): void {
    const { stream } = this
    if (stream === null) return
    stream.off('data', this.onData)
    for (const listener of this.#parserListeners) stream.on('data', listener)
    this.toParser(data)
  }

  handleCommandComplete(_message: { text: string }): void {}
  handleReadyForQuery(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
}
