// The commands of a connector as a user types them: exit code, data on stdout, words on stderr; and never a secret.

import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeConnect } from '../../src/testing/fake-connect.ts'
import { type ProjectFolder, projectFolder } from '../servers/project-folder.ts'
import { type CliResult, runCli } from '../servers/run-cli.ts'

const PASSWORD = 'kestrel/7@%x'
const LOGIN = 'me:kestrel-login'
const NAME = 'orders-connector'

let connect: FakeConnect
let folder: ProjectFolder
beforeEach(async () => {
  connect = await FakeConnect.start()
  connect.login = LOGIN
  folder = projectFolder({
    connections: {
      shop: { type: 'postgres', host: '127.0.0.1', port: 1, database: 'shop', user: 'dbz', password: '${env:PASSWORD}' },
      warehouse: { type: 'duckdb', path: './warehouse.duckdb' },
      kafka: { type: 'kafka', brokers: ['127.0.0.1:9092'], connect: '${env:CONNECT}' },
      brokers: { type: 'kafka', brokers: ['127.0.0.1:9092'] },
    },
    pipelines: {
      orders: pipeline({ name: NAME, from: 'shop', properties: { 'misspelt.name': 1 } }),
      unnamed: pipeline(undefined, 'kafka', 'public.b'),
      foreign: pipeline({ name: NAME }, 'kafka', 'public.c'),
      nowhere: pipeline({ name: NAME, from: 'shop' }, 'brokers', 'public.d'),
      own: { pattern: 'cdc', source: { connection: 'shop', tables: ['public.e'] }, target: { connection: 'warehouse' } },
    },
  })
})
afterEach(async () => {
  await connect[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

function pipeline(connector: object | undefined, connection = 'kafka', table = 'public.orders') {
  return { pattern: 'cdc', source: { connection, topic_prefix: 'cdc', tables: [table], connector }, target: { connection: 'warehouse' } }
}

async function cli(...args: readonly string[]): Promise<CliResult> {
  const url = connect.url.replace('//', `//${LOGIN}@`)
  const result = await runCli(folder.path, args, { PASSWORD, CONNECT: url })
  expect({ args, text: result.text }).toEqual({ args, text: expect.not.stringContaining('kestrel') })
  return result
}

test('registered, looked at, paused, resumed, started again and removed', async () => {
  const refused = await cli('connector', 'register', 'orders')
  expect(refused.exit).toBe(2)
  expect(refused.err).toContain('Register the connector? Nobody is there to answer.')
  expect(refused.err).toContain('  + database.password = ********')
  expect(connect.connectors.size).toBe(0)

  const registered = await cli('-o', 'json', 'connector', 'register', 'orders', '--yes')
  expect(registered.exit, registered.text).toBe(0)
  expect(registered.json).toMatchObject({
    command: 'register',
    pipeline: 'orders',
    connector: NAME,
    state: 'RUNNING',
    tasks: [{ id: 0, state: 'RUNNING', cause: null }],
    unknown: ['misspelt.name'],
  })
  expect(registered.err).toContain('does not know the property misspelt.name')
  const again = await cli('connector', 'register', 'orders')
  expect(again.exit, again.text).toBe(0)
  expect(again.err).toContain(`orders: connector ${NAME} is as it should be`)

  connect.offsets.set(NAME, { lsn: 26643888 })
  const status = await cli('connector', 'status', 'orders')
  expect(status.exit).toBe(0)
  expect(status.out).toContain(`connector ${NAME}  RUNNING`)
  expect(status.out).toContain('has stored the position 0/1968DB0')
  for (const [order, state] of [
    ['pause', 'PAUSED'],
    ['resume', 'RUNNING'],
    ['restart', 'RUNNING'],
  ] as const)
    expect((await cli('-o', 'json', 'connector', order, 'orders')).json).toMatchObject({ command: order, pipeline: 'orders', state })

  expect((await cli('connector', 'remove', 'orders')).exit).toBe(2)
  expect(connect.connectors.size).toBe(1)
  const removed = await cli('connector', 'remove', 'orders', '--yes')
  expect(removed.exit, removed.text).toBe(0)
  expect(removed.out).toContain("SELECT pg_drop_replication_slot('tidemark_orders');")
  expect([connect.connectors.size, connect.offsets.size]).toEqual([0, 0])
})

test('what differs is shown before it is changed', async () => {
  await cli('connector', 'register', 'orders', '--yes')
  const running = connect.connectors.get(NAME)
  if (running === undefined) throw new Error('there is none')
  running.config = { ...running.config, 'database.password': 'kestrel-old', 'decimal.handling.mode': 'precise', 'max.batch.size': '1' }
  const { err } = await cli('connector', 'register', 'orders', '--yes')
  expect(err.split('\n').slice(0, 4)).toEqual([
    `orders: connector ${NAME} would change in 3 settings:`,
    '  ~ database.password = ******** → ********',
    '  ~ decimal.handling.mode = precise → string',
    '  - max.batch.size = 1',
  ])
})

test('a failed task: its cause in one line, also where the trace has the password', async () => {
  connect.failsWith = () => `a.B: outer\n\tat x\nCaused by: c.D: no login with ${PASSWORD}\n\tat y`
  const registered = await cli('-o', 'json', 'connector', 'register', 'orders', '--yes')
  expect(registered.exit).toBe(1)
  expect(registered.json.error).toMatchObject({
    code: 'connector-failed',
    message: `Task 0 of connector ${NAME} has failed: D: no login with ********`,
  })
  const status = await cli('connector', 'status', 'orders')
  expect(status.exit).toBe(1)
  expect(status.out).toContain('D: no login with ********')
})

test('check: each unsafe value with what it loses, and a database that can not be asked', async () => {
  await cli('connector', 'register', 'orders', '--yes')
  const running = connect.connectors.get(NAME)
  if (running === undefined) throw new Error('there is none')
  running.config = { ...running.config, 'decimal.handling.mode': 'precise' }
  const { json } = await cli('-o', 'json', 'check', 'orders')
  const codes = json.findings.map(({ code }: { readonly code: string }) => code)
  expect(codes).toEqual(expect.arrayContaining(['connector-decimals', 'connector-password', 'unreachable']))
})

test.each([
  [['status', 'orders'], 'missing-connector', 3],
  [['register', 'unnamed'], 'bad-usage', 2],
  [['register', 'foreign'], 'bad-usage', 2],
  [['register', 'nowhere'], 'bad-project', 2],
  [['register', 'own'], 'bad-usage', 2],
  [['register', 'nothing'], 'unknown-pipeline', 2],
] as const)('%j: %s', async (args, code, exit) => {
  const result = await cli('-o', 'json', 'connector', ...args)
  expect(result.json?.error).toMatchObject({ code })
  expect(result.exit).toBe(exit)
})

test('unreachable, no plugin, a wrong login and a refused configuration', async () => {
  connect.plugins = []
  expect((await cli('-o', 'json', 'connector', 'register', 'orders')).json.error.code).toBe('missing-plugin')
  connect.plugins = ['io.debezium.connector.postgresql.PostgresConnector']
  connect.invalid = () => ({ 'database.hostname': 'can not be reached' })
  const refused = await cli('-o', 'json', 'connector', 'register', 'orders')
  expect([refused.exit, refused.json.error.code]).toEqual([2, 'connector-refused'])
  expect(refused.json.error.message).toContain('database.hostname: can not be reached')
  connect.login = 'me:other'
  expect((await cli('-o', 'json', 'connector', 'register', 'orders')).json.error.code).toBe('authentication-failed')
  const { url } = connect
  await connect[Symbol.asyncDispose]()
  const gone = await runCli(folder.path, ['-o', 'json', 'connector', 'status', 'orders'], {
    PASSWORD,
    CONNECT: url.replace('//', `//${LOGIN}@`),
  })
  expect([gone.exit, gone.json.error.code]).toEqual([3, 'unreachable'])
  expect(gone.text).not.toContain('kestrel')
})
