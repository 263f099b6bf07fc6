// The protocol of Snowflake's drivers over HTTP, as snowflake-sdk 3 speaks it: login, renewal, queries, chunks of results, cancelling.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { type Credentials, checkLogin } from './login.ts'
import type { Done, QueryRuns, Run } from './query-runs.ts'
import type { Row, StatementResult } from './results.ts'
import type { Session, SessionStart } from './session.ts'
import { type Sessions, VALIDITY } from './sessions.ts'
import { SnowflakeError } from './snowflake-error.ts'
import { type Binds, type Machine, VERSION } from './statement.ts'

export interface WireSizes {
  /** Rows that come with the answer itself. */
  readonly inlineRows: number
  readonly chunkRows: number
  /** After so long a query is answered with where to ask for its result. */
  readonly inProgressAfterMs: number
}

interface Place {
  readonly database: string
  readonly schema: string
  readonly warehouse: string
}

interface Asked {
  readonly url: URL
  readonly body: Record<string, unknown>
  readonly token: string
  readonly response: ServerResponse
}

const CHUNK_KEY = 'x-emulated-chunk'

export class WireServer {
  readonly #machine: Machine
  readonly #sessions: Sessions
  readonly #runs: QueryRuns
  readonly #credentials: Credentials
  readonly #place: Place
  readonly #sizes: WireSizes
  readonly #server: Server

