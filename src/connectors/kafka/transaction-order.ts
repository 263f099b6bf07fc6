// In which order a connector's transactions were committed, and how many changes of which tables each has: what stands in its topic of
// transactions. One that was written again after a crash counts once.

import { LoadError } from '../../core/errors.ts'
import { readTransactionEvent } from '../../formats/debezium-source.ts'
import type { KafkaRecord } from './record-batches.ts'
import type { PartitionPlace } from './topic-position.ts'

export interface EndedTransaction {
  readonly txId: string
  /** Where it was committed in the source's log. */
  readonly commit: bigint
  /** Of each table, as `schema.table`. */
  readonly counts: ReadonlyMap<string, number>
  /** Offsets of what tells of it: reading begins again at its first, and its end is the other. */
  readonly from: bigint
  readonly end: bigint
}

export class TransactionOrder {
  readonly #topic: string
  readonly #ended: EndedTransaction[] = []
  #first = 0
  /** The one that has begun and not ended. */
  #open: { readonly txId: string; readonly from: bigint } | null = null
  #next: bigint
  /** Commit of the last that was taken away, and of the last that was read. */
  #done: bigint
  #read: bigint

  constructor(topic: string, { next, seen }: PartitionPlace) {
    this.#topic = topic
    this.#next = next
    this.#done = seen?.commit ?? 0n
    this.#read = this.#done
  }

  take(records: readonly KafkaRecord[], next: bigint): void {
    for (const { offset, value } of records) this.#takeOne(offset, value)
    this.#next = next
  }

  #takeOne(offset: bigint, value: Uint8Array | null): void {
    const event = this.#eventOf(offset, value)
    if (event === null) return
    const { txId, place: commit, tables } = event
    if (event.status === 'BEGIN') {
      this.#open = { txId, from: offset }
      return
    }
    const from = this.#open?.txId === txId ? this.#open.from : offset
    this.#open = null
    if (commit === null) throw badEvent(this.#topic, offset, 'its id does not say where it was committed')
    if (commit <= this.#read) return
    this.#read = commit
    this.#ended.push({ txId, commit, counts: tables, from, end: offset })
  }

  #eventOf(offset: bigint, value: Uint8Array | null) {
    try {
      return readTransactionEvent(value)
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      throw badEvent(this.#topic, offset, error.message, error)
    }
  }

  /** The first that has not been taken away. */
  get front(): EndedTransaction | null {
    return this.#ended[this.#first] ?? null
  }

  /** What comes after the last that has ended, and is not over. */
  get begun(): string | null {
    return this.#open?.txId ?? null
  }

  /** Everything before it has been read. */
  get next(): bigint {
    return this.#next
  }

  get waiting(): number {
    return this.#ended.length - this.#first
  }

  shift(): void {
    this.#done = this.#ended[this.#first]?.commit ?? this.#done
    this.#first += 1
    if (this.#first < 1024 || this.#first * 2 < this.#ended.length) return
    this.#ended.splice(0, this.#first)
    this.#first = 0
  }

  /** Has all before this offset been read, and taken away whatever ended there? */
  isDone(offset: bigint): boolean {
    const { front } = this
    return this.#next >= offset && (front === null || front.end >= offset)
  }

  place(): PartitionPlace {
    const next = this.front?.from ?? this.#open?.from ?? this.#next
    return { next, seen: this.#done === 0n ? null : { commit: this.#done, place: 0n, count: 1, order: null, snapshot: null, mark: null } }
  }
}

function badEvent(topic: string, offset: bigint, why: string, cause?: unknown): LoadError {
  return new LoadError('bad-message', `Message ${topic}/0/${offset} tells of a transaction, but ${why}`, { cause })
}
