// What goes wrong on request, as the unmodified driver sees it.

import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type SnowflakeEmulator, startSnowflake } from '../../../src/testing/snowflake/emulator.ts'
import { connectTo, type SdkClient } from './sdk-client.ts'

let emulator: SnowflakeEmulator
let client: SdkClient

beforeEach(async () => {
  emulator = await startSnowflake({ inlineRows: 10, chunkRows: 50, inProgressAfterMs: 200 })
  client = await connectTo(emulator)
  await emulator.query("CREATE TABLE t (id INT, v VARCHAR); INSERT INTO t VALUES (1, 'a')")
})

afterEach(async () => {
  await client[Symbol.asyncDispose]()
  await emulator.stop()
})

const count = async () => (await emulator.query('SELECT count(*) FROM t'))[0]![0]

test('an answer that is lost once: the driver asks again, and the statement is not run twice', async () => {
  emulator.faults.add({ kind: 'lost-reply', sql: /INSERT/ })
  await client.rows("INSERT INTO t VALUES (2, 'b')")
  expect(emulator.faults.fired['lost-reply']).toBe(1)
  expect(await count()).toBe('2')
})

test('a COMMIT whose answer is lost for good has committed all the same', async () => {
  await using impatient = await connectTo(emulator, { sfRetryMaxLoginRetries: 1, retryTimeout: 1 } as never)
  emulator.faults.add({ kind: 'lost-reply', sql: /COMMIT/, times: 1000 })
  await impatient.rows('BEGIN')
  await impatient.rows("INSERT INTO t VALUES (2, 'b')")
  const lost = impatient.rows('COMMIT').then(
    () => 'answered',
    () => 'lost',
  )
  await expect.poll(count, { timeout: 10_000 }).toBe('2')
  emulator.faults.clear()
  expect(await lost).toBe('answered')
})

test('503 is asked again by the driver', async () => {
  emulator.faults.add({ kind: 'unavailable', sql: /INSERT/ })
  await client.rows("INSERT INTO t VALUES (2, 'b')")
  expect(emulator.faults.fired['unavailable']).toBe(1)
  expect(await count()).toBe('2')
})

test('an expired token is renewed within the transaction; so is one that the clock has made old', async () => {
  await client.rows('BEGIN')
  await client.rows("INSERT INTO t VALUES (2, 'b')")
  emulator.faults.add({ kind: 'expired-token' })
  await client.rows("INSERT INTO t VALUES (3, 'c')")
  emulator.clock.advance({ hours: 2 })
  await client.rows('COMMIT')
  expect(emulator.faults.fired['expired-token']).toBe(1)
  expect(await count()).toBe('3')
})

test('a lost session rolls its transaction back and lets its locks go', async () => {
  await client.rows('BEGIN')
  await client.rows('DELETE FROM t')
  emulator.faults.add({ kind: 'lost-session', sql: /COMMIT/ })
  await expect(client.rows('COMMIT')).rejects.toMatchObject({ code: 407002 })
  expect(await emulator.query('SHOW LOCKS')).toEqual([])
  expect(await count()).toBe('1')
})

test('a transaction that the server has aborted: what comes after runs in transactions of its own', async () => {
  await client.rows('BEGIN')
  await client.rows("INSERT INTO t VALUES (2, 'lost')")
  emulator.faults.add({ kind: 'aborted-transaction', sql: /kept/ })
  await client.rows("INSERT INTO t VALUES (3, 'kept')")
  expect(await client.rows('SELECT CURRENT_TRANSACTION()')).toEqual([[null]])
  expect(await emulator.query('SELECT v FROM t ORDER BY id')).toEqual([['a'], ['kept']])
})

test('SYSTEM$ABORT_SESSION ends another session and its transaction', async () => {
  const [[id]] = (await client.rows('SELECT CURRENT_SESSION()')) as [[string]]
  await client.rows('BEGIN')
  await client.rows('DELETE FROM t')
  expect((await emulator.query('SHOW TRANSACTIONS')).map((row) => row[2])).toEqual([id])
  await emulator.query(`SELECT SYSTEM$ABORT_SESSION(${id})`)
  expect(await count()).toBe('1')
  await expect(client.rows('SELECT 1')).rejects.toMatchObject({ code: 407002 })
})

test('a chunk that is cut between rows gives fewer rows than the server said, without an error', async () => {
  await emulator.query('CREATE TABLE many AS SELECT SEQ4() AS id FROM TABLE(GENERATOR(ROWCOUNT => 200))')
  emulator.faults.add({ kind: 'truncated-chunk', whole: true })
  const statement = await client.statement('SELECT id FROM many', { streamResult: true })
  let seen = 0
  for await (const _ of statement.streamRows()) seen++
  expect(emulator.faults.fired['truncated-chunk']).toBe(1)
  expect(statement.getNumRows()).toBe(200)
  expect(seen).toBeLessThan(200)
})

test('a long statement is asked for until it is done, and can be cancelled', async () => {
  emulator.faults.add({ kind: 'slow', milliseconds: 700, times: 2 })
  expect(await client.rows('SELECT 42')).toEqual([['42']])
  const statement = client.connection.execute({ sqlText: "INSERT INTO t VALUES (2, 'b')", complete: () => undefined })
  await pause(100)
  await new Promise<void>((resolve, reject) => statement.cancel((error) => (error ? reject(error) : resolve())))
  await pause(800)
  expect(await count()).toBe('1')
})

