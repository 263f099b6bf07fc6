// Transactions of a source whose topics are put together again: whatever is killed, who looks at the target never sees a part of one.

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KafkaClient } from '../../src/connectors/kafka/client.ts'
import { type KafkaStack, startKafka } from '../../src/testing/kafka-stack.ts'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { type Loading, startLoading, type TargetKind } from '../servers/loading.ts'
import { isBrought } from './brought.ts'

let stack: KafkaStack
let server: PostgresServer

beforeAll(async () => {
  ;[stack, server] = await Promise.all([startKafka({ connect: true }), startPostgres({ settings: { wal_level: 'logical' } })])
}, 120_000)

afterAll(async () => {
  await Promise.all([stack[Symbol.asyncDispose](), server[Symbol.asyncDispose]()])
})

const TABLES = {
  accounts: ['aid', 'abalance', 'filler'],
  tellers: ['tid', 'tbalance'],
  branches: ['bid', 'bbalance'],
  history: ['id', 'aid', 'delta'],
}

/** As pgbench has it: after every commit the four sums are the same. */
const MAKE = `
  CREATE TABLE branches (bid int PRIMARY KEY, bbalance bigint NOT NULL);
  CREATE TABLE tellers (tid int PRIMARY KEY, tbalance bigint NOT NULL);
  CREATE TABLE accounts (aid int PRIMARY KEY, abalance bigint NOT NULL, filler text);
  CREATE TABLE history (id bigserial PRIMARY KEY, aid int, delta bigint NOT NULL);
  INSERT INTO branches SELECT i, 0 FROM generate_series(1, 5) AS i;
  INSERT INTO tellers SELECT i, 0 FROM generate_series(1, 50) AS i;
  INSERT INTO accounts SELECT i, 0, repeat('f', 80) FROM generate_series(1, 20000) AS i`

const SUMS = `SELECT (SELECT sum(abalance) FROM accounts) AS a, (SELECT sum(tbalance) FROM tellers) AS t,
  (SELECT sum(bbalance) FROM branches) AS b, (SELECT coalesce(sum(delta), 0) FROM history) AS h, (SELECT count(*) FROM accounts) AS n`

async function start(target: TargetKind, consistency = 'transaction'): Promise<Loading> {
  const name = `t_${randomBytes(5).toString('hex')}`
  const loading = await startLoading({ target, sourceServer: server.url(), pipelines: {} })
  await loading.source.run(MAKE)
  loading.pipelines(
    {
      bank: {
        pattern: 'cdc',
        source: {
          connection: 'kafka',
          topic_prefix: name,
          tables: Object.keys(TABLES).map((table) => `public.${table}`),
          consistency,
          connector: { name, from: 'shop', slot: name, publication: name },
        },
        target: { connection: 'warehouse', schema: target === 'duckdb' ? 'main' : 'public' },
      },
    },
    { kafka: { type: 'kafka', brokers: stack.brokers, connect: stack.connectUrl } },
  )
  return loading
}

/** Transfers by several clients at once, until they are stopped. */
function transfers(url: string, clients: number): { readonly stop: () => Promise<number> } {
  let isOver = false
  const one = async (): Promise<number> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    let count = 0
    for (; !isOver; count++) {
      const delta = Math.floor(Math.random() * 10_000) - 5000
      const some = (limit: number) => 1 + Math.floor(Math.random() * limit)
      const aid = some(20_000)
      await client.query(`BEGIN; UPDATE accounts SET abalance = abalance + ${delta} WHERE aid = ${aid};
        UPDATE tellers SET tbalance = tbalance + ${delta} WHERE tid = ${some(50)};
        UPDATE branches SET bbalance = bbalance + ${delta} WHERE bid = ${some(5)};
        INSERT INTO history (aid, delta) VALUES (${aid}, ${delta}); COMMIT`)
      await pause(5)
    }
    await client.end()
    return count
  }
  const all = Array.from({ length: clients }, one)
  return {
    stop: async () => {
      isOver = true
      return (await Promise.all(all)).reduce((sum, count) => sum + count, 0)
    },
  }
}

/** Looks at the target as often as it can. */
function watch(loading: Loading): { readonly stop: () => Promise<{ readonly states: number; readonly wrong: readonly string[] }> } {
  let isOver = false
  const states = new Set<string>()
  const wrong: string[] = []
  const looking = (async () => {
    while (!isOver) {
      const [found] = await loading.target.rows(SUMS).catch(() => [])
      const { a, t, b, h, n } = found ?? {}
      // Tables are made before the first rows come.
      if (found !== undefined && n !== '0') {
        states.add(JSON.stringify(found))
        if (n !== '20000' || a !== t || t !== b || b !== h) wrong.push(JSON.stringify(found))
      }
      await pause(5)
    }
  })()
  return {
    stop: async () => {
      isOver = true
      await looking
      return { states: states.size, wrong }
    },
  }
}

