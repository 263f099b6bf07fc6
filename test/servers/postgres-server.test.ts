import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { freshDatabase } from './fresh-database.ts'
import { OLDER_VERSIONS } from './older-versions.ts'
import { tlsMaterial } from './tls-material.ts'

async function ask(config: pg.ClientConfig, sql: string): Promise<unknown> {
  const client = new pg.Client(config)
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    await client.end().catch(() => {})
  }
}

test('the shared server is logical and speaks UTF-8, and a fresh database is empty', async () => {
  await using database = await freshDatabase()
  const [settings] = await database.rows(
    "SELECT current_setting('wal_level') AS wal, current_setting('server_encoding') AS encoding, current_setting('timezone') AS zone",
  )
  expect(settings).toEqual({ wal: 'logical', encoding: 'UTF8', zone: 'UTC' })
  const tables = await database.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
  expect(tables).toEqual([])
})

test('a fresh database goes away with its connections, slots and prepared transactions', async () => {
  const database = await freshDatabase()
  await database.run('CREATE TABLE t (a int)')
  await database.client.query("SELECT pg_create_logical_replication_slot('gone_slot', 'pgoutput')")
  await database.client.query('BEGIN')
  await database.client.query('INSERT INTO t VALUES (1)')
  await database.client.query("PREPARE TRANSACTION 'gone'")
  await database.connect()
  await database.drop()
  expect(
    await ask({ connectionString: inject('postgresUrl') }, `SELECT count(*) FROM pg_database WHERE datname = '${database.name}'`),
  ).toBe('0')
})

test.each([...OLDER_VERSIONS, undefined])('version %s starts, keeps its data over a kill, and leaves nothing', async (version) => {
  const server = await startPostgres(version === undefined ? {} : { version })
  expect(server.version).toBe(version ?? server.version)
  await server.createDatabase('odd "name"')
  const connection = { connectionString: server.url('odd "name"') }
  await ask(connection, 'CREATE TABLE kept AS SELECT 7 AS a')
  const before = server.pid
  await server.restart('kill')
  expect(server.pid).not.toBe(before)
  expect(await ask(connection, 'SELECT a FROM kept')).toBe(7)
  await server.stop()
  await expect(ask(connection, 'SELECT 1')).rejects.toThrow('ECONNREFUSED')
  await server[Symbol.asyncDispose]()
  expect(existsSync(dirname(server.dataDirectory))).toBe(false)
})

test('settings and roles are as asked; other users need their password', async () => {
  await using server = await startPostgres({
    settings: { work_mem: '7MB', log_statement: 'all' },
    hba: ['host all locked 127.0.0.1/32 reject'],
  })
  await server.execute("CREATE ROLE reader LOGIN PASSWORD 'p@ss/word'")
  await server.execute('CREATE ROLE locked LOGIN')
  const url = server.url('postgres', 'reader', 'p@ss/word')
  expect(await ask({ connectionString: url }, "SELECT current_user || ' ' || current_setting('work_mem')")).toBe('reader 7MB')
  await expect(ask({ connectionString: server.url('postgres', 'reader', 'wrong') }, 'SELECT 1')).rejects.toThrow(
    'password authentication failed',
  )
  await expect(ask({ connectionString: server.url('postgres', 'locked') }, 'SELECT 1')).rejects.toThrow('rejects connection')
  await expect(server.execute('SELECT nonsense')).rejects.toThrow('column "nonsense" does not exist')
  expect(server.log()).toContain('CREATE ROLE reader')
})

test('a setting that Postgres refuses is reported with its own words', async () => {
  await expect(startPostgres({ settings: { wal_level: 'imaginary' } })).rejects.toThrow('invalid value for parameter "wal_level"')
})

test('a version that is not there is reported with the places looked at', async () => {
  await expect(startPostgres({ version: 9 })).rejects.toThrow(/No Postgres 9 on this machine\. Looked in: .*version 18/)
})

test('TLS: the right certificate is accepted, each wrong one is refused', async () => {
  const material = tlsMaterial()
  const attempt = async (tls: { cert: string; key: string }, ca: string) => {
    await using server = await startPostgres({ tls })
    const { hostname: host, port } = new URL(server.url())
    const config = { host, port: Number(port), user: 'postgres', database: 'postgres', ssl: { ca, rejectUnauthorized: true } }
    return await ask(config, 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
  }
  expect(await attempt(material.valid, material.ca)).toBe(true)
  await expect(attempt(material.valid, material.otherCa)).rejects.toThrow(/unable to verify|self-signed|unable to get/)
  await expect(attempt(material.wrongHost, material.ca)).rejects.toThrow("does not match certificate's altnames")
  await expect(attempt(material.expired, material.ca)).rejects.toThrow('certificate has expired')
})

test('a server ends with the process that started it, even when that is killed', async () => {
  const module = new URL('../../src/testing/postgres-server.ts', import.meta.url).href
  const script = `const { startPostgres } = await import('${module}')
    const server = await startPostgres()
    console.log(server.url(), server.dataDirectory)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100)`
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], (_error, stdout) => resolve(stdout))
  })
  const [url = '', dataDirectory = ''] = output.trim().split(' ')
  expect(url).toMatch(/^postgres:/)
  await expect.poll(() => existsSync(dirname(dataDirectory)), { timeout: 10_000 }).toBe(false)
  await expect(ask({ connectionString: url }, 'SELECT 1')).rejects.toThrow('ECONNREFUSED')
})
