// Topics written by hand, as a connector would in its worse moments: nothing is skipped, nothing old overwrites what is newer, and target and
// position stay where they are.

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { QuarantinedChange, Replayed } from '../../src/core/quarantine.ts'
import { duckdbRows, duckdbRun } from '../servers/duckdb-file.ts'
import { type Loading, startLoading, type TargetKind } from '../servers/loading.ts'
import { type Message, startTopics, type TopicsUnderTest } from './kafka-topics.ts'

let topics: TopicsUnderTest

beforeAll(async () => {
  topics = await startTopics()
})

afterAll(async () => {
  await topics[Symbol.asyncDispose]()
})

interface Row {
  readonly id: number
  readonly note: string | null
}

/** As Debezium writes a change without schemas. `commit` is the last one before it, `at` its own place in the log. */
function change(op: 'r' | 'c' | 'u' | 'd', row: Row, commit: number, at: number): Message {
  const source = {
    schema: 'public',
    table: 'orders',
    lsn: at,
    txId: at,
    ts_us: 1_700_000_000_000_000 + at,
    sequence: `["${commit}","${at}"]`,
  }
  const value = { before: op === 'd' ? row : null, after: op === 'd' ? null : row, source, op, transaction: null }
  return { key: JSON.stringify({ id: row.id }), value: JSON.stringify(value) }
}

async function start(
  partitions = 1,
  more: object = {},
  target: TargetKind = 'postgres',
): Promise<{ loading: Loading; topic: string; send: (...messages: Message[]) => Promise<void> }> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const topic = `${prefix}.public.orders`
  await topics.make(topic, partitions)
  const loading = await startLoading({ target })
  await loading.source.run('CREATE TABLE orders (id int PRIMARY KEY, note text)')
  loading.pipelines(
    {
      orders: {
        pattern: 'cdc',
        source: { connection: 'kafka', topic_prefix: prefix, tables: ['public.orders'], connector: { name: prefix, from: 'shop' } },
        target: { connection: 'warehouse', schema: target === 'duckdb' ? 'main' : 'public' },
        ...more,
      },
    },
    { kafka: { type: 'kafka', brokers: topics.kafka.brokers } },
  )
  return { loading, topic, send: (...messages) => topics.send(topic, messages) }
}

async function rows(loading: Loading): Promise<readonly string[]> {
  return (await loading.target.rows('SELECT id, note FROM orders ORDER BY id, note')).map(({ id, note }) => `${id} ${note}`)
}

/** A run that ends with this error, exit code included, and changes nothing. */
async function refused(loading: Loading, code: string, exit: number, says: string): Promise<void> {
  const [before, position] = [await rows(loading), (await loading.state())?.position]
  const ended = await loading.cli(['run'])
  const { error } = JSON.parse(ended.out).pipelines[0]
  expect({ exit: ended.exit, code: error.code, message: error.message }).toEqual({ exit, code, message: expect.stringContaining(says) })
  expect(await rows(loading)).toEqual(before)
  expect((await loading.state())?.position).toEqual(position)
}

test('what is written again takes the target back nowhere, also in a later run', async () => {
  const { loading, send } = await start()
  await using _ = loading
  const log = [
    change('c', { id: 1, note: 'first' }, 10, 11),
    change('u', { id: 1, note: 'second' }, 12, 13),
    change('c', { id: 2, note: 'two' }, 12, 14),
    change('d', { id: 2, note: null }, 15, 16),
    change('u', { id: 1, note: 'third' }, 17, 18),
  ]
  await send(...log)
  expect((await loading.run()).error).toBeNull()
  expect(await rows(loading)).toEqual(['1 third'])
  // Up to where the second one was deleted, and no further: without the guard it would be there again.
  await send(...log.slice(0, 3))
  expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 0, updated: 0, deleted: 0 } })
  expect(await rows(loading)).toEqual(['1 third'])
  await send(...log.slice(3), change('u', { id: 1, note: 'fourth' }, 19, 20))
  expect((await loading.run()).error).toBeNull()
  expect(await rows(loading)).toEqual(['1 fourth'])
})

