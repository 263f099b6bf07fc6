// One DuckDB file as the main thread sees it: requests to the worker thread that has it open. A file is opened once a process,
// however many targets use it: DuckDB's own lock is per process and would not keep two openings apart.

import { resolve } from 'node:path'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { type ErrorCode, LoadError } from '../../core/errors.ts'
import { mapDuckdbError } from './errors.ts'
import { FeedWriter, ring, SHARED, sharedWords } from './feed-ring.ts'
import type { Answer, Request, Row, Value, WorkerData } from './worker.ts'

interface Pending {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

const open = new Map<string, Database>()
/** Ends of those that are no longer open but may still have the file. */
const closing = new Map<string, Promise<void>>()

/** The database at the path; `close` it as often as it was opened. */
export function openDatabase(path: string, options: Readonly<Record<string, string>>): Database {
  const absolute = resolve(path)
  let database = open.get(absolute)
  if (database === undefined) {
    database = new Database(absolute, options, closing.get(absolute))
    open.set(absolute, database)
  }
  database.users++
  return database
}

/** The worker's module stands beside this one, except where this one is bundled into the command. */
function workerFile(): URL {
  const here = import.meta.url
  if (here.endsWith('/database.ts')) return new URL('./worker.ts', here)
  return new URL(here.endsWith('/database.js') ? './worker.js' : './connectors/duckdb/worker.js', here)
}

/** The thread that has the file open. */
export class Database {
  readonly path: string
  users = 0
  readonly #worker: Worker
  readonly #shared = sharedWords(2)
  readonly #pending = new Map<number, Pending>()
  #requests = 0
  #connections = 0
  #feeds = 0
  #openFeeds = 0
  #broken: unknown = null
  #commits: Promise<unknown> = Promise.resolve()
  #claims: Promise<unknown> = Promise.resolve()
  readonly #free: Promise<void> | undefined

  /** `free`: until then an earlier opening has the file, and two at once in one process would overwrite each other. */
  constructor(path: string, options: Readonly<Record<string, string>>, free?: Promise<void>) {
    this.path = path
    this.#free = free
    // Without the command's own flags: --input-type would be one too many.
    this.#worker = new Worker(workerFile(), { execArgv: [], workerData: { path, options, shared: this.#shared } satisfies WorkerData })
    this.#worker.unref()
    this.#worker.on('message', (answer: Answer) => this.#settle(answer))
    this.#worker.on('error', (error) => this.#fail(startError(error)))
    this.#worker.on('exit', () => this.#fail(new LoadError('bug', 'The DuckDB thread ended by itself.')))
  }

