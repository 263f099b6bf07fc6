/** How long the same thing has been waited for. */
export class Stall {
  #what: string | null = null
  #since = 0

  /** `what` changes with every step; null: nothing is waited for. */
  seconds(what: string | null): number {
    const now = performance.now()
    if (what === null || what !== this.#what) this.#since = now
    this.#what = what
    return (now - this.#since) / 1000
  }
}
