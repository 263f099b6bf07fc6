// What the real connector writes in other forms than tidemark's own: into a table whose types only the target knows, with schemas and
// nobody else to ask, and as rows that Debezium's own transform has unwrapped.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type KafkaStack, startKafka } from '../../src/testing/kafka-stack.ts'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { type Loading, startLoading } from '../servers/loading.ts'

let stack: KafkaStack
let server: PostgresServer

beforeAll(async () => {
  ;[stack, server] = await Promise.all([startKafka({ connect: true }), startPostgres({ settings: { wal_level: 'logical' } })])
}, 120_000)

afterAll(async () => {
  await Promise.all([stack[Symbol.asyncDispose](), server[Symbol.asyncDispose]()])
})

const TABLE = `CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2), free numeric, big text, at timestamptz,
  local timestamp, day date, flags int[], doc jsonb, raw bytea, span interval)`
const ROWS = `ALTER TABLE orders ALTER big SET STORAGE EXTERNAL;
  INSERT INTO orders SELECT i, 'customer ' || i, i * 1.25, i / 7.0, repeat('b' || i, 2000), timestamptz '2024-01-01 00:00:00.123456+00' + i * interval '1 hour',
    timestamp '2024-01-01 00:00:00.5' + i * interval '1 day', date '2024-01-01' + i, ARRAY[i, NULL, 3], '{"a": 9007199254740993}', '\\x00ff',
    interval '1 mon 2 days 03:00:00' * i FROM generate_series(1, 50) AS i`
const COLUMNS = ['id', 'customer', 'amount', 'free', 'big', 'at', 'local', 'day', 'flags', 'doc', 'raw', 'span']

interface Forms {
  readonly properties: Readonly<Record<string, string>>
  /** Beside the connector's name, once it is registered. */
  readonly source: Readonly<Record<string, unknown>>
  readonly before?: (loading: Loading) => Promise<void>
}

/** A connector that is registered by the pipeline, and then read by one that knows nothing of the database. */
async function start({ properties, source, before }: Forms): Promise<Loading> {
  const name = `t_${randomBytes(5).toString('hex')}`
  const loading = await startLoading({ sourceServer: server.url(), pipelines: {} })
  await loading.source.run(`${TABLE}; ${ROWS}`)
  const pipeline = (own: object): void =>
    loading.pipelines(
      {
        shop: {
          pattern: 'cdc',
          source: { connection: 'kafka', topic_prefix: name, tables: ['public.orders'], ...own },
          target: { connection: 'warehouse', schema: 'public' },
        },
      },
      { kafka: { type: 'kafka', brokers: stack.brokers, connect: stack.connectUrl } },
    )
  pipeline({ connector: { name, from: 'shop', slot: name, publication: name, properties } })
  const registered = await loading.cli(['connector', 'register', 'shop', '--yes'])
  expect({ exit: registered.exit, err: registered.exit === 0 ? '' : registered.err }).toEqual({ exit: 0, err: '' })
  await before?.(loading)
  pipeline({ connector: { name, slot: name, publication: name, properties }, ...source })
  return loading
}

async function equals(loading: Loading): Promise<void> {
  await expect
    .poll(
      async () => {
        const { error } = await loading.run()
        if (error !== null && error.code !== 'missing-table' && error.code !== 'unknown-columns')
          throw new Error(`${error.code}: ${error.message}`)
        const { lost, surplus } = await loading.compare('orders', { columns: COLUMNS }).catch(() => ({ lost: ['no table'], surplus: [] }))
        return [...lost, ...surplus]
      },
      { timeout: 40_000, interval: 500 },
    )
    .toEqual([])
}

const CHANGES = `UPDATE orders SET amount = amount + 1, span = NULL WHERE id < 10; DELETE FROM orders WHERE id = 20; UPDATE orders SET id = 500 WHERE id = 21;
  UPDATE orders SET big = 'short' WHERE id = 22; UPDATE orders SET free = 'NaN' WHERE id = 23; INSERT INTO orders (id, customer) VALUES (99, 'ünï')`

test("without schemas, by the types of the target's own table", async () => {
  await using loading = await start({ properties: {}, source: {}, before: async ({ target }) => target.run(TABLE) })
  await equals(loading)
  await loading.source.run(CHANGES)
  await equals(loading)
}, 120_000)

test('with schemas and safe settings, into a table that is made from them', async () => {
  const schemas = { 'key.converter.schemas.enable': 'true', 'value.converter.schemas.enable': 'true' }
  // By a schema alone, a decimal that is sent as text is one.
  await using loading = await start({ properties: { ...schemas, 'column.propagate.source.type': '.*' }, source: {} })
  await equals(loading)
  await loading.source.run(CHANGES)
  await loading.source.run('ALTER TABLE orders ADD COLUMN extra int; UPDATE orders SET extra = 7 WHERE id = 1')
  await equals(loading)
  const extra = async () => {
    await loading.run()
    return (await loading.target.rows('SELECT extra FROM orders WHERE id = 1'))[0]?.extra
  }
  await expect.poll(extra, { timeout: 20_000, interval: 500 }).toBe('7')
  const types = await loading.target.rows(
    "SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'orders' AND table_schema = 'public'",
  )
  expect(Object.fromEntries(types.map(({ name, type }) => [name, type]))).toMatchObject({
    id: 'bigint',
    amount: 'numeric',
    free: 'numeric',
    at: 'timestamp with time zone',
    local: 'timestamp without time zone',
    day: 'date',
    flags: 'ARRAY',
    doc: 'json',
    raw: 'bytea',
    span: 'interval',
    extra: 'integer',
  })
}, 120_000)

const UNWRAP = { transforms: 'unwrap', 'transforms.unwrap.type': 'io.debezium.transforms.ExtractNewRecordState' }

test.each([
  [
    'rewrite',
    {
      'transforms.unwrap.delete.tombstone.handling.mode': 'rewrite',
      'transforms.unwrap.add.fields': 'op,table,lsn,source.sequence,source.snapshot',
    },
  ],
  ['a tombstone alone, and nothing added', {}],
])(
  'rows that the real transform has unwrapped: %s',
  async (_, more) => {
    const properties = { ...UNWRAP, ...more, 'transforms.unwrap.replace.null.with.default': 'false' }
    await using loading = await start({ properties, source: {}, before: async ({ target }) => target.run(TABLE) })
    await equals(loading)
    await loading.source.run(CHANGES)
    await equals(loading)
    const checked = JSON.parse((await loading.cli(['check'])).out).findings.map(({ code }: { code: string }) => code)
    expect(checked).toContain('unwrapped-truncate')
    expect(checked.includes('messages-unordered')).toBe(Object.keys(more).length === 0)
  },
  120_000,
)
