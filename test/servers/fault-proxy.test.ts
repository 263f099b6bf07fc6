import { connect, createServer, type Server } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fault, startFaultProxy } from '../../src/testing/fault-proxy.ts'
import { PostgresMessages } from '../../src/testing/postgres-messages.ts'
import { freshDatabase } from './fresh-database.ts'

let echo: Server
let port = 0

beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  port = (echo.address() as { port: number }).port
})
afterAll(() => {
  echo.close()
})

/** Sends the text, closes its half, and tells what came back and how it ended; `waiting` when nothing ended it for a while. */
function talk(proxyPort: number, text: string): Promise<{ back: string; how: string }> {
  return new Promise((resolve) => {
    let back = ''
    let how = 'end'
    const socket = connect({ host: '127.0.0.1', port: proxyPort, allowHalfOpen: true }, () => socket.end(text))
    const timer = setTimeout(() => {
      how = 'waiting'
      socket.destroy()
    }, 400)
    socket.on('data', (piece) => {
      back += piece
    })
    socket.on('error', (error) => {
      how = (error as NodeJS.ErrnoException).code ?? 'error'
    })
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ back, how })
    })
  })
}

const faults: [Fault[], { back: string; how: string }][] = [
  [[], { back: 'abcdefgh', how: 'end' }],
  [[{ kind: 'cut', direction: 'to-client', afterBytes: 3 }], { back: 'abc', how: 'end' }],
  [[{ kind: 'cut', direction: 'to-server', afterBytes: 0 }], { back: '', how: 'end' }],
  [[{ kind: 'cut', direction: 'to-server', afterBytes: 2, reset: true }], { back: '', how: 'ECONNRESET' }],
  [[{ kind: 'stall', direction: 'to-client', afterBytes: 5 }], { back: 'abcde', how: 'waiting' }],
  [[{ kind: 'refuse' }], { back: '', how: 'ECONNRESET' }],
]

test.each(faults)('%j', async (given, expected) => {
  await using proxy = await startFaultProxy({ port }, ...given)
  expect(await talk(proxy.port, 'abcdefgh')).toEqual(expected)
  expect(proxy.fired).toBe(given.length)
})

test('a delay keeps the order and the end', async () => {
  await using proxy = await startFaultProxy({ port }, { kind: 'delay', direction: 'to-client', milliseconds: 100 })
  const began = performance.now()
  expect(await talk(proxy.port, 'abcdefgh')).toEqual({ back: 'abcdefgh', how: 'end' })
  expect(performance.now() - began).toBeGreaterThan(95)
})

test('a fault can be for one connection, or for a number of times', async () => {
  await using proxy = await startFaultProxy({ port }, { kind: 'refuse', connections: [2] })
  const outcomes = []
  for (let n = 0; n < 3; n++) outcomes.push((await talk(proxy.port, 'x')).how)
  expect(outcomes).toEqual(['end', 'ECONNRESET', 'end'])
  proxy.set({ kind: 'refuse', times: 1 })
  expect([(await talk(proxy.port, 'x')).how, (await talk(proxy.port, 'x')).how]).toEqual(['ECONNRESET', 'end'])
  expect(proxy.connections).toBe(5)
})

test('10 MB pass through unharmed while nobody reads', async () => {
  await using proxy = await startFaultProxy({ port })
  const text = 'tide'.repeat(2_500_000)
  const received = await new Promise<string>((resolve) => {
    const parts: Buffer[] = []
    const socket = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true }, () => socket.end(text))
    socket.pause()
    setTimeout(() => socket.resume(), 100)
    socket.on('data', (piece) => parts.push(piece as Buffer))
    socket.on('end', () => resolve(Buffer.concat(parts).toString()))
  })
  expect(received === text).toBe(true)
})

/** Commits one row through the proxy; says what the client saw and what the table holds. */
async function commitThrough(fault: Fault): Promise<{ saw: string; rows: number; later: number; fired: number }> {
  await using database = await freshDatabase()
  await database.run('CREATE TABLE t (a int)')
  await using proxy = await startFaultProxy({ port: Number(new URL(database.url).port) }, fault)
  const commit = async () => {
    const client = new pg.Client({ connectionString: proxy.url(database.url) })
    client.on('error', () => {})
    await client.connect()
    try {
      await client.query('BEGIN')
      await client.query('INSERT INTO t VALUES ($1)', [1])
      await client.query('COMMIT')
      return 'COMMIT'
    } catch (error) {
      return (error as Error).message
    } finally {
      await client.end().catch(() => {})
    }
  }
  const count = async () => Number((await database.rows('SELECT count(*) AS n FROM t'))[0]?.n)
  const saw = await commit()
  const rows = await count()
  await commit()
  return { saw, rows, later: await count(), fired: proxy.fired }
}

test('a lost answer to COMMIT: done, but the client does not know', async () => {
  expect(await commitThrough({ kind: 'lose-commit', what: 'answer', times: 1 })).toEqual({
    saw: 'Connection terminated unexpectedly',
    rows: 1,
    later: 2,
    fired: 1,
  })
})

test('a lost COMMIT: not done, and the client does not know', async () => {
  expect(await commitThrough({ kind: 'lose-commit', what: 'request', times: 1 })).toEqual({
    saw: 'Connection terminated unexpectedly',
    rows: 0,
    later: 1,
    fired: 1,
  })
})

test('COMMIT is found wherever the network splits the messages', () => {
  const startup = Buffer.from(
    '\0\0\0\x08\x04\xd2\x16\x2f' + '\0\0\0\x09\0\x03\0\0\0' + 'Q\0\0\0\x0bBEGIN;\0' + 'Q\0\0\0\x0bCOMMIT\0',
    'latin1',
  )
  const answers = Buffer.from('N' + 'R\0\0\0\x08\0\0\0\0' + 'C\0\0\0\x0aBEGIN\0' + 'C\0\0\0\x0bCOMMIT\0', 'latin1')
  for (let size = 1; size <= startup.length; size++) {
    const messages = new PostgresMessages()
    const finds = (bytes: Buffer, direction: 'to-server' | 'to-client') => {
      const places = []
      for (let at = 0; at < bytes.length; at += size) if (messages.follow(bytes.subarray(at, at + size), direction).found) places.push(at)
      return places
    }
    expect(finds(startup, 'to-server')).toEqual([Math.floor((startup.length - 1) / size) * size])
    expect(finds(answers, 'to-client')).toEqual([Math.floor((answers.length - 1) / size) * size])
  }
})