  constructor(machine: Machine, sessions: Sessions, runs: QueryRuns, credentials: Credentials, place: Place, sizes: WireSizes) {
    this.#machine = machine
    this.#sessions = sessions
    this.#runs = runs
    this.#credentials = credentials
    this.#place = place
    this.#sizes = sizes
    this.#server = createServer((request, response) => void this.#handle(request, response))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const token = /Token="([^"]+)"/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    try {
      const body = await readBody(request)
      const answer = await this.#answer({ url, body, token, response })
      if (answer !== SENT) send(response, 200, answer)
    } catch (error) {
      send(response, 200, failure(asSnowflake(error), null))
    }
  }

  async #answer(asked: Asked): Promise<unknown> {
    const { url, body, token } = asked
    const part = /^\/queries\/([^/]+)\/(result|abort-request)$/.exec(url.pathname)
    if (url.pathname.startsWith('/chunks/')) return this.#chunk(asked)
    switch (url.pathname) {
      case '/session/v1/login-request':
        return this.#login(url, body)
      case '/session/token-request':
        return this.#renew(token)
      case '/telemetry/send':
        return success(null)
      case '/session/heartbeat':
        this.#sessions.byToken(token)
        return success(null)
      case '/session':
        return this.#logout(token)
      case '/queries/v1/abort-request':
        this.#sessions.byToken(token)
        return success(this.#runs.cancel(this.#runs.byRequest(String(body['requestId']))))
      case '/queries/v1/query-request':
        return this.#query(asked)
    }
    if (part?.[2] === 'abort-request') return success(this.#runs.cancel(this.#runs.byQuery(part[1]!)))
    if (part?.[2] === 'result') return this.#result(part[1]!, token)
    const monitored = /^\/monitoring\/queries\/([^/]+)$/.exec(url.pathname)
    if (monitored) return this.#monitor(monitored[1]!)
    throw new SnowflakeError('000002', '0A000', `This emulator has no ${url.pathname}.`)
  }

  #login(url: URL, body: Record<string, unknown>): unknown {
    const data = (body['data'] ?? {}) as Record<string, unknown>
    checkLogin(data, this.#credentials, this.#machine.clock, this.#machine.faults)
    const { session, tokens } = this.#sessions.start({ user: this.#credentials.user.toUpperCase(), ...this.#start(url.searchParams) })
    for (const [name, value] of Object.entries((data['SESSION_PARAMETERS'] ?? {}) as Record<string, unknown>)) {
      if (!name.startsWith('CLIENT_') && !name.startsWith('SNOWPARK')) session.set(name, String(value))
    }
    return success({
      token: tokens.token,
      masterToken: tokens.masterToken,
      validityInSeconds: VALIDITY.token,
      masterValidityInSeconds: VALIDITY.master,
      sessionId: session.id,
      serverVersion: VERSION,
      parameters: parametersOf(session),
      sessionInfo: { databaseName: session.database, schemaName: session.schema, warehouseName: session.warehouse, roleName: session.role },
    })
  }

  /** A warehouse, database or schema that is not there is none: the login succeeds, and statements fail that need one. */
  #start(asked: URLSearchParams): Omit<SessionStart, 'id' | 'user'> {
    const named = (name: string) => (asked.get(name) ?? '').replace(/^"(.*)"$|^.*$/, (all, quoted) => quoted ?? all.toUpperCase()) || null
    const { catalog } = this.#machine
    const { warehouse, database, schema } = this.#place
    const wanted = { database: named('databaseName') ?? database, schema: named('schemaName') ?? schema }
    const hasDatabase = catalog.hasDatabase(wanted.database)
    const hasSchema = hasDatabase && catalog.schemasOf(wanted.database).has(wanted.schema)
    return {
      role: named('roleName') ?? 'SYSADMIN',
      warehouse: (named('warehouse') ?? warehouse) === warehouse ? warehouse : null,
      database: hasDatabase ? wanted.database : null,
      schema: hasSchema ? wanted.schema : null,
    }
  }

  #renew(masterToken: string): unknown {
    const { session, tokens } = this.#sessions.renew(masterToken)
    return success({
      sessionToken: tokens.token,
      validityInSecondsST: VALIDITY.token,
      masterToken: tokens.masterToken,
      validityInSecondsMT: VALIDITY.master,
      sessionId: session.id,
    })
  }

  async #logout(token: string): Promise<unknown> {
    await this.#machine.endSession(this.#sessions.byToken(token).id)
    return success(null)
  }

  async #query({ url, body, token, response }: Asked): Promise<unknown> {
    const { faults } = this.#machine
    const sql = String(body['sqlText'])
    const requestId = url.searchParams.get('requestId') ?? ''
    const isNew = !this.#runs.byRequest(requestId)
    const session = this.#sessions.byToken(token)
    if (isNew && faults.take('expired-token', sql))
      throw new SnowflakeError('390112', '08001', 'Your session has expired.  Must reauthenticate.')
    if (faults.take('unavailable', sql)) return send(response, 503, null)
    if (isNew && faults.take('lost-session', sql)) {
      await this.#machine.endSession(session.id)
      this.#sessions.byToken(token)
    }
    const parameters = (body['parameters'] ?? {}) as Record<string, unknown>
    const count = Number(parameters['MULTI_STATEMENT_COUNT'] ?? session.parameter('MULTI_STATEMENT_COUNT'))
    const binds = (body['bindings'] ?? {}) as Binds
    const run = this.#runs.start(requestId, session, { sql, binds, describeOnly: body['describeOnly'] === true, count })
    const answer = body['asyncExec'] === true ? inProgress(run) : await this.#wait(run)
    if (!faults.take('lost-reply', sql)) return answer
    response.socket?.destroy()
    return SENT
  }

  async #wait(run: Run): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined
    const later = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), this.#sizes.inProgressAfterMs)
    })
    try {
      const done = await Promise.race([run.done, later])
      return done === null ? inProgress(run) : success(await this.#data(done, run.queryId))
    } catch (error) {
      return failure(asSnowflake(error), run.queryId)
    } finally {
      clearTimeout(timer)
    }
  }

  async #result(queryId: string, token: string): Promise<unknown> {
    const session = this.#sessions.byToken(token)
    const run = this.#runs.byQuery(queryId)
    if (run) return this.#wait(run)
    const part = this.#runs.part(queryId)
    if (part) return success(await this.#single(session, queryId, part))
    throw new SnowflakeError('000709', '02000', `Statement ${queryId} not found`)
  }

  async #monitor(queryId: string): Promise<unknown> {
    const run = this.#runs.byQuery(queryId)
    if (!run) return success({ queries: [] })
    const status = run.finished
      ? await run.done.then(
          () => 'SUCCESS',
          () => 'FAILED_WITH_ERROR',
        )
      : 'RUNNING'
    return success({ queries: [{ id: queryId, status, sqlText: run.sql }] })
  }

  async #data({ session, results }: Done, queryId: string): Promise<Record<string, unknown>> {
    const [only, ...others] = results
    if (only && others.length === 0) return this.#single(session, queryId, only.result)
    return {
      ...commonData(session, queryId),
      statementTypeId: 0xa000,
      rowtype: [{ name: 'multiple statement execution', type: 'text', length: 16_777_216, precision: null, scale: null, nullable: true }],
      rowset: [['Multiple statements executed successfully.']],
      total: 1,
      returned: 1,
      resultIds: results.map((one) => one.queryId).join(','),
      resultTypes: results.map(({ result }) => result.typeId).join(','),
    }
  }

  async #single(session: Session, queryId: string, result: StatementResult): Promise<Record<string, unknown>> {
    const { inlineRows, chunkRows } = this.#sizes
    const rowset = await result.rows(0, Math.min(result.total, inlineRows))
    const chunks = []
    for (let from = rowset.length; from < result.total; from += chunkRows) {
      const rowCount = Math.min(chunkRows, result.total - from)
      const address = this.#server.address() as AddressInfo
      const url = `http://127.0.0.1:${address.port}/chunks/${queryId}?from=${from}&count=${rowCount}`
      chunks.push({ url, rowCount, uncompressedSize: rowCount * 100, compressedSize: rowCount * 100 })
    }
    return {
      ...commonData(session, queryId),
      statementTypeId: result.typeId,
      rowtype: result.columns.map((column) => ({ ...column, byteLength: column.length })),
      rowset,
      total: result.total,
      returned: result.total,
      ...(chunks.length > 0 ? { chunks, chunkHeaders: { [CHUNK_KEY]: queryId } } : {}),
      ...result.extra,
    }
  }

  /** Rows without the brackets around them. */
  async #chunk({ url, response }: Asked): Promise<unknown> {
    const result = this.#runs.part(url.pathname.slice('/chunks/'.length))
    if (!result) return send(response, 403, null)
    const rows = await result.rows(Number(url.searchParams.get('from')), Number(url.searchParams.get('count')))
    const fault = this.#machine.faults.take('truncated-chunk', '')
    response.writeHead(200, { 'content-type': 'binary/octet-stream' }).end(fault ? shortened(rows, fault.whole === true) : joined(rows))
    return SENT
  }
}

