// Topics whose connector nobody names a database for: their messages say what the tables are, or the target does, or the project file.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { type Loading, startLoading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'
import { type Message, startTopics, type TopicsUnderTest } from './kafka-topics.ts'

let topics: TopicsUnderTest

beforeAll(async () => {
  topics = await startTopics()
})

afterAll(async () => {
  await topics[Symbol.asyncDispose]()
})

type Row = Readonly<Record<string, unknown>>
type Field = Readonly<Record<string, unknown>>

const FIELDS: readonly Field[] = [
  { field: 'id', type: 'int64' },
  {
    field: 'amount',
    type: 'bytes',
    name: 'org.apache.kafka.connect.data.Decimal',
    parameters: { scale: '2', 'connect.decimal.precision': '12' },
  },
  { field: 'made', type: 'string', name: 'io.debezium.time.ZonedTimestamp' },
  { field: 'note', type: 'string' },
]
const ROW = { id: 9007199254740991, amount: 'BBo=', made: '2026-01-02T03:04:05.5Z', note: 'ünï' }

let place = 100

function envelope(op: 'c' | 'u' | 'd', row: Row): Row {
  place += 2
  const source = {
    schema: 'public',
    table: 'orders',
    lsn: place,
    txId: place,
    ts_us: 1_700_000_000_000_000,
    sequence: `["${place - 1}","${place}"]`,
  }
  return { before: op === 'd' ? row : null, after: op === 'd' ? null : row, source, op, transaction: null }
}

const bare = (op: 'c' | 'u' | 'd', row: Row): Message => ({
  key: JSON.stringify({ id: row['id'] }),
  value: JSON.stringify(envelope(op, row)),
})

/** As JsonConverter writes it with schemas. */
function described(op: 'c' | 'u' | 'd', row: Row, fields: readonly Field[] = FIELDS): Message {
  const struct = { type: 'struct', fields }
  const schema = { type: 'struct', fields: [{ ...struct, field: 'before' }, { ...struct, field: 'after' }, { field: 'op', type: 'string' }] } // biome-ignore format: as it is
  const key = { schema: { type: 'struct', fields: [FIELDS[0]] }, payload: { id: row['id'] } }
  return { key: JSON.stringify(key), value: JSON.stringify({ schema, payload: envelope(op, row) }) }
}

interface Started extends AsyncDisposable {
  readonly loading: Loading
  readonly topic: string
  send(...messages: Message[]): Promise<void>
  run(): Promise<{ readonly exit: number | null; readonly code: string | null; readonly message: string; readonly hint: string }>
  findings(): Promise<readonly { readonly code: string; readonly message: string }[]>
}

async function start(target: TargetKind, source: object = {}, table = 'public.orders'): Promise<Started> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const topic = `${prefix}.${table}`
  await topics.make(topic)
  const loading = await startLoading({ target })
  loading.pipelines(
    {
      orders: {
        pattern: 'cdc',
        source: { connection: 'kafka', topic_prefix: prefix, tables: [table], ...source },
        target: { connection: 'warehouse', schema: target === 'duckdb' ? 'main' : 'public' },
      },
    },
    { kafka: { type: 'kafka', brokers: topics.kafka.brokers } },
  )
  return {
    loading,
    topic,
    send: (...messages) => topics.send(topic, messages),
    async run() {
      const ended = await loading.cli(['run'])
      const { error } = JSON.parse(ended.out).pipelines[0]
      return { exit: ended.exit, code: error?.code ?? null, message: error?.message ?? '', hint: error?.hint ?? '' }
    },
    findings: async () => JSON.parse((await loading.cli(['check'])).out).findings,
    [Symbol.asyncDispose]: () => loading[Symbol.asyncDispose](),
  }
}

async function rows({ side }: Loading, columns: string): Promise<readonly string[]> {
  const sql = `SELECT ${columns} FROM orders ORDER BY id`
  const found = typeof side === 'string' ? await duckdbRows(side, sql) : (await side.rows(sql)).map((row) => Object.values(row))
  return found.map((row) => row.join(' | '))
}

