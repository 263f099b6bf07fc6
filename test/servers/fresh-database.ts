// A database of its own for a test, on the shared Postgres or another one. Its name holds a space and a capital, so that
// whatever forgets to quote it fails.

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

export interface FreshDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly client: pg.Client
  /** Rows of one statement, every value as the text that the server sent. */
  rows(sql: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>
  /** Any number of statements, in one implicit transaction unless they say otherwise. */
  run(sql: string): Promise<void>
  /** Another connection; closed with the database. */
  connect(): Promise<pg.Client>
  /** Ends whatever is connected or prepared, and its slots; also done at the end of an `await using` block. */
  drop(): Promise<void>
}

const asText = { getTypeParser: () => (value: string | Buffer) => value.toString() }

/** `serverUrl`: a superuser's url of another server than the shared one. */
export async function freshDatabase(serverUrl: string = inject('postgresUrl')): Promise<FreshDatabase> {
  const name = `Test ${randomBytes(6).toString('hex')}`
  const url = new URL(serverUrl)
  await once(serverUrl, async (admin) => {
    await admin.query(`CREATE DATABASE "${name}"`)
  })
  url.pathname = `/${encodeURIComponent(name)}`
  const opened: pg.Client[] = []
  const connect = async () => {
    const client = new pg.Client({ connectionString: url.href })
    // A test may end the server under it; the next query tells.
    client.on('error', () => {})
    opened.push(client)
    await client.connect()
    return client
  }
  const client = await connect()
  const drop = async () => {
    await Promise.allSettled(opened.splice(0).map((one) => one.end()))
    await dropDatabase(serverUrl, url.href, name)
  }
  return {
    name,
    url: url.href,
    client,
    connect,
    drop,
    rows: async (sql, values = []) => (await client.query({ text: sql, values: [...values], types: asText })).rows,
    run: async (sql) => {
      await client.query(sql)
    },
    [Symbol.asyncDispose]: drop,
  }
}

async function dropDatabase(serverUrl: string, url: string, name: string): Promise<void> {
  await once(url, async (inside) => {
    const prepared = await inside.query('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()')
    for (const { gid } of prepared.rows) await inside.query(`ROLLBACK PREPARED ${pg.escapeLiteral(gid)}`)
  })
  await once(serverUrl, async (admin) => {
    for (let attempt = 1; ; attempt++) {
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
      try {
        await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1', [name])
        await admin.query(`DROP DATABASE "${name}"`)
        return
      } catch (error) {
        // 55006: a backend or a slot that was told to end is still ending.
        if ((error as { code?: string }).code !== '55006' || attempt === 100) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  })
}

async function once(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