const SENT = Symbol('sent')

function joined(rows: readonly Row[]): string {
  return rows.map((row) => JSON.stringify(row)).join(',')
}

function shortened(rows: readonly Row[], whole: boolean): string {
  if (whole) return joined(rows.slice(0, Math.floor(rows.length / 2)))
  const text = joined(rows)
  return text.slice(0, Math.floor(text.length / 2))
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  const bytes = Buffer.concat(pieces)
  if (bytes.length === 0) return {}
  const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes
  return JSON.parse(text.toString()) as Record<string, unknown>
}

function send(response: ServerResponse, code: number, body: unknown): typeof SENT {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  return SENT
}

function success(data: unknown): unknown {
  return { success: true, code: null, message: null, data }
}

/** A mistake of the emulator's own, with what its maker needs to find it. */
function asSnowflake(error: unknown): SnowflakeError {
  if (error instanceof SnowflakeError) return error
  return new SnowflakeError('000603', 'XX000', `SQL execution internal error: ${error instanceof Error ? error.stack : String(error)}`)
}

function failure(error: SnowflakeError, queryId: string | null): unknown {
  const { code, sqlState, message } = error
  return {
    success: false,
    code,
    message,
    data: { errorCode: code, sqlState, queryId, line: 1, pos: 0, internalError: false, type: 'COMPILATION' },
  }
}

function inProgress({ queryId }: Run): unknown {
  const data = { queryId, getResultUrl: `/queries/${queryId}/result`, queryAbortsAfterSecs: 300, progressDesc: null }
  return { success: true, code: '333333', message: 'Query execution in progress.', data }
}

function commonData(session: Session, queryId: string): Record<string, unknown> {
  return {
    parameters: parametersOf(session),
    queryId,
    version: 1,
    queryResultFormat: 'json',
    sqlState: '00000',
    finalDatabaseName: session.database,
    finalSchemaName: session.schema,
    finalWarehouseName: session.warehouse,
    finalRoleName: session.role,
  }
}

function parametersOf(session: Session): { readonly name: string; readonly value: unknown }[] {
  const typed = (value: string) => (value === 'true' ? true : value === 'false' ? false : /^\d+$/.test(value) ? Number(value) : value)
  return session.parameters().map(([name, value]) => ({ name, value: typed(value) }))
}
