// The one session of a source or a target: opened when it is needed, and opened again when it broke.

import type { SnowflakeConfig } from './config.ts'
import { openSession, type Session } from './session.ts'

export class SessionHolder {
  readonly config: SnowflakeConfig
  readonly what: string
  readonly #side: 'source' | 'target'
  /** Kept while it is being opened, so that closing meets also a session on its way. */
  #opening: Promise<Session> | null = null
  #opened: Session | null = null

  constructor(config: SnowflakeConfig, what: string, side: 'source' | 'target') {
    this.config = config
    this.what = what
    this.#side = side
  }

  async open(): Promise<Session> {
    if (this.#opened?.broken === true) {
      await this.#opened.close()
      this.#opened = null
      this.#opening = null
    }
    this.#opening ??= openSession(this.config, this.what, { side: this.#side, tag: 'tidemark' })
    try {
      this.#opened = await this.#opening
      return this.#opened
    } catch (thrown) {
      this.#opening = null
      throw thrown
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening
    this.#opening = null
    await opening?.then(
      (session) => session.close(),
      () => undefined,
    )
  }
}
