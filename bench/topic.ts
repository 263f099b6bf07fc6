// K1: a topic that a real Debezium has filled, with the rows of a table and ten updates of each, and how long it takes until the target
// has them all: for tidemark, and for Debezium's own JDBC sink connector, tuned. Both read the same topic from its beginning, by turns.

import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { KafkaClient } from '../src/connectors/kafka/client.ts'
import { jdbcConnectorHome } from '../src/testing/kafka-installation.ts'
import { type KafkaStack, startKafka } from '../src/testing/kafka-stack.ts'
import type { PostgresServer } from '../src/testing/postgres-server.ts'
import { TIDEMARK, type Tool } from './baselines.ts'
import { COLUMNS, checksumQuery } from './columns.ts'
import { type Measurement, measure } from './measure.ts'
import { ENVIRONMENT, query } from './psql.ts'
import type { Result, Rounds } from './rounds.ts'
import { generateSource } from './source.ts'
import { Targets } from './targets.ts'

const ROWS = 50_000
const UPDATES = 10
const TOPIC = 'bench.public.orders'
const DATABASE = 'topic_source'
const LAST = 'the last update'
const HOME = join(import.meta.dirname, '..')
const PATIENCE_MS = 600_000
const JDBC: Tool = { name: 'jdbc', title: () => '', command: () => [] }
const TITLES = new Map([
  [TIDEMARK, 'tidemark'],
  [JDBC, "Debezium's JDBC sink, tuned"],
])
/** What was fastest of what was tried. */
const TUNED = {
  'insert.mode': 'upsert',
  'primary.key.mode': 'record_key',
  'delete.enabled': 'true',
  'schema.evolution': 'none',
  'use.reduction.buffer': 'true',
  'batch.size': '2000',
  'dialect.postgres.unnest.insert.enabled': 'true',
  'consumer.override.max.poll.records': '5000',
}

export async function measureTopic(rounds: Rounds): Promise<Result> {
  const { server, folder, runs, say } = rounds
  execFileSync(process.execPath, [join(HOME, 'scripts', 'install-kafka.ts'), '--jdbc-sink'], { stdio: ['ignore', 'ignore', 'inherit'] })
  await using kafka = await startKafka({ connect: true, plugins: [join(jdbcConnectorHome(), 'plugins')], measured: true })
  const targets = new Targets(server, folder)
  const more = { SRC_URL: server.url(DATABASE), KAFKA_BROKER: kafka.brokers[0] ?? '', CONNECT_URL: kafka.connectUrl }
  const variables = { ...targets.variables(TIDEMARK), ...more }
  say(`K1: filling ${TOPIC}`)
  await fill(server, kafka, variables)
  const wanted = await query(server.url(DATABASE), checksumQuery('postgres', 'orders'))
  const tools = [TIDEMARK, JDBC]
  const measured = new Map(tools.map((tool) => [tool, [] as Measurement[]]))
  for (let run = 1; run <= runs; run++) {
    say(`K1, run ${run} of ${runs}`)
    for (const tool of run % 2 === 0 ? tools : tools.toReversed()) {
      await targets.empty(tool, 'postgres')
      await query(server.url(), 'CHECKPOINT')
      const result = await (tool === TIDEMARK
        ? measure(['bash', join(import.meta.dirname, 'peer.sh'), 'K1'], variables, folder)
        : measureConnector(kafka, server.url('target_jdbc'), `jdbc_${run}`))
      const found = result.failure === null ? await targets.sum(tool, 'postgres') : wanted
      const failure = result.failure ?? (found === wanted ? null : `not equal: source ${wanted}; target ${found}`)
      measured.get(tool)?.push({ ...result, failure })
      say(`  ${TITLES.get(tool)}: ${failure === null ? `${result.seconds.toFixed(2)} s, equal` : `NO RESULT, ${failure}`}`)
    }
  }
  return {
    title: "Debezium's topic to Postgres, rows and ten updates of each",
    rows: messages(),
    tools: tools.map((tool) => ({ title: TITLES.get(tool) ?? '', runs: measured.get(tool) ?? [] })),
  }
}

/** Of the rows, of their updates, and the last. */
function messages(): number {
  return ROWS * (1 + UPDATES) + 1
}

