// The whole way: a Postgres, Debezium's connector, topics, and a target that is the source in the end. Whatever dies, nothing is lost.

import { randomBytes } from 'node:crypto'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KafkaStack, startKafka } from '../../src/testing/kafka-stack.ts'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { userFolder } from '../end-to-end/built-command.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { type Loading, startLoading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'
import { runCli } from '../servers/run-cli.ts'
import { isBrought } from './brought.ts'

let stack: KafkaStack
let server: PostgresServer

beforeAll(async () => {
  ;[stack, server] = await Promise.all([startKafka({ connect: true }), startPostgres({ settings: { wal_level: 'logical' } })])
}, 120_000)

afterAll(async () => {
  await Promise.all([stack[Symbol.asyncDispose](), server[Symbol.asyncDispose]()])
})

const MAKE = `
  CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2), note text, big text, at timestamptz, day date,
    flags int[], doc jsonb, raw bytea);
  ALTER TABLE orders ALTER big SET STORAGE EXTERNAL;
  INSERT INTO orders SELECT i, 'customer ' || i, i * 1.25, CASE WHEN i % 3 = 0 THEN NULL ELSE 'ünï ' || i END, repeat('b' || i, 2000),
    timestamptz '2024-01-01 00:00:00.123456+00' + i * interval '1 hour', date '2024-01-01' + i, ARRAY[i, NULL, 3], '{"a": 9007199254740993}',
    '\\x00ff' FROM generate_series(1, 50) AS i;
  CREATE TABLE lines (order_id bigint, line int, price numeric, PRIMARY KEY (order_id, line));
  INSERT INTO lines SELECT i, j, i * 0.1 + j FROM generate_series(1, 20) AS i, generate_series(1, 3) AS j`

const COLUMNS = {
  orders: ['id', 'customer', 'amount', 'note', 'big', 'at', 'day'],
  lines: ['order_id', 'line', 'price'],
}

async function start(target: TargetKind, more = '', tables: readonly string[] = []): Promise<Loading> {
  const name = `t_${randomBytes(5).toString('hex')}`
  const loading = await startLoading({ target, sourceServer: server.url(), pipelines: {} })
  await loading.source.run(`${MAKE};${more}`)
  loading.pipelines(
    {
      shop: {
        pattern: 'cdc',
        source: {
          connection: 'kafka',
          topic_prefix: name,
          tables: ['public.orders', 'public.lines', ...tables],
          connector: { name, from: 'shop', slot: name, publication: name },
        },
        target: { connection: 'warehouse', schema: target === 'duckdb' ? 'main' : 'public' },
      },
    },
    { kafka: { type: 'kafka', brokers: stack.brokers, connect: stack.connectUrl } },
  )
  const registered = await loading.cli(['connector', 'register', 'shop', '--yes'])
  expect({ exit: registered.exit, err: registered.exit === 0 ? '' : registered.err }).toEqual({ exit: 0, err: '' })
  return loading
}

const equals = (loading: Loading): Promise<void> => isBrought(loading, COLUMNS)

describe.each(TARGET_KINDS)('into %s', (target) => {
  test('first rows and changes', async () => {
    await using loading = await start(target)
    await equals(loading)
    await loading.source.run(`UPDATE orders SET amount = amount + 1 WHERE id < 10; DELETE FROM orders WHERE id = 20; UPDATE orders SET id = 500 WHERE id = 21;
      UPDATE orders SET big = 'short' WHERE id = 22; DELETE FROM lines WHERE order_id = 3; INSERT INTO lines VALUES (99, 1, 1e20)`)
    await loading.source.run('UPDATE orders SET note = NULL WHERE id > 40; UPDATE lines SET line = line + 10 WHERE order_id = 5')
    await equals(loading)
    await loading.source.run("ALTER TABLE orders ADD COLUMN extra text DEFAULT 'x'; UPDATE orders SET extra = 'y' WHERE id = 1")
    await equals(loading)
    await loading.source.run("TRUNCATE lines; INSERT INTO lines VALUES (1, 1, 'NaN')")
    await equals(loading)
  }, 120_000)
})

