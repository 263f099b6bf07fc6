// The configuration of Debezium's connector for a pipeline. Whatever Debezium does by default that loses or falsifies something is set
// here to what doesn't; `check-connector.ts` says of each what would be lost.

import type { ServerAddress } from '../../contract/change-feed.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline, DebeziumConnector } from '../../core/pipeline.ts'
import type { TableName } from '../../core/table.ts'
import type { ConnectorConfig } from './hide-secrets.ts'

export const PLUGIN = 'io.debezium.connector.postgresql.PostgresConnector'
const JSON_CONVERTER = 'org.apache.kafka.connect.json.JsonConverter'

/** A heartbeat also tells that the connector lives, and moves the slot on while other tables of the database change. */
const HEARTBEAT_MS = 10_000

const SAFE: ConnectorConfig = {
  'tasks.max': '1',
  'plugin.name': 'pgoutput',
  'publication.autocreate.mode': 'filtered',
  'snapshot.mode': 'initial',
  // Before 3.7 the threads of a snapshot did not all read the same moment.
  'snapshot.max.threads': '1',
  'skipped.operations': 'none',
  'tombstones.on.delete': 'true',
  'provide.transaction.metadata': 'true',
  'extended.headers.enabled': 'false',
  'decimal.handling.mode': 'string',
  'time.precision.mode': 'microseconds',
  'interval.handling.mode': 'string',
  'binary.handling.mode': 'bytes',
  'event.converting.failure.handling.mode': 'fail',
  'offset.mismatch.strategy': 'trust_offset',
  'heartbeat.interval.ms': String(HEARTBEAT_MS),
  // Settings of a converter are ignored where the converter itself is not named.
  'key.converter': JSON_CONVERTER,
  'value.converter': JSON_CONVERTER,
  'key.converter.schemas.enable': 'false',
  'value.converter.schemas.enable': 'false',
  'key.converter.replace.null.with.default': 'false',
  'value.converter.replace.null.with.default': 'false',
  // Several partitions would have no order between a TRUNCATE and rows.
  'topic.creation.default.partitions': '1',
  // As the brokers have it.
  'topic.creation.default.replication.factor': '-1',
}

/** Throws `bad-usage` where the database can't be reached from another machine as it is written. */
export function connectorConfig(pipeline: CdcPipeline, connector: DebeziumConnector, from: ServerAddress): ConnectorConfig {
  const { source } = pipeline
  const { properties, heartbeatTable } = connector
  const tables = heartbeatTable === null ? source.tables : [...source.tables, heartbeatTable]
  return {
    name: connector.name,
    'connector.class': PLUGIN,
    ...SAFE,
    ...database(pipeline.name, connector, from),
    'topic.prefix': source.kafka?.topicPrefix ?? '',
    'slot.name': source.slot,
    'publication.name': source.publication,
    'table.include.list': tables.map(tablePattern).join(','),
    ...(heartbeatTable === null ? {} : { 'heartbeat.action.query': heartbeatQuery(heartbeatTable) }),
    ...properties,
  }
}

function database(pipeline: string, { password, properties }: DebeziumConnector, from: ServerAddress): ConnectorConfig {
  if (from.host.startsWith('/') && properties['database.hostname'] === undefined)
    throw new LoadError('bad-usage', `The connector of pipeline ${pipeline} can't reach ${from.host}: that is a socket of this machine.`, {
      hint: "Give the server's name with `connector: { properties: { database.hostname: … } }`.",
    })
  const secret = password ?? from.password
  return {
    'database.hostname': from.host,
    'database.port': String(from.port),
    'database.user': from.user,
    ...(secret === null ? {} : { 'database.password': secret }),
    'database.dbname': from.database,
    'database.sslmode': from.tls,
  }
}

/** Debezium takes regular expressions for the whole name, parted by commas. */
export function tablePattern({ schema, name }: TableName): string {
  return `${literally(schema ?? 'public')}\\.${literally(name)}`
}

function literally(text: string): string {
  return text.replaceAll(/[\p{P}\p{S}\s]/gu, (character) => {
    if (character === '_') return character
    // A comma would part the list, and a space at its end be trimmed.
    return character === ',' || /\s/.test(character) ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : `\\${character}`
  })
}

function heartbeatQuery({ schema, name }: TableName): string {
  const table = [schema ?? 'public', name].map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
  return `INSERT INTO ${table} (id, ts) VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET ts = EXCLUDED.ts`
}

/** As the pipeline's connector has it; undefined where the pipeline does not say how it is configured. */
export function connectorProperty({ source }: CdcPipeline, property: string): string | undefined {
  const connector = source.kafka?.connector ?? null
  return connector === null ? undefined : (connector.properties[property] ?? SAFE[property])
}
