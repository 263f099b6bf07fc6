/** How many changes come a second, measured over a second or more: what was long ago says nothing of now. */
export class Pace {
  readonly #now: () => number
  #since: number
  #count = 0
  #last: number | null = null

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#since = now()
  }

  /** So many more have come. null until a second is over. */
  perSecond(more: number): number | null {
    const seconds = (this.#now() - this.#since) / 1000
    this.#count += more
    if (seconds < 1) return this.#last
    this.#last = Math.round(this.#count / seconds)
    this.#since = this.#now()
    this.#count = 0
    return this.#last
  }
}
