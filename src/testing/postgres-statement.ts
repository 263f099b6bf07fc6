// Sends one statement to a Postgres that trusts us, in 50 lines of its wire protocol: the server starter must not need a driver.

import { createConnection, type NetConnectOpts } from 'node:net'

/** Runs it in autocommit and resolves when the server is ready again; rejects with the server's message. */
export function runStatement(where: NetConnectOpts, sql: string, user = 'postgres', database = 'postgres'): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(where)
    let received = Buffer.alloc(0)
    let sent = false
    let failure: Error | null = null
    const finish = () => {
      socket.end(message('X', Buffer.alloc(0)))
      if (failure) reject(failure)
      else resolve()
    }
    socket.on('error', reject)
    socket.on('close', () => reject(failure ?? new Error('The server closed the connection.')))
    socket.on('connect', () => socket.write(startup(user, database)))
    socket.on('data', (part) => {
      received = Buffer.concat([received, part])
      while (received.length >= 5 && received.length >= 1 + received.readUInt32BE(1)) {
        const kind = String.fromCharCode(received[0] ?? 0)
        const body = received.subarray(5, 1 + received.readUInt32BE(1))
        received = received.subarray(1 + received.readUInt32BE(1))
        if (kind === 'R' && body.readUInt32BE(0) !== 0) failure = new Error('The server asks for a password.')
        if (kind === 'E') failure = new Error(errorText(body))
        if (kind === 'Z' && sent) return finish()
        if (kind === 'Z') socket.write(message('Q', Buffer.from(`${sql}\0`)))
        sent ||= kind === 'Z'
        if (kind === 'R' && failure) return finish()
      }
    })
  })
}

function startup(user: string, database: string): Buffer {
  const body = Buffer.from(`\0\x03\0\0user\0${user}\0database\0${database}\0\0`)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length + 4)
  return Buffer.concat([length, body])
}

function message(kind: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(kind)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function errorText(body: Buffer): string {
  const fields = body.toString('utf8').split('\0')
  return fields.find((field) => field.startsWith('M'))?.slice(1) ?? 'The server refused the statement.'
}
