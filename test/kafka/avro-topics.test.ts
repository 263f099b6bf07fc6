// Topics in Avro, as a connector with AvroConverter would leave them: written by another library, with a registry between. No such
// converter can be had for the Kafka Connect of these tests.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { avroMessage, avroSchema, type Connect } from '../debezium/avro-writer.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { startTopics, type TopicsUnderTest } from './kafka-topics.ts'
import { startRegistry, type TestRegistry } from './schema-registry.ts'

let topics: TopicsUnderTest

beforeAll(async () => {
  topics = await startTopics()
})

afterAll(async () => {
  await topics[Symbol.asyncDispose]()
})

const SECRET = 'canary-9K'
const KEY: Connect = { type: 'struct', name: 'p.public.orders.Key', fields: [{ type: 'int64', field: 'id' }] }
const FIELDS: readonly Connect[] = [
  { type: 'int64', field: 'id' },
  {
    type: 'bytes',
    field: 'amount',
    optional: true,
    name: 'org.apache.kafka.connect.data.Decimal',
    version: 1,
    parameters: { scale: '2', 'connect.decimal.precision': '12' },
  },
  { type: 'string', field: 'made', optional: true, name: 'io.debezium.time.ZonedTimestamp', version: 1 },
  { type: 'int64', field: 'local', optional: true, name: 'io.debezium.time.MicroTimestamp', version: 1 },
  { type: 'string', field: 'note', optional: true },
  { type: 'bytes', field: 'raw', optional: true },
  { type: 'array', field: 'flags', optional: true, items: { type: 'int32', optional: true } },
  { type: 'double', field: 'ratio', optional: true },
]
const SOURCE: Connect = {
  type: 'struct',
  name: 'io.debezium.connector.postgresql.Source',
  fields: [
    { type: 'string', field: 'schema' },
    { type: 'string', field: 'table' },
    { type: 'int64', field: 'lsn', optional: true },
    { type: 'int64', field: 'ts_us', optional: true },
    { type: 'string', field: 'sequence', optional: true },
  ],
}
const BIG = '9007199254740993'
const ROW = `"amount":"BBo=","made":"2026-01-02T03:04:05.5Z","local":1767322800000001,"note":"ünï \\"x\\" \\n","raw":"AP8=","flags":[1,null,3],"ratio":"NaN"`

function envelopeOf(fields: readonly Connect[]): Connect {
  const row: Connect = { type: 'struct', name: 'p.public.orders.Value', fields, optional: true }
  const rows = [{ ...row, field: 'before' }, { ...row, field: 'after' }] // biome-ignore format: two of them
  return {
    type: 'struct',
    name: 'p.public.orders.Envelope',
    fields: [...rows, { ...SOURCE, field: 'source' }, { type: 'string', field: 'op' }],
  }
}

let place = 100

function change(op: 'c' | 'u' | 'd', row: string): string {
  place += 2
  const source = `{"schema":"public","table":"orders","lsn":${place},"ts_us":1700000000000000,"sequence":"[\\"${place - 1}\\",\\"${place}\\"]"}`
  return `{"before":${op === 'd' ? row : 'null'},"after":${op === 'd' ? 'null' : row},"source":${source},"op":"${op}"}`
}

interface Started extends AsyncDisposable {
  readonly loading: Loading
  readonly registry: TestRegistry
  /** Returns the numbers of the schemas. */
  send(fields: readonly Connect[], ...changes: readonly (readonly [id: string, value: string])[]): Promise<void>
  raw(key: string | Buffer, value: Buffer): Promise<void>
  run(): Promise<{ readonly exit: number | null; readonly code: string | null; readonly message: string }>
  rows(columns: string): Promise<readonly string[]>
  connection(registry: object | null): void
}

async function start(login: string | null = null, own: object = {}): Promise<Started> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const topic = `${prefix}.public.orders`
  await topics.make(topic)
  const registry = await startRegistry(login)
  const loading = await startLoading()
  const pipeline = {
    pattern: 'cdc',
    source: { connection: 'kafka', topic_prefix: prefix, tables: ['public.orders'] },
    target: { connection: 'warehouse', schema: 'public' },
    ...own,
  }
  const connection = (own: object | null): void =>
    loading.pipelines(
      { orders: pipeline },
      { kafka: { type: 'kafka', brokers: topics.kafka.brokers, ...(own === null ? {} : { registry: own }) } },
    )
  connection({ url: registry.url })
  const ids = new Map<string, number>()
  const idOf = (schema: Connect): number => {
    const text = JSON.stringify(avroSchema(schema))
    const id = ids.get(text) ?? registry.register(topic, JSON.parse(text))
    ids.set(text, id)
    return id
  }
  const raw = async (key: string | Buffer, value: Buffer | null): Promise<void> =>
    topics.send(topic, [{ key: key as string, value: value as unknown as string }])
  return {
    loading,
    registry,
    connection,
    raw,
    async send(fields, ...changes) {
      const schema = envelopeOf(fields)
      for (const [id, json] of changes) await raw(avroMessage(idOf(KEY), KEY, `{"id":${id}}`), avroMessage(idOf(schema), schema, json))
    },
    async run() {
      const ended = await loading.cli(['run'])
      expect(ended.out + ended.err).not.toContain(SECRET)
      const { error } = JSON.parse(ended.out).pipelines[0]
      return { exit: ended.exit, code: error?.code ?? null, message: error?.message ?? '' }
    },
    rows: async (columns) =>
      (await loading.target.rows(`SELECT ${columns} FROM orders ORDER BY id`)).map((row) => Object.values(row).join(' | ')),
    async [Symbol.asyncDispose]() {
      await loading[Symbol.asyncDispose]()
      await registry[Symbol.asyncDispose]()
    },
  }
}

