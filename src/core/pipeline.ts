// What the user asks for, checked and with every default filled in that doesn't need a look at a database.

import { LoadError } from './errors.ts'
import { type PartitionBy, partitionRule } from './partition.ts'
import type { SchemaPolicy } from './schema-change.ts'
import type { State } from './state.ts'
import { columnNamed, printTableName, type Table, type TableName } from './table.ts'
import { WRITE_STRATEGIES, type WriteStrategyName } from './write-strategy.ts'

/** How rows that commit late are kept from being skipped. */
export type LateRows =
  | { readonly kind: 'auto' | 'bound' | 'sweep' | 'none' }
  | { readonly kind: 'xid8'; readonly column: string }
  | { readonly kind: 'lag'; readonly seconds: number }

/** What every pipeline has that loads one table. */
export interface TablePipeline {
  /** 1–100 of letters, digits and `_ - . /`. */
  readonly name: string
  readonly pattern: 'watermark' | 'partition'
  readonly source: { readonly connection: string; readonly table: TableName | null; readonly query: string | null }
  readonly target: { readonly connection: string; readonly table: TableName }
  /** null: the source table's primary key. */
  readonly key: readonly string[] | null
  /** null: the pattern's own default. */
  readonly write: WriteStrategyName | null
  readonly where: string | null
  readonly columns: { readonly include: readonly string[] | null; readonly exclude: readonly string[] }
  readonly onSchemaChange: SchemaPolicy
}

export interface WatermarkPipeline extends TablePipeline {
  readonly pattern: 'watermark'
  readonly cursor: string
  readonly cursorTimeZone: string | null
  readonly start: string | null
  readonly lateRows: LateRows
  readonly nullCursor: 'error' | 'include' | 'exclude'
  /** The first load goes through the ledger, in pieces; null: in slices of the cursor. */
  readonly firstLoad: FirstLoad | null
}

export interface FirstLoad {
  readonly by: PartitionBy
  readonly workers: number
}

export interface PartitionPipeline extends TablePipeline {
  readonly pattern: 'partition'
  readonly by: PartitionBy
  readonly workers: number
  /** `run`: all partitions of a run in one snapshot; `partition`: each in its own. */
  readonly consistency: 'run' | 'partition'
  /** So many of the newest closed partitions are compared with the source on every run, and loaded again where they differ. */
  readonly lookback: number
  /** Which committed partitions are loaded again: none, those whose content changed, or all. */
  readonly detect: 'none' | 'checksum' | 'all'
  /** A partition may lose at most this share of its rows; null: all of them. */
  readonly maxShrink: number | null
  readonly replaceBy: ReplaceBy
}

/** How the old rows of a partition go; the last two only where the target's table is partitioned itself. */
export type ReplaceBy = 'delete' | 'truncate' | 'swap'

/** Follows the log of a database: several tables together, each transaction as a whole. */
export interface CdcPipeline {
  readonly name: string
  readonly pattern: 'cdc'
  readonly source: {
    readonly connection: string
    readonly tables: readonly TableName[]
    /** What the pipeline keeps at the source. */
    readonly slot: string
    readonly publication: string
    /** The slot is known to standbys, so that it goes on after one of them has taken over. */
    readonly failover: boolean
    /** How often something is written to the log while it is followed; null: never. */
    readonly heartbeatSeconds: number | null
    /** Where the changes come from when somebody else reads the log; null: the connection's own log is read. */
    readonly kafka: KafkaTopics | null
    /** How tables of Snowflake are followed; null: the source is no Snowflake. */
    readonly streams: FollowedStreams | null
  }
  /** Each table keeps its name; `schema` null: also its schema. */
  readonly target: { readonly connection: string; readonly schema: string | null }
  readonly write: ChangeWrite
  readonly onSchemaChange: SchemaPolicy
  /** How many copy a large table side by side; null: as the target does it best. */
  readonly workers: number | null
  /** Rows that the target refuses are kept in quarantine, up to so many; null: the first of them stops the pipeline. */
  readonly maxQuarantined: number | null
}

