// What the tables of a pipeline on topics are. The database that the connector reads knows it best, then whoever wrote the project file;
// where neither says it, messages tell which fields there are, and of which types where they bring schemas, and the target's own table
// tells the types that they leave open.

import type { RelatedEnds } from '../../contract/connector.ts'
import type { Finding } from '../../contract/finding.ts'
import type { LoggedElsewhere } from '../../contract/source.ts'
import { MARKS } from '../../core/change-marks.ts'
import { type DeclaredType, declaredFor, parseDeclaredType } from '../../core/declared-type.ts'
import { LoadError } from '../../core/errors.ts'
import { type CdcPipeline, type DeclaredTable, targetTables } from '../../core/pipeline.ts'
import { type Column, columnNamed, printTableName, type Table, type TableName } from '../../core/table.ts'
import type { SourceConnector } from '../../formats/debezium-connectors.ts'
import { typeOfSchema } from '../../formats/debezium-declared.ts'
import type { ConnectSchema } from '../../formats/debezium-schema.ts'
import type { MessageShape } from '../../formats/debezium-shape.ts'

export interface DescribedTopic extends LoggedElsewhere {
  /** Who says what the columns are. Fields beyond them: left out when a database no longer has them, refused when they were declared. */
  readonly by: 'database' | 'project' | 'schemas' | 'target'
  readonly findings: readonly Finding[]
}

export interface TopicTable {
  readonly name: TableName
  readonly topic: string
  /** How the target calls it. */
  readonly target: TableName
}

/** `shape`: what the topic shows; asked for where nothing else tells. Throws `unknown-columns`, `missing-key`. */
export async function describeTopic(
  pipeline: CdcPipeline,
  table: TopicTable,
  related: RelatedEnds,
  shape: () => Promise<MessageShape | null>,
): Promise<DescribedTopic> {
  const { kafka } = pipeline.source
  const from = kafka?.connector?.from ?? null
  if (from !== null) {
    const database = await related.source(from)
    if (database.describeLogged === undefined)
      throw new LoadError('bad-project', `Connection ${from} is no database whose log a connector reads.`)
    return { ...(await database.describeLogged(table.name)), by: 'database', findings: [] }
  }
  const declared = kafka?.declared.find(({ name }) => printTableName(name) === printTableName(table.name)) ?? null
  const wholeBefore = declared?.wholeBefore ?? false
  if (declared?.columns) return { ...asDeclared(table, declared.columns, declared), by: 'project', wholeBefore, findings: [] }
  const target = await (await related.target(pipeline.target.connection)).describe(table.target)
  return { ...asShown(pipeline, table, await shape(), target), wholeBefore }
}

type Described = Pick<DescribedTopic, 'table' | 'declared'>

function asDeclared(table: TopicTable, columns: NonNullable<DeclaredTable['columns']>, { key }: DeclaredTable): Described {
  const types = columns.map(({ name, type }) => ({ name, type: parseDeclaredType(type) ?? declaredFor({ kind: 'text' }) }))
  return tableOf(
    table,
    types.map(({ name, type }) => ({ column: columnOf(name, type), declared: type.declared })),
    key,
  )
}

interface Shown {
  readonly column: Column
  readonly declared: string
  readonly finding?: Finding
}

function asShown(
  pipeline: CdcPipeline,
  table: TopicTable,
  shape: MessageShape | null,
  target: Table | null,
): Described & Pick<DescribedTopic, 'by' | 'findings'> {
  const own = new Set(MARKS[pipeline.write].map(({ name }) => name))
  const existing = target?.columns.filter(({ name, generated }) => !own.has(name) && generated !== true) ?? []
  if (shape === null) {
    if (target === null) throw unknownColumns(table, `topic "${table.topic}" has no message with a row yet`)
    return { ...tableOf(table, existing.map(asInTarget), needKey(table, target.key)), by: 'target', findings: [] }
  }
  const withSchema = [...shape.fields.values()].some((schema) => schema !== null)
  if (!withSchema && target === null) throw unknownColumns(table, `the messages of topic "${table.topic}" bring no schema`)
  const shown = [...shape.fields].map(([name, schema]) =>
    fieldOf(table, name, schema, shape.connector, columnNamed({ columns: existing }, name) ?? null),
  )
  return {
    ...tableOf(table, shown, needKey(table, shape.key ?? [])),
    by: withSchema ? 'schemas' : 'target',
    findings: shown.flatMap(({ finding }) => (finding === undefined ? [] : [finding])),
  }
}