test('changes in Avro, whose schemas say what the table is, and what it becomes', async () => {
  await using started = await start()
  const { send, run, rows, registry } = started
  await send(FIELDS, [BIG, change('c', `{"id":${BIG},${ROW}}`)], ['2', change('c', `{"id":2,${ROW}}`)], ['3', change('c', '{"id":3}')])
  await send(FIELDS, ['2', change('d', `{"id":2,${ROW}}`)], ['3', change('u', '{"id":3,"note":"__debezium_unavailable_value"}')])
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows('id, amount, made, local, note, raw, flags, ratio')).toEqual([
    '3 |  |  |  |  |  |  | ',
    `${BIG} | 10.50 | 2026-01-02 03:04:05.5+00 | 2026-01-02 03:00:00.000001 | ünï "x" \n | \\x00ff | {1,NULL,3} | NaN`,
  ])
  // Each schema was asked for once.
  expect([...registry.asked].sort()).toEqual([...new Set(registry.asked)].sort())
  const more: Connect = { type: 'int16', field: 'more', optional: true }
  await send([...FIELDS, more], ['3', change('u', '{"id":3,"more":7}')])
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows('id, more + 1 AS more')).toEqual(['3 | 8', `${BIG} | `])
})

test('a registry with a password, and one that is not as it should be: nothing is skipped', async () => {
  await using started = await start(`reader:${SECRET}`)
  const { send, run, rows, registry, connection, loading } = started
  await send(FIELDS, ['1', change('c', `{"id":1,${ROW}}`)])
  const refused = async (code: string, exit: number, says: string): Promise<void> => {
    expect(await run()).toEqual({ exit, code, message: expect.stringContaining(says) })
    expect(await loading.state()).toBeNull()
  }
  await refused('authentication-failed', 3, 'refuses the request (401)')
  Object.assign(loading.env, { REGISTRY: SECRET })
  connection({ url: registry.url, user: 'reader', password: '${env:REGISTRY}' })
  registry.failing = { status: 200, body: '<html>' }
  await refused('unsupported-server', 3, 'does not answer as a registry')
  registry.failing = { status: 404, body: 'no such page' }
  await refused('unsupported-server', 3, 'gave 404')
  registry.failing = null
  connection(null)
  await refused('unknown-columns', 3, 'no message with a row')
  connection({ url: registry.url, user: 'reader', password: '${env:REGISTRY}' })
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows('id, amount')).toEqual(['1 | 10.50'])
})

test('messages that are no Avro, or of schemas that nobody knows, are refused with their place', async () => {
  const bad: readonly (readonly [Buffer | ((registry: TestRegistry) => Buffer), string])[] = [
    [Buffer.from([0, 0, 0, 99, 99, 1]), 'schema 25443, which the registry'],
    [(registry) => framed(registry.register('other', { schemaType: 'PROTOBUF', schema: '' })), 'no Avro but "PROTOBUF"'],
    [
      (registry) => framed(registry.register('other', { schemaType: 'AVRO', schema: '"int"', references: [{}] })),
      'refers to other schemas',
    ],
    [
      (registry) => framed(registry.register('other', { type: 'record', name: 'R', fields: [{ name: 'a', type: 'R' }] })),
      'inside of itself',
    ],
    [
      (registry) => framed(registry.register('other', { type: 'record', name: 'R', fields: [{ name: 'a', type: 'long' }] })),
      'not what its Avro schema says',
    ],
    [Buffer.from('no avro'), 'is no JSON'],
    [Buffer.from([0, 1]), 'is no JSON'],
  ]
  for (const [value, says] of bad) {
    await using started = await start()
    const { send, raw, run, rows, registry } = started
    await send(FIELDS, ['1', change('c', `{"id":1,${ROW}}`)])
    expect(await run()).toMatchObject({ exit: 0, code: null })
    await raw('{"id":1}', typeof value === 'function' ? value(registry) : value)
    await send(FIELDS, ['2', change('c', '{"id":2}')])
    const ended = await run()
    expect(ended).toEqual({ exit: 1, code: 'bad-message', message: expect.stringContaining(says) })
    expect(ended.message).toMatch(/^Message t\w+\.public\.orders\/0\/1: /)
    expect(await rows('id')).toEqual(['1'])
  }
})

test('a message whose schema is not there yet is kept, and read when it is', async () => {
  await using started = await start(null, { on_bad_row: 'quarantine' })
  const { send, raw, run, rows, registry, loading } = started
  await send(FIELDS, ['1', change('c', `{"id":1,${ROW}}`)])
  const schema = envelopeOf(FIELDS)
  await raw(avroMessage(1, KEY, '{"id":2}'), avroMessage(3, schema, change('c', `{"id":2,${ROW}}`)))
  await send(FIELDS, ['3', change('c', '{"id":3}')])
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows('id')).toEqual(['1', '3'])
  expect(registry.register('late', avroSchema(schema) as object)).toBe(3)
  const replayed = await loading.cli(['quarantine', 'replay', 'orders', '--yes'])
  expect({ exit: replayed.exit, err: replayed.exit === 0 ? '' : replayed.err }).toEqual({ exit: 0, err: '' })
  expect(await rows('id, amount')).toEqual(['1 | 10.50', '2 | 10.50', '3 | '])
})

const framed = (id: number): Buffer => Buffer.from([0, 0, 0, 0, id])
