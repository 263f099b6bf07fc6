// Changes of one topic of one partition that wait until their transactions are whole, in the order of the source's log. Always: what was not handed out
// is read again by a later run, and what was written again is not held a second time.

import { ChangesChunk } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { DebeziumEvent } from '../../formats/debezium.ts'
import { EmissionGuard, type Seen, SNAPSHOT } from './emission-guard.ts'
import type { KafkaRecord } from './record-batches.ts'
import { decoded, type FollowedTopic, type MessageDecoder } from './topic-changes.ts'
import type { PartitionPlace } from './topic-position.ts'

const CHUNK_BYTES = 1 << 20

export interface HeldChange {
  readonly offset: bigint
  /** topic/partition/offset */
  readonly place: string
  /** null: of a row that was read, and not changed. */
  readonly txId: string | null
  readonly order: number
  /** Of a row of the first snapshot: where in the log that was. */
  readonly readAt: bigint | null
  readonly chunk: ChangesChunk
  /** In the chunk; null for the first half of a change of key, of which there is nothing to apply. */
  readonly change: number | null
  readonly micros: bigint
  /** After it. */
  readonly seen: Seen | null
  readonly bytes: number
}

export class HeldPartition {
  readonly topic: FollowedTopic
  readonly #decoder: MessageDecoder
  readonly #guard: EmissionGuard
  /** Where changes are put that come. */
  #chunk = new ChangesChunk()
  #held: HeldChange[] = []
  #first = 0
  #next: bigint
  #handedOut: Seen | null
  /** Of the messages that are held. */
  bytes = 0
  /** Changes have come where rows of the first snapshot were to go on: a later one has found no row. */
  isCutShort = false
  /** The first snapshot as a whole ended here. */
  hasReadEnd = false

  constructor(topic: FollowedTopic, { next, seen }: PartitionPlace) {
    this.topic = topic
    this.#decoder = topic.decoder()
    this.#guard = new EmissionGuard(seen)
    this.#next = next
    this.#handedOut = seen
  }

  get head(): HeldChange | undefined {
    return this.#held[this.#first]
  }

  /** Everything before it has been read. */
  get next(): bigint {
    return this.#next
  }

  /** The last change that has come belongs to a transaction that was begun after that commit: nothing older comes any more. */
  hasPassed(commit: bigint): boolean {
    const { seen } = this.#guard
    return seen !== null && seen.commit >= commit
  }

  /** Returns the transactions that changes have come of, once for each. */
  take(records: readonly KafkaRecord[], next: bigint): readonly string[] {
    // A chunk of its own for every few messages would be far larger than they are.
    if (this.head === undefined) this.#chunk.clear()
    else if (this.#chunk.size > CHUNK_BYTES) this.#chunk = new ChangesChunk()
    const chunk = this.#chunk
    const arrived: string[] = []
    for (const record of records) {
      const held = this.#takeOne(record, chunk)
      if (held === null) continue
      this.#held.push(held)
      this.bytes += held.bytes
      if (held.txId !== null) arrived.push(held.txId)
    }
    this.#next = next
    return arrived
  }

  #takeOne(record: KafkaRecord, chunk: ChangesChunk): HeldChange | null {
    const place = `${this.topic.name}/0/${record.offset}`
    const mark = chunk.end()
    const { kind, position, transaction, unknown } = decoded(this.#decoder, place, record, chunk)
    if (unknown.length > 0) this.topic.onUnknown(unknown, record)
    if (kind === 'tombstone' || kind === 'message') return null
    const isRead = position !== null && position.snapshot !== 'none'
    if (!isRead && transaction === null) throw withoutTransaction(place)
    const before = this.#guard.seen
    if (!this.#guard.admits(position, transaction?.order ?? null)) {
      chunk.cut(mark)
      return null
    }
    this.#noteSnapshot(position, before)
    return {
      offset: record.offset,
      place,
      txId: isRead ? null : (transaction?.txId ?? null),
      order: transaction?.order ?? 0,
      readAt: position?.snapshot === 'initial' ? (this.#guard.seen?.snapshot ?? null) : null,
      chunk,
      change: kind === 'change' ? mark.count : null,
      micros: position?.micros ?? 0n,
      seen: this.#guard.seen,
      bytes: (record.key?.length ?? 0) + (record.value?.length ?? 0),
    }
  }

  #noteSnapshot(position: DebeziumEvent['position'], before: Seen | null): void {
    const wasBeingRead = before?.commit === SNAPSHOT && before.mark === 'begun'
    this.isCutShort ||= position?.snapshot === 'none' && wasBeingRead
    this.hasReadEnd ||= position?.mark === 'last-of-all'
  }

  /** Rows of the first snapshot have come, and more are to come. */
  get isBeingRead(): boolean {
    const { seen } = this.#guard
    return seen?.commit === SNAPSHOT && seen.mark === 'begun'
  }

  /** The head is handed out. */
  shift(): void {
    const { head } = this
    if (head === undefined) return
    this.#handedOut = head.seen
    this.bytes -= head.bytes
    this.#first += 1
    if (this.#first < this.#held.length && this.#first < 4096) return
    this.#held = this.#held.slice(this.#first)
    this.#first = 0
  }

  endRead(): void {
    this.isCutShort = false
    this.hasReadEnd = false
  }

  place(): PartitionPlace {
    return { next: this.head?.offset ?? this.#next, seen: this.#handedOut }
  }
}

function withoutTransaction(place: string): LoadError {
  return new LoadError('log-unavailable', `Message ${place} does not say of which transaction its change is.`, {
    hint: 'Set `provide.transaction.metadata=true` for the connector, as `tidemark connector register` does, and let it read the tables anew; or leave out `consistency: transaction`.',
  })
}
