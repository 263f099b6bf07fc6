// The real Kafka Connect, the real Debezium and a real Postgres: what the other tests take for granted of them.

import { expect, test, vi } from 'vitest'
import { LoadError } from '../../src/core/errors.ts'
import { openProject } from '../../src/project/open-project.ts'
import { startKafka } from '../../src/testing/kafka-stack.ts'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { freshDatabase } from '../servers/fresh-database.ts'

vi.setConfig({ testTimeout: 300_000 })

const PASSWORD = 'kestrel/7@%x'

async function failure(what: Promise<unknown>): Promise<LoadError> {
  const error = await what.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof LoadError)) throw new Error(`no LoadError: ${String(error)}`)
  expect(`${error.message} ${error.hint}`).not.toContain('kestrel')
  return error
}

test('a connector is refused, registered, changed, stopped and removed', async () => {
  // A slot waits for every transaction of its server, also for those of other tests.
  await using server = await startPostgres({ settings: { wal_level: 'logical' } })
  await using database = await freshDatabase(server.url())
  await using kafka = await startKafka({ connect: true })
  await database.run(`CREATE TABLE orders (id int PRIMARY KEY, note text);
    CREATE TABLE "Mixed, Case" (id int PRIMARY KEY); CREATE TABLE heartbeat (id int PRIMARY KEY, ts timestamptz);
    INSERT INTO orders VALUES (1, 'copied'); INSERT INTO "Mixed, Case" VALUES (1)`)
  const { hostname, port, username, pathname } = new URL(database.url)
  const shop = {
    type: 'postgres' as const,
    host: hostname,
    port: Number(port),
    user: username,
    database: decodeURIComponent(pathname.slice(1)),
  }
  const open = (properties: Record<string, string> = {}, host = hostname) =>
    openProject({
      connections: {
        shop: { ...shop, host, password: PASSWORD },
        warehouse: { type: 'memory' },
        kafka: { type: 'kafka', brokers: [...kafka.brokers], connect: kafka.connectUrl },
      },
      pipelines: {
        orders: {
          pattern: 'cdc',
          source: {
            connection: 'kafka',
            topic_prefix: 'cdc',
            tables: ['public.orders', 'public."Mixed, Case"'],
            connector: {
              name: 'orders-connector',
              from: 'shop',
              slot: 'orders_slot',
              publication: 'orders_pub',
              heartbeat_table: 'public.heartbeat',
              properties,
            },
          },
          target: { connection: 'warehouse' },
        },
      },
    })

  await using wrong = await open({ 'snapshot.mode': 'kestrel-never', 'database.hostname': '127.0.0.1', 'database.port': '1' })
  const refused = await failure((await wrong.connector('orders')).preview())
  expect(refused.code).toBe('connector-refused')
  expect(refused.message).toContain("snapshot.mode: The 'snapshot.mode' value is invalid: Value must be one of always")
  await using closed = await open({ 'database.hostname': '127.0.0.1', 'database.port': '1' })
  const unreached = await failure((await closed.connector('orders')).register())
  expect([unreached.code, unreached.message]).toEqual([
    'connector-refused',
    expect.stringMatching(/\n {2}database\.hostname: .*[Cc]onnect/),
  ])

  await using project = await open()
  const connector = await project.connector('orders')
  expect((await failure(connector.status())).code).toBe('missing-connector')
  const preview = await connector.preview()
  expect(preview).toMatchObject({ exists: false, unknown: [] })
  expect(JSON.stringify(preview)).not.toContain('kestrel')
  expect(await connector.register()).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'RUNNING' }] })
  expect(await connector.preview()).toMatchObject({ exists: true, changes: [] })
  const topics = async (): Promise<unknown> =>
    ((await (await fetch(`${kafka.connectUrl}/connectors/orders-connector/topics`)).json()) as Record<string, { topics: string[] }>)[
      'orders-connector'
    ]?.topics
  await expect.poll(topics, { timeout: 60_000 }).toEqual(expect.arrayContaining(['cdc.public.orders', 'cdc.public.Mixed__Case']))
  await expect
    .poll(async () => (await connector.status()).stored, { timeout: 60_000 })
    .toMatchObject({ at: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) })
  expect((await connector.check()).map(({ code }) => code)).toEqual(['connector-password'])

  // The slot is asked first: what is stored never lies behind it while all is well.
  for (let id = 10; id < 40; id++) {
    await database.run(`INSERT INTO orders SELECT ${id} * 1000 + n, repeat('x', 100) FROM generate_series(1, 200) n`)
    expect((await connector.check()).map(({ code }) => code)).toEqual(['connector-password'])
  }

  await using changed = await open({ 'poll.interval.ms': '100', 'misspelt.name': '1' })
  const other = await changed.connector('orders')
  expect(await other.preview()).toMatchObject({
    changes: [
      { property: 'misspelt.name', was: null, becomes: '1' },
      { property: 'poll.interval.ms', was: null, becomes: '100' },
    ],
    unknown: ['misspelt.name'],
  })
  expect(await other.pause()).toMatchObject({ state: 'PAUSED', tasks: [{ state: 'PAUSED' }] })
  expect(await other.register()).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'RUNNING' }] })
  expect(await other.restart()).toMatchObject({ state: 'RUNNING' })

  await fetch(`${kafka.connectUrl}/connectors/orders-connector/stop`, { method: 'PUT' })
  expect(await other.register()).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'RUNNING' }] })

  await using failing = await open({ 'plugin.name': 'decoderbufs', 'errors.max.retries': '0' })
  const failed = await failure((await failing.connector('orders')).register())
  expect(failed.code).toBe('connector-failed')
  expect(failed.message).toMatch(/^Task 0 of connector orders-connector has failed: \w+Exception: .{10,520}$/)
  expect((await failing.connector('orders').then((one) => one.check())).map(({ code }) => code)).toContain('connector-failed')
  await database.run("SELECT pg_drop_replication_slot('orders_slot')")
  expect((await connector.check()).map(({ code }) => code)).toContain('connector-gap')
  const statements = async (): Promise<void> => {
    for (const { statement } of (await connector.remove()).left) if (!statement.includes('slot')) await database.run(statement)
  }

  await statements()
  expect((await failure(connector.status())).code).toBe('missing-connector')
  expect(await database.rows('SELECT 1 FROM pg_publication')).toEqual([])

  // Nothing is remembered of it: the rows that are there come again.
  expect(await connector.register()).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'RUNNING' }] })
  expect((await connector.remove()).left.map(({ what }) => what)).toEqual(['slot orders_slot', 'publication orders_pub'])
})
