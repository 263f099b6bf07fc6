// A TCP proxy that breaks connections on purpose: cuts, resets, stalls, delays, and loses a COMMIT or the answer to it.
// Always: what it forwards it forwards unchanged and in order; a fault that fired is counted, so that a test can prove it happened.

import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { PostgresMessages } from './postgres-messages.ts'

export type Direction = 'to-server' | 'to-client'

interface Which {
  /** Only these connections, counted from 1 in the order of their coming; default all. */
  readonly connections?: readonly number[]
  /** At most so many firings in the proxy's life; default unlimited. */
  readonly times?: number
}

export type Fault = Which &
  (
    | { readonly kind: 'refuse' }
    /** Forwards exactly so many bytes of a direction, then ends both sides: by FIN, or by RST with `reset`. */
    | { readonly kind: 'cut'; readonly direction: Direction; readonly afterBytes: number; readonly reset?: boolean }
    /** Forwards exactly so many bytes of a direction, then nothing more of it; the connection stays open. */
    | { readonly kind: 'stall'; readonly direction: Direction; readonly afterBytes: number }
    | { readonly kind: 'delay'; readonly direction: Direction; readonly milliseconds: number }
    /** Postgres without TLS. `request`: COMMIT never arrives. `answer`: it is done, but the client never hears of it. Then both sides end. */
    | { readonly kind: 'lose-commit'; readonly what: 'request' | 'answer' }
  )

export interface FaultProxy extends AsyncDisposable {
  readonly port: number
  /** Connections taken so far. */
  readonly connections: number
  /** Faults fired so far. */
  readonly fired: number
  /** The url with host and port replaced by the proxy's. */
  url(serverUrl: string): string
  /** Replaces the faults; holds for connections made from now on. */
  set(...faults: readonly Fault[]): void
  /** Ends all open connections now. */
  cutAll(how?: 'end' | 'reset'): void
  close(): Promise<void>
}

export interface ProxyTarget {
  readonly host?: string
  readonly port: number
}

/** Listens on a free port of 127.0.0.1. */
export async function startFaultProxy(to: ProxyTarget, ...faults: readonly Fault[]): Promise<FaultProxy> {
  const proxy = new TcpProxy(to)
  proxy.set(...faults)
  await proxy.listen()
  return proxy
}

type Outcome = 'go-on' | 'end' | 'reset' | 'stall'

interface Verdict {
  readonly forward: Buffer
  readonly outcome: Outcome
}

/** Sees every piece of one direction of one connection. */
type Filter = (piece: Buffer) => Verdict

interface ActiveFault {
  readonly fault: Fault
  left: number
}

class TcpProxy implements FaultProxy {
  port = 0
  connections = 0
  fired = 0
  readonly #to: ProxyTarget
  readonly #server: Server
  readonly #open = new Set<Socket>()
  #faults: readonly ActiveFault[] = []

  constructor(to: ProxyTarget) {
    this.#to = to
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address()
        if (typeof address === 'object' && address) this.port = address.port
        resolve()
      })
    })
  }

  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.hostname = '127.0.0.1'
    url.port = String(this.port)
    return url.href
  }

  set(...faults: readonly Fault[]): void {
    this.#faults = faults.map((fault) => ({ fault, left: fault.times ?? Number.POSITIVE_INFINITY }))
  }

  cutAll(how: 'end' | 'reset' = 'end'): void {
    for (const socket of this.#open) end(socket, how)
  }

  async close(): Promise<void> {
    this.cutAll()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(client: Socket): void {
    const number = ++this.connections
    const faults = this.#faults.filter(({ fault }) => fault.connections?.includes(number) ?? true)
    const refusal = faults.find((one) => one.fault.kind === 'refuse')
    if (refusal && this.#fire(refusal)) {
      client.resetAndDestroy()
      return
    }
    const server = createConnection({ host: this.#to.host ?? '127.0.0.1', port: this.#to.port, allowHalfOpen: true, noDelay: true })
    for (const [own, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(own)
      own.on('error', () => other.destroy())
      own.on('close', () => this.#open.delete(own))
    }
    const messages = new PostgresMessages()
    this.#forward(client, server, faults, 'to-server', messages)
    this.#forward(server, client, faults, 'to-client', messages)
  }

  #forward(from: Socket, to: Socket, faults: readonly ActiveFault[], direction: Direction, messages: PostgresMessages): void {
    const filters = faults.flatMap((active) => this.#filter(active, direction, messages) ?? [])
    const delay = faults.reduce(
      (sum, one) => sum + (one.fault.kind === 'delay' && one.fault.direction === direction ? one.fault.milliseconds : 0),
      0,
    )
    let queue = Promise.resolve()
    let stopped = false
    const later = (work: () => void) => {
      if (delay === 0) return work()
      const due = pause(delay)
      queue = queue.then(() => due).then(work)
    }
    from.on('data', (piece: Buffer) => {
      if (stopped) return
      const { forward, outcome } = judge(filters, piece)
      stopped = outcome !== 'go-on'
      if (outcome === 'stall') from.pause()
      later(() => {
        if (to.destroyed) return
        const flushed = to.write(forward, () => {
          if (outcome === 'end' || outcome === 'reset') for (const socket of [to, from]) end(socket, outcome)
        })
        if (!flushed && !stopped) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    })
    from.on('end', () => {
      if (!stopped) later(() => to.end())
    })
  }

  #filter(active: ActiveFault, direction: Direction, messages: PostgresMessages): Filter | null {
    const { fault } = active
    if (fault.kind === 'cut' && fault.direction === direction) return this.#limit(active, fault.afterBytes, fault.reset ? 'reset' : 'end')
    if (fault.kind === 'stall' && fault.direction === direction) return this.#limit(active, fault.afterBytes, 'stall')
    if (fault.kind !== 'lose-commit') return null
    // Both directions are followed: whether the server's next byte is a message depends on what the client asked.
    const lost = (fault.what === 'request') === (direction === 'to-server')
    return (piece) => {
      const { before, found } = messages.follow(piece, direction)
      if (found && lost && this.#fire(active)) return { forward: before, outcome: 'end' }
      return { forward: piece, outcome: 'go-on' }
    }
  }

  #limit(active: ActiveFault, afterBytes: number, outcome: Outcome): Filter {
    let left = afterBytes
    return (piece) => {
      if (left > piece.length) {
        left -= piece.length
        return { forward: piece, outcome: 'go-on' }
      }
      const forward = piece.subarray(0, left)
      left = Number.POSITIVE_INFINITY
      return this.#fire(active) ? { forward, outcome } : { forward: piece, outcome: 'go-on' }
    }
  }

  #fire(active: ActiveFault): boolean {
    if (active.left <= 0) return false
    active.left--
    this.fired++
    return true
  }
}

function judge(filters: readonly Filter[], piece: Buffer): Verdict {
  let forward = piece
  for (const filter of filters) {
    const verdict = filter(forward)
    if (verdict.outcome !== 'go-on') return verdict
    forward = verdict.forward
  }
  return { forward, outcome: 'go-on' }
}

function end(socket: Socket, how: Outcome): void {
  if (how === 'reset') socket.resetAndDestroy()
  else socket.destroy()
}
