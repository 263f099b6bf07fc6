// One session with Snowflake. Every parameter that could change how values print or compare is pinned, whatever account and user have
// set; all values come back as text. Statements run one after the other: a transaction is its session's.

import type { Readable } from 'node:stream'
import { LoadError } from '../../core/errors.ts'
import type { SnowflakeConfig } from './config.ts'
import { type DriverConnection, type DriverStatement, makeConnection } from './driver.ts'
import { snowflakeError } from './errors.ts'
import { shownName } from './names.ts'

export type Value = string | number | null
/** By name, as people write it. */
export type Row = Readonly<Record<string, string | null>>
/** Values in the order of the statement's columns. */
export type Cells = readonly (string | null)[]

const PINNED: Readonly<Record<string, string | number | boolean>> = {
  TIMEZONE: 'UTC',
  DATE_INPUT_FORMAT: 'AUTO',
  DATE_OUTPUT_FORMAT: 'YYYY-MM-DD',
  TIME_INPUT_FORMAT: 'AUTO',
  TIME_OUTPUT_FORMAT: 'HH24:MI:SS.FF9',
  TIMESTAMP_INPUT_FORMAT: 'AUTO',
  TIMESTAMP_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF9',
  TIMESTAMP_NTZ_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF9',
  TIMESTAMP_LTZ_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM',
  TIMESTAMP_TZ_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM',
  TIMESTAMP_TYPE_MAPPING: 'TIMESTAMP_NTZ',
  BINARY_INPUT_FORMAT: 'HEX',
  BINARY_OUTPUT_FORMAT: 'HEX',
  QUOTED_IDENTIFIERS_IGNORE_CASE: false,
  ERROR_ON_NONDETERMINISTIC_MERGE: true,
  ERROR_ON_NONDETERMINISTIC_UPDATE: true,
  AUTOCOMMIT: true,
  ROWS_PER_RESULTSET: 0,
}

export interface Session {
  readonly what: string
  /** It is never used again. */
  readonly broken: boolean
  /** Binds are `:1`, `:2` and so on. */
  rows(sql: string, values?: readonly Value[]): Promise<readonly Row[]>
  /** The columns of a statement's result. */
  columns(sql: string): Promise<readonly ResultColumn[]>
  /** The one value of the one row. */
  value(sql: string, values?: readonly Value[]): Promise<string | null>
  /** How many rows the statement inserted, updated or deleted. */
  run(sql: string, values?: readonly Value[]): Promise<number>
  /** Rows as they arrive, in their order; throws `short-read` rather than end early. */
  stream(sql: string, values?: readonly Value[]): AsyncIterable<Cells>
  /** Of a failed transaction; never throws. */
  rollback(): Promise<void>
  /** Asks the server to stop the statement that is running. */
  cancel(): void
  close(): Promise<void>
}

/** In the words of the driver: fixed, real, text, timestamp_ntz and so on. */
export interface ResultColumn {
  /** As the catalog would have it. */
  readonly name: string
  readonly type: string
  readonly precision: number | null
  readonly scale: number | null
  readonly nullable: boolean
}

export interface SessionOptions {
  readonly side: 'source' | 'target'
  /** Shown in Snowflake's history of queries; by it their cost can be added up. */
  readonly tag: string
}

/** Throws `missing-driver`, `unreachable`, `authentication-failed`, `missing-privilege`. `what` is said in errors. */
export async function openSession(config: SnowflakeConfig, what: string, { side, tag }: SessionOptions): Promise<Session> {
  let connection: DriverConnection
  try {
    connection = await makeConnection(config, tag)
    await connect(connection, config.connectTimeoutSeconds)
  } catch (thrown) {
    throw snowflakeError(thrown, what, side, false)
  }
  const session = new OpenSession(connection, what, side)
  const settings = Object.entries(PINNED).map(([name, value]) => `${name} = ${typeof value === 'string' ? `'${value}'` : value}`)
  try {
    await session.run(`ALTER SESSION SET ${settings.join(', ')}`)
  } catch (thrown) {
    await session.close()
    throw thrown
  }
  return session
}