test('followed until a signal, looked at, and dropped', async () => {
  await using loading = await start('postgres')
  await equals(loading)
  const planned = await loading.cli(['plan'])
  expect({ exit: planned.exit, err: planned.err }).toEqual({ exit: 0, err: '' })
  // Lower bounds of arrays, and dates before Christ, are lost by every setting.
  const checked = await loading.cli(['check'])
  expect(checked.exit).toBe(0)
  expect(JSON.parse(checked.out).findings).toContainEqual(
    expect.objectContaining({ code: 'connector-loses', severity: 'warning', message: expect.stringContaining('"flags"') }),
  )

  const following = loading.start(['follow'])
  const amount = async (): Promise<string | null | undefined> =>
    (await loading.target.rows('SELECT amount FROM orders WHERE id = 1'))[0]?.amount
  for (const wanted of ['101.00', '102.00']) {
    await loading.source.run(`UPDATE orders SET amount = ${wanted} WHERE id = 1`)
    await expect.poll(amount, { timeout: 30_000 }).toBe(wanted)
  }
  following.child.kill('SIGTERM')
  expect((await following.done).exit).toBe(0)
  await loading.source.run('DELETE FROM lines WHERE order_id = 1')
  await expect
    .poll(async () => JSON.parse((await loading.cli(['status'])).out).pipelines[0], { timeout: 30_000 })
    .toMatchObject({
      log: {
        state: 'kept',
        lag_messages: 6,
        lag_seconds: expect.toSatisfy((seconds: number) => seconds < 30),
        partitions: [
          { topic: expect.stringContaining('.public.lines'), partition: 0, messages: 6, seconds: expect.any(Number) },
          { topic: expect.stringContaining('.public.orders'), partition: 0, messages: 0, seconds: 0 },
        ],
      },
      connector: { state: 'RUNNING', tasks: [{ id: 0, state: 'RUNNING', cause: null }], error: null },
    })
  const { out } = await runCli(loading.folder.path, ['status'], loading.env)
  expect(out).toMatch(/partition 0 of \S+\.public\.lines is 6 messages ahead, the oldest of them for \d+ s\./)
  expect(out).toMatch(/connector \S+ is RUNNING; task 0 is RUNNING\./)
  await equals(loading)
  expect(JSON.parse((await loading.cli(['status'])).out).pipelines[0].log).toMatchObject({ lag_messages: 0, lag_seconds: 0 })

  const converted = await loading.cli(['convert', 'shop', '--to', 'watermark', '--cursor', 'at', '--yes'])
  expect({ exit: converted.exit, err: converted.err }).toEqual({ exit: 2, err: expect.stringContaining('have no cursor') })
  const dropped = await loading.cli(['drop', 'shop', '--yes'])
  expect(dropped.exit).toBe(0)
  expect(dropped.err).not.toContain('slot')
  expect(await loading.state()).toBeNull()
}, 120_000)

test('a table without rows has no topic: it is read from its first one on, while the others are followed', async () => {
  await using loading = await start('postgres', 'CREATE TABLE late (id int PRIMARY KEY, n int)', ['public.late'])
  await equals(loading)
  const following = loading.start(['follow'])
  const rows = async () => (await loading.target.rows('SELECT id, n FROM late ORDER BY id')).map(({ id, n }) => `${id} ${n}`)
  await expect.poll(rows, { timeout: 30_000 }).toEqual([])
  await loading.source.run('INSERT INTO late VALUES (1, 1), (2, 2); UPDATE late SET n = 3 WHERE id = 1')
  await expect.poll(rows, { timeout: 30_000 }).toEqual(['1 3', '2 2'])
  await loading.source.run('DELETE FROM late WHERE id = 2; UPDATE orders SET amount = 7 WHERE id = 1')
  await expect.poll(rows, { timeout: 30_000 }).toEqual(['1 3'])
  following.child.kill('SIGTERM')
  const { exit, err } = await following.done
  expect({ exit, err }).toEqual({ exit: 0, err: expect.not.stringMatching(/trying again|retry/i) })
  await equals(loading)
}, 120_000)

test('the example, as a user runs it', async () => {
  await using shop = await freshDatabase(server.url())
  using folder = userFolder({ SOURCE_URL: shop.url, KAFKA_BROKER: stack.brokers[0] ?? '', CONNECT_URL: stack.connectUrl })
  cpSync(join(import.meta.dirname, '../../examples/debezium'), folder.path, { recursive: true })
  const { exit, out, err } = await folder.shell('./run.sh')
  expect({ exit, err }).toEqual({ exit: 0, err: expect.stringContaining('1,000 rows (1,000 inserted)') })
  expect(err).toContain('60 rows (50 updated, 10 deleted)')
  expect(out).toContain('orders_debezium')
  expect(
    await duckdbRows(
      join(folder.path, 'warehouse.duckdb'),
      "SELECT count(*), count(*) FILTER (WHERE status = 'shipped') FROM staging.orders",
    ),
  ).toEqual([['990', '50']])
  expect(await shop.rows('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')).toEqual([])
}, 120_000)

test('Connect is killed, and a run is killed, while changes come', async () => {
  await using loading = await start('postgres')
  await equals(loading)
  for (let round = 0; round < 3; round++) {
    await loading.source.run(
      `UPDATE orders SET amount = amount + ${round}, note = 'round ${round}'; DELETE FROM lines WHERE order_id = ${round + 10}`,
    )
    if (round === 1) await stack.stopConnect('kill')
    await loading.cli(['run'], { TIDEMARK_CRASH_AT: round === 0 ? 'before-commit' : 'after-commit' })
    await loading.source.run(`UPDATE orders SET id = id + 1000 WHERE id = ${30 + round}`)
    if (round === 1) await stack.startConnect()
  }
  await equals(loading)
}, 180_000)
