// How far a stored position is behind its topics, by partition, in messages and in time; and whether what it needs is still there.

import type { PartitionLag } from '../../contract/log.ts'
import type { KafkaClient } from './client.ts'
import type { TopicPlace, TopicPlaces } from './topic-position.ts'
import { TopicReader } from './topic-reader.ts'

/** How long the oldest messages are waited for: their times are worth no more. */
const PATIENCE_MS = 3_000

export interface TopicLag {
  readonly partitions: readonly PartitionLag[]
  /** Why the position can't be gone on from; null where it can. */
  readonly lost: string | null
}

interface Behind {
  readonly topic: string
  readonly partition: number
  readonly next: bigint
  readonly messages: bigint
}

/** `stored` null: nothing has been read yet. */
export async function topicLag(client: KafkaClient, names: readonly string[], stored: TopicPlaces | null, now: number): Promise<TopicLag> {
  const found = await client.findTopics(names)
  const ranges = await client.ranges([...found.keys()])
  const behind: Behind[] = []
  const unread: PartitionLag[] = []
  for (const name of [...found.keys()].sort()) {
    const { begins = [], ends = [] } = ranges.get(name) ?? {}
    for (const [partition, end] of ends.entries()) {
      const next = stored?.get(name)?.partitions[partition]?.next ?? begins[partition] ?? 0n
      if (stored === null) unread.push({ topic: name, partition, messages: null, seconds: null })
      else behind.push({ topic: name, partition, next, messages: end - next })
    }
  }
  const lost = [...(stored ?? [])].flatMap(([name, place]) => whyLost(name, place, found.get(name)?.id, ranges.get(name)?.begins ?? []))
  const times = lost.length > 0 ? new Map<Behind, number>() : await oldest(client, behind, found)
  const lags = behind.map((one) => {
    const { topic, partition, messages } = one
    const at = times.get(one)
    const seconds = messages <= 0n ? 0 : at === undefined ? null : Math.max(0, Math.round((now - at) / 1000))
    return { topic, partition, messages: Number(messages), seconds }
  })
  return { partitions: [...unread, ...lags], lost: lost[0] ?? null }
}

function whyLost(name: string, { id, partitions }: TopicPlace, now: string | undefined, begins: readonly bigint[]): readonly string[] {
  if (now === undefined) return [`topic ${name} is gone`]
  if (now !== id) return [`topic ${name} was deleted and made again`]
  const cut = partitions.findIndex(({ next }, partition) => next < (begins[partition] ?? 0n))
  return cut < 0 ? [] : [`topic ${name} begins at offset ${begins[cut]} of partition ${cut}, after what is needed`]
}

/** When the first message was written that each partition has beyond the position, milliseconds from 1970. */
async function oldest(
  client: KafkaClient,
  behind: readonly Behind[],
  found: ReadonlyMap<string, { readonly id: string; readonly partitions: number }>,
): Promise<ReadonlyMap<Behind, number>> {
  const times = new Map<Behind, number>()
  const assigned = behind
    .filter(({ messages }) => messages > 0n)
    .map(({ topic, partition, next, messages }) => {
      const { id = '', partitions = 0 } = found.get(topic) ?? {}
      return { topic: { name: topic, id, partitions }, partition, from: next, until: next + messages }
    })
  if (assigned.length === 0) return times
  const reader = new TopicReader(client, assigned, { maxPartitionBytes: 64 << 10, patienceMs: PATIENCE_MS })
  const open = new Set(behind.filter(({ messages }) => messages > 0n))
  const until = performance.now() + PATIENCE_MS
  while (open.size > 0 && performance.now() < until) {
    const wants = (topic: string, partition: number) => [...open].some((one) => one.topic === topic && one.partition === partition)
    for (const { topic, partition, records, next } of await reader.next(200, wants)) {
      const one = [...open].find((other) => other.topic === topic && other.partition === partition)
      if (one === undefined) continue
      if (records[0] !== undefined) times.set(one, records[0].timestamp)
      if (records[0] !== undefined || next >= one.next + one.messages) open.delete(one)
    }
  }
  reader.close()
  return times
}