/** One stream a table. */
export interface FollowedStreams {
  /** Streams that are there already, by the table's name; tables without one get a stream of tidemark's. */
  readonly named: ReadonlyMap<string, TableName>
  /** What identifies a row, by the table's name, where that is not the table's primary key. */
  readonly keys: ReadonlyMap<string, readonly string[]>
  /** Rows are only ever added: a stream that tells of nothing else will do. */
  readonly appendOnly: boolean
}

/** One topic a table, which a connector of Debezium's fills. */
export interface KafkaTopics {
  readonly topicPrefix: string
  /** null: it is nobody's business here. */
  readonly connector: DebeziumConnector | null
  /** What messages are: Debezium's whole event, or the row that was taken out of it; null: they show it. */
  readonly form: MessageForm | null
  /** Tables whose columns nothing else tells. */
  readonly declared: readonly DeclaredTable[]
  /** The changes of each row in order, or the source's transactions whole. */
  readonly consistency: 'key' | 'transaction'
}

export type MessageForm = 'envelope' | 'unwrapped'

/** What a person says of a table. */
export interface DeclaredTable {
  readonly name: TableName
  /** Types as `parseDeclaredType` takes them; null: they are known otherwise. */
  readonly columns: readonly { readonly name: string; readonly type: string }[] | null
  readonly key: readonly string[]
  /** REPLICA IDENTITY FULL: what a change says of before is the whole row. */
  readonly wholeBefore: boolean
}

/** A connector of Kafka Connect that the pipeline knows; its slot and publication are those of the pipeline's source. */
export interface DebeziumConnector {
  readonly name: string
  /** The connection whose log it reads; null: somebody else registers it. */
  readonly from: string | null
  /** What Connect is told in place of the password: a reference to one of its own config providers. */
  readonly password: string | null
  /** A table of the source's that is written now and then, so that the slot moves on while all others rest. */
  readonly heartbeatTable: TableName | null
  /** More properties, as Debezium names them; they win over those that tidemark sets. */
  readonly properties: Readonly<Record<string, string>>
}

/** How changes enter the target: as they are at the source; every change a row; or with deleted rows marked. */
export type ChangeWrite = 'merge' | 'append' | 'soft-delete'

export type Pipeline = WatermarkPipeline | PartitionPipeline | CdcPipeline

/** Pipelines that load one table. */
export type OneTablePipeline = WatermarkPipeline | PartitionPipeline

/** The tables that a pipeline writes. */
export function targetTables(pipeline: Pipeline): readonly TableName[] {
  if (pipeline.pattern !== 'cdc') return [pipeline.target.table]
  const { schema } = pipeline.target
  return pipeline.source.tables.map((table) => ({ schema: schema ?? table.schema, name: table.name }))
}

/** Settled by a look at the source table. */
interface Resolved {
  readonly key: readonly string[]
  readonly write: WriteStrategyName
}

/** A pipeline whose key, strategy and columns are settled by a look at the source table. */
export type ResolvedPipeline = WatermarkPipeline & Resolved
export type ResolvedPartitions = PartitionPipeline & Resolved

/** Settles what depends on the source; throws `missing-column`, `missing-key`, `strategy-unsupported`. */
export function resolvePipeline(pipeline: WatermarkPipeline, source: Table): ResolvedPipeline {
  needColumn(pipeline, source, pipeline.cursor, 'cursor')
  const key = resolveKey(pipeline, source)
  const write = pipeline.write ?? (key.length > 0 ? 'merge' : 'append')
  needKey(pipeline, write, key)
  if (write === 'append' && pipeline.nullCursor === 'include')
    throw new LoadError(
      'strategy-unsupported',
      `Pipeline ${pipeline.name} would append its rows without a cursor value again on every run.`,
      {
        hint: 'Use `null_cursor: exclude`, or name a `key` so that it can merge.',
      },
    )
  return { ...pipeline, key, write }
}