test('a message that is no change stops the run with its place, and what came before it is read again', async () => {
  const { loading, topic, send } = await start()
  await using _ = loading
  await send(change('c', { id: 1, note: 'first' }, 10, 11))
  expect((await loading.run()).error).toBeNull()
  await send(change('c', { id: 2, note: 'two' }, 12, 13), { key: '{"id":3}', value: '{"op":"c","kestrel":' })
  await refused(loading, 'bad-message', 1, `${topic}/0/2`)
  const text = (await loading.cli(['run'])).out
  expect(text).not.toContain('kestrel')
})

test('a message of another table', async () => {
  const { loading, send } = await start()
  await using _ = loading
  await send(change('c', { id: 1, note: 'first' }, 10, 11))
  expect((await loading.run()).error).toBeNull()
  const other = change('c', { id: 2, note: 'two' }, 12, 13)
  await send({ ...other, value: other.value?.replace('"table":"orders"', '"table":"Orders"') ?? null })
  await refused(loading, 'bad-message', 1, 'of another table')
})

test('a message without the key that its table has', async () => {
  const { loading, send } = await start()
  await using _ = loading
  await send(change('c', { id: 1, note: 'first' }, 10, 11))
  expect((await loading.run()).error).toBeNull()
  await send({ value: change('c', { id: 2, note: 'two' }, 12, 13).value })
  await refused(loading, 'bad-message', 1, 'has no key')
})

test('a topic whose first messages were removed is not begun', async () => {
  const { loading, topic, send } = await start()
  await using _ = loading
  await send(change('r', { id: 1, note: 'first' }, 10, 11), change('r', { id: 2, note: 'two' }, 10, 11))
  await topics.admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 1n }] }] })
  const ended = await loading.cli(['run'])
  expect(ended.exit).toBe(3)
  expect(JSON.parse(ended.out).pipelines[0].error).toMatchObject({
    code: 'log-unavailable',
    message: expect.stringContaining('begins at offset 1'),
  })
})

test('a topic that was made again, and one that lost what was not read', async () => {
  for (const what of ['again', 'removed'] as const) {
    const { loading, topic, send } = await start()
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11))
    expect((await loading.run()).error).toBeNull()
    if (what === 'again') {
      await topics.admin.deleteTopics({ topics: [topic] })
      await topics.make(topic)
      await send(change('c', { id: 9, note: 'other' }, 30, 31), change('c', { id: 10, note: 'other' }, 30, 32))
    } else {
      await send(change('c', { id: 2, note: 'lost' }, 12, 13), change('c', { id: 3, note: 'three' }, 14, 15))
      await topics.admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 2n }] }] })
    }
    await refused(loading, 'log-lost', 3, what === 'again' ? 'made again' : 'was removed')
    const [status] = (await loading.cli(['status'])).json.pipelines
    expect(status.log).toMatchObject({
      state: 'lost',
      invalidation_reason: expect.stringContaining(what === 'again' ? 'made again' : 'begins at offset 2'),
    })
    // No connection says where Kafka Connect is.
    expect(status.connector).toBeNull()
  }
})

test('a pipeline whose topics do not exist', async () => {
  const { loading, topic } = await start()
  await using _ = loading
  await topics.admin.deleteTopics({ topics: [topic] })
  const ended = await loading.cli(['run'])
  expect({ exit: ended.exit, error: JSON.parse(ended.out).pipelines[0].error }).toMatchObject({
    exit: 3,
    error: {
      code: 'missing-table',
      message: expect.stringContaining(`has no topic "${topic}"`),
      hint: expect.stringContaining('topic_prefix'),
    },
  })
  expect(await loading.state()).toBeNull()
})

