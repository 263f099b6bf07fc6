// A Kafka with topics, for tests of what is read from it: made, filled and read in few words.

import { Admin, type CompressionAlgorithmValue, Producer } from '@platformatic/kafka'
import { expect } from 'vitest'
import { KafkaClient, type KafkaTopic } from '../../src/connectors/kafka/client.ts'
import type { KafkaRecord } from '../../src/connectors/kafka/record-batches.ts'
import { type AssignedPartition, type ReaderOptions, TopicReader } from '../../src/connectors/kafka/topic-reader.ts'
import { type KafkaOptions, type KafkaStack, startKafka } from '../../src/testing/kafka-stack.ts'

export interface Message {
  readonly key?: string
  /** null is a tombstone. */
  readonly value: string | null
  readonly partition?: number
  readonly headers?: Readonly<Record<string, string>>
}

export interface TopicsUnderTest extends AsyncDisposable {
  readonly kafka: KafkaStack
  readonly client: KafkaClient
  readonly admin: Admin
  make(name: string, partitions?: number, configs?: Readonly<Record<string, string | number>>): Promise<KafkaTopic>
  send(topic: string, messages: readonly Message[], compression?: CompressionAlgorithmValue): Promise<void>
  /** A producer that writes in transactions. */
  transactional(id: string): Producer
}

export async function startTopics(options: KafkaOptions = {}): Promise<TopicsUnderTest> {
  const kafka = await startKafka(options)
  const how = { clientId: 'test', bootstrapBrokers: [...kafka.brokers], retries: 5, retryDelay: 500 }
  const admin = new Admin(how)
  const producer = new Producer(how)
  const others: Producer[] = []
  const client = await KafkaClient.open({ what: 'source shop', brokers: kafka.brokers })
  return {
    kafka,
    client,
    admin,
    async make(name, partitions = 1, configs = {}) {
      const settings = Object.entries(configs).map(([key, value]) => ({ name: key, value: String(value) }))
      await admin.createTopics({ topics: [name], partitions, replicas: 1, configs: settings })
      // The producer sends all again where one of the partitions is not led yet, and what the others took is doubled.
      await expect.poll(() => client.ranges([name]).then(({ size }) => size, String), { timeout: 10_000 }).toBe(1)
      const topic = (await client.topics([name])).get(name)
      if (topic === undefined) throw new Error(`No topic ${name}.`)
      return topic
    },
    async send(topic, messages, compression = 'none') {
      await producer.send({ compression, acks: -1, messages: messages.map((message) => toSend(topic, message)) })
    },
    transactional(id) {
      const made = new Producer({ ...how, idempotent: true, transactionalId: id })
      others.push(made)
      return made
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([client.close(), admin.close(), producer.close(), ...others.map((one) => one.close())])
      await kafka[Symbol.asyncDispose]()
    },
  }
}

export function toSend(topic: string, { key, value, partition = 0, headers = {} }: Message) {
  return {
    topic,
    partition,
    // The library takes null for a tombstone; its types do not know.
    value: (value === null ? null : Buffer.from(value)) as Buffer,
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
  }
}

export function numbered(from: number, count: number): Message[] {
  return Array.from({ length: count }, (_, at) => ({ key: `k${from + at}`, value: `v${from + at}` }))
}

export function all(topic: KafkaTopic, from: bigint | 'beginning' = 'beginning', until: bigint | null = null): AssignedPartition[] {
  return Array.from({ length: topic.partitions }, (_, partition) => ({ topic, partition, from: from === 'beginning' ? 0n : from, until }))
}

/** Reads until `count` records have come, or the time is over. */
export async function read(
  client: KafkaClient,
  assigned: readonly AssignedPartition[],
  count: number,
  options: ReaderOptions = {},
): Promise<KafkaRecord[]> {
  const reader = new TopicReader(client, assigned, options)
  const found: KafkaRecord[] = []
  const deadline = Date.now() + 30_000
  while (found.length < count && Date.now() < deadline) for (const { records } of await reader.next(500)) found.push(...records)
  reader.close()
  return found
}

export function values(records: readonly KafkaRecord[]): (string | null)[] {
  return records.map(({ value }) => value?.toString() ?? null)
}
