// Kafka Connect as it was seen to answer, and what is made of each answer.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ServerAddress } from '../../contract/change-feed.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline, DebeziumConnector } from '../../core/pipeline.ts'
import { FakeConnect } from '../../testing/fake-connect.ts'
import { ConnectApi } from './connect-api.ts'
import { ConnectFeed } from './connect-feed.ts'
import { storedPosition } from './stored-position.ts'

const PASSWORD = 'kestrel/7@%x'
const FROM: ServerAddress = { host: 'db.example', port: 5432, database: 'shop', user: 'dbz', password: PASSWORD, tls: 'verify-full' }
const NAME = 'orders-connector'

function pipeline(more: Partial<DebeziumConnector> = {}): CdcPipeline {
  return {
    name: 'orders_debezium',
    pattern: 'cdc',
    source: {
      connection: 'kafka',
      tables: [{ schema: 'public', name: 'orders' }],
      slot: 'orders_slot',
      publication: 'orders_pub',
      failover: false,
      heartbeatSeconds: null,
      kafka: {
        topicPrefix: 'cdc',
        connector: { name: NAME, from: 'shop', password: null, heartbeatTable: null, properties: {}, ...more },
        form: null,
        declared: [],
        consistency: 'key',
      },
      streams: null,
    },
    target: { connection: 'warehouse', schema: null },
    write: 'merge',
    onSchemaChange: 'evolve',
    workers: null,
    maxQuarantined: null,
  }
}

let connect: FakeConnect
beforeEach(async () => {
  connect = await FakeConnect.start()
})
afterEach(async () => connect[Symbol.asyncDispose]())

const PACE = { lookMs: 10, staysMs: 150, patienceMs: 1_500 }

function feed(from: ServerAddress | null = FROM, url = connect.url, timeoutMs = 2_000): ConnectFeed {
  return new ConnectFeed(new ConnectApi({ url, what: 'connection kafka', timeoutMs, patienceMs: 1_000 }), from, PACE)
}

async function failure(what: Promise<unknown>): Promise<LoadError> {
  const error = await what.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof LoadError)) throw new Error(`no LoadError: ${String(error)}`)
  expect(`${error.message} ${error.hint}`).not.toContain('kestrel')
  return error
}

describe('register', () => {
  test('a new connector runs in the end, and again with nothing to change', async () => {
    const { exists, changes } = await feed().preview(pipeline())
    expect(exists).toBe(false)
    expect(changes).toContainEqual({ property: 'database.password', was: null, becomes: '********' })
    expect(changes).toContainEqual({ property: 'plugin.name', was: null, becomes: 'pgoutput' })
    expect(connect.connectors.size).toBe(0)
    const status = await feed().register(pipeline())
    expect(status).toMatchObject({ connector: NAME, state: 'RUNNING', tasks: [{ id: 0, state: 'RUNNING', cause: null }], stored: null })
    expect(connect.connectors.get(NAME)?.config['database.password']).toBe(PASSWORD)
    expect(await feed().preview(pipeline())).toMatchObject({ exists: true, changes: [] })
    const puts = (): number => connect.requests.filter((one) => one === `PUT /connectors/${NAME}/config`).length
    await feed().register(pipeline())
    expect(puts()).toBe(1)
  })

  test('what differs is shown by property, also what goes; secrets are stars', async () => {
    await feed().register(pipeline({ properties: { 'poll.interval.ms': '100' } }))
    const { changes } = await feed({ ...FROM, password: 'other' }).preview(pipeline({ properties: { 'decimal.handling.mode': 'double' } }))
    expect(changes).toEqual([
      { property: 'database.password', was: '********', becomes: '********' },
      { property: 'decimal.handling.mode', was: 'string', becomes: 'double' },
      { property: 'poll.interval.ms', was: '100', becomes: null },
    ])
  })

  test('a config provider is named in place of the password, and may be seen', async () => {
    const reference = '${file:/opt/secrets.properties:password}'
    const { changes } = await feed().preview(pipeline({ password: reference }))
    expect(changes).toContainEqual({ property: 'database.password', was: null, becomes: reference })
    expect(JSON.stringify(changes)).not.toContain('kestrel')
  })

  test.each(['stop', 'pause'])('one that rests after %s goes on', async (order) => {
    await feed().register(pipeline())
    await fetch(`${connect.url}/connectors/${NAME}/${order}`, { method: 'PUT' })
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(connect.connectors.get(NAME)?.state).not.toBe('RUNNING')
    expect(await feed().register(pipeline({ properties: { 'poll.interval.ms': '100' } }))).toMatchObject({ state: 'RUNNING' })
  })

  test('a task that failed is started again although nothing changes', async () => {
    connect.failsWith = () => TRACE
    await failure(feed().register(pipeline()))
    connect.failsWith = () => null
    expect(await feed().register(pipeline())).toMatchObject({ state: 'RUNNING' })
  })

  test('names that validation does not know are told', async () => {
    const properties = { 'misspelt.name': '1', 'topic.creation.default.cleanup.policy': 'compact' }
    expect((await feed().preview(pipeline({ properties }))).unknown).toEqual(['misspelt.name'])
  })
})

