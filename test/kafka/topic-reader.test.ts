import { afterAll, beforeAll, expect, test } from 'vitest'
import { TopicReader } from '../../src/connectors/kafka/topic-reader.ts'
import { all, numbered, read, startTopics, type TopicsUnderTest, toSend, values } from './kafka-topics.ts'

let topics: TopicsUnderTest

beforeAll(async () => {
  topics = await startTopics()
})

afterAll(async () => {
  await topics[Symbol.asyncDispose]()
})

const texts = (from: number, count: number) => numbered(from, count).map(({ value }) => value)

test('records have their offset, key, value, headers and time; a tombstone has no value', async () => {
  const topic = await topics.make('whole')
  const before = Date.now()
  await topics.send('whole', [{ key: 'a', value: '1', headers: { one: 'x', two: '' } }, { key: 'a', value: null }, { value: '' }])
  const found = await read(topics.client, all(topic), 3)
  expect(found.map(({ offset, key, value, headers }) => [offset, key?.toString(), value?.toString(), headers.map(String)])).toEqual([
    [0n, 'a', '1', ['one,x', 'two,']],
    [1n, 'a', undefined, []],
    [2n, undefined, '', []],
  ])
  for (const { timestamp } of found) expect(Math.abs(timestamp - before)).toBeLessThan(60_000)
})

test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('records compressed by %s', async (codec) => {
  const topic = await topics.make(`codec-${codec}`)
  await topics.send(topic.name, numbered(0, 1000), codec)
  await topics.send(topic.name, numbered(1000, 1000), codec)
  expect(values(await read(topics.client, all(topic), 2000))).toEqual(texts(0, 2000))
})

test('reading begins in the middle of a batch and ends before a given offset', async () => {
  const topic = await topics.make('middle')
  await topics.send('middle', numbered(0, 100))
  await topics.send('middle', numbered(100, 100))
  const reader = new TopicReader(topics.client, all(topic, 37n, 150n))
  const found: (string | null)[] = []
  let next = 0n
  while (next < 150n) {
    for (const part of await reader.next(1000)) {
      found.push(...values(part.records))
      next = part.next
      expect(part.end).toBe(200n)
    }
  }
  expect(found).toEqual(texts(37, 113))
  expect(next).toBe(150n)
  const began = performance.now()
  expect(await reader.next(5_000)).toEqual([])
  expect(performance.now() - began).toBeLessThan(2_000)
})

test('aborted transactions are left out, also two of one producer in one answer; an open one is waited for', async () => {
  const topic = await topics.make('transactions')
  const producer = topics.transactional('one')
  const other = topics.transactional('two')
  const write = async (by: typeof producer, value: string, end: 'commit' | 'abort') => {
    const transaction = await by.beginTransaction()
    await transaction.send({ messages: [toSend('transactions', { value })] })
    await transaction[end]()
  }
  await write(producer, 'aborted 1', 'abort')
  await write(producer, 'committed 1', 'commit')
  await topics.send('transactions', [{ value: 'plain' }])
  await write(producer, 'aborted 2', 'abort')
  await write(producer, 'committed 2', 'commit')
  const open = await other.beginTransaction()
  await open.send({ messages: [toSend('transactions', { value: 'late' })] })
  await write(producer, 'committed 3', 'commit')
  await write(producer, 'aborted 3', 'abort')

  const range = (await topics.client.ranges(['transactions'])).get('transactions')
  expect([range?.begins, range?.ends, range?.written]).toEqual([[0n], [9n], [14n]])
  const reader = new TopicReader(topics.client, all(topic))
  const found: (string | null)[] = []
  let next = 0n
  while (next < 9n) {
    for (const part of await reader.next(500)) {
      found.push(...values(part.records))
      next = part.next
    }
  }
  expect(found).toEqual(['committed 1', 'plain', 'committed 2'])
  expect(await reader.next(700)).toEqual([])
  await open.commit()
  while (next < 15n) {
    for (const part of await reader.next(500)) {
      found.push(...values(part.records))
      next = part.next
    }
  }
  expect(found.slice(3)).toEqual(['late', 'committed 3'])
})

test('every record of many partitions comes once, in the order of its partition', async () => {
  const topic = await topics.make('many', 5)
  const sent = Array.from({ length: 5000 }, (_, at) => ({ value: `${at}`, partition: at % 5 }))
  for (let at = 0; at < sent.length; at += 500) await topics.send('many', sent.slice(at, at + 500))
  const reader = new TopicReader(topics.client, all(topic), { maxBytes: 10_000, maxPartitionBytes: 2_000 })
  const found = new Map<number, (string | null)[]>()
  const offsets = new Map<number, bigint[]>()
  for (let count = 0; count < 5000; ) {
    for (const { partition, records } of await reader.next(1000)) {
      found.set(partition, [...(found.get(partition) ?? []), ...values(records)])
      offsets.set(partition, [...(offsets.get(partition) ?? []), ...records.map(({ offset }) => offset)])
      count += records.length
    }
  }
  for (let partition = 0; partition < 5; partition++) {
    expect(offsets.get(partition)).toEqual(Array.from({ length: 1000 }, (_, at) => BigInt(at)))
    expect(found.get(partition)).toEqual(sent.filter((one) => one.partition === partition).map(({ value }) => value))
  }
})

test('a batch that is larger than what is asked for comes whole', async () => {
  const topic = await topics.make('large', 2, { 'max.message.bytes': 20 << 20 })
  const large = 'x'.repeat(3 << 20)
  await topics.send('large', [{ value: large }])
  await topics.send('large', [{ value: `${large}y`, partition: 1 }])
  await topics.send('large', [{ value: 'small' }])
  const found = await read(topics.client, all(topic), 3, { maxBytes: 1000, maxPartitionBytes: 1000 })
  expect(found.map(({ value }) => value?.length).sort((a, b) => Number(a) - Number(b))).toEqual([5, 3 << 20, (3 << 20) + 1])
})

test('what compaction took away is passed over', async () => {
  const topic = await topics.make('compacted', 1, {
    'cleanup.policy': 'compact',
    'segment.ms': 100,
    'min.cleanable.dirty.ratio': '0.01',
    'max.compaction.lag.ms': 100,
  })
  for (let round = 0; round < 5; round++) {
    await topics.send('compacted', [
      { key: 'a', value: `a${round}` },
      { key: 'b', value: `b${round}` },
    ])
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
  let found = await read(topics.client, all(topic, 0n, 10n), 4)
  await expect
    .poll(
      async () => {
        await topics.send('compacted', [{ key: 'c', value: 'c' }])
        const reader = new TopicReader(topics.client, all(topic, 0n, 10n))
        found = []
        for (let next = 0n; next < 10n; ) {
          for (const part of await reader.next(1000)) {
            found.push(...part.records)
            next = part.next
          }
        }
        return found.length
      },
      { timeout: 60_000, interval: 500 },
    )
    .toBeLessThan(10)
  expect(values(found).slice(-2)).toEqual(['a4', 'b4'])
  expect(found.map(({ offset }) => offset).slice(-2)).toEqual([8n, 9n])
})

test('the cluster has an id, and topics that are not there are found missing', async () => {
  const topic = await topics.make('there')
  expect(await topics.client.clusterId()).toMatch(/^T[\w-]{21}$/)
  const found = await topics.client.findTopics(['there', 'not-there', 'nor-there'])
  expect([...found.values()]).toEqual([topic])
  await expect(topics.client.topics(['there', 'not-there', 'nor-there'])).rejects.toMatchObject({
    code: 'missing-table',
    message: 'source shop has no topics "not-there", "nor-there".',
  })
})
