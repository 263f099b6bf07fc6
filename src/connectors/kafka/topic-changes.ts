// Messages of a pipeline's topics as a stream of changes. A chunk may end after any message: within one partition the order is the
// source's, across partitions and topics there is none.

import type { ChangeStream, LogChunk } from '../../contract/log.ts'
import { ChangesChunk } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import type { DebeziumDecoder, DebeziumEvent } from '../../formats/debezium.ts'
import { EmissionGuard } from './emission-guard.ts'
import type { OpenTopics } from './open-topics.ts'
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
  readonly decoder: () => DebeziumDecoder
  /** Told of a field that the table has no column for. */
  readonly onUnknown: (fields: readonly string[]) => void
}

interface Partition {
  next: bigint
  readonly decoder: DebeziumDecoder
  readonly guard: EmissionGuard
  readonly topic: FollowedTopic
}

export class TopicChanges implements ChangeStream {
  readonly #access: Pick<OpenTopics, 'reader' | 'appeared'>
  readonly #topics: readonly FollowedTopic[]
  readonly #pipeline: string
  readonly #from: Map<string, TopicPlace>
  readonly #partitions = new Map<string, Partition>()
  readonly #spare: ChangesChunk[] = []
  #pending: readonly PartitionRecords[] = []

  constructor(access: Pick<OpenTopics, 'reader' | 'appeared'>, topics: readonly FollowedTopic[], from: TopicPlaces, pipeline: string) {
    this.#access = access
    this.#topics = topics
    this.#pipeline = pipeline
    this.#from = new Map(from)
    this.#open(from)
  }

  #open(places: TopicPlaces): void {
    for (const topic of this.#topics)
      for (const [number, { next, seen }] of (places.get(topic.name)?.partitions ?? []).entries())
        this.#partitions.set(`${topic.name}/${number}`, { next, decoder: topic.decoder(), guard: new EmissionGuard(seen), topic })
  }

  async next(waitMs: number): Promise<LogChunk> {
    const appeared = await this.#access.appeared()
    for (const [name, place] of appeared) this.#from.set(name, place)
    this.#open(appeared)
    if (this.#pending.length === 0) this.#pending = await this.#access.reader.next(waitMs)
    const chunk = this.#spare.pop() ?? new ChangesChunk()
    let committedAt: number | null = null
    let count = 0
    for (const records of this.#pending) {
      const micros = this.#decode(records, chunk)
      count += records.records.length
      if (micros !== null) committedAt = Math.max(committedAt ?? 0, Number(micros / 1000n))
    }
    this.#pending = []
    return { changes: chunk, end: this.#position(), transactions: count, committedAt }
  }

  /** When the last change was made, microseconds. */
  #decode({ topic, partition: number, records, next }: PartitionRecords, chunk: ChangesChunk): bigint | null {
    const partition = this.#partitions.get(`${topic}/${number}`)
    if (partition === undefined) return null
    let micros: bigint | null = null
    for (const record of records) {
      const event = this.#decodeOne(partition, `${topic}/${number}/${record.offset}`, record, chunk)
      micros = event?.position?.micros ?? micros
      partition.next = record.offset + 1n
    }
    partition.next = next
    return micros
  }

  /** Adds the change of a message, if it has one that was not there before. */
  #decodeOne({ decoder, guard, topic }: Partition, place: string, record: KafkaRecord, chunk: ChangesChunk): DebeziumEvent | null {
    const mark = chunk.end()
    const event = decoded(decoder, place, record, chunk)
    if (event.unknown.length > 0) topic.onUnknown(event.unknown)
    if (event.kind === 'tombstone' || event.kind === 'message') return event
    if (!guard.admits(event.position, event.transaction?.order ?? null)) {
      chunk.cut(mark)
      return null
    }
    if (event.kind === 'change')
      chunk.transactions.push({ first: mark.count, before: 0, position: place, committedMicros: event.position?.micros ?? 0n })
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

/** What is wrong with a message is said with its place. */
export function decoded(decoder: DebeziumDecoder, place: string, { key, value, headers }: KafkaRecord, chunk: ChangesChunk): DebeziumEvent {
  try {
    return decoder.decode({ key, value, headers: new Map(headers) }, chunk)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    throw new LoadError(error.code, `Message ${place}: ${error.message}`, { cause: error, hint: error.hint })
  }
}