/** Settles what depends on the source; throws `missing-column`, `missing-key`, `strategy-unsupported`. */
export function resolvePartitions(pipeline: PartitionPipeline, source: Table): ResolvedPartitions {
  needColumn(pipeline, source, pipeline.by.column, 'partition column')
  const key = resolveKey(pipeline, source)
  const write = pipeline.write ?? 'overwrite-partition'
  needKey(pipeline, write, key)
  if (write === 'append' && (pipeline.lookback > 0 || pipeline.detect !== 'none'))
    throw new LoadError(
      'strategy-unsupported',
      `Pipeline ${pipeline.name} would append partitions that are loaded again, and so double their rows.`,
      { hint: 'Use `write: overwrite-partition`, or `lookback: 0` and `detect: none`.' },
    )
  if (write === 'append' && pipeline.by.nulls === 'include')
    throw new LoadError(
      'strategy-unsupported',
      `Pipeline ${pipeline.name} would append the rows without a value in "${pipeline.by.column}" as a partition, which is never over: it could not be appended for good.`,
      { hint: 'Use `nulls: exclude`, or `write: overwrite-partition`.' },
    )
  if (write === 'append' && (pipeline.by.kind === 'list' || pipeline.by.kind === 'hash'))
    throw new LoadError(
      'strategy-unsupported',
      `Pipeline ${pipeline.name} would append partitions by ${pipeline.by.kind === 'list' ? 'value' : 'bucket'}, which are never over: none could be appended for good.`,
      { hint: 'Use `write: overwrite-partition`, or partition by a time or number.' },
    )
  return { ...pipeline, key, write }
}

function needColumn(pipeline: TablePipeline, source: Table, name: string, role: string): void {
  if (columnNamed(source, name) !== undefined) return
  const known = source.columns.map((column) => column.name)
  throw new LoadError('missing-column', `The ${role} "${name}" of pipeline ${pipeline.name} is no column of ${printSource(pipeline)}.`, {
    hint: `Its columns are: ${known.join(', ')}.`,
  })
}

function resolveKey(pipeline: TablePipeline, source: Table): readonly string[] {
  for (const name of pipeline.key ?? []) needColumn(pipeline, source, name, 'key column')
  for (const name of [...(pipeline.columns.include ?? []), ...pipeline.columns.exclude]) needColumn(pipeline, source, name, 'column')
  return pipeline.key ?? source.key
}

function needKey(pipeline: TablePipeline, write: WriteStrategyName, key: readonly string[]): void {
  if (WRITE_STRATEGIES[write].needsKey && key.length === 0)
    throw new LoadError(
      'missing-key',
      `${printSource(pipeline)} has no primary key, and pipeline ${pipeline.name} names none; ${write} needs one.`,
    )
}

/** The column that a pipeline goes by: its cursor, or what it is partitioned by. */
function leadingColumn(pipeline: ResolvedPipeline | ResolvedPartitions): string {
  return pipeline.pattern === 'watermark' ? pipeline.cursor : pipeline.by.column
}

/** The source table with only the columns that the pipeline loads, and its key. */
export function selectedTable(pipeline: ResolvedPipeline | ResolvedPartitions, source: Table): Table {
  const { include, exclude } = pipeline.columns
  const columns = source.columns.filter((column) => (include === null || include.includes(column.name)) && !exclude.includes(column.name))
  for (const name of [leadingColumn(pipeline), ...pipeline.key])
    if (columnNamed({ columns }, name) === undefined && (pipeline.key.includes(name) || pipeline.write !== 'append'))
      throw new LoadError(
        'missing-column',
        `Column "${name}" of pipeline ${pipeline.name} is its ${pipeline.pattern === 'watermark' ? 'cursor' : 'partition column'} or key and can't be left out.`,
      )
  const same = source.keyGuaranteed && sameNames(pipeline.key, source.key)
  return { ...source, columns, key: pipeline.key, keyGuaranteed: same }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.length > 0 && a.every((name) => b.includes(name))
}

export function printSource(pipeline: TablePipeline): string {
  return pipeline.source.table === null ? `the query of pipeline ${pipeline.name}` : `table ${printTableName(pipeline.source.table)}`
}

/**
 * What a stored position belongs to. Each part is named, so that a refusal can say which one changed; canonical JSON,
 * because it is stored as text.
 */
