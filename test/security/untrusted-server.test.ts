// What is taken on trust: nothing but this machine itself, unless the project says otherwise; and no message of impossible length.

import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { startLoading } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'

test('anything but this machine itself is verified unless the project says otherwise', async () => {
  // 0.0.0.0 leads here, but is no loopback address.
  await using loading = await startLoading()
  await makeOrders(loading.source, 10)
  const url = new URL(loading.source.url)
  url.hostname = '0.0.0.0'
  loading.pipelines({ orders: {} }, { shop: { type: 'postgres', url: url.href } })
  expect((await loading.run()).error?.code).toBe('tls-failed')
  url.searchParams.set('sslmode', 'disable')
  loading.pipelines({ orders: {} }, { shop: { type: 'postgres', url: url.href } })
  expect((await loading.run()).error).toBeNull()
})

interface Rogue extends AsyncDisposable {
  readonly port: number
  /** Everything that it was sent, in the clear. */
  heard(): string
}

/** Answers the first message that comes on a connection, and listens to the rest. */
async function rogueServer(answer: (socket: Socket, first: Buffer) => void): Promise<Rogue> {
  let heard = ''
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.once('data', (first) => answer(socket, first))
    socket.on('data', (piece) => {
      heard += piece.toString('latin1')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

test('a server that speaks nonsense, or of more than there can be, is refused', async () => {
  const lies = ['HTTP/1.1 400 Bad Request\r\n\r\n', 'R\xff\xff\xff\xff\0\0\0\0', 'R\0\0\0\0\0\0\0\0', 'S\x7f\xff\xff\xff\0\0\0']
  for (const nonsense of lies.map((text) => Buffer.from(text, 'latin1'))) {
    await using rogue = await rogueServer((socket) => socket.end(nonsense))
    await using loading = await startLoading()
    loading.pipelines(
      { orders: {} },
      { shop: { type: 'postgres', host: '127.0.0.1', port: rogue.port, user: 'someone', database: 'd', connect_timeout: '3s' } },
    )
    const { error } = await loading.run({}, { retries: 0 })
    expect(['unreachable', 'unsupported-server']).toContain(error?.code)
  }
})
