// A Kafka Connect for tests, without a Kafka: it answers as Kafka Connect 4.3 was seen to. Nothing that it is told happens at once, a
// stopped connector stays stopped whatever its configuration, and offsets outlive their connector.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const PLUGIN = 'io.debezium.connector.postgresql.PostgresConnector'

type Config = Readonly<Record<string, string>>

interface FakeConnector {
  config: Config
  state: string
  tasks: { state: string; trace?: string; config: Config }[]
}

export class FakeConnect implements AsyncDisposable {
  /** `METHOD /path` of every request, in order. */
  readonly requests: string[] = []
  readonly connectors = new Map<string, FakeConnector>()
  readonly offsets = new Map<string, unknown>()
  plugins: readonly string[] = [PLUGIN]
  /** What is wrong with a configuration: property to error. */
  invalid: (config: Config) => Readonly<Record<string, string>> = () => ({})
  /** Answer to a PUT of a configuration that is refused then. */
  refuses: string | null = null
  /** The trace with which a task of such a configuration fails, a moment after it has begun to run. */
  failsWith: (config: Config) => string | null = () => null
  /** So many requests are refused because work is being shared out. */
  rebalances = 0
  /** `user:password` that is asked for. */
  login: string | null = null
  /** Every answer, whatever was asked. */
  always: { readonly status: number; readonly text: string } | null = null
  /** Nothing is ever answered. */
  silent = false
  /** After so long an order has been carried out. */
  delayMs = 30
  /** So long a task that fails has been running. */
  failMs = 30
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<FakeConnect> {
    const fake = new FakeConnect()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url)
    this.requests.push(`${request.method} ${url.pathname}`)
    let text = ''
    for await (const part of request) text += part
    if (this.silent) return
    const send = (status: number, body?: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? '' : JSON.stringify(body))
    }
    if (this.always !== null) response.writeHead(this.always.status).end(this.always.text)
    else if (this.login !== null && request.headers.authorization !== `Basic ${Buffer.from(this.login).toString('base64')}`)
      send(401, 'Unauthorized')
    else if (this.rebalances > 0) {
      this.rebalances--
      send(409, {
        error_code: 409,
        message: 'Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)',
      })
    } else this.#route(`${request.method}`, url.pathname, text, send)
  }

  #route(method: string, path: string, text: string, send: (status: number, body?: unknown) => void): void {
    const validated = /^\/connector-plugins\/([^/]+)\/config\/validate$/.exec(path)
    if (method === 'GET' && path === '/connector-plugins')
      send(
        200,
        this.plugins.map((one) => ({ class: one, type: 'source', version: '3.7.0.Final' })),
      )
    else if (method === 'PUT' && validated !== null) send(200, this.#validate(JSON.parse(text) as Config))
    else {
      const [, name = '', rest = ''] = /^\/connectors\/([^/]+)(.*)$/.exec(path) ?? []
      this.#connector(`${method} ${rest}`, decodeURIComponent(name), text, send)
    }
  }

  #validate(config: Config) {
    const errors: Record<string, string> = {
      ...(config['name'] === undefined ? { name: 'Missing required configuration "name"' } : {}),
      ...this.invalid(config),
    }
    const properties = Object.keys(config).filter((name) => !name.startsWith('topic.creation') && name !== 'misspelt.name')
    const configs = properties.map((name) => ({
      definition: { name, type: name === 'database.password' ? 'PASSWORD' : 'STRING' },
      value: { name, value: config[name], errors: errors[name] === undefined ? [] : [errors[name]] },
    }))
    return { name: config['connector.class'], error_count: Object.keys(errors).length, configs }
  }

  #connector(what: string, name: string, text: string, send: (status: number, body?: unknown) => void): void {
    const found = this.connectors.get(name)
    if (what === 'PUT /config') this.#put(name, JSON.parse(text) as Config, send)
    else if (found === undefined) send(404, { error_code: 404, message: `Connector ${name} not found` })
    else if (what === 'GET /config') send(200, found.config)
    else if (what === 'GET /status') send(200, statusOf(name, found))
    else if (what === 'GET /tasks')
      send(
        200,
        found.tasks.map((task, id) => ({
          id: { connector: name, task: id },
          config: { ...task.config, 'task.class': 'PostgresConnectorTask' },
        })),
      )
    else if (what === 'GET /offsets')
      send(200, { offsets: this.offsets.has(name) ? [{ partition: { server: 'cdc' }, offset: this.offsets.get(name) }] : [] })
    else if (what === 'PUT /pause')
      this.#later(
        () => this.#become(found, 'PAUSED'),
        () => send(202),
      )
    else if (what === 'PUT /resume' || what === 'POST /restart')
      this.#later(
        () => this.#run(found),
        () => send(202, {}),
      )
    else if (what === 'PUT /stop') {
      found.state = 'STOPPED'
      this.#later(
        () => (found.tasks = []),
        () => send(204),
      )
    } else if (what === 'DELETE /offsets' && found.state !== 'STOPPED') {
      send(400, { error_code: 400, message: 'Connectors must be in the STOPPED state before their offsets can be modified.' })
    } else if (what === 'DELETE /offsets') {
      this.offsets.delete(name)
      send(200, { message: 'The offsets for this connector have been reset successfully' })
    } else if (what === 'DELETE ') {
      this.connectors.delete(name)
      send(204)
    } else send(404, { error_code: 404, message: 'HTTP 404 Not Found' })
  }

  #put(name: string, config: Config, send: (status: number, body?: unknown) => void): void {
    if (this.refuses !== null) {
      send(400, { error_code: 400, message: this.refuses })
      return
    }
    const found = this.connectors.get(name)
    const connector = found ?? { config, state: 'RUNNING', tasks: [] }
    connector.config = config
    this.connectors.set(name, connector)
    if (connector.state === 'STOPPED' || connector.state === 'PAUSED') send(200, {})
    else
      this.#later(
        () => this.#run(connector),
        () => send(found === undefined ? 201 : 200, { name, config, tasks: [] }),
      )
  }

  #run(connector: FakeConnector): void {
    this.#become(connector, 'RUNNING')
    const trace = this.failsWith(connector.config)
    const fail = (): void => {
      if (trace !== null) connector.tasks = [{ state: 'FAILED', trace, config: connector.config }]
    }
    setTimeout(fail, this.failMs).unref()
  }

  #become(connector: FakeConnector, state: string): void {
    connector.state = state
    connector.tasks = [{ state, config: connector.config }]
  }

  #later(act: () => void, now: () => void = () => {}): void {
    now()
    setTimeout(act, this.delayMs).unref()
  }
}

function statusOf(name: string, { state, tasks }: FakeConnector) {
  const worker_id = '127.0.0.1:8083'
  return {
    name,
    type: 'source',
    connector: { state, worker_id },
    tasks: tasks.map((task, id) => ({ id, worker_id, state: task.state, ...(task.trace === undefined ? {} : { trace: task.trace }) })),
  }
}