const TRACE = `org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped.
	at io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:67)
Caused by: io.debezium.DebeziumException: Creation of replication slot failed
	... 5 more
Caused by: org.postgresql.util.PSQLException: ERROR: could not access file "decoderbufs": No such file or directory with ${PASSWORD}
	at org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2733)
	... 20 more
`

describe('what goes wrong', () => {
  test('nobody is there', async () => {
    const { url } = connect
    await connect[Symbol.asyncDispose]()
    const error = await failure(feed(FROM, url.replace('//', '//someone:kestrel@')).status(pipeline()))
    expect(error).toMatchObject({ code: 'unreachable', where: 'connection kafka' })
    expect(error.message).toBe(`Kafka Connect at ${url} can't be reached: ECONNREFUSED.`)
  })

  test('nothing is answered', async () => {
    connect.silent = true
    const error = await failure(feed(FROM, connect.url, 200).status(pipeline()))
    expect(error).toMatchObject({ code: 'unreachable', message: `Kafka Connect at ${connect.url} gave no answer in 0.2 s.` })
  })

  test('something else is there', async () => {
    connect.always = { status: 200, text: '<html>kestrel</html>' }
    expect(await failure(feed().status(pipeline()))).toMatchObject({ code: 'unsupported-server' })
    connect.always = { status: 302, text: '' }
    expect(await failure(feed().status(pipeline()))).toMatchObject({ code: 'unsupported-server' })
    connect.always = { status: 500, text: '' }
    expect(await failure(feed().status(pipeline()))).toMatchObject({ code: 'connector-busy' })
  })

  test('a login is asked for, and taken from the URL', async () => {
    connect.login = 'some one:kestrel@1'
    expect(await failure(feed().preview(pipeline()))).toMatchObject({ code: 'authentication-failed' })
    await feed(FROM, connect.url.replace('//', '//some%20one:kestrel%401@')).preview(pipeline())
  })

  test('no such connector', async () => {
    const { message, code } = await failure(feed().status(pipeline()))
    expect([code, message]).toEqual(['missing-connector', `Kafka Connect at ${connect.url} has no connector ${NAME}.`])
    for (const order of ['pause', 'resume', 'restart', 'remove'] as const)
      expect((await failure(feed()[order](pipeline()))).code).toBe('missing-connector')
  })

  test('the plugin is missing', async () => {
    connect.plugins = ['org.apache.kafka.connect.mirror.MirrorSourceConnector']
    const { message, code } = await failure(feed().register(pipeline()))
    expect(code).toBe('missing-plugin')
    expect(message).toContain('it has org.apache.kafka.connect.mirror.MirrorSourceConnector')
    expect(connect.connectors.size).toBe(0)
  })

  test("invalid: each field with Connect's own words, the password never, and nothing is changed", async () => {
    connect.invalid = () => ({
      'database.hostname': 'Error while validating connector config: The connection attempt failed.',
      'slot.name': `bad ${PASSWORD}`,
    })
    const { message, code } = await failure(feed().register(pipeline()))
    expect(code).toBe('connector-refused')
    expect(message.split('\n').slice(1).sort()).toEqual([
      '  database.hostname: Error while validating connector config: The connection attempt failed.',
      '  slot.name: bad ********',
    ])
    expect(connect.connectors.size).toBe(0)
  })

  test('refused only when it is put', async () => {
    connect.refuses = `Connector configuration is invalid: ${PASSWORD}`
    expect(await failure(feed().register(pipeline()))).toMatchObject({
      code: 'connector-refused',
      message: expect.stringContaining('is invalid: ********'),
    })
  })

  test('a task that fails a moment after it began: the cause in one line', async () => {
    connect.failsWith = () => TRACE
    const { message, code } = await failure(feed().register(pipeline()))
    expect(code).toBe('connector-failed')
    expect(message).toBe(
      `Task 0 of connector ${NAME} has failed: PSQLException: ERROR: could not access file "decoderbufs": No such file or directory with ********`,
    )
    const status = await feed().status(pipeline())
    expect(status).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'FAILED' }] })
    expect(JSON.stringify(status)).not.toContain('kestrel')
  })

  test('a task that runs by its old configuration for a while, and fails by the new one', async () => {
    await feed().register(pipeline())
    connect.delayMs = 500
    connect.failsWith = (config) => (config['plugin.name'] === 'decoderbufs' ? TRACE : null)
    expect(await failure(feed().register(pipeline({ properties: { 'plugin.name': 'decoderbufs' } })))).toMatchObject({
      code: 'connector-failed',
    })
  })

  test('an old password of the running connector is no more shown than the new one', async () => {
    connect.failsWith = () => TRACE
    await failure(feed().register(pipeline()))
    await failure(feed({ ...FROM, password: 'new' }).register(pipeline()))
  })

  test('nor is one that only a config provider tells to Connect', async () => {
    connect.failsWith = () => TRACE
    await failure(feed().register(pipeline({ password: '${file:/s:p}' })))
    expect(JSON.stringify(await feed().status(pipeline()))).not.toContain('kestrel')
    expect(JSON.stringify(await feed().check(pipeline(), null))).not.toContain('kestrel')
  })

  test('workers that share out their work are waited for, but not for ever', async () => {
    await feed().register(pipeline())
    connect.rebalances = 2
    expect(await feed().pause(pipeline())).toMatchObject({ state: 'PAUSED' })
    connect.rebalances = Number.POSITIVE_INFINITY
    expect(await failure(feed().status(pipeline()))).toMatchObject({ code: 'connector-busy' })
  })

  test('one that never gets there', async () => {
    await feed().register(pipeline())
    connect.delayMs = 60_000
    const { message, code } = await failure(feed().pause(pipeline()))
    expect([code, message]).toEqual([
      'connector-busy',
      `Connector ${NAME} was not PAUSED within 1.5 s: it is RUNNING, its tasks are RUNNING.`,
    ])
  })

  test('a pipeline without a connector, and a database behind a socket', async () => {
    const own = pipeline()
    const none: CdcPipeline = {
      ...own,
      source: { ...own.source, kafka: { topicPrefix: 'cdc', connector: null, form: null, declared: [], consistency: 'key' } },
    }
    expect(await failure(feed().status(none))).toMatchObject({ code: 'bad-usage' })
    expect(await failure(feed({ ...FROM, host: '/run/postgresql' }).preview(own))).toMatchObject({ code: 'bad-usage' })
    expect(await failure(feed(null).register(own))).toMatchObject({ code: 'bad-usage' })
  })
})

