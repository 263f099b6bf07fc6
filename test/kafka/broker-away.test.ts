import { expect, test } from 'vitest'
import { KafkaClient } from '../../src/connectors/kafka/client.ts'
import { TopicReader } from '../../src/connectors/kafka/topic-reader.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { all, numbered, startTopics } from './kafka-topics.ts'

const RECORDS = 100_000

test('a broker that is killed in the middle of 100,000 records: all of them come, in order, once', async () => {
  await using topics = await startTopics()
  const topic = await topics.make('orders')
  for (let at = 0; at < RECORDS; at += 5000) await topics.send('orders', numbered(at, 5000), 'lz4')
  // Small answers, so that the kill falls between many of them.
  const reader = new TopicReader(topics.client, all(topic), { maxBytes: 64 << 10, maxPartitionBytes: 64 << 10 })
  let count = 0
  let wrong = 0
  let restarted: Promise<void> | null = null
  const deadline = Date.now() + 100_000
  while (count < RECORDS && Date.now() < deadline) {
    for (const { records } of await reader.next(500)) {
      for (const { offset, value } of records) {
        if (offset !== BigInt(count) || value?.toString() !== `v${count}`) wrong++
        count++
      }
    }
    if (count > RECORDS / 3 && restarted === null) {
      await topics.kafka.stopBroker('kill')
      restarted = topics.kafka.startBroker()
    }
  }
  await restarted
  expect({ count, wrong, restarted: restarted !== null }).toEqual({ count: RECORDS, wrong: 0, restarted: true })
  expect(await reader.next(700)).toEqual([])
  reader.close()
  await expect(reader.next(100)).rejects.toMatchObject({ code: 'stopped' })
})

test('a broker that stays away is waited for, and then it is an error', async () => {
  await using topics = await startTopics()
  const topic = await topics.make('orders')
  await topics.send('orders', numbered(0, 10))
  const reader = new TopicReader(topics.client, all(topic), { patienceMs: 1500 })
  expect((await reader.next(5_000)).flatMap(({ records }) => records)).toHaveLength(10)
  await topics.kafka.stopBroker('kill')
  const began = performance.now()
  const reading = async () => {
    for (;;) expect(await reader.next(300)).toEqual([])
  }
  await expect(reading()).rejects.toMatchObject({ code: 'unreachable', message: 'Cannot reach any broker of source shop (ECONNREFUSED).' })
  expect(performance.now() - began).toBeGreaterThan(1400)
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('no broker at the address: what is asked says so at once', async () => {
  const client = await KafkaClient.open({ what: 'source shop', brokers: [`127.0.0.1:${await freePort()}`, 'no-such-host.invalid:9092'] })
  const expected = {
    code: 'unreachable',
    message: expect.stringMatching(/^Cannot reach any broker of source shop \(E[A-Z_, ]+\)\.$/),
    hint: expect.stringContaining('advertised.listeners'),
  }
  await expect(client.clusterId()).rejects.toMatchObject(expected)
  await expect(client.topics(['orders'])).rejects.toMatchObject(expected)
  await expect(client.ranges(['orders'])).rejects.toMatchObject(expected)
  await client.close()
})

test('TLS is asked of a broker that speaks none', async () => {
  await using topics = await startTopics()
  const client = await KafkaClient.open({ what: 'source shop', brokers: topics.kafka.brokers, tls: { rejectUnauthorized: true } })
  await expect(client.topics(['orders'])).rejects.toMatchObject({ code: 'tls-failed', message: 'TLS with source shop failed.' })
  await client.close()
})
