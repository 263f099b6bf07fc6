// The emulator's time: the machine's own, moved by a test that wants streams to age or tokens to expire. It counts microseconds, as
// fractions of a millisecond, and never stands still: no two commits have the same time.

export class EmulatorClock {
  #ahead = 0
  #last = 0

  /** Milliseconds since 1970. */
  now(): number {
    const real = performance.timeOrigin + performance.now() + this.#ahead
    this.#last = Math.max(Math.round(real * 1000) / 1000, this.#last + 0.001)
    return this.#last
  }

  set(to: Date): void {
    this.#ahead = to.getTime() - performance.timeOrigin - performance.now()
    this.#last = 0
  }

  advance(by: { readonly days?: number; readonly hours?: number; readonly seconds?: number }): void {
    this.#ahead += (((by.days ?? 0) * 24 + (by.hours ?? 0)) * 3600 + (by.seconds ?? 0)) * 1000
  }
}
