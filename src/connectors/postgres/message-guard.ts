// Stands before pg's parser of messages and follows their lengths. One that can't be (below 4, or beyond PostgreSQL's own limit)
// would send that parser round in circles, where not even a signal is heard: here it ends the connection.

import type { Socket } from 'node:net'
import { LoadError } from '../../core/errors.ts'

type Listener = (data: Buffer) => void

const MAX_MESSAGE_BYTES = 0x3fff_ffff

/** Takes the place of the listeners that the socket has. */
export function guardMessages(stream: Socket): void {
  const listeners = stream.listeners('data') as Listener[]
  stream.removeAllListeners('data')
  const head = Buffer.alloc(5)
  let headBytes = 0
  /** Of the message under way, what has not come yet. */
  let left = 0
  const possible = (data: Buffer): boolean => {
    for (let at = 0; at < data.length; ) {
      if (left > 0) {
        const step = Math.min(left, data.length - at)
        left -= step
        at += step
        continue
      }
      head[headBytes++] = data[at++] ?? 0
      if (headBytes < 5) continue
      headBytes = 0
      const size = head.readInt32BE(1)
      if (size < 4 || size > MAX_MESSAGE_BYTES) return false
      left = size - 4
    }
    return true
  }
  stream.on('data', (data: Buffer) => {
    if (stream.destroyed) return
    if (possible(data)) for (const listener of listeners) listener.call(stream, data)
    else
      stream.destroy(new LoadError('unsupported-server', 'What answers is no PostgreSQL server: it sent a message of impossible length.'))
  })
}
