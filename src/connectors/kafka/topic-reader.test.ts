// Brokers that are made up: what several of them do to one reader. What a real one does is tested in test/kafka.

import { setTimeout as pause } from 'node:timers/promises'
import * as library from '@platformatic/kafka'
import { expect, test } from 'vitest'
import type { FetchFrom } from './client.ts'
import { type FetchingClient, TopicReader } from './topic-reader.ts'

const NOT_LEADER = 6
const TOPIC = { name: 'orders', id: '11111111-1111-1111-1111-111111111111', partitions: 2 }

type Answer = Awaited<ReturnType<FetchingClient['fetch']>>
type Broker = (asked: readonly FetchFrom[]) => Promise<Answer>

function batch(first: bigint, values: readonly string[]): Buffer {
  const messages = values.map((value) => ({ topic: 'orders', value: Buffer.from(value) }))
  const bytes = Buffer.from(library.createRecordsBatch(messages).dynamicBuffer.buffer)
  bytes.writeBigInt64BE(first, 0)
  return bytes
}

function answer(partition: number, content: { readonly bytes?: Buffer; readonly errorCode?: number }): Answer {
  const { bytes = Buffer.alloc(0), errorCode = 0 } = content
  const one = { partitionIndex: partition, errorCode, lastStableOffset: 100n, abortedTransactions: null, bytes }
  return { responses: [{ topicId: TOPIC.id, partitions: [one] }] } as unknown as Answer
}

function clientOf(brokers: Readonly<Record<number, Broker>>, leaders: () => readonly number[]): FetchingClient {
  return {
    what: 'source shop',
    driver: library,
    fetch: (node, asked) => brokers[node]?.(asked) ?? Promise.reject(new Error(`no broker ${node}`)),
    findTopics: async () => new Map([[TOPIC.name, { ...TOPIC, leaders: leaders() }]]),
    ranges: async () => new Map(),
  }
}

const assigned = [0, 1].map((partition) => ({ topic: TOPIC, partition, from: 0n, until: null }))

/** The values of each partition that come within the time. */
async function readFor(reader: TopicReader, ms: number): Promise<readonly string[]> {
  const found: string[] = []
  for (const end = performance.now() + ms; performance.now() < end; )
    for (const { partition, records } of await reader.next(50)) found.push(...records.map(({ value }) => `${partition}:${value}`))
  return found
}

/** One record per answer. */
function counting(partition: number, delayMs: number): Broker {
  return async (asked) => {
    await pause(delayMs)
    const from = asked.find((one) => one.partition === partition)?.from ?? 0n
    return answer(partition, { bytes: batch(from, [String(from)]) })
  }
}

test('a broker without news holds up no other', async () => {
  const idle: Broker = () => pause(500).then(() => answer(0, {}))
  const found = await readFor(
    new TopicReader(
      clientOf({ 1: idle, 2: counting(1, 5) }, () => [1, 2]),
      assigned,
    ),
    400,
  )
  expect(found.length).toBeGreaterThan(15)
  expect(found).toEqual(found.map((_, at) => `1:${at}`))
})

test('a broker that is away holds up no other, and is not waited for without end', async () => {
  const away: Broker = () => Promise.reject(new library.NetworkError('closed'))
  const reader = new TopicReader(
    clientOf({ 1: away, 2: counting(1, 5) }, () => [1, 2]),
    assigned,
    { patienceMs: 700 },
  )
  const found = await readFor(reader, 400)
  expect(found.length).toBeGreaterThan(15)
  await expect(readFor(reader, 3_000)).rejects.toMatchObject({ code: 'connection-lost', message: 'The connection to source shop broke.' })
})

test('partitions are read on at the broker that leads them now, and a late answer of the other brings nothing twice', async () => {
  let leaders = [1, 2]
  const late = Promise.withResolvers<void>()
  const first: Broker = async ([asked]) => {
    if (asked?.from === 0n) return answer(0, { bytes: batch(0n, ['0', '1']) })
    leaders = [3, 3]
    await late.promise
    return answer(0, { bytes: batch(2n, ['2', '3']) })
  }
  const second: Broker = () => pause(20).then(() => answer(1, { errorCode: NOT_LEADER }))
  const third: Broker = async (asked) => {
    await pause(5)
    const parts = asked.map(({ partition, from }) => answer(partition, { bytes: batch(from, [String(from)]) }))
    return { responses: parts.flatMap(({ responses }) => responses) } as unknown as Answer
  }
  const reader = new TopicReader(
    clientOf({ 1: first, 2: second, 3: third }, () => leaders),
    assigned,
  )
  const found = [...(await readFor(reader, 500))]
  late.resolve()
  found.push(...(await readFor(reader, 200)))
  for (const partition of ['0:', '1:']) {
    const own = found.filter((one) => one.startsWith(partition))
    expect(own.length).toBeGreaterThan(10)
    expect(own).toEqual(own.map((_, at) => `${partition}${at}`))
  }
})

test('the error of one partition comes after what the other has', async () => {
  const both: Broker = async () => {
    const good = answer(1, { bytes: batch(0n, ['a', 'b']) })
    const damaged = batch(0n, ['c'])
    damaged[damaged.length - 2] = 0x58
    const bad = answer(0, { bytes: damaged })
    const topic = good.responses[0]
    const partitions = [...(bad.responses[0]?.partitions ?? []), ...(topic?.partitions ?? [])]
    return { responses: [{ topicId: TOPIC.id, partitions }] } as unknown as Answer
  }
  const reader = new TopicReader(
    clientOf({ 1: both }, () => [1, 1]),
    assigned,
  )
  expect((await reader.next(1000)).map(({ partition, records }) => [partition, records.length])).toEqual([[1, 2]])
  const expected = { code: 'log-corrupted', message: expect.stringContaining('partition 0') }
  await expect(reader.next(1000)).rejects.toMatchObject(expected)
  await expect(reader.next(1000)).rejects.toMatchObject(expected)
})

test('a partition without a leader is waited for', async () => {
  let leader = -1
  setTimeout(() => {
    leader = 1
  }, 300)
  const found = await readFor(
    new TopicReader(
      clientOf({ 1: counting(0, 5), 2: counting(1, 5) }, () => [leader, 2]),
      assigned,
    ),
    1_000,
  )
  expect(found.filter((one) => one.startsWith('1:')).length).toBeGreaterThan(50)
  expect(found.filter((one) => one.startsWith('0:')).length).toBeGreaterThan(5)
})
