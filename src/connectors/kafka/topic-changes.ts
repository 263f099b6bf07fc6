// Messages of a pipeline's topics as a stream of changes. A chunk may end after any message: within one partition the order is the
// source's, across partitions and topics there is none. A message that can't be read is a chunk of its own, where such are kept.

import type { ChangeStream, LogChunk } from '../../contract/log.ts'
import { ChangesChunk, type Mark, TRUNCATE } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { UnreadableMessage } from '../../core/quarantine.ts'
import type { DebeziumDecoder, DebeziumEvent } from '../../formats/debezium.ts'
import { EmissionGuard } from './emission-guard.ts'
import { FirstSnapshot, type ReadPartition } from './first-snapshot.ts'
import { printMessage } from './kept-message.ts'
import type { TopicAccess, TopicEnds } from './open-topics.ts'
import type { KafkaRecord } from './record-batches.ts'
import { coversPlaces, parseTopicPlaces, printTopicPlaces, type TopicPlace, type TopicPlaces } from './topic-position.ts'
import type { PartitionRecords } from './topic-reader.ts'

export interface FollowedTopic {
  readonly name: string
  /** As the source calls its table: `schema.table`; its number in chunks, and how many cells a row has. */
  readonly collection: string
  readonly number: number
  readonly width: number
  /** One for each partition: what it remembers of one is nothing to another. */
  readonly decoder: () => MessageDecoder
  /** Told of fields that the table has no column for, and of the message that has them. */
  readonly onUnknown: (fields: readonly string[], record: KafkaRecord) => void
}

export type MessageDecoder = Pick<DebeziumDecoder, 'decode' | 'readKeyOnly'>

interface Partition {
  next: bigint
  readonly decoder: MessageDecoder
  readonly guard: EmissionGuard
  readonly topic: FollowedTopic
}

interface Taken {
  readonly chunk: ChangesChunk
  /** Of messages. */
  count: number
  /** When the last change was made. */
  micros: bigint | null
  unreadable: UnreadableMessage | null
}

/** A chunk of so many bytes of changes, or that was so long in coming, takes no more messages that are there already. */
const CHUNK_BYTES = 2 << 20
const LONGEST_MS = 1_000
/** How long messages that are there are waited for. */
const MORE_MS = 100

export class TopicChanges implements ChangeStream {
  readonly #access: TopicAccess
  readonly #topics: readonly FollowedTopic[]
  readonly #pipeline: string
  /** What can't be read goes into quarantine. */
  readonly #keeps: boolean
  readonly #from: Map<string, TopicPlace>
  readonly #partitions = new Map<string, Partition>()
  readonly #spare: ChangesChunk[] = []
  #pending: readonly PartitionRecords[] = []
  /** null: changes have come, or nothing tells them from rows that were read. */
  #first: FirstSnapshot | null
  /** Of each partition from its first change on, while rows of the first snapshot may still come elsewhere. */
  #held: PartitionRecords[] = []
  #ends: TopicEnds | null = null

  constructor(
    access: TopicAccess,
    topics: readonly FollowedTopic[],
    from: TopicPlaces,
    { name, maxQuarantined }: Pick<CdcPipeline, 'name' | 'maxQuarantined'>,
  ) {
    this.#access = access
    this.#topics = topics
    this.#pipeline = name
    this.#keeps = maxQuarantined !== null
    this.#from = new Map(from)
    this.#first = FirstSnapshot.of(from)
    this.#open(from)
  }

  #open(places: TopicPlaces): void {
    for (const [name, place] of places) this.#from.set(name, place)
    for (const topic of this.#topics)
      for (const [number, { next, seen }] of (places.get(topic.name)?.partitions ?? []).entries())
        this.#partitions.set(`${topic.name}/${number}`, { next, decoder: topic.decoder(), guard: new EmissionGuard(seen), topic })
  }

