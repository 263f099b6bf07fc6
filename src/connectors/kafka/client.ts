// What is asked of a Kafka cluster: which topics there are, how far they go, and what stands in them. Nothing is written and no group is
// joined. The library is loaded when the first client is made.

import { isIP } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { Consumer } from '@platformatic/kafka'
import { LoadError } from '../../core/errors.ts'
import { kafkaError } from './errors.ts'
import { type KafkaLibrary, rawFetchPool } from './raw-fetch.ts'

export interface ClientOptions {
  /** For messages: `source shop`. */
  readonly what: string
  /** host:port */
  readonly brokers: readonly string[]
  readonly tls?: TlsOptions
  readonly sasl?: { readonly mechanism: SaslMechanism; readonly username: string; readonly password: string }
}

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface KafkaTopic {
  readonly name: string
  /** A UUID: a topic that was deleted and made again has another. */
  readonly id: string
  readonly partitions: number
}

export interface TopicLeaders extends KafkaTopic {
  /** The broker of each partition; below 0 while there is none. */
  readonly leaders: readonly number[]
}

/** Both by partition. */
export interface TopicRange {
  /** The first offset that is kept. */
  readonly begins: readonly bigint[]
  /** After the last record that is committed; an open transaction lies behind it. */
  readonly ends: readonly bigint[]
  /** After the last record that was written. */
  readonly written: readonly bigint[]
}

const CLIENT_ID = 'tidemark'
const CONNECT_MS = 5_000
/** Longer than any fetch waits. */
const REQUEST_MS = 30_000
const EARLIEST = -2n
const LATEST = -1n
const COMMITTED = 1
const UNCOMMITTED = 0

export class KafkaClient {
  readonly what: string
  readonly driver: KafkaLibrary
  /** For `metadata`, `listOffsets` and `fetch`, and nothing else of it. */
  readonly #consumer: Consumer
  readonly #pool: ReturnType<typeof rawFetchPool>

  private constructor(driver: KafkaLibrary, options: ClientOptions) {
    const { tls, sasl } = options
    const how = {
      connectTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      // A name for SNI is no address.
      ...(tls === undefined ? {} : { tls, tlsServerName: !options.brokers.some(isAddress) }),
      ...(sasl === undefined ? {} : { sasl }),
    }
    this.what = options.what
    this.driver = driver
    this.#consumer = new driver.Consumer({
      ...how,
      clientId: CLIENT_ID,
      // Asked for by the library; nothing ever joins it.
      groupId: CLIENT_ID,
      bootstrapBrokers: [...options.brokers],
      retries: 0,
      autocreateTopics: false,
    })
    this.#pool = rawFetchPool(driver, CLIENT_ID, how)
  }

  /** Connects when something is asked. */
  static async open(options: ClientOptions): Promise<KafkaClient> {
    return new KafkaClient(await import('@platformatic/kafka'), options)
  }

  async clusterId(): Promise<string> {
    return (await this.#ask(() => this.#consumer.metadata({ topics: [], forceUpdate: true }))).id
  }

  /** Those of the names that there are. */
  async findTopics(names: readonly string[]): Promise<Map<string, TopicLeaders>> {
    if (names.length === 0) return new Map()
    const all = await this.#describe(names)
    if (all !== null) return new Map(all.map((topic) => [topic.name, topic]))
    // At least one is missing, and the library does not say which.
    const each = await Promise.all(names.map((name) => this.#describe([name])))
    return new Map(each.flatMap((found) => (found ?? []).map((topic) => [topic.name, topic])))
  }

  /** All of the names; throws `missing-table` where there is no such topic. */
  async topics(names: readonly string[]): Promise<Map<string, TopicLeaders>> {
    const found = await this.findTopics(names)
    const missing = names.filter((name) => !found.has(name))
    if (missing.length > 0) throw missingTopic(this.what, missing)
    return found
  }

  /** null where one of them is missing. */
  async #describe(names: readonly string[]): Promise<readonly TopicLeaders[] | null> {
    try {
      const { topics } = await this.#consumer.metadata({ topics: [...names], forceUpdate: true })
      return [...topics].map(([name, { id, partitions, partitionsCount }]) => ({
        name,
        id,
        partitions: partitionsCount,
        leaders: partitions.map(({ leader }) => leader),
      }))
    } catch (thrown) {
      // The library has no code for it.
      if (/^Unknown topic /.test((thrown as Error).message)) return null
      throw kafkaError(thrown, this.what, false)
    }
  }

  async ranges(names: readonly string[]): Promise<Map<string, TopicRange>> {
    if (names.length === 0) return new Map()
    await this.topics(names)
    const list = (timestamp: bigint, isolationLevel: number) =>
      this.#ask(() => this.#consumer.listOffsets({ topics: [...names], timestamp, isolationLevel: isolationLevel as never }))
    const [begins, ends, written] = await Promise.all([list(EARLIEST, UNCOMMITTED), list(LATEST, COMMITTED), list(LATEST, UNCOMMITTED)])
    const range = (name: string): TopicRange => ({
      begins: begins.get(name) ?? [],
      ends: ends.get(name) ?? [],
      written: written.get(name) ?? [],
    })
    return new Map(names.map((name) => [name, range(name)]))
  }

  /** Of partitions that one broker leads; waits at most so long for the first byte. Throws as the library does. */
  fetch(node: number, partitions: readonly FetchFrom[], how: FetchHow): ReturnType<Consumer['fetch']> {
    const topics = Map.groupBy(partitions, ({ topicId }) => topicId)
    return this.#consumer.fetch({
      node,
      maxWaitTime: how.waitMs,
      minBytes: 1,
      maxBytes: how.maxBytes,
      isolationLevel: COMMITTED,
      connectionPool: this.#pool,
      topics: [...topics].map(([topicId, members]) => ({
        topicId,
        partitions: members.map(({ partition, from }) => ({
          partition,
          fetchOffset: from,
          partitionMaxBytes: how.maxPartitionBytes,
          currentLeaderEpoch: -1,
          lastFetchedEpoch: -1,
        })),
      })),
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#consumer.close(true), this.#pool.close()])
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question()
    } catch (thrown) {
      throw kafkaError(thrown, this.what, false)
    }
  }
}

export interface FetchFrom {
  readonly topicId: string
  readonly partition: number
  readonly from: bigint
}

export interface FetchHow {
  readonly waitMs: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
}

function isAddress(broker: string): boolean {
  return isIP(broker.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')) !== 0
}

function missingTopic(what: string, names: readonly string[]): LoadError {
  const list = names.map((name) => `"${name}"`).join(', ')
  return new LoadError('missing-table', `${what} has no ${names.length === 1 ? 'topic' : 'topics'} ${list}.`, {
    where: what,
    hint: 'Check `topic_prefix` and the tables. A connector makes the topic of a table with its first row.',
  })
}
