// The worker thread in which one DuckDB database lives. It answers requests in order of arrival; a feed waits here for its next
// chunk without keeping the main thread from reading it. Knows no loads and no state: only statements and feeds.

import { setTimeout as pause } from 'node:timers/promises'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import { LoadError } from '../../core/errors.ts'
import { FEED_FUNCTION, FeedReader, registerFeeds } from './feed-reader.ts'
import { SHARED } from './feed-ring.ts'

export type Value = string | bigint | number | null
export type Row = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

/** `feed` names a feed; statements run on one connection in order. */
export type Request =
  | { readonly kind: 'connect' | 'disconnect' | 'interrupt'; readonly connection: number }
  | { readonly kind: 'query'; readonly connection: number; readonly sql: string; readonly values: readonly Value[] }
  | {
      readonly kind: 'open-feed'
      readonly connection: number
      readonly feed: number
      readonly into: string
      readonly names: readonly string[]
      readonly control: Int32Array
      readonly port: MessagePort
    }
  | { readonly kind: 'pump' | 'drain' | 'close-feed'; readonly feed: number }
  | { readonly kind: 'close' }

export interface Answer {
  readonly id: number
  readonly rows?: readonly Row[]
  readonly changed?: number
  /** A native error's message, or a LoadError in parts. */
  readonly error?: { readonly message: string; readonly code: string | null }
}

export interface WorkerData {
  readonly path: string
  readonly options: Readonly<Record<string, string>>
  readonly shared: Int32Array
}

interface OpenFeed {
  readonly reader: FeedReader
  readonly insert: () => Promise<unknown>
}

const { path, options, shared } = workerData as WorkerData
const port = parentPort as MessagePort
const connections = new Map<number, DuckDBConnection>()
const feeds = new Map<number, OpenFeed>()
const readers = new Map<number, FeedReader>()
let database: Promise<DuckDBInstance> | null = null

/** Once, whoever asks while it is being opened: a file opened twice loses what one of the two writes. */
async function openDatabase(): Promise<DuckDBInstance> {
  database ??= openFile()
  try {
    return await database
  } catch (thrown) {
    database = null
    throw thrown
  }
}

async function openFile(): Promise<DuckDBInstance> {
  for (let attempt = 1; ; attempt++) {
    try {
      const instance = await DuckDBInstance.create(path, options)
      const connection = await instance.connect()
      registerFeeds(connection, readers)
      connection.closeSync()
      return instance
    } catch (thrown) {
      // A file that another process is making at this moment has no header yet.
      if (attempt === 5 || !/not a valid DuckDB database file/.test(String(thrown))) throw thrown
      await pause(100)
    }
  }
}

function connectionOf(number: number): DuckDBConnection {
  const connection = connections.get(number)
  if (connection === undefined) throw new LoadError('bug', 'A statement came for a DuckDB connection that is closed.')
  return connection
}

function feedOf(number: number): OpenFeed {
  const feed = feeds.get(number)
  if (feed === undefined) throw new LoadError('bug', 'A request came for a feed that is closed.')
  return feed
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

async function openFeed(request: Request & { kind: 'open-feed' }): Promise<void> {
  const connection = connectionOf(request.connection)
  const columns = request.names.map(quoted).join(', ')
  const like = await connection.runAndReadAll(`SELECT ${columns} FROM ${request.into} LIMIT 0`)
  const reader = new FeedReader(request.names, like.columnTypes(), request.control, shared, request.port)
  const sql = `INSERT INTO ${request.into} (${columns}) SELECT * FROM ${FEED_FUNCTION}(${request.feed})`
  feeds.set(request.feed, { reader, insert: () => connection.run(sql) })
  readers.set(request.feed, reader)
}

async function answer(request: Request): Promise<Omit<Answer, 'id'>> {
  switch (request.kind) {
    case 'connect': {
      const connection = await (await openDatabase()).connect()
      // Texts of times must not depend on the machine's zone.
      await connection.run("SET TimeZone = 'UTC'")
      connections.set(request.connection, connection)
      return {}
    }
    case 'disconnect':
      connectionOf(request.connection).closeSync()
      connections.delete(request.connection)
      return {}
    case 'interrupt':
      connectionOf(request.connection).interrupt()
      return {}
    case 'query': {
      const result = await connectionOf(request.connection).runAndReadAll(request.sql, request.values as DuckDBValue[])
      return { rows: result.getRowObjectsJson() as Row[], changed: result.rowsChanged }
    }
    case 'open-feed':
      await openFeed(request)
      return {}
    case 'pump': {
      const { reader, insert } = feedOf(request.feed)
      // The drain tells how it ended.
      void reader.pump(insert)
      return {}
    }
    case 'drain': {
      const { reader, insert } = feedOf(request.feed)
      await reader.pump(insert)
      await reader.pump(insert)
      if (reader.failure !== null) throw reader.failure
      return { changed: reader.rows }
    }
    case 'close-feed':
      await feedOf(request.feed).reader.running
      feeds.delete(request.feed)
      readers.delete(request.feed)
      return {}
    case 'close':
      for (const connection of connections.values()) connection.closeSync()
      connections.clear()
      if (database !== null) (await database.catch(() => null))?.closeSync()
      database = null
      return {}
  }
}

port.on('message', async ({ id, request }: { id: number; request: Request }) => {
  Atomics.sub(shared, SHARED.requests, 1)
  try {
    port.postMessage({ id, ...(await answer(request)) } satisfies Answer)
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    const code = thrown instanceof LoadError ? thrown.code : null
    port.postMessage({ id, error: { message, code } } satisfies Answer)
  }
})
