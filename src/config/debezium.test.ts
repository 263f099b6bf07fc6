// Pipelines on a kafka connection: what becomes of them, and exactly what a person is told of each mistake.

import { expect, test } from 'vitest'
import { LoadError } from '../core/errors.ts'
import { validateProject } from './validate-project.ts'

const SECRET = 'canary-7Q'
const env = { CONNECT: `http://me:${SECRET}@connect:8083`, SASL: SECRET }
const connections = {
  shop: { type: 'postgres', host: 'db', database: 'shop', user: 'dbz' },
  wh: { type: 'duckdb', path: 'x' },
  kafka: { type: 'kafka', brokers: ['localhost:9092'], connect: '${env:CONNECT}' },
}
const connector = { name: 'orders-connector', from: 'shop', slot: 'orders_slot' }
const source = { connection: 'kafka', topic_prefix: 'cdc', tables: ['public.orders'], connector }
const pipeline = { pattern: 'cdc', source, target: { connection: 'wh' } }

const load = (pipelines: object, more: object = {}) =>
  validateProject({ connections: { ...connections, ...more }, pipelines }, 'p', { env })

function problems(pipelines: object, more: object = {}): string[] {
  try {
    load(pipelines, more)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    expect(error.code).toBe('bad-project')
    expect(error.message).not.toContain(SECRET)
    return error.message.split('\n').map((line) => line.replace(/^p /, ''))
  }
  throw new Error('the project was accepted')
}

test('everything that is written, and the defaults', () => {
  const all = {
    ...connector,
    publication: 'orders_pub',
    password: '$${file:/opt/secrets.properties:password}',
    heartbeat_table: 'public.heartbeat',
    properties: { 'max.batch.size': 4096, 'read.only': true, 'database.hostname': 'inside' },
  }
  const { pipelines, connections: found } = load({
    orders: { ...pipeline, source: { ...source, connector: all }, write: 'append', on_bad_row: 'quarantine' },
    'topics/only': { ...pipeline, source: { connection: 'kafka', topic_prefix: 'cdc', tables: ['public.customers'] } },
  })
  expect(pipelines).toMatchObject([
    {
      source: {
        connection: 'kafka',
        slot: 'orders_slot',
        publication: 'orders_pub',
        kafka: {
          topicPrefix: 'cdc',
          connector: {
            name: 'orders-connector',
            from: 'shop',
            password: '${file:/opt/secrets.properties:password}',
            heartbeatTable: { schema: 'public', name: 'heartbeat' },
            properties: { 'max.batch.size': '4096', 'read.only': 'true', 'database.hostname': 'inside' },
          },
        },
      },
      write: 'append',
      maxQuarantined: 1000,
    },
    {
      source: {
        slot: 'tidemark_topics_only',
        publication: 'tidemark_topics_only',
        kafka: { topicPrefix: 'cdc', connector: null, form: null, declared: [] },
      },
      write: 'merge',
    },
  ])
  expect(found['kafka']?.options).toEqual({ brokers: ['localhost:9092'], connect: env.CONNECT })
})

test('what is said of tables that nothing else describes', () => {
  const declare = {
    'public.orders': { columns: { id: 'int8', amount: 'numeric(12,2)' }, key: ['id'] },
    'public.lines': { replica_identity: 'full' },
  }
  const tables = ['public.orders', 'public.lines']
  const { pipelines } = load({
    p: { ...pipeline, source: { connection: 'kafka', topic_prefix: 'cdc', tables, form: 'unwrapped', declare } },
  })
  expect(pipelines).toMatchObject([
    {
      source: {
        kafka: {
          form: 'unwrapped',
          declared: [
            {
              name: { schema: 'public', name: 'orders' },
              columns: [
                { name: 'id', type: 'int8' },
                { name: 'amount', type: 'numeric(12,2)' },
              ],
              key: ['id'],
              wholeBefore: false,
            },
            { name: { schema: 'public', name: 'lines' }, columns: null, key: [], wholeBefore: true },
          ],
        },
      },
    },
  ])
})

