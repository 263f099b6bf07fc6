// Topics written by hand, as a connector would in its worse moments: nothing is skipped, nothing old overwrites what is newer, and target and
// position stay where they are.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Loading, startLoading } from '../servers/loading.ts'
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

async function start(partitions = 1): Promise<{ loading: Loading; topic: string; send: (...messages: Message[]) => Promise<void> }> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const topic = `${prefix}.public.orders`
  await topics.make(topic, partitions)
  const loading = await startLoading()
  await loading.source.run('CREATE TABLE orders (id int PRIMARY KEY, note text)')
  loading.pipelines(
    {
      orders: {
        pattern: 'cdc',
        source: { connection: 'kafka', topic_prefix: prefix, tables: ['public.orders'], connector: { name: prefix, from: 'shop' } },
        target: { connection: 'warehouse', schema: 'public' },
      },
    },
    { kafka: { type: 'kafka', brokers: topics.kafka.brokers } },
  )
  return { loading, topic, send: (...messages) => topics.send(topic, messages) }
}

async function rows(loading: Loading): Promise<readonly string[]> {
  return (await loading.target.rows('SELECT id, note FROM orders ORDER BY id')).map(({ id, note }) => `${id} ${note}`)
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
  }
})