describe.each(TARGET_KINDS)('into %s', (target) => {
  test('the schema in the messages says what the table is, and what it becomes', async () => {
    await using started = await start(target)
    const { loading, send, run } = started
    await send(described('c', ROW), described('c', { ...ROW, id: 2, amount: null, note: 'two' }), described('d', { ...ROW, id: 2 }))
    expect(await run()).toMatchObject({ exit: 0, code: null })
    expect(await rows(loading, 'id, amount::text, note, extract(epoch FROM made)::bigint')).toEqual([
      '9007199254740991 | 10.50 | ünï | 1767323046',
    ])
    const types = target === 'duckdb' ? ['BIGINT', 'DECIMAL(12,2)'] : ['bigint', 'numeric']
    const kinds = target === 'duckdb' ? 'typeof(id) AS a, typeof(amount) AS b' : 'pg_typeof(id) AS a, pg_typeof(amount) AS b'
    expect(await rows(loading, `${kinds}, id`)).toEqual([[...types, ROW.id].join(' | ')])

    // A column that comes while it is followed is in the newest message only.
    await send(described('c', { ...ROW, id: 3 }), described('u', { ...ROW, id: 3, more: 7 }, [...FIELDS, { field: 'more', type: 'int32' }]))
    expect(await run()).toMatchObject({ exit: 0, code: null })
    expect(await rows(loading, 'id, more + 1')).toEqual(['3 | 8', '9007199254740991 | '])
  })

  test("without schemas the target's own table says it, and what it does not have is text", async () => {
    await using started = await start(target, { connector: { name: 'c' } })
    const { loading, send, run } = started
    const row = { id: 1, amount: '10.50', made: ROW.made, flag: true, odd: { a: 1 } }
    const { odd: _, ...plain } = row
    await send(bare('c', plain))
    expect(await run()).toMatchObject({ exit: 3, code: 'unknown-columns', message: expect.stringContaining('bring no schema') })
    const table = 'CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(12,2), made timestamptz, unused text)'
    if (typeof loading.side === 'string') await duckdbRows(loading.side, table)
    else await loading.target.run(table)
    expect(await started.findings()).toEqual([
      expect.objectContaining({ code: 'column-as-text', message: expect.stringContaining('"flag"') }),
      expect.objectContaining({ code: 'connector-unseen', severity: 'info' }),
    ])
    expect(await run()).toMatchObject({ exit: 0, code: null })
    expect(await rows(loading, 'id, amount + 1, upper(flag), unused')).toEqual(['1 | 11.50 | TRUE | '])
    await send(bare('u', { ...plain, amount: '-0.01' }))
    expect(await run()).toMatchObject({ exit: 0, code: null })
    expect(await rows(loading, 'id, amount')).toEqual(['1 | -0.01'])
    // A struct is no text.
    await send(bare('u', { ...plain, flag: { a: 1 } }))
    expect(await run()).toMatchObject({ exit: 1, code: 'bad-message', message: expect.stringContaining('"flag"') })
  })
})

test('a topic without a row tells nothing, and what is in the target is enough', async () => {
  await using started = await start('postgres')
  const { loading, send, run } = started
  await send({ key: '{"id":1}', value: null })
  expect(await run()).toMatchObject({ exit: 3, code: 'unknown-columns', message: expect.stringContaining('no message with a row yet') })
  await loading.target.run('CREATE TABLE orders (id bigint PRIMARY KEY, note text)')
  expect(await run()).toMatchObject({ exit: 0, code: null })
  await send(bare('c', { id: 1, note: 'a' }))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(loading, 'id, note')).toEqual(['1 | a'])
})

test('what the project file declares is what is loaded, and a field beyond it is not lost', async () => {
  const columns = { id: 'int8', amount: 'numeric(12,2)', made: 'timestamptz' }
  await using started = await start('postgres', { connector: { name: 'c' }, declare: { 'public.orders': { key: ['id'], columns } } })
  const { loading, send, run } = started
  expect(await run()).toMatchObject({ exit: 0, code: null })
  await send(bare('c', { id: 1, amount: '10.50', made: ROW.made }))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(loading, 'id, amount + 1, pg_typeof(made)')).toEqual(['1 | 11.50 | timestamp with time zone'])
  await send(bare('c', { id: 2, amount: '1', made: null, ammount: '3' }))
  expect(await run()).toMatchObject({ exit: 3, code: 'unknown-columns', message: expect.stringContaining('"ammount"') })
  expect(await rows(loading, 'id')).toEqual(['1'])
})

test('a connector can not be asked where nobody says where Kafka Connect is', async () => {
  await using started = await start('postgres', { connector: { name: 'c' } })
  const asked = await started.loading.cli(['connector', 'status', 'orders'])
  expect(asked.exit).toBe(2)
  expect(asked.out + asked.err).toContain('Connection kafka does not say where Kafka Connect is.')
})

test('messages without a key are refused', async () => {
  await using started = await start('postgres')
  const { key: _, ...keyless } = described('c', ROW)
  await started.send(keyless)
  expect(await started.run()).toMatchObject({ exit: 2, code: 'missing-key', message: expect.stringContaining('have no key') })
})

