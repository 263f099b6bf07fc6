// A message in the log of the source every few seconds, while it is followed: a change of the database itself, where else none would come.
// Nobody reads it; it needs no table.

import type { Session } from './session.ts'
import { writeSource } from './write-source.ts'

const MESSAGE = "SELECT pg_logical_emit_message(true, 'tidemark', 'heartbeat')"

export class Heartbeat {
  readonly #session: () => Promise<Session>
  readonly #timer: NodeJS.Timeout
  #beating = false
  #failed: { readonly error: unknown } | null = null

  constructor(session: () => Promise<Session>, seconds: number) {
    this.#session = session
    this.#timer = setInterval(() => void this.#beat(), seconds * 1000)
    this.#timer.unref()
  }

  async #beat(): Promise<void> {
    if (this.#beating) return
    this.#beating = true
    try {
      await writeSource(await this.#session(), [MESSAGE])
    } catch (error) {
      this.#failed ??= { error }
    } finally {
      this.#beating = false
    }
  }

  /** Throws what kept it from beating. */
  look(): void {
    if (this.#failed !== null) throw this.#failed.error
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
