// What a connector has written before is not applied again. After a crash it goes on from what it had stored last, and writes changes a
// second time, in the order of the source's log: the target would go back in time until it has caught up. A change is known by the last
// commit before it, and by its number in its transaction. Where transactions are not numbered, by its place in the log: changes that
// share it are counted.

import type { SourcePosition } from '../../formats/debezium-source.ts'

export interface Seen {
  /** The last commit before it; SNAPSHOT for rows that were read, of which any change is newer. */
  readonly commit: bigint
  readonly place: bigint
  /** So many changes of that place. */
  readonly count: number
  /** In its transaction, over all tables; null where that is not said. */
  readonly order: number | null
  /** The place of the newest snapshot of which rows were seen. */
  readonly snapshot: bigint | null
  /** The last mark of that snapshot here: rows of the table begin, or end. null: there was none. */
  readonly mark: 'begun' | 'ended' | null
}

export const SNAPSHOT = -1n
const NO_SNAPSHOT = { snapshot: null, mark: null }

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
  admits(position: Pick<SourcePosition, 'lsn' | 'lastCommit' | 'snapshot' | 'mark'> | null, order: number | null): boolean {
    if (position === null || position.lsn === null || position.snapshot === 'incremental') return true
    if (position.snapshot === 'initial') return this.#admitsRead(position.lsn, position.mark)
    const at = { commit: position.lastCommit ?? 0n, place: position.lsn, order }
    const seen = this.#seen
    const rank = seen === null ? 1 : compare(at, seen)
    if (rank < 0 || (rank === 0 && seen?.order != null && order !== null)) {
      this.#again = 0
      return false
    }
    return rank > 0 ? this.#note(at) : this.#countAgain()
  }

  /** A snapshot that is begun anew is of a later place. One that is older than a change was there before. */
  #admitsRead(place: bigint, mark: SourcePosition['mark']): boolean {
    const at = { commit: SNAPSHOT, place, order: null }
    const seen = this.#seen
    const newest = seen?.snapshot ?? null
    const told = mark === null ? null : mark === 'first' ? 'begun' : 'ended'
    if (seen === null || ((newest === null || place > newest) && place > seen.commit))
      return this.#note(at, { snapshot: place, mark: told })
    if (place === newest && seen.commit === SNAPSHOT) return this.#countAgain(told ?? seen.mark)
    this.#again = 0
    return false
  }

  #note(at: Place, { snapshot, mark }: Pick<Seen, 'snapshot' | 'mark'> = this.#seen ?? NO_SNAPSHOT): boolean {
    this.#again = null
    this.#seen = { ...at, count: 1, snapshot, mark }
    return true
  }

  /** Another one of the place that was seen last. */
  #countAgain(mark = this.#seen?.mark ?? null): boolean {
    const seen = this.#seen as Seen
    if (this.#again !== null && this.#again < seen.count) {
      this.#again += 1
      return false
    }
    this.#seen = { ...seen, count: seen.count + 1, mark }
    return true
  }
}

type Place = Pick<Seen, 'commit' | 'place' | 'order'>

function compare(a: Place, b: Place): number {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1
  const [one, other] = a.order !== null && b.order !== null ? [a.order, b.order] : [a.place, b.place]
  return one === other ? 0 : one < other ? -1 : 1
}
