// Locks of tables and streams, held until the end of a transaction. Who comes later waits in line; whoever would wait for itself is refused.

import { SnowflakeError } from './snowflake-error.ts'

interface Waiter {
  readonly owner: number
  readonly wake: () => void
}

interface Lock {
  owner: number
  readonly waiters: Waiter[]
}

export interface HeldLock {
  readonly resource: string
  readonly transaction: number
  readonly status: 'HOLDING' | 'WAITING'
}

export class Locks {
  readonly #locks = new Map<string, Lock>()

  async acquire(resource: string, owner: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const lock = this.#locks.get(resource)
    if (!lock) {
      this.#locks.set(resource, { owner, waiters: [] })
      return
    }
    if (lock.owner === owner) return
    if (this.#waitsFor(lock.owner, owner)) {
      throw new SnowflakeError('000605', '40001', `Statement was aborted: it and another transaction wait for each other, on ${resource}.`)
    }
    await this.#wait(resource, lock, owner, timeoutMs, signal)
  }

  release(owner: number): void {
    for (const [resource, lock] of this.#locks) {
      if (lock.owner !== owner) continue
      const next = lock.waiters.shift()
      if (next) {
        lock.owner = next.owner
        next.wake()
      } else this.#locks.delete(resource)
    }
  }

  list(): HeldLock[] {
    return [...this.#locks].flatMap(([resource, { owner, waiters }]) => [
      { resource, transaction: owner, status: 'HOLDING' as const },
      ...waiters.map((waiter) => ({ resource, transaction: waiter.owner, status: 'WAITING' as const })),
    ])
  }

  #waitsFor(waiting: number, owner: number): boolean {
    if (waiting === owner) return true
    const next = [...this.#locks.values()].find(({ waiters }) => waiters.some((one) => one.owner === waiting))
    return next !== undefined && this.#waitsFor(next.owner, owner)
  }

  #wait(resource: string, lock: Lock, owner: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (error: Error) => {
        const at = lock.waiters.indexOf(waiter)
        if (at >= 0) lock.waiters.splice(at, 1)
        finish()
        reject(error)
      }
      const onAbort = () => leave(signal.reason)
      const timer = setTimeout(() => leave(timedOut(resource, lock.owner, timeoutMs)), Math.min(timeoutMs, 2 ** 31 - 1))
      const finish = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        owner,
        wake: () => {
          finish()
          resolve()
        },
      }
      lock.waiters.push(waiter)
      signal.addEventListener('abort', onAbort)
    })
  }
}

function timedOut(resource: string, owner: number, timeoutMs: number): SnowflakeError {
  const held = `Statement has locked table '${resource}' in transaction ${owner} and this lock has not yet been released.`
  const text = `${held}\nYour statement was aborted because waiting for this lock is limited to ${Math.round(timeoutMs / 1000)} seconds.`
  return new SnowflakeError('000625', '57014', text)
}