  request(request: Request, transfer: readonly MessagePort[] = []): Promise<Answer> {
    if (this.#broken !== null) return Promise.reject(this.#broken)
    const id = ++this.#requests
    return new Promise((resolveAnswer, reject) => {
      this.#pending.set(id, { resolve: resolveAnswer, reject })
      this.#stayAlive()
      Atomics.add(this.#shared, SHARED.requests, 1)
      this.#worker.postMessage({ id, request }, transfer as never)
      ring(this.#shared)
    })
  }

  /** Whatever commits partitions here does so one after the other, whichever connection it has. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#commits.then(work)
    this.#commits = done.catch(() => undefined)
    return done
  }

  /** Short statements about partitions, one after the other, also while a commit goes on. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#claims.then(work)
    this.#claims = done.catch(() => undefined)
    return done
  }

  async connect(): Promise<Connection> {
    await this.#free
    const connection = ++this.#connections
    await this.request({ kind: 'connect', connection })
    return new Connection(this, connection)
  }

  /** A way for chunks into a table; statements of the same connection must wait until it is drained. */
  async openFeed(connection: number, into: string, names: readonly string[]): Promise<Feed> {
    const feed = ++this.#feeds
    const { port1, port2 } = new MessageChannel()
    port1.unref()
    const writer = new FeedWriter(this.#shared, port1)
    const { control } = writer
    await this.request({ kind: 'open-feed', connection, feed, into, names, control, port: port2 }, [port2])
    this.#openFeeds++
    this.#stayAlive()
    return new Feed(this, feed, writer, () => {
      port1.close()
      this.#openFeeds--
      this.#stayAlive()
    })
  }

  async close(): Promise<void> {
    if (--this.users > 0) return
    open.delete(this.path)
    const ended = this.#end()
    const free = ended.catch(() => {})
    closing.set(this.path, free)
    try {
      await ended
    } finally {
      if (closing.get(this.path) === free) closing.delete(this.path)
    }
  }

  async #end(): Promise<void> {
    await this.#free
    try {
      await this.request({ kind: 'close' })
    } finally {
      this.#worker.removeAllListeners('exit')
      await this.#worker.terminate()
    }
  }

  #settle({ id, ...answer }: Answer): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    this.#stayAlive()
    if (answer.error === undefined) pending?.resolve({ id, ...answer })
    else if (answer.error.code !== null) pending?.reject(new LoadError(answer.error.code as ErrorCode, answer.error.message))
    else pending?.reject(mapDuckdbError(answer.error.message, this.path))
  }

  /** The process must not end while an answer is awaited, nor while a feed is open: waiting for shared memory keeps nothing alive. */
  #stayAlive(): void {
    if (this.#pending.size > 0 || this.#openFeeds > 0) this.#worker.ref()
    else this.#worker.unref()
  }

  #fail(error: unknown): void {
    this.#broken = error
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}

function startError(error: unknown): unknown {
  const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
  return missing ? new LoadError('missing-driver', 'The package @duckdb/node-api is not installed.', { cause: error }) : error
}

/** Statements in order, and their transaction. */
export class Connection {
  readonly #database: Database
  readonly #number: number

  constructor(database: Database, number: number) {
    this.#database = database
    this.#number = number
  }

  async rows(sql: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    return (await this.#database.request({ kind: 'query', connection: this.#number, sql, values })).rows ?? []
  }

  /** How many rows the statement inserted, updated or deleted. */
  async run(sql: string, values: readonly Value[] = []): Promise<number> {
    return (await this.#database.request({ kind: 'query', connection: this.#number, sql, values })).changed ?? 0
  }

  /** The one number that a query answers. */
  async count(sql: string, values: readonly Value[] = []): Promise<number> {
    const [row] = await this.rows(sql, values)
    return Number(Object.values(row ?? {})[0] ?? 0)
  }

  feed(into: string, names: readonly string[]): Promise<Feed> {
    return this.#database.openFeed(this.#number, into, names)
  }

  async interrupt(): Promise<void> {
    await this.#database.request({ kind: 'interrupt', connection: this.#number })
  }

  async close(): Promise<void> {
    await this.#database.request({ kind: 'disconnect', connection: this.#number })
  }
}

/** Rows on their way into one table, unseen until its connection commits. */
export class Feed {
  readonly #database: Database
  readonly #number: number
  readonly #writer: FeedWriter
  readonly #done: () => void

  constructor(database: Database, number: number, writer: FeedWriter, done: () => void) {
    this.#database = database
    this.#number = number
    this.#writer = writer
    this.#done = done
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    if (!(await this.#writer.write(bytes))) {
      await this.drain()
      throw new LoadError('bug', 'A feed failed without saying why.')
    }
    if (!this.#writer.active) await this.#database.request({ kind: 'pump', feed: this.#number })
  }

  /** Waits until every row is in the table, and says how many came. Throws what went wrong on the way. */
  async drain(): Promise<number> {
    this.#writer.end()
    return (await this.#database.request({ kind: 'drain', feed: this.#number })).changed ?? 0
  }

  /** Drops what has not arrived. */
  async close(): Promise<void> {
    this.#writer.cancel()
    await this.#database.request({ kind: 'close-feed', feed: this.#number })
    this.#done()
  }
}
