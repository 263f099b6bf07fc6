import type * as z from 'zod/mini'
import type { CdcPipeline, DebeziumConnector } from '../core/pipeline.ts'
import { isProviderReference } from '../core/secret-property.ts'
import { parseTableName } from '../core/table.ts'
import { topicOf } from '../core/topic.ts'
import { buildChanges, checkQuarantine } from './build-cdc.ts'
import type { debeziumSchema } from './debezium-schema.ts'
import { unknownWord } from './explain-issue.ts'
import { checkLoggedTables, ownName, tableNamed } from './log-fields.ts'
import type { Fields, RuleContext } from './table-rules.ts'
import { checkConnections, mapIn, typeOf } from './table-rules.ts'

type Written = z.output<typeof debeziumSchema>
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
  const { connection, tables, topic_prefix: topicPrefix, connector, consistency } = written.source
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
        consistency: consistency ?? 'key',
      },
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

/** Reports every broken rule. */
export function checkDebeziumRules(raw: Fields, context: RuleContext): void {
  checkConnections(raw, context)
  checkQuarantine(raw, context)
  const topics = new Map<string, number>()
  const prefix = mapIn(raw, 'source')?.['topic_prefix']
  for (const [index, table] of checkLoggedTables(raw, context)) {
    const topic = topicOf(String(prefix), table)
    const earlier = topics.get(topic)
    if (earlier !== undefined) context.report(['source', 'tables', index], `has the same topic as tables[${earlier}]: ${topic}`)
    topics.set(topic, earlier ?? index)
  }
  const connector = mapIn(mapIn(raw, 'source') ?? {}, 'connector')
  if (connector !== null) checkConnector(connector, context)
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
