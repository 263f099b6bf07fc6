// Debezium's topics as a log: a table a topic, its first rows in front of its changes. Nothing is made at the source. Offsets are a part
// of the position, which is in the target together with the data; no group is joined.

import type { RelatedEnds } from '../../contract/connector.ts'
import type { Finding } from '../../contract/finding.ts'
import type { ChangeStream, Dropped, LogBeginning, LogObservation, LogSource, LogStatus, ValueFormat } from '../../contract/log.ts'
import type { LoggedElsewhere } from '../../contract/source.ts'
import type { ChangesChunk } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { CdcPipeline, MessageForm } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { QuarantinedChange } from '../../core/quarantine.ts'
import type { State } from '../../core/state.ts'
import { printTableName, type Table, type TableName } from '../../core/table.ts'
import { topicOf } from '../../core/topic.ts'
import { DebeziumDecoder } from '../../formats/debezium.ts'
import type { DebeziumColumn } from '../../formats/debezium-encoding.ts'
import { debeziumLosses } from '../../formats/debezium-losses.ts'
import type { MessageShape } from '../../formats/debezium-shape.ts'
import { KafkaClient, type KafkaTopic, type TopicRange } from './client.ts'
import { clientOptions } from './client-options.ts'
import type { KafkaConfig } from './config.ts'
import { connectorProperty } from './connector-config.ts'
import { type DescribedTopic, describeTopic, topicTables } from './described-topics.ts'
import { EmissionGuard } from './emission-guard.ts'
import { parseMessage } from './kept-message.ts'
import { AvroMessages, JSON_MESSAGES, type MessageCodec, preparing, unpacking } from './message-codec.ts'
import { modesOf } from './modes.ts'
import { OpenTopics } from './open-topics.ts'
import { SchemaRegistry } from './schema-registry.ts'
import { decoded, type FollowedTopic, TopicChanges } from './topic-changes.ts'
import { topicLag } from './topic-lag.ts'
import { joinShapes, lookAtTopic, shapeShown } from './topic-look.ts'
import { parseTopicPlaces, printTopicPlaces, type TopicPlaces } from './topic-position.ts'
import { TransactionChanges } from './transaction-changes.ts'
import { formFindings, formSaid } from './unwrapped.ts'

interface FollowedTable extends DescribedTopic {
  readonly topic: string
  readonly form: MessageForm
  readonly rewritesDeletes: boolean
}

/** A chunk of changes has about so many bytes of messages. */
const CHUNK_BYTES = 4 << 20

export class KafkaLog implements LogSource {
  readonly #config: KafkaConfig
  readonly #what: string
  readonly #related: RelatedEnds
  readonly #codec: MessageCodec
  #client: Promise<KafkaClient> | null = null
  /** By the table's identity, as it was looked at last. */
  #described: ReadonlyMap<string, FollowedTable> = new Map()
  /** Fields without a column for which the table was looked at again: those that are still unknown then were dropped at the source. */
  readonly #lookedFor = new Set<string>()
  /** By topic: what messages have shown that came with fields of their own. */
  readonly #shown = new Map<string, MessageShape>()

  constructor(config: KafkaConfig, what: string, related: RelatedEnds) {
    this.#config = config
    this.#what = what
    this.#related = related
    this.#codec = codecOf(config, what)
  }

