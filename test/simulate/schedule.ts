// Lets several runs take turns in an order that the seed decides: each waits before everything it does, and one of those
// that wait goes on when all of them do.

import type { Random } from './random.ts'

export class Schedule {
  readonly #random: Random
  readonly #waiting: (() => void)[] = []
  #active = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Runs all of them, interleaved; each is given what it has to wait for. */
  async together<T>(processes: readonly ((turn: () => Promise<void>) => Promise<T>)[]): Promise<readonly T[]> {
    this.#active = processes.length
    return Promise.all(
      processes.map(async (process) => {
        try {
          return await process(() => this.#turn())
        } finally {
          this.#active -= 1
          this.#wakeOne()
        }
      }),
    )
  }

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      this.#wakeOne()
    })
  }

  #wakeOne(): void {
    if (this.#waiting.length === 0 || this.#waiting.length < this.#active) return
    const [next] = this.#waiting.splice(this.#random.below(this.#waiting.length), 1)
    next?.()
  }
}
