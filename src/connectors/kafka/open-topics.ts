// The topics of a stream: those that were there when it was opened, and those that come to be while it is read. A connector makes the
// topic of a table with its first row.

import type { KafkaClient } from './client.ts'
import type { TopicPlace, TopicPlaces } from './topic-position.ts'
import { type ReaderOptions, type RecordReader, TopicReader } from './topic-reader.ts'

/** By topic and partition. */
export type TopicEnds = ReadonlyMap<string, readonly bigint[]>

/** What a stream of changes needs of the topics that are open. */
export type TopicAccess = Pick<OpenTopics, 'appeared' | 'ends'> & { readonly reader: RecordReader }

const LOOK_MS = 2_000

export interface TopicsToOpen {
  readonly names: readonly string[]
  /** Of those that are there. */
  readonly places: TopicPlaces
  /** Reading ends before it; null: never. */
  readonly until: TopicPlaces | null
  /** Where topics that have come to be begin. Throws where their first messages are gone. */
  readonly beginnings: (names: readonly string[]) => Promise<TopicPlaces>
}

export class OpenTopics {
  readonly reader: TopicReader
  readonly #client: Pick<KafkaClient, 'findTopics' | 'ranges'>
  readonly #beginnings: TopicsToOpen['beginnings']
  readonly #until: TopicPlaces | null
  readonly #open = new Set<string>()
  #missing: readonly string[]
  #lookAt = performance.now() + LOOK_MS

  constructor(client: KafkaClient, { names, places, until, beginnings }: TopicsToOpen, options: ReaderOptions) {
    this.#client = client
    this.#beginnings = beginnings
    this.#until = until
    this.#missing = names.filter((name) => !places.has(name))
    this.reader = new TopicReader(client, [], options)
    for (const name of names) this.#assign(name, places.get(name))
  }

  #assign(name: string, place: TopicPlace | undefined): void {
    if (place === undefined) return
    this.#open.add(name)
    const topic = { name, id: place.id, partitions: place.partitions.length }
    const until = this.#until?.get(name)?.partitions
    this.reader.assign(
      place.partitions.map(({ next }, partition) => ({ topic, partition, from: next, until: until?.[partition]?.next ?? null })),
    )
  }

  /** Those that have come to be since it was asked last: they are read from their beginning. */
  readonly appeared = async (atOnce = false): Promise<TopicPlaces> => {
    const isDue = atOnce || performance.now() >= this.#lookAt
    if (this.#missing.length === 0 || this.#until !== null || !isDue) return new Map()
    const found = await this.#client.findTopics(this.#missing)
    this.#lookAt = performance.now() + LOOK_MS
    const places = found.size === 0 ? new Map<string, TopicPlace>() : await this.#beginnings([...found.keys()])
    for (const [name, place] of places) this.#assign(name, place)
    this.#missing = this.#missing.filter((name) => !places.has(name))
    return places
  }

  #capped(name: string, partition: number, end: bigint): bigint {
    const until = this.#until?.get(name)?.partitions[partition]?.next
    return until !== undefined && until < end ? until : end
  }

  /** How far all that are open go now, as far as they are read. */
  readonly ends = async (): Promise<TopicEnds> => {
    const ranges = await this.#client.ranges([...this.#open])
    return new Map([...ranges].map(([name, { ends }]) => [name, ends.map((end, partition) => this.#capped(name, partition, end))]))
  }
}