describe('consistency: transaction', () => {
  /** Another pipeline than the one that `start` has written. */
  async function written(loading: Loading, more: object): Promise<void> {
    const project = JSON.parse(readFileSync(loading.folder.file, 'utf8'))
    Object.assign(project.pipelines.orders.source, more)
    loading.folder.write(project)
  }

  const inTransaction = (message: Message, txId: number, order: number): Message => {
    const value = JSON.parse(message.value ?? '')
    return {
      ...message,
      value: JSON.stringify({
        ...value,
        transaction: { id: `${txId}:${value.source.lsn}`, total_order: order, data_collection_order: order },
      }),
    }
  }
  const told = (status: 'BEGIN' | 'END', txId: number, at: number, count: number): Message => ({
    value: JSON.stringify({
      status,
      id: `${txId}:${at}`,
      event_count: status === 'END' ? count : null,
      data_collections: status === 'END' ? [{ data_collection: 'public.orders', event_count: count }] : null,
      ts_ms: 1,
    }),
  })

  test('what does not go with it is refused, and nothing is changed', async () => {
    const { loading, topic, send } = await start()
    await using _ = loading
    const transactions = topic.replace('public.orders', 'transaction')
    await topics.make(transactions)
    await written(loading, { consistency: 'transaction' })
    await send(inTransaction(change('c', { id: 1, note: 'first' }, 10, 11), 7, 1))
    await topics.send(transactions, [told('BEGIN', 7, 11, 1), told('END', 7, 12, 1)])
    expect((await loading.run()).error).toBeNull()
    expect(await rows(loading)).toEqual(['1 first'])

    const again = await loading.cli(['run', '--resync', 'public.orders'])
    expect({ exit: again.exit, out: again.out }).toEqual({ exit: 2, out: expect.stringContaining('its tables are loaded together') })
    await written(loading, { consistency: 'key' })
    await refused(loading, 'definition-changed', 2, 'another consistency')
    await written(loading, { consistency: 'transaction' })
    // What is no transaction, and what can't be read, is never skipped, whatever is to become of bad rows.
    await send(change('u', { id: 1, note: 'second' }, 12, 13))
    await refused(loading, 'log-unavailable', 3, 'does not say of which transaction')
  })

  test('a topic of several partitions', async () => {
    const { loading } = await start(2)
    await using _ = loading
    await written(loading, { consistency: 'transaction' })
    const ended = await loading.cli(['run'])
    expect({ exit: ended.exit, error: JSON.parse(ended.out).pipelines[0].error }).toMatchObject({
      exit: 3,
      error: { code: 'log-unavailable', message: expect.stringContaining('has 2 partitions; the order of transactions needs one') },
    })
  })
})

