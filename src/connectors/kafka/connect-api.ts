// Requests to Kafka Connect. What is retried here is only what its workers refuse while they share out their work anew; no row and no
// position goes this way. Nothing that it answers is repeated in an error but what it says of its own configuration and state.

import { setTimeout as rest } from 'node:timers/promises'
import { type ErrorCode, LoadError } from '../../core/errors.ts'

export interface ConnectApiOptions {
  /** http://user:password@host:port */
  readonly url: string
  /** Names the connection in errors. */
  readonly what: string
  readonly timeoutMs: number
  /** So long the workers may go on sharing out their work. */
  readonly patienceMs?: number
}

export interface ConnectAnswer {
  readonly status: number
  /** JSON, or null where nothing was sent. */
  readonly body: unknown
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 2_000

export class ConnectApi {
  /** As errors may show it: without user and password. */
  readonly shown: string
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #options: ConnectApiOptions

  constructor(options: ConnectApiOptions) {
    const url = new URL(options.url)
    this.#options = options
    this.shown = url.origin
    this.#base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
    const login =
      url.username === '' && url.password === '' ? null : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    this.#headers = {
      accept: 'application/json',
      'content-type': 'application/json',
      ...(login === null ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
    }
  }

  /**
   * 2xx, 404 and 400 are answers; the rest is thrown: `unreachable`, `tls-failed`, `authentication-failed`, `connector-busy`,
   * `unsupported-server`. `path` begins with a slash.
   */
  async request(method: Method, path: string, body?: unknown, timeoutMs = this.#options.timeoutMs): Promise<ConnectAnswer> {
    const until = performance.now() + (this.#options.patienceMs ?? 30_000)
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const answer = await this.#once(method, path, body, timeoutMs)
      if (answer.status !== 409) return this.#checked(answer, `${method} ${path}`)
      if (performance.now() + pause > until)
        throw this.#error(
          'connector-busy',
          `is still sharing out the work between its workers: ${method} ${path} was refused again and again.`,
        )
      await rest(pause)
    }
  }

  async #once(method: Method, path: string, body: unknown, timeoutMs: number): Promise<ConnectAnswer> {
    let status: number
    let text: string
    try {
      const response = await fetch(`${this.#base}${path}`, {
        method,
        headers: this.#headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      status = response.status
      text = await response.text()
    } catch (thrown) {
      throw this.#unreachable(thrown, timeoutMs)
    }
    if (text === '') return { status, body: null }
    try {
      return { status, body: JSON.parse(text, exactInteger) }
    } catch (cause) {
      if (status >= 400) return { status, body: null }
      throw this.#error('unsupported-server', `does not answer as Kafka Connect does: ${method} ${path} gave ${status} and no JSON.`, cause)
    }
  }

  #checked(answer: ConnectAnswer, request: string): ConnectAnswer {
    const { status } = answer
    if (status === 401 || status === 403)
      throw this.#error('authentication-failed', `refuses the request ${request} (${status}).`, undefined, CHECK_LOGIN)
    if (status >= 500) throw this.#error('connector-busy', `had an error of its own at ${request} (${status}).`)
    if ((status >= 200 && status < 300) || status === 404 || status === 400) return answer
    throw this.#error('unsupported-server', `does not answer as Kafka Connect does: ${request} gave ${status}.`)
  }

  #unreachable(thrown: unknown, timeoutMs: number): LoadError {
    const { name, cause } = thrown as { readonly name?: string; readonly cause?: { readonly code?: string; readonly message?: string } }
    if (name === 'TimeoutError') return this.#error('unreachable', `gave no answer in ${timeoutMs / 1000} s.`)
    const code = cause?.code ?? ''
    if (/CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO/.test(code))
      return this.#error('tls-failed', `can't be talked to over TLS: ${code}.`, undefined, 'Trust its authority with NODE_EXTRA_CA_CERTS.')
    return this.#error('unreachable', `can't be reached: ${code === '' ? (cause?.message ?? 'no reason given') : code}.`)
  }

  #error(code: ErrorCode, message: string, cause?: unknown, hint?: string): LoadError {
    const { what } = this.#options
    return new LoadError(code, `Kafka Connect at ${this.shown} ${message}`, {
      where: what,
      ...(cause === undefined ? {} : { cause }),
      ...(hint === undefined ? {} : { hint }),
    })
  }
}

const CHECK_LOGIN = 'Check user and password in the `connect` URL of the connection.'

/** Places in a log may be larger than a number holds. */
function exactInteger(_: string, value: unknown, context?: { readonly source: string }): unknown {
  const isLarge = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
  return isLarge && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? 0) : value
}
