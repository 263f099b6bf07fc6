import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { KafkaClient } from '../../src/connectors/kafka/client.ts'
import { startKafka } from '../../src/testing/kafka-stack.ts'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { all, read, values } from '../kafka/kafka-topics.ts'
import { freshDatabase } from './fresh-database.ts'

/** The values of the first messages of a topic, as soon as there are so many. */
async function firstValues(brokers: readonly string[], topic: string, count: number): Promise<(string | null)[]> {
  const client = await KafkaClient.open({ what: 'the test', brokers })
  try {
    const topics = [...(await client.topics([topic])).values()]
    return values(
      await read(
        client,
        topics.flatMap((one) => all(one)),
        count,
      ),
    )
  } finally {
    await client.close()
  }
}

test('a row reaches its topic by Debezium, and so does one after the broker was killed', async () => {
  // A slot waits for every transaction of its server, also for those of other tests.
  await using server = await startPostgres({ settings: { wal_level: 'logical' } })
  await using database = await freshDatabase(server.url())
  await database.run("CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'copied')")
  await using kafka = await startKafka({ connect: true })
  const { hostname, port, username, pathname } = new URL(database.url)
  const registered = await fetch(`${kafka.connectUrl}/connectors/orders/config`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'plugin.name': 'pgoutput',
      'database.hostname': hostname,
      'database.port': port,
      'database.user': username,
      'database.dbname': decodeURIComponent(pathname.slice(1)),
      'topic.prefix': 'cdc',
      'slot.name': 'orders_slot',
      'publication.autocreate.mode': 'filtered',
      'table.include.list': 'public\\.orders',
      'topic.creation.default.partitions': '1',
      'topic.creation.default.replication.factor': '1',
    }),
  })
  expect(registered.status).toBe(201)
  const topic = 'cdc.public.orders'
  const first = () =>
    firstValues(kafka.brokers, topic, 1).then(
      ({ length }) => length,
      ({ code }) => code,
    )
  await expect.poll(first, { timeout: 60_000, interval: 300 }).toBe(1)
  await kafka.stopBroker('kill')
  await database.run("INSERT INTO orders VALUES (2, 'streamed')")
  await kafka.startBroker()
  // What was not acknowledged when the broker died is written again: a message may be there twice.
  const found = async (): Promise<readonly string[]> => {
    const rows = (await firstValues(kafka.brokers, topic, 2)).map((value) => JSON.parse(value ?? ''))
    return [...new Set(rows.map(({ op, after }) => `${op} ${after.id} ${after.note}`))]
  }
  await expect.poll(found, { timeout: 60_000, interval: 300 }).toEqual(['r 1 copied', 'c 2 streamed'])
})

test('Connect is killed and started, and nothing runs when it is disposed of', async () => {
  const kafka = await startKafka({ connect: true })
  const { connectUrl } = kafka
  await kafka.stopConnect('kill')
  await expect(fetch(connectUrl)).rejects.toThrow('fetch failed')
  await kafka.startConnect()
  expect((await fetch(connectUrl)).status).toBe(200)
  await kafka.stopConnect()
  await expect(fetch(connectUrl)).rejects.toThrow('fetch failed')
  expect(kafka.log('connect')).toContain('Kafka Connect stopped')
  await kafka.stopBroker()
  expect(kafka.log('broker')).toContain('shut down completed')
  await kafka[Symbol.asyncDispose]()
  expect(existsSync(kafka.folder)).toBe(false)
})

test('the servers end with the process that started them, even when that is killed', async () => {
  const module = new URL('../../src/testing/kafka-stack.ts', import.meta.url).href
  const script = `const { startKafka } = await import('${module}')
    const kafka = await startKafka()
    console.log(kafka.folder)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100)`
  const folder = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], (_error, stdout) => resolve(stdout.trim()))
  })
  expect(folder).toContain('tidemark-kafka-')
  await expect.poll(() => existsSync(folder), { timeout: 10_000 }).toBe(false)
  // A Java that lived on would have its folder in its arguments.
  await expect.poll(() => running(folder), { timeout: 10_000 }).toEqual([])
})

test('a Kafka that is not installed is an error that says how to install it', async () => {
  vi.stubEnv('XDG_CACHE_HOME', '/nowhere')
  try {
    await expect(startKafka()).rejects.toThrow(/No Kafka on this machine: there is no \/nowhere\/.*`npm run install-kafka`/)
  } finally {
    vi.unstubAllEnvs()
  }
})

function running(folder: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    execFile('ps', ['-A', '-o', 'args'], { maxBuffer: 1 << 24 }, (error, stdout) => {
      if (error) reject(error)
      else resolve(stdout.split('\n').filter((line) => line.includes(folder)))
    })
  })
}
