// A look at the newest messages of a topic: what they show of its table. Nothing is read on from there, and no place in the topic moves.

import { LoadError } from '../../core/errors.ts'
import { type MessageShape, shapeOf } from '../../formats/debezium-shape.ts'
import type { KafkaClient, KafkaTopic, TopicRange } from './client.ts'
import type { MessageCodec } from './message-codec.ts'
import type { KafkaRecord } from './record-batches.ts'
import { TopicReader } from './topic-reader.ts'

/** So many offsets from the end of each partition; there may be no row in them, and then more are looked at. */
const WINDOWS = [100n, 10_000n, null] as const
const LOOK_BYTES = 1 << 20
const WAIT_MS = 1_000

/** null where no message has a row that can be read. */
export async function lookAtTopic(
  client: KafkaClient,
  topic: KafkaTopic,
  range: TopicRange,
  codec: MessageCodec,
): Promise<MessageShape | null> {
  for (const window of WINDOWS) {
    const found = await lookFrom(
      client,
      topic,
      range,
      codec,
      range.ends.map((end, number) => latest(range.begins[number] ?? 0n, window === null ? 0n : end - window)),
    )
    if (found !== null) return found
    if (window !== null && range.ends.every((end, number) => end - (range.begins[number] ?? 0n) <= window)) return null
  }
  return null
}

function latest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

async function lookFrom(
  client: KafkaClient,
  topic: KafkaTopic,
  range: TopicRange,
  codec: MessageCodec,
  from: readonly bigint[],
): Promise<MessageShape | null> {
  const assigned = from.flatMap((first, partition) => {
    const until = range.ends[partition] ?? 0n
    return first < until ? [{ topic, partition, from: first, until }] : []
  })
  if (assigned.length === 0) return null
  const reader = new TopicReader(client, assigned, { maxBytes: LOOK_BYTES, maxPartitionBytes: LOOK_BYTES })
  const unread = new Set(assigned.map(({ partition }) => partition))
  let shape: MessageShape | null = null
  try {
    while (unread.size > 0)
      for (const { partition, records, next } of await reader.next(WAIT_MS)) {
        await codec.prepare(records)
        for (const record of records) shape = joinShapes(shape, shapeShown(record, codec))
        if (next >= (range.ends[partition] ?? 0n)) unread.delete(partition)
      }
  } finally {
    reader.close()
  }
  return shape
}

/** What can't be read shows nothing here: it is refused, with its place, by whoever reads the topic for its changes. */
export function shapeShown(record: KafkaRecord, codec: MessageCodec): MessageShape | null {
  try {
    const { key, value } = codec.unpack({ ...record, headers: new Map(record.headers) })
    return shapeOf(key, value)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return null
  }
}

/** The later of two, with the fields of both: a field that came once may come again. */
export function joinShapes(earlier: MessageShape | null, later: MessageShape | null): MessageShape | null {
  if (earlier === null || later === null) return later ?? earlier
  const gone = [...earlier.fields].filter(([name]) => !later.fields.has(name))
  return { ...later, form: later.form ?? earlier.form, fields: new Map([...later.fields, ...gone]), key: later.key ?? earlier.key }
}