describe('messages that can not be read, with on_bad_row: quarantine', () => {
  /** `note` is a number, where the column is text. */
  const unreadable = (id: number, commit: number, at: number): Message => {
    const { key, value } = change('u', { id, note: 'kestrel' }, commit, at)
    return { key: key as string, value: value?.replace('"kestrel"', '{"kestrel":1}') ?? null, headers: { from: 'elsewhere' } }
  }

  async function kept(loading: Loading): Promise<readonly QuarantinedChange[]> {
    await using project = await loading.open()
    return await project.quarantined('orders')
  }

  async function replayed(loading: Loading, ids: readonly string[] | null = null): Promise<Replayed> {
    await using project = await loading.open()
    return await project.replayQuarantine('orders', ids)
  }

  /** A later tidemark that can read it, or a message mended by hand. */
  async function mend(loading: Loading): Promise<void> {
    await loading.target.run(`UPDATE pipeline_quarantine SET payload = replace(payload, '{\\"kestrel\\":1}', '\\"kestrel\\"')`)
  }

  const startKeeping = (more: object = {}) => start(1, { on_bad_row: 'quarantine', ...more })

  test('are kept with all that they are, and the others go on', async () => {
    const { loading, topic, send } = await startKeeping()
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11), change('c', { id: 2, note: 'two' }, 10, 12))
    await send(unreadable(1, 13, 14), change('u', { id: 2, note: 'three' }, 15, 16))
    expect(await loading.run()).toMatchObject({ error: null, rows: { inserted: 2, quarantined: 1 } })
    expect(await rows(loading)).toEqual(['1 first', '2 three'])
    const [one, ...others] = await kept(loading)
    expect(others).toEqual([])
    expect(one).toMatchObject({
      op: 'unreadable',
      key: '{"id":"1"}',
      position: `${topic}/0/2`,
      code: expect.stringMatching(/bad-message|value-refused/),
    })
    expect(JSON.parse(one?.payload ?? '')).toMatchObject({
      topic,
      partition: 0,
      offset: '2',
      headers: { from: 'elsewhere' },
      key: '{"id":1}',
      value: expect.stringContaining('kestrel'),
    })
    expect(one?.message).not.toContain('kestrel')
    // Nothing is read again, nothing kept twice.
    expect((await loading.run()).status).toBe('up-to-date')
    expect(await kept(loading)).toHaveLength(1)
    const listed = await loading.cli(['quarantine', 'list', 'orders'])
    expect(listed.json.quarantine[0]).toMatchObject({ op: 'unreadable', key: { id: '1' }, payload: { topic } })
    expect(await replayed(loading)).toEqual({ replayed: 0, left: 1 })
    await mend(loading)
    expect(await replayed(loading)).toEqual({ replayed: 1, left: 0 })
    expect(await rows(loading)).toEqual(['1 kestrel', '2 three'])
    expect(await kept(loading)).toEqual([])
  })

  test('a later change of the row takes their place, and what was written again does not bring them back', async () => {
    const { loading, send } = await startKeeping()
    await using _ = loading
    const log = [change('c', { id: 1, note: 'first' }, 10, 11), unreadable(1, 13, 14), change('u', { id: 1, note: 'third' }, 15, 16)]
    await send(...log)
    expect((await loading.run()).error).toBeNull()
    expect(await rows(loading)).toEqual(['1 third'])
    expect(await kept(loading)).toEqual([])
    await send(...log)
    expect((await loading.run()).error).toBeNull()
    expect(await kept(loading)).toHaveLength(1)
    await mend(loading)
    expect(await replayed(loading)).toEqual({ replayed: 1, left: 0 })
    expect(await rows(loading)).toEqual(['1 third'])
  })

  test('a later change that leaves out what they may have said stops the run', async () => {
    const { loading, send } = await startKeeping()
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11), unreadable(1, 13, 14))
    expect((await loading.run()).error).toBeNull()
    await send(change('u', { id: 1, note: '__debezium_unavailable_value' }, 15, 16))
    await refused(loading, 'bad-message', 1, 'leaves out values that an unreadable message before it may have')
    await mend(loading)
    expect(await replayed(loading)).toEqual({ replayed: 1, left: 0 })
    expect((await loading.run()).error).toBeNull()
    expect(await rows(loading)).toEqual(['1 kestrel'])
  })

  test('several of one row go in their order, and a delete among them', async () => {
    const { loading, topic, send } = await startKeeping()
    await using _ = loading
    const broken = ({ key, value }: Message): Message => ({ key: key as string, value: `${value}%` })
    await send(...Array.from({ length: 9 }, (_, at) => change(at === 0 ? 'c' : 'u', { id: 1, note: `n${at}` }, 10 + at * 2, 11 + at * 2)))
    await send(broken(change('u', { id: 1, note: 'nine' }, 40, 41)), broken(change('u', { id: 1, note: 'ten' }, 42, 43)))
    await send(change('c', { id: 2, note: 'two' }, 44, 45), broken(change('d', { id: 2, note: null }, 46, 47)), {
      key: '{"id":2}',
      value: null,
    })
    expect((await loading.run()).error).toBeNull()
    expect(await rows(loading)).toEqual(['1 n8', '2 two'])
    const ids = (await kept(loading)).map(({ id }) => id)
    expect(ids).toHaveLength(3)
    await expect(replayed(loading, [`${topic}/0/10:10`])).rejects.toMatchObject({
      code: 'bad-usage',
      message: expect.stringContaining(`${topic}/0/9:9`),
    })
    await loading.target.run(`UPDATE pipeline_quarantine SET payload = replace(payload, '}%"', '}"')`)
    expect(await replayed(loading)).toEqual({ replayed: 3, left: 0 })
    expect(await rows(loading)).toEqual(['1 ten'])
  })

  test('into duckdb', async () => {
    const { loading, send } = await start(1, { on_bad_row: 'quarantine' }, 'duckdb')
    await using _ = loading
    const file = String(loading.side)
    await send(
      change('c', { id: 1, note: 'first' }, 10, 11),
      unreadable(1, 13, 14),
      change('c', { id: 2, note: 'two' }, 15, 16),
      unreadable(2, 17, 18),
    )
    await send(change('u', { id: 2, note: 'three' }, 19, 20))
    expect((await loading.run()).error).toBeNull()
    expect((await kept(loading)).map(({ key }) => key)).toEqual(['{"id":"1"}'])
    await duckdbRun(file, `UPDATE pipeline_quarantine SET payload = replace(payload, '{\\"kestrel\\":1}', '\\"kestrel\\"')`)
    expect(await replayed(loading)).toEqual({ replayed: 1, left: 0 })
    expect(await duckdbRows(file, 'SELECT id, note FROM orders ORDER BY id')).toEqual([
      ['1', 'kestrel'],
      ['2', 'three'],
    ])
  })

  test('discarded, they are forgotten', async () => {
    const { loading, topic, send } = await startKeeping()
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11), unreadable(1, 13, 14))
    expect((await loading.run()).error).toBeNull()
    expect((await loading.cli(['quarantine', 'discard', 'orders', `${topic}/0/1:1`, '--yes'])).json.discarded).toBe(1)
    expect(await kept(loading)).toEqual([])
    expect(await rows(loading)).toEqual(['1 first'])
  })

  test('more than max_quarantined stop the run, and nothing is lost', async () => {
    const { loading, send } = await startKeeping({ max_quarantined: 2 })
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11))
    expect((await loading.run()).error).toBeNull()
    await send(unreadable(1, 13, 14), unreadable(2, 15, 16), unreadable(3, 17, 18))
    const { error } = await loading.run()
    expect(error).toMatchObject({ code: 'quarantine-full' })
    expect(await kept(loading)).toHaveLength(2)
    expect((await loading.run()).error).toMatchObject({ code: 'quarantine-full' })
  })

  test.each([
    ['without a key', { value: '{"op":"c"' }],
    ['with a key that can not be read', { key: '{"id":', value: '{"op":"c"' }],
    ['of a row that moves', { key: '{"id":3}', value: '{"op":"c"', headers: { '__debezium.oldkey': '{"id":1}' } }],
    [
      'of another table',
      { key: '{"id":3}', value: change('c', { id: 3, note: 'x' }, 20, 21).value?.replace('"table":"orders"', '"table":"Orders"') ?? '' },
    ],
  ])('one %s stops the run all the same', async (_, message) => {
    const { loading, send } = await startKeeping()
    await using __ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11))
    expect((await loading.run()).error).toBeNull()
    await send(message)
    await refused(loading, 'bad-message', 1, '/0/1')
    expect(await kept(loading)).toEqual([])
  })

  test('with append each is a row of its own, whenever it comes', async () => {
    const { loading, send } = await startKeeping({ write: 'append' })
    await using _ = loading
    await send(change('c', { id: 1, note: 'first' }, 10, 11), unreadable(1, 13, 14), change('u', { id: 1, note: 'third' }, 15, 16))
    expect((await loading.run()).error).toBeNull()
    expect(await kept(loading)).toHaveLength(1)
    await mend(loading)
    expect(await replayed(loading)).toEqual({ replayed: 1, left: 0 })
    expect(await rows(loading)).toEqual(['1 first', '1 kestrel', '1 third'])
  })
})
