// Stands between a client and a Postgres as a pooler that knows nothing of replication: it refuses such a connection, as PgBouncer
// before 1.23 does, or leaves out what asks for it, as with its `ignore_startup_parameters`. Or it knows no settings of a session either.

import { connect, createServer, type Socket } from 'node:net'

const PROTOCOL_3 = 196_608

export interface FakePooler extends AsyncDisposable {
  /** The url with host and port replaced by the pooler's. */
  url(serverUrl: string): string
}

export async function startFakePooler(how: 'refuses' | 'ignores' | 'knows nothing'): Promise<FakePooler> {
  let port = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => client.destroy())
    client.once('data', (first) => {
      const startup = how === 'ignores' ? withoutReplication(first) : first
      const unknown = how === 'knows nothing' ? 'options' : 'replication'
      if (startup.includes(`\0${unknown}\0`)) {
        client.end(refusal(unknown))
        return
      }
      const upstream = connect(port, '127.0.0.1')
      sockets.add(upstream)
      upstream.on('error', () => client.destroy())
      upstream.write(startup)
      client.pipe(upstream).pipe(client)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url(serverUrl) {
      const url = new URL(serverUrl)
      port = Number(url.port)
      const address = server.address()
      url.port = String(typeof address === 'object' ? address?.port : '')
      return url.href
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function withoutReplication(packet: Buffer): Buffer {
  const words = Buffer.from('replication\0database\0')
  const at = packet.indexOf(words)
  if (packet.readInt32BE(4) !== PROTOCOL_3 || at < 0) return packet
  const rest = Buffer.concat([packet.subarray(0, at), packet.subarray(at + words.length)])
  rest.writeInt32BE(rest.length, 0)
  return rest
}

function refusal(parameter: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08P01\0Munsupported startup parameter: ${parameter}\0\0`)
  const head = Buffer.from([0x45, 0, 0, 0, 0])
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