  async next(waitMs: number): Promise<LogChunk> {
    this.#open(await this.#access.appeared())
    const chunk = this.#spare.pop() ?? new ChangesChunk()
    const taken: Taken = { chunk, count: 0, micros: null, unreadable: null }
    const until = performance.now() + LONGEST_MS
    if (this.#pending.length === 0) this.#pending = await this.#read(waitMs)
    // A commit costs as much for few changes as for many; messages are far larger than their changes.
    for (let goesOn = this.#takePending(taken); goesOn && chunk.size < CHUNK_BYTES && performance.now() < until; ) {
      try {
        this.#pending = await this.#read(MORE_MS)
      } catch {
        // The reader has ended, and says so again when it is asked next: what came before is handed out.
        break
      }
      goesOn = this.#takePending(taken)
    }
    await this.#endSnapshot(chunk)
    const { count, micros, unreadable } = taken
    const told = { end: this.#position(), transactions: count, committedAt: micros === null ? null : Number(micros / 1000n) }
    return { changes: chunk, ...told, ...(unreadable === null ? {} : { unreadable }) }
  }

  #read(waitMs: number): Promise<readonly PartitionRecords[]> {
    return this.#access.reader.next(waitMs, (topic, partition) => !this.#isHeld(topic, partition))
  }

  /** Is more there already that may go into the same chunk? */
  #takePending(taken: Taken): boolean {
    let isBehind = false
    while (this.#pending[0] !== undefined && taken.unreadable === null) {
      const [given, ...others] = this.#pending
      isBehind ||= given.next < given.end
      const left = this.#take(given, taken)
      this.#pending = left === null ? others : [left, ...others]
      if (left !== null) return false
    }
    return isBehind && taken.unreadable === null && this.#held.length === 0
  }

  /** Returns those that are left, from the first that can't be read; that one is taken when it is the first of all. */
  #take(given: PartitionRecords, taken: Taken): PartitionRecords | null {
    const { topic, partition: number, records, next } = given
    const partition = this.#partitions.get(`${topic}/${number}`)
    if (partition === undefined) return null
    if (this.#isHeld(topic, number)) {
      this.#held.push(given)
      return null
    }
    for (const [index, record] of records.entries()) {
      const left = (from: number) => ({ ...given, records: records.slice(from) })
      try {
        const event = this.#takeOne(partition, `${topic}/${number}/${record.offset}`, record, taken.chunk)
        if (event === 'waits') {
          this.#held.push(left(index))
          return null
        }
        taken.micros = event?.position?.micros ?? taken.micros
      } catch (error) {
        if (!this.#keeps || !isUnreadable(error)) throw error
        if (taken.count > 0) return left(index)
        taken.unreadable = this.#keep(partition, number, record, taken.chunk, error)
        taken.count = 1
        partition.next = record.offset + 1n
        return left(index + 1)
      }
      taken.count += 1
      partition.next = record.offset + 1n
    }
    partition.next = next
    return null
  }