const bare = { connection: 'kafka', topic_prefix: 'cdc', tables: ['public.orders'] }
const declaring = (one: object, table = 'public.orders'): object => ({ ...bare, declare: { [table]: one } })
const at = 'pipelines.p.source'
test.each([
  [{ ...source, topic_prefix: undefined }, `${at}.topic_prefix: missing; expected text`],
  [{ ...source, topic_prefix: 'a/b' }, `${at}.topic_prefix: "a/b" is no prefix of topics: letters, digits and . _ -`],
  [{ ...source, topicprefix: 'cdc', topic_prefix: undefined }, `${at}.topicprefix: unknown key; did you mean "topic_prefix"?`],
  [{ ...source, slot: 's' }, `${at}.slot: unknown key; allowed: connection, topic_prefix, tables, connector, form, declare`],
  [{ ...bare, form: 'flat' }, `${at}.form: unknown value "flat"; allowed: envelope, unwrapped`],
  [{ ...bare, declare: [] }, `${at}.declare: expected a map of tables, not a list`],
  [declaring({}, 'public.lines'), `${at}.declare."public.lines": is none of the tables`],
  [
    declaring({ columns: { id: 'status' }, key: ['id'] }),
    `${at}.declare."public.orders".columns.id: "status" is no type that is known here`,
  ],
  [declaring({ columns: { id: 'int' } }), `${at}.declare."public.orders".columns: needs key: [columns that identify a row]`],
  [declaring({ columns: { id: 'int' }, key: ['no'] }), `${at}.declare."public.orders".key[0]: is none of the columns`],
  [declaring({ columns: { id: 'int' }, key: [] }), `${at}.declare."public.orders".key: expected a list, such as [id]`],
  [declaring({ key: ['id'] }), `${at}.declare."public.orders".key: needs columns`],
  [declaring({ replica_identity: 'index' }), `${at}.declare."public.orders".replica_identity: unknown value "index"`],
  [
    { ...source, declare: { 'public.orders': { replica_identity: 'full' } } },
    `${at}.declare: stands beside connector: { from: … }, whose database says what the tables are; keep one of them`,
  ],
  [{ ...source, tables: [] }, `${at}.tables: expected a list, such as [public.orders]`],
  [{ ...source, tables: ['orders'] }, `${at}.tables[0]: needs its schema, as in public.orders`],
  [{ ...source, tables: ['public.*'] }, `${at}.tables[0]: a wildcard has no meaning here; name the tables`],
  [{ ...source, tables: ['public."a b"', 'public.a_b'] }, `${at}.tables[1]: has the same topic as tables[0]: cdc.public.a_b`],
  [{ ...source, connector: 'x' }, `${at}.connector: expected a map, not text`],
  [{ ...source, connector: { from: 'shop' } }, `${at}.connector.name: missing; expected text`],
  [{ ...source, connector: { name: 'a b' } }, `${at}.connector.name: "a b" is no name of a connector: it can hold no spaces and no /`],
  [
    { ...source, connector: { ...connector, from: 'shp' } },
    `${at}.connector.from: unknown connection "shp"; did you mean "shop"? Allowed: shop, wh, kafka`,
  ],
  [
    { ...source, connector: { ...connector, from: 'wh' } },
    `${at}.connector.from: is a duckdb connection; the connector reads the log of a postgres one`,
  ],
  [
    { ...source, connector: { ...connector, slot: 'Slot' } },
    `${at}.connector.slot: "Slot" is no name of a slot: small letters, digits and _, at most 63`,
  ],
  [
    { ...source, connector: { ...connector, password: SECRET } },
    `${at}.connector.password: is no reference to a config provider of Kafka Connect, such as $\${file:/opt/secrets.properties:password}`,
  ],
  [{ ...source, connector: { name: 'c', password: '${vault:a:b}' } }, `${at}.connector.password: needs from`],
  [
    { ...source, connector: { ...connector, heartbeat_table: 'heartbeat' } },
    `${at}.connector.heartbeat_table: needs its schema, as in public.heartbeat`,
  ],
  [{ ...source, connector: { ...connector, properties: 5 } }, `${at}.connector.properties: expected a map of properties, not a number`],
  [
    { ...source, connector: { ...connector, properties: { a: ['x'] } } },
    `${at}.connector.properties.a: expected text, a number, or true or false, not a list`,
  ],
  [
    { ...source, connector: { ...connector, properties: { 'slot.name': 'x' } } },
    `${at}.connector.properties."slot.name": is said by connector: { slot: … } already`,
  ],
  [
    { ...source, connector: { ...connector, properties: { 'connector.class': 'MySqlConnector' } } },
    `${at}.connector.properties."connector.class": can only be io.debezium.connector.postgresql.PostgresConnector`,
  ],
])('%j', (one, expected) => {
  expect(problems({ p: { ...pipeline, source: one } }).map((line) => line.replace(/^p: /, ''))).toEqual([expect.stringContaining(expected)])
})