/** The driver's own limit is that of every answer, and a long statement answers late. */
async function connect(connection: DriverConnection, seconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = Object.assign(new Error(`no answer within ${seconds} s`), { code: 401001 })
    timer = setTimeout(() => reject(error), seconds * 1000)
  })
  const connected = new Promise<void>((resolve, reject) => {
    connection.connect((error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
  try {
    await Promise.race([connected, late])
  } finally {
    clearTimeout(timer)
    // What comes too late is met by nobody.
    connected.catch(() => undefined)
  }
}

/** `tidemark:orders_etl:0f3c…` */
export function queryTag(pipeline: string, runId: string): string {
  return `tidemark:${pipeline}:${runId}`
}

interface Answer {
  readonly statement: DriverStatement
  readonly rows: readonly Cells[]
}

class OpenSession implements Session {
  readonly what: string
  broken = false
  readonly #connection: DriverConnection
  readonly #side: 'source' | 'target'
  /** The end of the statement before. */
  #free: Promise<unknown> = Promise.resolve()
  #running: DriverStatement | null = null

  constructor(connection: DriverConnection, what: string, side: 'source' | 'target') {
    this.#connection = connection
    this.what = what
    this.#side = side
  }

  async rows(sql: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    const { statement, rows } = await this.#inTurn(() => this.#execute(sql, values, false))
    const names = (statement.getColumns() ?? []).map((column) => shownName(column.getName()))
    return rows.map((row) => Object.fromEntries(names.map((name, place) => [name, row[place] ?? null])))
  }

  async columns(sql: string): Promise<readonly ResultColumn[]> {
    const { statement } = await this.#inTurn(() => this.#execute(sql, [], false))
    return (statement.getColumns() ?? []).map((column) => ({
      name: column.getName(),
      type: column.getType(),
      precision: column.getPrecision() ?? null,
      scale: column.getScale() ?? null,
      nullable: column.isNullable(),
    }))
  }

  async value(sql: string, values: readonly Value[] = []): Promise<string | null> {
    const { rows } = await this.#inTurn(() => this.#execute(sql, values, false))
    return rows[0]?.[0] ?? null
  }

  async run(sql: string, values: readonly Value[] = []): Promise<number> {
    const { statement } = await this.#inTurn(() => this.#execute(sql, values, false))
    return statement.getNumUpdatedRows() ?? 0
  }

  async *stream(sql: string, values: readonly Value[] = []): AsyncIterable<Cells> {
    const turn = await this.#takeTurn()
    let finished = false
    try {
      const { statement } = await this.#execute(sql, values, true)
      const promised = statement.getNumRows()
      let arrived = 0
      for await (const row of statement.streamRows() as Readable) {
        arrived += 1
        yield row as Cells
      }
      if (arrived !== promised)
        throw new LoadError('short-read', `${this.what} said it has ${promised} rows for us; ${arrived} arrived.`, { where: this.what })
      finished = true
    } catch (thrown) {
      throw this.#failed(thrown)
    } finally {
      if (!finished) this.cancel()
      this.#running = null
      turn()
    }
  }

  async rollback(): Promise<void> {
    // Fails where the session is gone, and its transaction with it.
    if (!this.broken) await this.run('ROLLBACK').catch(() => undefined)
  }

  cancel(): void {
    this.#running?.cancel(() => undefined)
  }

  async close(): Promise<void> {
    this.broken = true
    await new Promise<void>((resolve) => {
      // Where it fails the server ends the session by itself.
      this.#connection.destroy(() => resolve())
    })
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = await this.#takeTurn()
    try {
      return await work()
    } catch (thrown) {
      throw this.#failed(thrown)
    } finally {
      this.#running = null
      turn()
    }
  }

  /** The driver would send two statements at once, and the server mix them in one transaction. */
  async #takeTurn(): Promise<() => void> {
    const before = this.#free
    let done = (): void => undefined
    this.#free = new Promise<void>((resolve) => {
      done = resolve
    })
    await before
    return done
  }

  #execute(sqlText: string, values: readonly Value[], streamResult: boolean): Promise<Answer> {
    if (this.broken) throw new LoadError('connection-lost', `The session with ${this.what} is over.`, { where: this.what })
    const binds = values.map((value) => (value === null ? null : String(value)))
    return new Promise((resolve, reject) => {
      this.#running = this.#connection.execute({
        sqlText,
        streamResult,
        ...(binds.length === 0 ? {} : { binds }),
        complete: (error, statement, rows) => {
          if (error === undefined || error === null) resolve({ statement, rows: rows ?? [] })
          else reject(error)
        },
      })
    })
  }

  #failed(thrown: unknown): LoadError {
    const error = snowflakeError(thrown, this.what, this.#side)
    if (error.code === 'connection-lost' || error.code === 'unreachable') this.broken = true
    return error
  }
}