function fieldOf(
  { name: table, topic }: TopicTable,
  name: string,
  schema: ConnectSchema | null,
  connector: SourceConnector | null,
  existing: Column | null,
): Shown {
  const said = schema === null ? null : typeOfSchema(schema, connector)
  if (said?.trust === 'whole') {
    const shown = { column: columnOf(name, said), declared: said.declared }
    return CUTS.has(schema?.name ?? '') ? { ...shown, finding: cut(table, name) } : shown
  }
  if (existing !== null) return asInTarget(existing)
  const type = said ?? declaredFor({ kind: 'text' })
  const shown = { column: columnOf(name, type), declared: type.declared }
  return said?.trust === 'open' ? shown : { ...shown, finding: asText(table, topic, name) }
}

/** Kafka Connect's own types know milliseconds and nothing smaller. */
const CUTS = new Set(['org.apache.kafka.connect.data.Time', 'org.apache.kafka.connect.data.Timestamp'])

function cut(table: TableName, column: string): Finding {
  return {
    severity: 'warning',
    code: 'connector-loses',
    message: `Column "${column}" of ${printTableName(table)}: the connector cuts microseconds off, if the source has them.`,
    hint: 'Set `time.precision.mode=microseconds` for the connector, and load again.',
  }
}

function asText(table: TableName, topic: string, column: string): Finding {
  return {
    severity: 'warning',
    code: 'column-as-text',
    message: `Column "${column}" of ${printTableName(table)} is loaded as text: nothing in topic "${topic}" or in the target says its type.`,
    hint: 'Write its type into the project file with `source: { declare: … }`, or give the target such a column.',
  }
}

function asInTarget(column: Column): Shown {
  const type = (column.native === null ? null : parseDeclaredType(column.native)) ?? declaredFor(column.type)
  return { column: { ...column, backfill: null }, declared: type.declared }
}

function columnOf(name: string, { type, native }: DeclaredType): Column {
  return { name, type, native, nullable: true, backfill: null }
}

function tableOf({ name, topic }: TopicTable, columns: readonly Shown[], key: readonly string[]): Described {
  return {
    table: {
      name,
      columns: columns.map(({ column }) => column),
      key,
      keyGuaranteed: true,
      identity: `topic/${topic}`,
      estimatedRows: null,
      estimatedBytes: null,
    },
    declared: columns.map(({ declared }) => ({ type: declared, isEnum: false })),
  }
}

function needKey({ name, topic }: TopicTable, key: readonly string[]): readonly string[] {
  if (key.length > 0) return key
  throw new LoadError(
    'missing-key',
    `Messages of topic "${topic}" have no key by which the rows of ${printTableName(name)} could be told apart.`,
    {
      hint: 'Give the table a primary key, or let the connector make one: see `message.key.columns`.',
    },
  )
}

function unknownColumns({ name }: TopicTable, why: string): LoadError {
  return new LoadError(
    'unknown-columns',
    `Nothing says what the columns of ${printTableName(name)} are: ${why}, and the target has no such table.`,
  )
}

/** The tables of the pipeline with their topics. */
export function topicTables(pipeline: CdcPipeline, topics: readonly string[]): readonly TopicTable[] {
  const targets = targetTables(pipeline)
  return pipeline.source.tables.map((name, index) => ({ name, topic: topics[index] ?? '', target: targets[index] ?? name }))
}