  /** Throws the error where nobody knows of which row the message is, or where that row has moved. */
  #keep({ topic, decoder, guard }: Partition, number: number, record: KafkaRecord, chunk: ChangesChunk, why: LoadError): UnreadableMessage {
    const row = decoder.readKeyOnly({ ...record, headers: new Map(record.headers) }, chunk)
    if (row === null) throw why
    return {
      table: topic.number,
      row,
      position: `${topic.name}/${number}/${record.offset}`,
      ordinal: Number(record.offset),
      payload: printMessage(topic.name, number, record, guard.seen),
      code: why.code,
      message: why.message,
      writtenMicros: BigInt(record.timestamp) * 1000n,
    }
  }

  #isHeld(topic: string, partition: number): boolean {
    return this.#held.some((one) => one.topic === topic && one.partition === partition)
  }

  /** Where the first changes have come: once everything has that was written before them, tables of void rows are emptied. */
  async #endSnapshot(chunk: ChangesChunk): Promise<void> {
    if (this.#first === null || this.#held.length === 0) return
    if (this.#ends === null) {
      this.#open(await this.#access.appeared(true))
      this.#ends = await this.#access.ends()
    }
    const partitions = [...this.#partitions].map(([name, { next, guard, topic }]): ReadPartition => {
      const number = Number(name.slice(name.lastIndexOf('/') + 1))
      return { topic: topic.name, number, seen: guard.seen, next, isHeld: this.#isHeld(topic.name, number) }
    })
    if (this.#pending.length > 0 || !this.#first.isRead(partitions, this.#ends)) return
    for (const name of this.#first.voidTopics(partitions))
      this.#empty(name, `${name}/0/${partitions.find(({ topic }) => topic === name)?.next}`, 0n, chunk)
    this.#pending = this.#held
    this.#held = []
    this.#first = null
  }

  #empty(name: string, place: string, micros: bigint, chunk: ChangesChunk): void {
    const topic = this.#topics.find((one) => one.name === name)
    if (topic === undefined) return
    chunk.beginTransaction(place, micros)
    chunk.add(topic.number, TRUNCATE)
  }

  /** Adds the change of a message, if it has one that was not there before. */
  #takeOne({ decoder, guard, topic }: Partition, place: string, record: KafkaRecord, chunk: ChangesChunk): DebeziumEvent | 'waits' | null {
    const mark = chunk.end()
    const event = decoded(decoder, place, record, chunk)
    if (event.unknown.length > 0) topic.onUnknown(event.unknown, record)
    if (event.kind === 'tombstone' || event.kind === 'message') return event
    if (this.#first !== null && event.position?.snapshot === 'none') {
      chunk.cut(mark)
      return 'waits'
    }
    if (!guard.admits(event.position, event.transaction?.order ?? null)) {
      chunk.cut(mark)
      return null
    }
    if (event.position?.snapshot === 'initial') return this.#takeRead({ decoder, guard, topic }, event, place, record, chunk, mark)
    if (event.kind === 'change')
      chunk.transactions.push({ first: mark.count, before: 0, position: place, committedMicros: event.position?.micros ?? 0n })
    return event
  }

  /** A row of the first snapshot; its decoded form is in the chunk already. */
  #takeRead(
    { decoder, guard, topic }: Pick<Partition, 'decoder' | 'guard' | 'topic'>,
    event: DebeziumEvent,
    place: string,
    record: KafkaRecord,
    chunk: ChangesChunk,
    mark: Mark,
  ): DebeziumEvent | null {
    const micros = event.position?.micros ?? 0n
    const as = this.#first?.take(topic.name, guard.seen?.snapshot ?? 0n) ?? 'counts'
    if (as !== 'counts') chunk.cut(mark)
    if (as === 'void') return null
    if (as === 'begins anew') {
      this.#empty(topic.name, place, micros, chunk)
      decoded(decoder, place, record, chunk)
    } else chunk.transactions.push({ first: mark.count, before: 0, position: place, committedMicros: micros })
    return event
  }

  #position(): Position {
    const places = new Map(this.#from)
    for (const [name, { id, partitions }] of this.#from) {
      const now = partitions.map((before, number) => {
        const partition = this.#partitions.get(`${name}/${number}`)
        return partition === undefined ? before : { next: partition.next, seen: partition.guard.seen }
      })
      places.set(name, { id, partitions: now })
    }
    return printTopicPlaces(places)
  }

  recycle({ changes }: LogChunk): void {
    changes.clear()
    this.#spare.push(changes)
  }

  /** The position is in the target, and nothing is kept for it here: topics are kept by their own rules. */
  acknowledge(): void {}

  ping(): void {}

  reaches(position: Position, goal: Position): boolean {
    return coversPlaces(parseTopicPlaces(position, this.#pipeline), parseTopicPlaces(goal, this.#pipeline))
  }

  async close(): Promise<void> {
    this.#access.reader.close()
  }
}

function isUnreadable(thrown: unknown): thrown is LoadError {
  return thrown instanceof LoadError && (thrown.code === 'bad-message' || thrown.code === 'value-refused')
}

/** What is wrong with a message is said with its place. */
export function decoded(decoder: MessageDecoder, place: string, { key, value, headers }: KafkaRecord, chunk: ChangesChunk): DebeziumEvent {
  try {
    return decoder.decode({ key, value, headers: new Map(headers) }, chunk)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    throw new LoadError(error.code, `Message ${place}: ${error.message}`, { cause: error, hint: error.hint })
  }
}