const equals = (loading: Loading): Promise<void> => isBrought(loading, TABLES)

test('transfers while everything is killed: the sums are true whenever anybody looks', async () => {
  await using loading = await start('postgres')
  const working = transfers(loading.source.url, 3)
  const watched = watch(loading)
  // Rows are changed while they are read for the first time.
  expect((await loading.cli(['connector', 'register', 'bank', '--yes'])).exit).toBe(0)
  await expect.poll(async () => (await loading.run()).error?.code ?? null, { timeout: 60_000 }).toBeNull()
  for (const crash of ['changes-applied:3', 'before-commit:2', 'after-commit:5', null]) {
    const following = loading.start(['follow'], crash === null ? {} : { TIDEMARK_CRASH_AT: crash })
    if (crash === 'before-commit:2' || crash === null) {
      await stack.stopConnect('kill')
      await stack.startConnect()
    }
    if (crash === null) {
      await pause(3_000)
      following.child.kill('SIGTERM')
    }
    const { exit } = await following.done
    expect(exit).toBe(crash === null ? 0 : null)
  }
  const count = await working.stop()
  await equals(loading)
  const { states, wrong } = await watched.stop()
  expect(wrong).toEqual([])
  expect(count).toBeGreaterThan(300)
  expect(states).toBeGreaterThan(8)
}, 240_000)

test('a transaction of more than is held, with Connect killed in the middle of it, comes whole', async () => {
  await using loading = await start('postgres')
  expect((await loading.cli(['connector', 'register', 'bank', '--yes'])).exit).toBe(0)
  await equals(loading)
  const watched = watch(loading)
  const following = loading.start(['follow'])
  // 60 MB of messages.
  const large = loading.source.run(`BEGIN; UPDATE accounts SET abalance = abalance + 3; UPDATE accounts SET abalance = abalance + 4;
    UPDATE accounts SET abalance = abalance - 2, filler = repeat('g', 400); UPDATE tellers SET tbalance = tbalance + 2000; UPDATE branches SET bbalance = bbalance + 20000;
    INSERT INTO history (aid, delta) SELECT 1, 1000 FROM generate_series(1, 100); COMMIT`)
  await large
  await pause(1_000)
  await stack.stopConnect('kill')
  await stack.startConnect()
  await expect.poll(async () => (await loading.target.rows(SUMS))[0]?.['a'], { timeout: 60_000 }).toBe('100000')
  following.child.kill('SIGTERM')
  expect((await following.done).exit).toBe(0)
  await equals(loading)
  expect((await watched.stop()).wrong).toEqual([])
}, 180_000)

test.each(['transaction', 'key'])(
  'Connect is killed in the middle of the first snapshot, and rows are gone before it begins anew: by %s',
  async (consistency) => {
    await using loading = await start('postgres', consistency)
    await loading.source.run("INSERT INTO accounts SELECT i, 0, repeat('f', 80) FROM generate_series(20001, 80000) AS i")
    const client = await KafkaClient.open({ what: 'source', brokers: stack.brokers })
    const topic = `${JSON.parse(readFileSync(loading.folder.file, 'utf8')).pipelines.bank.source.topic_prefix}.public.accounts`
    const written = async (): Promise<number> => {
      const found = await client.findTopics([topic])
      return found.size === 0 ? 0 : Number((await client.ranges([topic])).get(topic)?.ends[0] ?? 0n)
    }
    expect((await loading.cli(['connector', 'register', 'bank', '--yes'])).exit).toBe(0)
    await expect.poll(written, { timeout: 60_000, interval: 10 }).toBeGreaterThan(2_000)
    await stack.stopConnect('kill')
    const cut = await written()
    expect(cut).toBeLessThan(80_000)
    // One run between the two has taken what there was.
    if (consistency === 'key') expect((await loading.run()).error).toBeNull()
    await loading.source.run('DELETE FROM accounts WHERE aid % 100 = 7')
    await stack.startConnect()
    await expect.poll(written, { timeout: 60_000 }).toBeGreaterThanOrEqual(cut + 79_200)
    await loading.source.run('UPDATE tellers SET tbalance = 0 WHERE tid = 1')
    await equals(loading)
    await client.close()
  },
  180_000,
)

test('into duckdb, with keys that change and tables that are emptied', async () => {
  await using loading = await start('duckdb')
  expect((await loading.cli(['connector', 'register', 'bank', '--yes'])).exit).toBe(0)
  await equals(loading)
  await loading.source.run(`BEGIN; TRUNCATE history; UPDATE tellers SET tid = tid + 1000; DELETE FROM branches WHERE bid = 1; COMMIT;
    INSERT INTO branches VALUES (1, 7); UPDATE branches SET bid = 100 - bid`)
  await equals(loading)
}, 120_000)