test('bare rows are found by what was added to them, and said where nothing was', async () => {
  await using started = await start('postgres', { declare: { 'public.orders': { key: ['id'], columns: { id: 'int', note: 'text' } } } })
  const { loading, send, run } = started
  const row = (id: number, note: string | null, more: Row = {}): Message => ({
    key: JSON.stringify({ id }),
    value: JSON.stringify({ id, note, ...more }),
  })
  const at = (commit: number): Row => ({ __deleted: 'false', __source_sequence: `["${commit}","${commit + 1}"]` })
  await send(row(1, 'one', { __op: 'c', ...at(10) }), row(1, 'two', { __op: 'u', ...at(12) }), row(2, 'x', { __op: 'c', ...at(14) }))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  const log = [
    row(2, null, { __op: 'd', ...at(16), __deleted: 'true' }),
    { key: '{"id":2}', value: null },
    row(2, 'again', { __op: 'c', ...at(18) }),
    row(3, 'x', { __op: 'c', ...at(20) }),
    row(3, null, { __op: 'd', ...at(22), __deleted: 'true' }),
  ]
  await send(...log)
  expect(await run()).toMatchObject({ exit: 0, code: null })
  // Written again by the connector: the place in the log tells, and a tombstone, which has none, deletes nothing.
  await send(row(1, 'one', { __op: 'c', ...at(10) }), ...log.slice(0, 3))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  await send(...log.slice(1, 2))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(loading, 'id, note')).toEqual(['1 | two', '2 | again'])
  expect(await started.findings()).toEqual([expect.objectContaining({ code: 'unwrapped-truncate' })])

  await using plain = await start('postgres', {
    form: 'unwrapped',
    declare: { 'public.orders': { key: ['id'], columns: { id: 'int', note: 'text' } } },
  })
  await plain.send(row(1, 'one'), row(1, 'two'), row(2, 'x'), { key: '{"id":2}', value: null })
  expect(await plain.run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(plain.loading, 'id, note')).toEqual(['1 | two'])
  expect((await plain.findings()).map(({ code }) => code)).toEqual(['unwrapped-truncate', 'messages-unordered'])

  await using unsaid = await start('postgres', { declare: { 'public.orders': { key: ['id'], columns: { id: 'int', note: 'text' } } } })
  await unsaid.send(row(1, 'one'))
  expect(await unsaid.run()).toMatchObject({ exit: 1, code: 'bad-message', hint: expect.stringContaining('form: unwrapped') })
})

test("another connector's messages, as its documentation has them: MySQL's", async () => {
  await using started = await start('postgres', {}, 'inventory.orders')
  const { loading, send, run } = started
  const fields = [{ field: 'id', type: 'int32' }, { field: 'flags', type: 'bytes', name: 'io.debezium.data.Bits', parameters: { length: '4' } }, { field: 'made', type: 'int64', name: 'io.debezium.time.Timestamp' }] // biome-ignore format: a table
  const row = { type: 'struct', fields }
  const schema = { type: 'struct', fields: [{ ...row, field: 'before' }, { ...row, field: 'after' }] } // biome-ignore format: two of them
  const change = (op: string, id: number, after: Row | null, db = 'inventory'): Message => {
    const source = {
      connector: 'mysql',
      ts_us: 1_700_000_000_000_000,
      snapshot: op === 'r' ? 'true' : 'false',
      db,
      sequence: null,
      table: 'orders',
      server_id: 1,
      file: 'mysql-bin.000003',
      pos: 4,
    }
    return { key: JSON.stringify({ id }), value: JSON.stringify({ schema, payload: { before: null, after, source, op } }) }
  }
  await send(change('r', 1, { id: 1, flags: 'BQ==', made: 1_529_507_596_945 }), change('r', 2, { id: 2, flags: null, made: null }))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(loading, 'id, flags, made')).toEqual(['1 | 0101 | 2018-06-20 15:13:16.945', '2 |  | '])
  await send(change('u', 1, { id: 1, flags: 'Bg==', made: null }), change('d', 2, null))
  expect(await run()).toMatchObject({ exit: 0, code: null })
  expect(await rows(loading, 'id, flags, made')).toEqual(['1 | 0110 | '])
  expect(await started.findings()).toEqual([
    expect.objectContaining({ code: 'messages-unordered', message: expect.stringContaining('take') }),
  ])
  await send(change('c', 3, { id: 3, flags: null, made: null }, 'archive'))
  expect(await run()).toMatchObject({ exit: 1, code: 'bad-message', message: expect.stringContaining('another table') })
})