describe('orders', () => {
  test('each returns when it is so', async () => {
    await feed().register(pipeline())
    expect(await feed().pause(pipeline())).toMatchObject({ state: 'PAUSED', tasks: [{ state: 'PAUSED' }] })
    expect(await feed().resume(pipeline())).toMatchObject({ state: 'RUNNING', tasks: [{ state: 'RUNNING' }] })
    expect(await feed().restart(pipeline())).toMatchObject({ state: 'RUNNING' })
  })

  test('remove forgets the offsets too, also of one that has failed, and says what stays', async () => {
    connect.failsWith = () => TRACE
    await failure(feed().register(pipeline()))
    connect.offsets.set(NAME, { lsn: 26643888 })
    expect(await feed().remove(pipeline())).toEqual({
      removed: [`connector ${NAME}`, `stored offsets of ${NAME}`],
      left: [
        { what: 'slot orders_slot', statement: "SELECT pg_drop_replication_slot('orders_slot');" },
        { what: 'publication orders_pub', statement: 'DROP PUBLICATION "orders_pub";' },
      ],
    })
    expect([connect.connectors.size, connect.offsets.size]).toEqual([0, 0])
  })

  test('the stored position is the furthest that the connector has', async () => {
    await feed().register(pipeline())
    connect.offsets.set(NAME, { lsn: 26643888, lsn_commit: 26643900, txId: 742, ts_usec: 1_700_000_000_000_000 })
    expect((await feed().status(pipeline())).stored).toEqual({ at: '0/1968DBC', time: '2023-11-14T22:13:20.000Z' })
  })

  test('a place beyond 2^53 is read exactly', async () => {
    connect.always = { status: 200, text: '{"offsets":[{"partition":{},"offset":{"lsn":18446744073709551615,"txId":1}}]}' }
    const { body } = await new ConnectApi({ url: connect.url, what: 'connection kafka', timeoutMs: 1_000 }).request('GET', '/')
    expect(storedPosition(body)).toEqual({ at: 'FFFFFFFF/FFFFFFFF', time: null })
  })
})

describe('check', () => {
  test('what tidemark registers itself has nothing to warn of but what needs the user', async () => {
    await feed().register(pipeline({ password: '${file:/s:p}', heartbeatTable: { schema: 'public', name: 'heartbeat' } }))
    expect(await feed().check(pipeline(), null)).toEqual([])
    await feed().register(pipeline())
    expect((await feed().check(pipeline(), null)).map(({ code }) => code)).toEqual(['connector-heartbeat-query', 'connector-password'])
  })

  test.each([
    ['0/1968DB0', []],
    ['0/1968DBC', []],
    ['0/1968DBD', ['connector-gap']],
  ])('slot at %s beside what is stored: %j', async (confirmed, codes) => {
    await feed().register(pipeline({ password: '${file:/s:p}', heartbeatTable: { schema: 'public', name: 'heartbeat' } }))
    connect.offsets.set(NAME, { lsn: 26643888, lsn_commit: 26643900 })
    expect((await feed().check(pipeline(), { state: 'reserved', confirmed })).map(({ code }) => code)).toEqual(codes)
    expect((await feed().check(pipeline(), { state: 'missing', confirmed: null })).map(({ code }) => code)).toEqual(['connector-gap'])
    expect((await feed().check(pipeline(), { state: 'lost', confirmed: null })).map(({ code }) => code)).toEqual(['connector-gap'])
  })

  test('without anything stored a slot says nothing', async () => {
    await feed().register(pipeline({ password: '${file:/s:p}', heartbeatTable: { schema: 'public', name: 'heartbeat' } }))
    expect(await feed().check(pipeline(), { state: 'missing', confirmed: null })).toEqual([])
  })
})
