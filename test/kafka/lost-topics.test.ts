import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32c } from '@platformatic/kafka'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TopicReader } from '../../src/connectors/kafka/topic-reader.ts'
import { all, numbered, read, startTopics, type TopicsUnderTest, values } from './kafka-topics.ts'

let topics: TopicsUnderTest

beforeAll(async () => {
  topics = await startTopics()
})

afterAll(async () => {
  await topics[Symbol.asyncDispose]()
})

/** Reads until it throws. */
async function readToError(reader: TopicReader): Promise<never> {
  const deadline = Date.now() + 30_000
  while (Date.now() < deadline) await reader.next(500)
  throw new Error('Nothing was thrown in 30 s.')
}

test('a topic that is deleted while it is read ends the reader, and so it does for good', async () => {
  const topic = await topics.make('deleted')
  await topics.send('deleted', numbered(0, 10))
  const reader = new TopicReader(topics.client, all(topic))
  expect((await reader.next(5_000)).flatMap(({ records }) => records)).toHaveLength(10)
  await topics.admin.deleteTopics({ topics: ['deleted'] })
  const expected = { code: 'log-lost', message: 'source shop: topic "deleted" was deleted, and with it whatever had not been read.' }
  await expect(readToError(reader)).rejects.toMatchObject(expected)
  await expect(reader.next(100)).rejects.toMatchObject(expected)
})

test('a topic that was deleted and made again is another, whether it is read meanwhile or not', async () => {
  const topic = await topics.make('again')
  await topics.send('again', numbered(0, 10))
  const reader = new TopicReader(topics.client, all(topic))
  expect((await reader.next(5_000)).flatMap(({ records }) => records)).toHaveLength(10)
  await topics.admin.deleteTopics({ topics: ['again'] })
  const other = await topics.make('again')
  expect(other.id).not.toBe(topic.id)
  await topics.send('again', numbered(0, 20))
  const expected = {
    code: 'log-lost',
    message: 'source shop: topic "again" was deleted and made again: its offsets mean something else now.',
  }
  await expect(readToError(reader)).rejects.toMatchObject(expected)
  await expect(readToError(new TopicReader(topics.client, all(topic, 5n)))).rejects.toMatchObject(expected)
})

test('a topic with more partitions than before is not read on, nor begun', async () => {
  const topic = await topics.make('repartitioned')
  await topics.send('repartitioned', numbered(0, 10))
  const reader = new TopicReader(topics.client, all(topic))
  expect((await reader.next(5_000)).flatMap(({ records }) => records)).toHaveLength(10)
  await topics.admin.createPartitions({ topics: [{ name: 'repartitioned', count: 3 }] })
  const expected = { code: 'log-lost', message: 'source shop: topic "repartitioned" has 3 partitions now, and had 1.' }
  await expect(readToError(reader)).rejects.toMatchObject(expected)
  await expect(readToError(new TopicReader(topics.client, all(topic)))).rejects.toMatchObject(expected)
})

test('records that retention removed before they were read are a loss, not a gap', async () => {
  const topic = await topics.make('short')
  await topics.send('short', numbered(0, 100))
  await topics.admin.deleteRecords({ topics: [{ name: 'short', partitions: [{ partition: 0, offset: 40n }] }] })
  await expect(readToError(new TopicReader(topics.client, all(topic, 39n)))).rejects.toMatchObject({
    code: 'log-lost',
    message: 'source shop, topic "short", partition 0 begins at offset 40; what is needed begins at 39, and was removed.',
    hint: expect.stringContaining('retention.ms'),
  })
  expect(values(await read(topics.client, all(topic, 40n), 60))).toEqual(numbered(40, 60).map(({ value }) => value))
})

test('a topic that ends before what was read already has lost records', async () => {
  const topic = await topics.make('truncated')
  await topics.send('truncated', numbered(0, 100))
  await expect(readToError(new TopicReader(topics.client, all(topic, 101n)))).rejects.toMatchObject({
    code: 'log-lost',
    message: 'source shop, topic "truncated", partition 0 ends at offset 100, before 101 which was read already: records are gone.',
  })
  expect(await new TopicReader(topics.client, all(topic, 100n)).next(700)).toEqual([])
})

test('a batch that is larger than allowed is refused, with its offset', async () => {
  const topic = await topics.make('oversized', 1, { 'max.message.bytes': 4 << 20 })
  await topics.send('oversized', [{ value: 'small' }])
  await topics.send('oversized', [{ value: 'x'.repeat(2 << 20) }])
  await expect(readToError(new TopicReader(topics.client, all(topic), { maxBatchBytes: 1 << 20 }))).rejects.toMatchObject({
    code: 'log-unavailable',
    message: expect.stringMatching(/topic "oversized", partition 0 has a batch of 20\d{5} bytes at offset 1; at most 1048576 are read\.$/),
  })
})

test('bytes that are damaged on the disk of the broker are found, and a codec that nobody knows; the other partition is read', async () => {
  const damaged = await topics.make('damaged', 2)
  const unknown = await topics.make('unknown-codec')
  await topics.send('damaged', numbered(0, 10))
  await topics.send('damaged', numbered(10, 10))
  await topics.send(
    'damaged',
    numbered(0, 10).map((message) => ({ ...message, partition: 1 })),
  )
  await topics.send('unknown-codec', numbered(0, 10))
  await topics.kafka.stopBroker()
  change('damaged-0', (bytes) => {
    const at = bytes.lastIndexOf('v15')
    bytes[at] = 0x58
  })
  change('unknown-codec-0', (bytes) => {
    bytes.writeInt16BE(bytes.readInt16BE(21) | 7, 21)
    bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  })
  await topics.kafka.startBroker()

  const reader = new TopicReader(topics.client, all(damaged))
  const found = new Map<number, number>()
  const reading = async () => {
    for (;;) for (const { partition, records } of await reader.next(500)) found.set(partition, (found.get(partition) ?? 0) + records.length)
  }
  await expect(reading()).rejects.toMatchObject({
    code: 'log-corrupted',
    message: 'source shop, topic "damaged", partition 0: the batch at offset 10 has a wrong checksum.',
  })
  expect(found).toEqual(
    new Map([
      [0, 10],
      [1, 10],
    ]),
  )
  await expect(readToError(new TopicReader(topics.client, all(unknown)))).rejects.toMatchObject({
    code: 'log-unavailable',
    message: 'source shop, topic "unknown-codec", partition 0 is compressed at offset 0 in a way that is not known (codec 7).',
  })
})

function change(partition: string, edit: (bytes: Buffer) => void): void {
  const file = join(topics.kafka.folder, 'data', partition, '00000000000000000000.log')
  const bytes = readFileSync(file)
  edit(bytes)
  writeFileSync(file, bytes)
}
