// The rows that a connector reads before it follows the log. Killed in the middle, it begins anew, and says nothing of rows that are gone by
// then: whatever an older snapshot has read is void. Which was the last is known when all that was written before the first change has
// come.

import { type Seen, SNAPSHOT } from './emission-guard.ts'
import type { TopicEnds } from './open-topics.ts'

export interface ReadPartition {
  readonly topic: string
  readonly number: number
  readonly seen: Seen | null
  readonly next: bigint
  /** Changes of it wait for the end of the snapshot. */
  readonly isHeld: boolean
}

export class FirstSnapshot {
  /** By topic: where in the log the newest of its rows were read. */
  readonly #readAt = new Map<string, bigint>()

  /** null where changes have come already. */
  static of(stored: ReadonlyMap<string, { readonly partitions: readonly { readonly seen: Seen | null }[] }>): FirstSnapshot | null {
    const snapshot = new FirstSnapshot()
    for (const [topic, { partitions }] of stored)
      for (const { seen } of partitions) {
        if (seen !== null && seen.commit !== SNAPSHOT) return null
        if (seen?.snapshot != null) snapshot.take(topic, seen.snapshot)
      }
    return snapshot
  }

  /** A row that was read there: is it one of those that count, and is what came of its table before void? */
  take(topic: string, readAt: bigint): 'counts' | 'begins anew' | 'void' {
    const before = this.#readAt.get(topic)
    if (before !== undefined && readAt < before) return 'void'
    this.#readAt.set(topic, readAt)
    return before !== undefined && readAt > before ? 'begins anew' : 'counts'
  }

  /** Has all come that was written before `ends` was asked? */
  isRead(partitions: readonly ReadPartition[], ends: TopicEnds): boolean {
    return partitions.every(({ topic, number, next, isHeld }) => isHeld || next >= (ends.get(topic)?.[number] ?? 0n))
  }

  /** Topics whose rows are void: the last snapshot has read none of theirs. It may have found no row at all. */
  voidTopics(partitions: readonly ReadPartition[]): readonly string[] {
    const last = [...this.#readAt.values()].reduce((latest, at) => (at > latest ? at : latest), 0n)
    const isEmpty = [...this.#readAt].some(
      ([topic, at]) =>
        at === last &&
        isCutShort(
          partitions.filter((one) => one.topic === topic),
          at,
        ),
    )
    return [...this.#readAt].flatMap(([topic, at]) => (at < last || isEmpty ? [topic] : []))
  }
}

/** Changes come where rows of this snapshot were to go on. */
function isCutShort(partitions: readonly ReadPartition[], readAt: bigint): boolean {
  const marks = partitions.flatMap(({ seen }) => (seen?.snapshot === readAt ? [seen.mark] : []))
  return partitions.some(({ isHeld }) => isHeld) && marks.includes('begun') && !marks.includes('ended')
}
