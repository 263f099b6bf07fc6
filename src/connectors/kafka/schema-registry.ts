// Schemas by their numbers, from a registry that answers as Confluent's does. Each is asked for once: a number means the same schema for
// ever. Nothing that the registry answers is repeated in an error.

import { type ErrorCode, LoadError } from '../../core/errors.ts'
import { type AvroSchema, readAvroSchema } from '../../formats/avro-schema.ts'
import { badMessage } from '../../formats/debezium-refusal.ts'

export interface RegistryOptions {
  readonly url: string
  readonly user: string | null
  readonly password: string | null
  /** For messages: `source kafka`. */
  readonly what: string
  readonly timeoutMs: number
}

/** A table has one schema for its keys and a new one for its rows whenever its columns change. */
const KEPT = 1000

export class SchemaRegistry {
  /** As errors may show it: without user and password. */
  readonly shown: string
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #options: RegistryOptions
  readonly #known = new Map<number, AvroSchema>()
  /** What is wrong with a number that was asked for last. It may be right the next time. */
  #wrong = new Map<number, LoadError>()

  constructor(options: RegistryOptions) {
    const url = new URL(options.url)
    this.#options = options
    this.shown = url.origin
    this.#base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
    const login = options.user === null ? null : `${options.user}:${options.password ?? ''}`
    this.#headers = {
      accept: 'application/vnd.schemaregistry.v1+json, application/json',
      ...(login === null ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
    }
  }

  /** Throws `unreachable`, `authentication-failed`, `tls-failed`, `unsupported-server`. */
  async fetch(ids: ReadonlySet<number>): Promise<void> {
    this.#wrong = new Map()
    const missing = [...ids].filter((id) => !this.#known.has(id))
    if (missing.length === 0) return
    if (this.#known.size + missing.length > KEPT) for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id)
    for (const id of missing) await this.#fetchOne(id)
  }

  /** One that was fetched. Throws `bad-message`. */
  schema(id: number): AvroSchema {
    const known = this.#known.get(id)
    if (known !== undefined) return known
    throw this.#wrong.get(id) ?? badMessage(`is of schema ${id}, which was not asked for`)
  }

  async #fetchOne(id: number): Promise<void> {
    const answer = await this.#ask(`/schemas/ids/${id}`)
    try {
      this.#known.set(id, read(id, answer, this.shown))
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      this.#wrong.set(id, error)
    }
  }

  /** null where there is no such schema. */
  async #ask(path: string): Promise<Answer | null> {
    const { timeoutMs } = this.#options
    let status: number
    let body: unknown
    try {
      const response = await fetch(`${this.#base}${path}`, {
        headers: this.#headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      status = response.status
      const text = await response.text()
      body = status === 200 || status === 404 ? parsed(text) : null
    } catch (thrown) {
      throw this.#unreachable(thrown, timeoutMs)
    }
    if (status === 401 || status === 403) throw this.#error('authentication-failed', `refuses the request (${status}).`, LOGIN)
    if (status >= 500 || status === 429) throw this.#error('unreachable', `had an error of its own (${status}).`)
    const { schema, error_code: code } = (body ?? {}) as Partial<Answer> & { readonly error_code?: unknown }
    // Only what knows of schemas says which of its things was not found.
    if (status === 404 && typeof code === 'number') return null
    if (status === 200 && typeof schema === 'string') return body as Answer
    throw this.#error('unsupported-server', `does not answer as a registry of schemas does: ${path} gave ${status}.`, NO_REGISTRY)
  }

  #unreachable(thrown: unknown, timeoutMs: number): LoadError {
    const { name, cause } = thrown as { readonly name?: string; readonly cause?: { readonly code?: string } }
    if (name === 'TimeoutError') return this.#error('unreachable', `gave no answer in ${timeoutMs / 1000} s.`)
    const code = cause?.code ?? ''
    if (/CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO/.test(code))
      return this.#error('tls-failed', `can't be talked to over TLS: ${code}.`, 'Trust its authority with NODE_EXTRA_CA_CERTS.')
    return this.#error('unreachable', `can't be reached${code === '' ? '' : `: ${code}`}.`)
  }

  #error(code: ErrorCode, message: string, hint?: string): LoadError {
    return new LoadError(code, `The schema registry at ${this.shown} ${message}`, {
      where: this.#options.what,
      ...(hint === undefined ? {} : { hint }),
    })
  }
}

const LOGIN = 'Check `registry: { user, password }` of the connection.'
const NO_REGISTRY = 'Check `registry: { url }` of the connection; of Apicurio it is the one that ends with /apis/ccompat/v7.'

interface Answer {
  readonly schema: string
  /** Not given for Avro. */
  readonly schemaType?: string
  readonly references?: readonly unknown[]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function read(id: number, answer: Answer | null, registry: string): AvroSchema {
  if (answer === null)
    throw badMessage(
      `is of schema ${id}, which the registry at ${registry} does not know`,
      'See whether it is the registry that the connector uses, and whether schemas were deleted there for good.',
    )
  const { schema, schemaType = 'AVRO', references = [] } = answer
  if (schemaType !== 'AVRO')
    throw badMessage(
      `is of schema ${id}, which is no Avro but ${JSON.stringify(schemaType.slice(0, 20))}`,
      'Let the connector use `AvroConverter`, or JSON.',
    )
  if (references.length > 0)
    throw badMessage(
      `is of schema ${id}, which refers to other schemas`,
      'Let the connector use `AvroConverter` by itself, without references.',
    )
  return readAvroSchema(schema)
}
