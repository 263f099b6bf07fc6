// Sessions by their tokens. A token expires and is renewed by its master; a session ends when it is told to, and its transaction with it.

import { randomUUID } from 'node:crypto'
import type { EmulatorClock } from './clock.ts'
import { Session, type SessionStart } from './session.ts'
import { SnowflakeError } from './snowflake-error.ts'

const TOKEN_SECONDS = 3600
const MASTER_SECONDS = 14_400

interface Tokens {
  readonly token: string
  readonly masterToken: string
}

interface Entry {
  readonly session: Session
  readonly expiresAt: number
}

export class Sessions {
  readonly #clock: EmulatorClock
  readonly #tokens = new Map<string, Entry>()
  readonly #masters = new Map<string, Entry>()
  readonly #open = new Map<number, Session>()
  #lastId = 0

  constructor(clock: EmulatorClock) {
    this.#clock = clock
  }

  start(start: Omit<SessionStart, 'id'>): { readonly session: Session; readonly tokens: Tokens } {
    const session = new Session({ ...start, id: ++this.#lastId })
    this.#open.set(session.id, session)
    return { session, tokens: this.#issue(session) }
  }

  #issue(session: Session): Tokens {
    const now = this.#clock.now()
    const tokens = { token: randomUUID(), masterToken: randomUUID() }
    this.#tokens.set(tokens.token, { session, expiresAt: now + TOKEN_SECONDS * 1000 })
    this.#masters.set(tokens.masterToken, { session, expiresAt: now + MASTER_SECONDS * 1000 })
    return tokens
  }

  byToken(token: string): Session {
    const found = this.#tokens.get(token)
    if (!found) throw new SnowflakeError('390104', '08001', 'Authentication token is invalid. The user must authenticate again.')
    if (found.session.ended)
      throw new SnowflakeError('390111', '08001', 'Session no longer exists.  New login required to access the service.')
    if (this.#clock.now() > found.expiresAt) {
      throw new SnowflakeError('390112', '08001', 'Your session has expired.  Must reauthenticate.')
    }
    return found.session
  }

  renew(masterToken: string): { readonly session: Session; readonly tokens: Tokens } {
    const found = this.#masters.get(masterToken)
    if (!found || found.session.ended || this.#clock.now() > found.expiresAt) {
      throw new SnowflakeError('390114', '08001', 'Authentication token has expired.  The user must authenticate again.')
    }
    return { session: found.session, tokens: this.#issue(found.session) }
  }

  byId(id: number): Session | undefined {
    return this.#open.get(id)
  }

  end(session: Session): void {
    session.ended = true
    this.#open.delete(session.id)
  }

  all(): Session[] {
    return [...this.#open.values()]
  }
}

export const VALIDITY = { token: TOKEN_SECONDS, master: MASTER_SECONDS }
