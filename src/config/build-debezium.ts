import type * as z from 'zod/mini'
import type { CdcPipeline, DebeziumConnector, DeclaredTable } from '../core/pipeline.ts'
import { isProviderReference } from '../core/secret-property.ts'
import { parseTableName, printTableName } from '../core/table.ts'
import { topicOf } from '../core/topic.ts'
import { buildChanges, checkQuarantine } from './build-cdc.ts'
import type { debeziumSchema } from './debezium-schema.ts'
import { unknownWord } from './explain-issue.ts'
import { checkLoggedTables, ownName, tableNamed } from './log-fields.ts'
import type { Fields, RuleContext } from './table-rules.ts'
import { checkConnections, mapIn, typeOf } from './table-rules.ts'

type Written = z.output<typeof debeziumSchema>
type WrittenTable = NonNullable<Written['source']['declare']>[string]
type WrittenConnector = NonNullable<Written['source']['connector']>

/** Properties that say what the pipeline says, and the field that does. */
const SAID_BY_PIPELINE: Readonly<Record<string, string>> = {
  name: 'connector: { name: … }',
  'topic.prefix': 'topic_prefix',
  'slot.name': 'connector: { slot: … }',
  'publication.name': 'connector: { publication: … }',
}

const POSTGRES_CONNECTOR = 'io.debezium.connector.postgresql.PostgresConnector'

/** A checked pipeline in the form in which the rest of tidemark knows it. */
export function buildDebezium(name: string, written: Written): CdcPipeline {
  const { connection, tables, topic_prefix: topicPrefix, connector, form, declare, consistency } = written.source
  return {
    ...buildChanges(name, written),
    source: {
      connection,
      tables: tables.map(tableNamed),
      slot: connector?.slot ?? ownName(name),
      publication: connector?.publication ?? ownName(name),
      failover: false,
      heartbeatSeconds: null,
      kafka: {
        topicPrefix,
        connector: connector === undefined ? null : buildConnector(connector),
        form: form ?? null,
        declared: Object.entries(declare ?? {}).map(([table, one]) => buildDeclared(table, one)),
        consistency: consistency ?? 'key',
      },
      streams: null,
    },
  }
}

function buildConnector({ name, from, password, heartbeat_table, properties }: WrittenConnector): DebeziumConnector {
  return {
    name,
    from: from ?? null,
    password: password ?? null,
    heartbeatTable: heartbeat_table === undefined ? null : tableNamed(heartbeat_table),
    properties: Object.fromEntries(Object.entries(properties ?? {}).map(([property, value]) => [property, String(value)])),
  }
}

function buildDeclared(table: string, { columns, key, replica_identity }: WrittenTable): DeclaredTable {
  return {
    name: tableNamed(table),
    columns: columns === undefined ? null : Object.entries(columns).map(([name, type]) => ({ name, type })),
    key: key ?? [],
    wholeBefore: replica_identity === 'full',
  }
}

/** Reports every broken rule. */
export function checkDebeziumRules(raw: Fields, context: RuleContext): void {
  checkConnections(raw, context)
  checkQuarantine(raw, context)
  const topics = new Map<string, number>()
  const names = new Set<string>()
  const prefix = mapIn(raw, 'source')?.['topic_prefix']
  for (const [index, table] of checkLoggedTables(raw, context)) {
    names.add(printTableName(table))
    const topic = topicOf(String(prefix), table)
    const earlier = topics.get(topic)
    if (earlier !== undefined) context.report(['source', 'tables', index], `has the same topic as tables[${earlier}]: ${topic}`)
    topics.set(topic, earlier ?? index)
  }
  const connector = mapIn(mapIn(raw, 'source') ?? {}, 'connector')
  if (connector !== null) checkConnector(connector, context)
  const declare = mapIn(mapIn(raw, 'source') ?? {}, 'declare')
  if (declare !== null) checkDeclared(declare, names, connector?.['from'] !== undefined, context)
}

/** `known`: a database says what the tables are. */
function checkDeclared(declare: Fields, names: ReadonlySet<string>, known: boolean, { report }: RuleContext): void {
  const at = (...path: string[]): string[] => ['source', 'declare', ...path]
  if (known) report(at(), 'stands beside connector: { from: … }, whose database says what the tables are; keep one of them', 'key')
  for (const table of Object.keys(declare)) {
    const parsed = parseTableName(table)
    if (parsed === null || !names.has(printTableName(parsed))) report(at(table), 'is none of the tables', 'key')
    const one = mapIn(declare, table) ?? {}
    const columns = mapIn(one, 'columns')
    const key = Array.isArray(one['key']) ? one['key'] : null
    if (columns !== null && one['key'] === undefined) report(at(table, 'columns'), 'needs key: [columns that identify a row]', 'key')
    if (columns === null && one['columns'] === undefined && key !== null) report(at(table, 'key'), 'needs columns', 'key')
    for (const [index, name] of (columns === null ? [] : (key ?? [])).entries())
      if (!Object.hasOwn(columns ?? {}, name)) report([...at(table, 'key'), index], 'is none of the columns')
  }
}

function checkConnector(connector: Fields, context: RuleContext): void {
  const { report } = context
  const at = (...path: string[]): string[] => ['source', 'connector', ...path]
  const { from, password, heartbeat_table: heartbeat } = connector
  if (typeof from === 'string') {
    const type = typeOf(from, context)
    if (type === null)
      report(at('from'), unknownWord('connection', context.locate(at('from')), from, context.connectionNames, context.origin))
    else if (type !== 'postgres') report(at('from'), `is a ${type} connection; the connector reads the log of a postgres one`)
  }
  if (typeof password === 'string' && !isProviderReference(password))
    report(at('password'), 'is no reference to a config provider of Kafka Connect, such as $${file:/opt/secrets.properties:password}')
  if (password !== undefined && from === undefined) report(at('password'), 'needs from', 'key')
  if (typeof heartbeat === 'string' && parseTableName(heartbeat)?.schema === null)
    report(at('heartbeat_table'), 'needs its schema, as in public.heartbeat')
  for (const [property, value] of Object.entries(mapIn(connector, 'properties') ?? {})) {
    const field = Object.hasOwn(SAID_BY_PIPELINE, property) ? SAID_BY_PIPELINE[property] : undefined
    if (field !== undefined) report(at('properties', property), `is said by ${field} already`, 'key')
    if (property === 'connector.class' && value !== POSTGRES_CONNECTOR)
      report(at('properties', property), `can only be ${POSTGRES_CONNECTOR}`)
  }
}