test('STATEMENT_TIMEOUT_IN_SECONDS stops a statement, also one that waits for a lock', async () => {
  await emulator.query('BEGIN; DELETE FROM t')
  await client.rows('ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1')
  await expect(client.rows('DELETE FROM t')).rejects.toMatchObject({ code: '000630' })
  await emulator.query('ROLLBACK')
  emulator.faults.add({ kind: 'statement-timeout', sql: /UPDATE/ })
  await expect(client.rows("UPDATE t SET v = 'x'")).rejects.toMatchObject({ code: '000630' })
  expect(await client.rows('SELECT v FROM t')).toEqual([['a']])
})

test('a network policy, a suspended warehouse and a missing grant', async () => {
  emulator.faults.add({ kind: 'network-policy' })
  await expect(connectTo(emulator)).rejects.toMatchObject({ code: '390422' })
  emulator.faults.add({ kind: 'suspended-warehouse' })
  await expect(client.rows('SELECT * FROM t')).rejects.toMatchObject({ code: '000606' })
  await expect(client.rows('DELETE FROM t')).rejects.toMatchObject({ code: '000606' })
  expect(await client.rows('SELECT CURRENT_USER()')).toEqual([['LOADER']])
  emulator.faults.clear()
  emulator.faults.add({ kind: 'missing-grant', object: 'RAW.PUBLIC.T', privilege: 'SELECT' })
  await expect(client.rows('SELECT * FROM t')).rejects.toMatchObject({ code: '003001' })
  emulator.faults.clear()
  emulator.faults.add({ kind: 'missing-grant', object: 'RAW.PUBLIC.T', privilege: 'DELETE', hidden: true })
  await expect(client.rows('DELETE FROM t')).rejects.toMatchObject({ code: '002003' })
})

test('a warehouse or a database that is not there lets the login through, and stops what needs it', async () => {
  await using idle = await connectTo(emulator, { warehouse: 'OTHER' })
  expect(await idle.rows('SELECT CURRENT_WAREHOUSE()')).toEqual([[null]])
  await expect(idle.rows('SELECT * FROM t')).rejects.toMatchObject({ code: '000606' })
  await expect(idle.rows('USE WAREHOUSE other')).rejects.toMatchObject({ code: '002043' })
  await using lost = await connectTo(emulator, { database: 'NOWHERE' })
  await expect(lost.rows('SELECT * FROM t')).rejects.toMatchObject({ code: '090105' })
  expect(await lost.rows('SELECT id FROM raw.public.t')).toEqual([['1']])
})

test('a stream whose table may not be read says that the table is gone', async () => {
  await emulator.query("CREATE STREAM s ON TABLE t; INSERT INTO t VALUES (2, 'b')")
  emulator.faults.add({ kind: 'missing-grant', object: 'RAW.PUBLIC.T', privilege: 'SELECT' })
  await expect(client.rows('SELECT * FROM s')).rejects.toMatchObject({ code: '091901' })
  emulator.faults.clear()
  expect(await client.rows('SELECT id FROM s')).toEqual([['2']])
  emulator.faults.add({ kind: 'missing-grant', object: 'RAW.PUBLIC', privilege: 'CREATE TABLE' })
  await expect(client.rows('CREATE TABLE other (id INT)')).rejects.toThrow(/Insufficient privileges to operate on schema 'PUBLIC'/)
})

test('a stream grows stale by the clock; asking an empty one whether it has data keeps it young', async () => {
  await emulator.query('CREATE STREAM empty ON TABLE t; CREATE STREAM full ON TABLE t; CREATE TABLE target (id INT)')
  emulator.clock.advance({ days: 10 })
  expect(await emulator.query("SELECT SYSTEM$STREAM_HAS_DATA('empty')")).toEqual([['0']])
  await emulator.query("INSERT INTO t VALUES (2, 'b')")
  emulator.clock.advance({ days: 5 })
  await using fresh = await connectTo(emulator)
  const stale = async () => Object.fromEntries((await fresh.rows('SHOW STREAMS')).map((row) => [row[1], row[10]]))
  expect(await stale()).toEqual({ EMPTY: 'false', FULL: 'true' })
  await expect(fresh.rows('SELECT * FROM full')).rejects.toMatchObject({ message: expect.stringContaining('stale') })
  await expect(fresh.rows('INSERT INTO target SELECT id FROM full')).rejects.toThrow(/stale/)
  expect(await fresh.rows('SELECT id FROM empty')).toEqual([['2']])
  await fresh.rows('INSERT INTO target SELECT id FROM empty')
  emulator.clock.advance({ days: 13 })
  expect((await emulator.query("SHOW STREAMS LIKE 'EMPTY'"))[0]![10]).toBe('false')
  await emulator.query('ALTER TABLE t SET DATA_RETENTION_TIME_IN_DAYS = 30')
  emulator.clock.advance({ days: 5 })
  expect((await emulator.query("SHOW STREAMS LIKE 'EMPTY'"))[0]![10]).toBe('false')
})

test('statements are written down as they came, with their tag', async () => {
  await client.rows("ALTER SESSION SET QUERY_TAG = 'tidemark:orders:7'")
  await client.rows('SELECT 1')
  expect(emulator.statements.slice(-1)).toMatchObject([{ sql: 'SELECT 1', queryTag: 'tidemark:orders:7' }])
})