export function fingerprint(pipeline: ResolvedPipeline | ResolvedPartitions, source: Table): string {
  if (pipeline.pattern === 'partition')
    return JSON.stringify({
      source: source.identity,
      partition: partitionRule(pipeline.by),
      where: pipeline.where,
      query: pipeline.source.query,
      target: printTableName(pipeline.target.table),
    })
  return JSON.stringify({
    source: source.identity,
    cursor: pipeline.cursor,
    zone: pipeline.cursorTimeZone,
    where: pipeline.where,
    // What xid8 has delivered can't be told from a watermark, nor the other way round.
    xid8: pipeline.lateRows.kind === 'xid8' ? pipeline.lateRows.column : null,
    query: pipeline.source.query,
    target: printTableName(pipeline.target.table),
  })
}

interface LogTables {
  readonly identity: string
  readonly tables: readonly Table[]
  readonly layouts: readonly { readonly rows: string; readonly columns: string }[]
}

/** What a position in a log belongs to. */
export function logFingerprint(pipeline: CdcPipeline, { identity, tables, layouts }: LogTables): string {
  return JSON.stringify({
    source: identity,
    tables: tables.map((table) => table.identity).join(' '),
    write: pipeline.write,
    ...(pipeline.source.kafka?.consistency === 'transaction' ? { consistency: 'transaction' } : {}),
    target: targetTables(pipeline).map(fingerprintWord).join(' '),
    layouts: tables.map((table, at) => `${table.identity}|${layouts[at]?.rows}|${layouts[at]?.columns}`).join(' '),
  })
}

/** Names of the tables whose rows were written anew, and with other columns, since the stored fingerprint was made. */
export function rewrittenTables(fingerprint: string, { tables, layouts }: LogTables): readonly string[] {
  const stored = [...fingerprintWords(fingerprint, 'layouts')].map((word) => word?.split('|') ?? [])
  return tables.flatMap(({ identity, name }, at) => {
    const before = stored.find(([table]) => table === identity)
    const now = layouts[at]
    return before !== undefined && before[1] !== now?.rows && before[2] !== now?.columns ? [printTableName(name)] : []
  })
}

/** Those whose changes have been applied up to the stored position: not those that are new to it, nor those being copied. */
export function followedTables<T extends Table>(state: State | null, tables: readonly T[]): readonly T[] {
  if (state?.position.kind !== 'log') return []
  const known = fingerprintWords(state.fingerprint, 'tables')
  const { copying = [] } = state.position
  return tables.filter(({ identity, name }) => known.has(identity) && !copying.includes(printTableName(name)))
}

/** One part of a stored `logFingerprint`. Throws `state-corrupted`. */
export function fingerprintWords(fingerprint: string, part: 'source' | 'tables' | 'target' | 'layouts'): ReadonlySet<string> {
  try {
    return new Set((JSON.parse(fingerprint) as Record<string, string>)[part]?.split(' '))
  } catch (error) {
    throw new LoadError('state-corrupted', 'The stored fingerprint of the pipeline is not one that tidemark has written.', { cause: error })
  }
}

/** A name as one word: a space in it must not look like two names. */
export function fingerprintWord(name: TableName): string {
  return encodeURIComponent(printTableName(name))
}

/** The names of the parts in which two fingerprints differ; none where the stored one is empty (an adopted row). */
export function fingerprintChanges(stored: string, current: string): readonly string[] {
  if (stored === '' || stored === current) return []
  const words: Record<string, string> = {
    source: 'source server or table',
    cursor: 'cursor',
    partition: 'partition',
    zone: 'cursor_time_zone',
    where: 'where',
    xid8: 'late_rows',
    query: 'query',
    target: 'target table',
    tables: 'tables',
    write: 'write',
    consistency: 'consistency',
  }
  try {
    const a = JSON.parse(stored) as Record<string, unknown>
    const b = JSON.parse(current) as Record<string, unknown>
    return Object.keys(words)
      .filter((part) => (a[part] ?? null) !== (b[part] ?? null))
      .map((part) => words[part] ?? part)
  } catch {
    return ['fingerprint']
  }
}
