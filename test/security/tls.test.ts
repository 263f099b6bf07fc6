// Connections that must not be made: to a server that can't prove who it is, that takes encryption away, or that asks for the
// password in the clear. Servers of our own on a socket count every byte that is sent to them.

import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'
import { type TlsMaterial, tlsMaterial } from '../servers/tls-material.ts'

type Kind = 'valid' | 'wrongHost' | 'expired'

let material: TlsMaterial
let servers: Readonly<Record<Kind, PostgresServer>>
let loading: Loading

beforeAll(async () => {
  material = tlsMaterial()
  const start = (kind: Kind): Promise<PostgresServer> => startPostgres({ tls: material[kind] })
  const [valid, wrongHost, expired] = await Promise.all([start('valid'), start('wrongHost'), start('expired')])
  servers = { valid, wrongHost, expired }
  loading = await startLoading({ sourceServer: valid.url() })
  await makeOrders(loading.source, 10)
})
afterAll(async () => {
  await loading[Symbol.asyncDispose]()
  await Promise.all(Object.values(servers).map((server) => server[Symbol.asyncDispose]()))
})

async function runWith(url: string, tls: unknown) {
  loading.pipelines({ orders: {} }, { shop: { type: 'postgres', url, ...(tls === undefined ? {} : { tls }) } })
  return await loading.run({ fullRefresh: true })
}

test.each([
  ['verify-full', true],
  ['verify-ca', true],
  ['require', false],
])('%s: a server with a good certificate is read', async (mode, verifies) => {
  const result = await runWith(loading.source.url, { mode, ...(verifies ? { ca: material.ca } : {}) })
  expect(result).toMatchObject({ error: null, rows: { read: 10 } })
})

const REFUSED: readonly (readonly [why: string, server: Kind, mode: string, authority: 'ca' | 'otherCa' | null])[] = [
  ['another host', 'wrongHost', 'verify-full', 'ca'],
  ['an expired certificate', 'expired', 'verify-full', 'ca'],
  ['an expired certificate', 'expired', 'verify-ca', 'ca'],
  ['an unknown authority', 'valid', 'verify-full', 'otherCa'],
  ['an unknown authority', 'valid', 'verify-ca', 'otherCa'],
  ['no authority at all', 'valid', 'verify-full', null],
]

test.each(REFUSED)('%s (server %s) is refused by %s', async (_why, kind, mode, authority) => {
  const result = await runWith(servers[kind].url(), { mode, ...(authority === null ? {} : { ca: material[authority] }) })
  expect(result.error).toMatchObject({ code: 'tls-failed' })
})

test('a name given for the certificate stands in for the host', async () => {
  const tls = { mode: 'verify-full', ca: material.ca, server_name: 'db.example.com' }
  expect((await runWith(servers.wrongHost.url(), tls)).error).not.toMatchObject({ code: 'tls-failed' })
})

interface FakeServer extends AsyncDisposable {
  readonly url: string
  received(): Buffer
}

/** Answers the first message, and keeps what it gets. */
async function fakeServer(answer: Buffer): Promise<FakeServer> {
  const got: Buffer[] = []
  const server = createServer((socket) => {
    socket.once('data', () => socket.write(answer))
    socket.on('data', (bytes) => got.push(bytes)).on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `postgres://reader:kestrel%2Fsecret@127.0.0.1:${port}/shop`,
    received: () => Buffer.concat(got),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

test.each(['require', 'verify-ca', 'verify-full'])(
  '%s: a server that refuses encryption learns nothing, not even the user',
  async (mode) => {
    await using server = await fakeServer(Buffer.from('N'))
    const { error } = await runWith(server.url, { mode, ca: material.ca }).catch((thrown) => ({ error: thrown }))
    expect(error).toMatchObject({ code: 'tls-failed' })
    expect(server.received()).toHaveLength(8)
  },
)

test.each(['require', 'verify-full'])('%s: a real server without TLS is refused', async (mode) => {
  expect((await runWith(loading.target.url, { mode })).error).toMatchObject({ code: 'tls-failed' })
})

/** AuthenticationCleartextPassword. */
const ASKS_IN_THE_CLEAR = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

test.each([undefined, 'disable'])(
  'a password asked for in the clear is not given on a line that anybody may read (tls: %s)',
  async (tls) => {
    await using server = await fakeServer(ASKS_IN_THE_CLEAR)
    const { error } = await runWith(server.url, tls)
    expect(error).toMatchObject({ code: 'authentication-failed', message: expect.stringContaining('in the clear') })
    await new Promise((resolve) => setTimeout(resolve, 200))
    const received = server.received().toString('latin1')
    expect(received).toContain('reader')
    expect(received).not.toContain('kestrel')
  },
)