async function fill(server: PostgresServer, { brokers }: KafkaStack, variables: Readonly<Record<string, string>>): Promise<void> {
  await generateSource(server, ROWS, DATABASE)
  // What the sink writes where it is fastest is no date: `invalid input syntax for type date`.
  await query(server.url(DATABASE), 'ALTER TABLE orders ALTER COLUMN order_date TYPE text')
  const register = [join(HOME, 'dist', 'cli.js'), 'connector', 'register', 'topic', '--yes', '-c', join(HOME, 'bench', 'topic.yml')]
  await promisify(execFile)(process.execPath, register, { env: { ...ENVIRONMENT, ...variables } })
  const client = await KafkaClient.open({ what: 'the benchmark', brokers })
  await reaches(client, ROWS)
  await query(
    server.url(DATABASE),
    `DO $$ BEGIN
       FOR t IN 0..${(ROWS * UPDATES) / 1000 - 1} LOOP
         FOR i IN 1..1000 LOOP
           UPDATE orders SET amount = (amount + 1) % 90000, updated_at = clock_timestamp() WHERE id = (t * 1000 + i)::bigint * 7919 % ${ROWS} + 1;
         END LOOP;
         COMMIT;
       END LOOP;
     END $$`,
    `UPDATE orders SET note = '${LAST}' WHERE id = ${ROWS}`,
  )
  await reaches(client, messages())
  await client.close()
  // It would read on, beside what is measured.
  await connect(variables['CONNECT_URL'] ?? '', 'DELETE', 'connectors/orders')
}

async function reaches(client: KafkaClient, count: number): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await pause(200)) {
    const found = await client.findTopics([TOPIC])
    const end = found.size === 0 ? 0n : ((await client.ranges([TOPIC])).get(TOPIC)?.ends[0] ?? 0n)
    if (end > BigInt(count)) throw new Error(`${TOPIC} has ${end} messages, and not ${count}: Debezium has written some twice.`)
    if (end === BigInt(count)) return
  }
  throw new Error(`${TOPIC} did not come to ${count} messages.`)
}

/** From its registration to where a reader of the target sees the last update; CPU and memory are those of Connect, which runs it. */
async function measureConnector(kafka: KafkaStack, target: string, name: string): Promise<Measurement> {
  const columns = Object.entries(COLUMNS).map(([column, type]) => `${column} ${type === 'date' ? 'text' : type}`)
  await query(target, `CREATE TABLE bench.orders (${columns.join(', ')}, PRIMARY KEY (id))`)
  const { hostname, port, pathname, username, password } = new URL(target)
  const converters = ['key', 'value'].flatMap((side) => [
    [`${side}.converter`, 'org.apache.kafka.connect.json.JsonConverter'],
    [`${side}.converter.schemas.enable`, 'true'],
    [`${side}.converter.replace.null.with.default`, 'false'],
  ])
  const config = {
    'connector.class': 'io.debezium.connector.jdbc.JdbcSinkConnector',
    'tasks.max': '1',
    topics: TOPIC,
    'connection.url': `jdbc:postgresql://${hostname}:${port}${pathname}`,
    'connection.username': username,
    'connection.password': password,
    'collection.name.format': 'bench.orders',
    ...TUNED,
    ...Object.fromEntries(converters),
  }
  const reader = new pg.Client({ connectionString: target })
  await reader.connect()
  const cpu = cpuSeconds(kafka)
  const start = performance.now()
  await connect(kafka.connectUrl, 'PUT', `connectors/${name}/config`, config)
  const failure = await hasLast(reader, kafka, name)
  const seconds = (performance.now() - start) / 1000
  const memory = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${connectPid(kafka)}/status`, 'utf8'))?.[1] ?? 0) / 1024
  const used = cpuSeconds(kafka) - cpu
  await reader.end()
  await connect(kafka.connectUrl, 'DELETE', `connectors/${name}`)
  return { seconds, cpuSeconds: used, largestMegabytes: memory, togetherMegabytes: memory, failure }
}

/** Returns why it will not come. */
async function hasLast(reader: pg.Client, { connectUrl }: KafkaStack, name: string): Promise<string | null> {
  const deadline = Date.now() + PATIENCE_MS
  for (let look = 1; Date.now() < deadline; look++) {
    const { rows } = await reader.query('SELECT 1 FROM bench.orders WHERE id = $1 AND note = $2', [ROWS, LAST])
    if (rows.length > 0) return null
    if (look % 100 === 0) {
      const status = await connect(connectUrl, 'GET', `connectors/${name}/status`)
      if (status.includes('"FAILED"')) return status.match(/Caused by: [^\\]+/g)?.at(-1) ?? status.slice(0, 1000)
    }
    await pause(20)
  }
  return 'the last update did not come'
}

async function connect(url: string, method: string, path: string, body?: object): Promise<string> {
  const answer = await fetch(`${url}/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`Kafka Connect, ${method} ${path}: ${answer.status} ${text.slice(0, 1000)}`)
  return text
}

function connectPid({ folder }: KafkaStack): string {
  return readFileSync(join(folder, 'connect.pid'), 'utf8').trim()
}

/** Linux counts in hundredths. */
function cpuSeconds(kafka: KafkaStack): number {
  const stat = readFileSync(`/proc/${connectPid(kafka)}/stat`, 'utf8')
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  return (user + system) / 100
}