  #open(): Promise<KafkaClient> {
    this.#client ??= clientOptions(this.#config, this.#what).then((options) => KafkaClient.open(options))
    return this.#client
  }

  async observe(pipeline: CdcPipeline, state: State | null): Promise<LogObservation> {
    const client = await this.#open()
    const tables = topicsOf(pipeline)
    const found = await client.findTopics([...tables, ...toldIn(pipeline)])
    if (!tables.some((name) => found.has(name))) await client.topics(tables)
    const ranges = await client.ranges([...found.keys()])
    const described = await this.#describe(pipeline, found, ranges)
    this.#described = new Map(described.map((one) => [one.table.identity, one]))
    const known = state?.position.kind === 'log' ? parseTopicPlaces(state.position, pipeline.name) : new Map()
    const head = new Map<string, TopicPlaces extends ReadonlyMap<string, infer Place> ? Place : never>()
    for (const [name, { id }] of found)
      head.set(name, { id, partitions: (ranges.get(name)?.ends ?? []).map((next) => ({ next, seen: null })) })
    for (const [name, place] of known) if (!head.has(name)) head.set(name, place)
    return {
      tables: described.map(({ table }) => table),
      layouts: described.map(() => ({ rows: '', columns: '' })),
      head: printTopicPlaces(head),
      identity: `kafka/${await client.clusterId()}/${pipeline.source.kafka?.topicPrefix}`,
      there: { slot: null, publication: false },
      values: ['pg-text'],
      together: pipeline.source.kafka?.consistency === 'transaction',
    }
  }

  async #describe(
    pipeline: CdcPipeline,
    topics: ReadonlyMap<string, KafkaTopic>,
    ranges: ReadonlyMap<string, TopicRange>,
  ): Promise<readonly FollowedTable[]> {
    const client = await this.#open()
    const tables: FollowedTable[] = []
    for (const table of topicTables(pipeline, topicsOf(pipeline))) {
      const [topic, range] = [topics.get(table.topic), ranges.get(table.topic)]
      const look = once(async () => {
        const newest = topic === undefined || range === undefined ? null : await lookAtTopic(client, topic, range, this.#codec)
        return joinShapes(newest, this.#shown.get(table.topic) ?? null)
      })
      const described = await describeTopic(pipeline, table, this.#related, look)
      const form = formSaid(pipeline) ?? (await look())?.form ?? 'envelope'
      const shape = form === 'unwrapped' || described.by !== 'database' ? await look() : null
      tables.push({
        ...described,
        topic: table.topic,
        form,
        rewritesDeletes: shape?.rewritesDeletes ?? false,
        findings: [...described.findings, ...formFindings(table.topic, form, shape)],
      })
    }
    return tables
  }

  async begin(pipeline: CdcPipeline): Promise<LogBeginning> {
    return new TopicsBeginning(await this.#beginnings([...topicsOf(pipeline), ...toldIn(pipeline)]))
  }

  /** Those that are read on stay where they end now; the others begin at the front. */
  async beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const places = new Map(parseTopicPlaces(seen.head, pipeline.name))
    const begins = parseTopicPlaces(await this.#beginnings([...places.keys()]), pipeline.name)
    return new TopicsBeginning(printTopicPlaces(new Map([...places, ...begins])))
  }

  /** Throws `log-unavailable` where the first messages of a topic are gone. */
  async #beginnings(names: readonly string[]): Promise<Position> {
    const client = await this.#open()
    const topics = await client.findTopics(names)
    const ranges = await client.ranges([...topics.keys()])
    const places = new Map()
    for (const [name, { id }] of topics) {
      const { begins = [] } = ranges.get(name) ?? {}
      const cut = begins.findIndex((offset) => offset > 0n)
      if (cut >= 0)
        throw new LoadError(
          'log-unavailable',
          `Topic "${name}" begins at offset ${begins[cut]} of partition ${cut}: its first messages were removed.`,
          {
            where: this.#what,
            hint: 'Let the connector read the table anew (a new snapshot, in a topic of its own), and keep the topic by compaction or for long enough.',
          },
        )
      places.set(name, { id, partitions: begins.map((next) => ({ next, seen: null })) })
    }
    return printTopicPlaces(places)
  }

  async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    from: Position,
    _format: ValueFormat,
    until: Position | null,
  ): Promise<ChangeStream> {
    const client = await this.#open()
    const described = seen.tables.flatMap(({ identity }) => this.#described.get(identity) ?? [])
    invariant(described.length === seen.tables.length, 'tables are looked at before their topics are opened')
    const topics = described.map((one, number) => this.#followed(pipeline, one, number))
    const told = toldIn(pipeline)
    const names = [...topics.map(({ name }) => name), ...told]
    const stored = parseTopicPlaces(from, pipeline.name)
    // A topic that was not there yet begins where it begins now.
    const late = names.filter((name) => !stored.has(name))
    const places: TopicPlaces = new Map([...stored, ...parseTopicPlaces(await this.#beginnings(late), pipeline.name)])
    const isWhole = told[0] !== undefined
    if (isWhole) this.#refuseSeveralPartitions(places)
    const beginnings = async (late: readonly string[]): Promise<TopicPlaces> => {
      const begun = parseTopicPlaces(await this.#beginnings(late), pipeline.name)
      if (isWhole) this.#refuseSeveralPartitions(begun)
      return begun
    }
    const open = { names, places, until: until === null ? null : parseTopicPlaces(until, pipeline.name), beginnings }
    const { reader, appeared, ends } = new OpenTopics(client, open, { maxBytes: CHUNK_BYTES, maxPartitionBytes: CHUNK_BYTES })
    const access = { reader: preparing(reader, this.#codec, told), appeared, ends }
    return told[0] === undefined
      ? new TopicChanges(access, topics, places, pipeline)
      : new TransactionChanges(access, topics, told[0], places, pipeline.name)
  }

  #refuseSeveralPartitions(places: TopicPlaces): void {
    for (const [name, { partitions }] of places)
      if (partitions.length > 1)
        throw new LoadError(
          'log-unavailable',
          `Topic "${name}" has ${partitions.length} partitions; the order of transactions needs one.`,
          {
            where: this.#what,
            hint: 'Let the connector make the topic anew with `topic.creation.default.partitions=1`, or leave out `consistency: transaction`.',
          },
        )
  }

  #followed(pipeline: CdcPipeline, described: FollowedTable, number: number): FollowedTopic {
    const { table, wholeBefore, topic, form, rewritesDeletes, by } = described
    const modes = modesOf(pipeline)
    const columns = debeziumColumns(described)
    const { schema, name: tableName } = table.name
    const debezium = { schema: schema ?? 'public', name: tableName, number, width: columns.length, columns, key: table.key, wholeBefore }
    return {
      name: topic,
      collection: `${debezium.schema}.${debezium.name}`,
      number,
      width: columns.length,
      decoder: () => unpacking(new DebeziumDecoder(debezium, { modes, form, rewritesDeletes }), this.#codec),
      onUnknown: (fields, record) => {
        if (by === 'project') throw undeclared(table.name, fields)
        const fresh = fields.filter((field) => !this.#lookedFor.has(`${topic} ${field}`))
        if (fresh.length === 0) return
        for (const field of fresh) this.#lookedFor.add(`${topic} ${field}`)
        const shape = joinShapes(this.#shown.get(topic) ?? null, shapeShown(record, this.#codec))
        if (shape !== null) this.#shown.set(topic, shape)
        throw new LoadError('try-again', `Column "${fresh[0]}" came to table ${printTableName(table.name)}.`)
      },
    }
  }

  async reread(
    pipeline: CdcPipeline,
    table: Table,
    number: number,
    { position, payload }: QuarantinedChange,
    chunk: ChangesChunk,
  ): Promise<void> {
    const described = this.#described.get(table.identity)
    invariant(described !== undefined, 'tables are looked at before messages of theirs are read again')
    const { record, seen } = parseMessage(payload)
    await this.#codec.prepare([record])
    const event = decoded(this.#followed(pipeline, described, number).decoder(), position, record, chunk)
    const isNew = event.kind === 'change' && new EmissionGuard(seen).admits(event.position, event.transaction?.order ?? null)
    if (isNew) chunk.transactions.push({ first: 0, before: 0, position, committedMicros: event.position?.micros ?? 0n })
    else chunk.clear()
  }

  /** Values that the connector's settings refuse or falsify, and what is not known of the tables. */
  async check(pipeline: CdcPipeline): Promise<readonly Finding[]> {
    const client = await this.#open()
    const topics = await client.findTopics(topicsOf(pipeline))
    const findings: Finding[] = []
    for (const described of await this.#describe(pipeline, topics, await client.ranges([...topics.keys()]))) {
      findings.push(...described.findings)
      // A schema says more of its values than the settings do.
      if (described.by === 'schemas') continue
      for (const { column, what, hint } of debeziumLosses(debeziumColumns(described), modesOf(pipeline)))
        findings.push({
          severity: 'warning',
          code: 'connector-loses',
          message: `Column "${column}" of ${printTableName(described.table.name)}: ${what}.`,
          hint,
        })
    }
    return findings
  }

  async status(pipeline: CdcPipeline, state: State | null): Promise<LogStatus> {
    const stored = state?.position.kind === 'log' ? parseTopicPlaces(state.position, pipeline.name) : null
    const names = [...topicsOf(pipeline), ...toldIn(pipeline)]
    const { partitions, lost } = await topicLag(await this.#open(), names, stored, Date.now())
    const sum = (values: readonly (number | null)[]): number | null =>
      values.reduce((all, one) => (all === null || one === null ? null : all + one), 0)
    const seconds = partitions.map((one) => one.seconds)
    return {
      retainedBytes: null,
      safeBytes: null,
      lagBytes: null,
      lagSeconds: stored === null || seconds.includes(null) ? null : Math.max(0, ...seconds.map(Number)),
      lagMessages: stored === null ? null : sum(partitions.map(({ messages }) => messages)),
      partitions,
      state: lost === null ? 'kept' : 'lost',
      invalidation: lost,
      active: false,
      confirmed: null,
      streams: [],
    }
  }

  /** Nothing was made. */
  async drop({ source }: CdcPipeline): Promise<Dropped> {
    const connector = source.kafka?.connector?.name
    return { removed: [], left: connector === undefined ? [] : [`connector ${connector}`] }
  }

  async close(): Promise<void> {
    const client = this.#client
    this.#client = null
    await client?.then(
      (one) => one.close(),
      () => {},
    )
  }
}

function debeziumColumns({ table, declared }: LoggedElsewhere): readonly DebeziumColumn[] {
  return table.columns.map((column, place) => ({
    name: column.name,
    declared: declared[place]?.type ?? 'text',
    isEnum: declared[place]?.isEnum ?? false,
    place,
    // Rows that are older than the column come without it.
    absent: column.backfill ?? null,
  }))
}

function codecOf({ registry, timeoutSeconds }: KafkaConfig, what: string): MessageCodec {
  if (registry === null) return JSON_MESSAGES
  return new AvroMessages(new SchemaRegistry({ ...registry, what, timeoutMs: timeoutSeconds * 1000 }))
}

/** Looked for when it is first asked for, and then kept. */
function once<T>(look: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | null = null
  return () => {
    found ??= look()
    return found
  }
}

function undeclared(table: TableName, fields: readonly string[]): LoadError {
  const names = fields.map((field) => `"${field}"`).join(', ')
  return new LoadError('unknown-columns', `Messages of table ${printTableName(table)} have ${names}, of which \`declare\` says nothing.`, {
    hint: 'Add it to the columns under `source: { declare: … }`: a misspelt one would be lost without a word.',
  })
}

function topicsOf({ source }: CdcPipeline): readonly string[] {
  return source.tables.map((table) => topicOf(source.kafka?.topicPrefix ?? '', table))
}

/** The topic that tells of transactions; none where they are not put together again. */
function toldIn(pipeline: CdcPipeline): readonly string[] {
  const { kafka } = pipeline.source
  if (kafka?.consistency !== 'transaction') return []
  return [`${kafka.topicPrefix}.${connectorProperty(pipeline, 'topic.transaction') ?? 'transaction'}`]
}

/** The rows come with the changes. */
class TopicsBeginning implements LogBeginning {
  readonly position: Position
  readonly formats = ['pg-copy-binary', 'columns'] as const

  constructor(position: Position) {
    this.position = position
  }

  async *read(): AsyncGenerator<never> {}

  async pieces(): Promise<null> {
    return null
  }

  async close(): Promise<void> {}
}