test.each([
  [{ ...pipeline, workers: 4 }, 'pipelines.p.workers: unknown key'],
  [{ ...pipeline, max_quarantined: 5 }, 'pipelines.p.max_quarantined: needs on_bad_row: quarantine'],
  [{ ...pipeline, target: { connection: 'kafka' } }, 'pipelines.p.target.connection: is a kafka connection: nothing is written there'],
  [
    { pattern: 'watermark', source: { connection: 'kafka', table: 'public.a' }, target: { connection: 'wh' }, cursor: 'c' },
    'pipelines.p.source.connection: is a kafka connection: only pattern: cdc reads it',
  ],
])('a pipeline: %j', (one, expected) => {
  expect(problems({ p: one })).toEqual([expect.stringContaining(expected)])
})

const kafka = connections.kafka
test.each([
  [{ type: 'kafka' }, 'connections.k.brokers: missing; expected a list, such as ["localhost:9092"]'],
  [{ ...kafka, brokers: [] }, 'connections.k.brokers: expected a list, such as ["localhost:9092"]'],
  [{ ...kafka, brokers: 'localhost:9092' }, 'connections.k.brokers: expected a list, such as ["localhost:9092"], not text'],
  [{ ...kafka, brokers: ['localhost'] }, 'connections.k.brokers[0]: "localhost" is no broker; write it as host:port'],
  [{ ...kafka, brokers: ['localhost:70000'] }, 'connections.k.brokers[0]: "localhost:70000" is no broker; write it as host:port'],
  [{ ...kafka, connect: `me:${SECRET}@connect` }, 'connections.k.connect: is not a URL like http://connect:8083'],
  [{ ...kafka, connect: `http://me:%zz${SECRET}@connect` }, 'connections.k.connect: is not a URL like http://connect:8083'],
  [{ ...kafka, connect: `http://connect:8083/?password=${SECRET}` }, 'connections.k.connect: is not a URL like http://connect:8083'],
  [
    { ...kafka, sasl: { mechanism: 'GSSAPI', username: 'u', password: '${env:SASL}' } },
    'connections.k.sasl.mechanism: unknown value "GSSAPI"',
  ],
  [{ ...kafka, sasl: { mechanism: 'PLAIN', username: 'u' } }, 'connections.k.sasl.password: missing; expected text'],
  [{ ...kafka, registry: { user: 'u', password: '${env:SASL}' } }, 'connections.k.registry.url: missing; expected text'],
  [{ ...kafka, registry: { url: 'registry:8081' } }, 'connections.k.registry.url: is not a URL like http://registry:8081'],
  [{ ...kafka, registry: { url: `http://me:${SECRET}@registry` } }, 'connections.k.registry.url: is not a URL like http://registry:8081'],
  [{ ...kafka, registry: { url: 'http://registry:8081', user: 'u' } }, 'connections.k.registry: needs user and password together'],
  [{ ...kafka, tls: { cert: 'c.pem' } }, 'connections.k.tls: needs cert and key together'],
  [{ ...kafka, conect: 'x' }, 'connections.k.conect: unknown key; did you mean "connect"?'],
])('a connection: %j', (k, expected) => {
  expect(problems({ p: pipeline }, { k })).toEqual([expect.stringContaining(expected)])
})

test('secrets that stand in the project itself are found', () => {
  const literal = {
    kafka: {
      ...kafka,
      connect: `http://me:${SECRET}@connect:8083`,
      sasl: { mechanism: 'PLAIN', username: 'u', password: SECRET },
      registry: { url: 'http://r', user: 'u', password: SECRET },
    },
  }
  const properties = {
    'signal.consumer.sasl.password': SECRET,
    'max.batch.size': 1,
    'database.password': '${env:SASL}',
    'a.password': '$${file:/s:p}',
    'b.password': '${vault:a:b}',
  }
  const found = load({ p: { ...pipeline, source: { ...source, connector: { ...connector, properties } } } }, literal).literalSecrets
  expect(found).toEqual([
    expect.stringContaining('connections.kafka.connect'),
    expect.stringContaining('connections.kafka.sasl.password'),
    expect.stringContaining('connections.kafka.registry.password'),
    expect.stringContaining('"signal.consumer.sasl.password"'),
  ])
  expect(load({ p: pipeline }).literalSecrets).toEqual([])
})
