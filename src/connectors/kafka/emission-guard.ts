// What a connector has written before is not applied again. After a crash it goes on from what it had stored last, and writes changes a
// second time, in the order of the source's log: the target would go back in time until it has caught up. A change is known by the last
// commit before it and by its own place; changes that share both are counted.

import type { SourcePosition } from '../../formats/debezium-source.ts'

export interface Seen {
  readonly commit: bigint
  readonly place: bigint
  /** So many changes of that place. */
  readonly count: number
}

/** Of one partition: a change of a row is always in the same one. */
export class EmissionGuard {
  #seen: Seen | null
  /** While changes come again: how many of the place that was seen last. */
  #again: number | null = null

  constructor(seen: Seen | null) {
    this.#seen = seen
  }

  get seen(): Seen | null {
    return this.#seen
  }

  /** Is it to be applied? Of what does not say where it comes from, nobody can know that it was there before. */
  admits(position: SourcePosition | null): boolean {
    if (position === null || position.lsn === null || position.snapshot === 'incremental') return true
    const at = { commit: position.lastCommit ?? 0n, place: position.lsn }
    const order = this.#seen === null ? 1 : compare(at, this.#seen)
    if (order < 0) {
      this.#again = 0
      return false
    }
    if (order === 0 && this.#seen !== null) {
      if (this.#again !== null && this.#again < this.#seen.count) {
        this.#again += 1
        return false
      }
      this.#seen = { ...at, count: this.#seen.count + 1 }
      return true
    }
    this.#again = null
    this.#seen = { ...at, count: 1 }
    return true
  }
}

function compare(a: Omit<Seen, 'count'>, b: Omit<Seen, 'count'>): number {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1
  return a.place === b.place ? 0 : a.place < b.place ? -1 : 1
}
