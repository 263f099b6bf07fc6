// What a person should know about a Postgres source before its first load in partitions.

import type { Finding } from '../../contract/finding.ts'
import { printSource, type ResolvedPartitions } from '../../core/pipeline.ts'
import { bytesText } from '../../core/plan-text.ts'
import { identifier, literal } from '../../sql/quote.ts'
import { type PostgresTable, relation } from './describe.ts'
import { type PartitionColumn, partitionColumn } from './partition-column.ts'
import { filterOf } from './predicate.ts'
import type { Session } from './session.ts'

/** Throws `unusable-partition`. */
export async function checkPartitions(session: Session, pipeline: ResolvedPartitions, table: PostgresTable): Promise<readonly Finding[]> {
  const column = partitionColumn(pipeline, pipeline.by, table)
  return [
    ...howItIsRead(pipeline, table, column),
    ...howItChanges(pipeline),
    ...(await leftOut(session, pipeline, table, column)),
    ...(await longSnapshot(session, pipeline)),
  ]
}

function howItIsRead(pipeline: ResolvedPartitions, table: PostgresTable, column: PartitionColumn): Finding[] {
  const { by } = pipeline
  const size = table.estimatedBytes === null ? 'all of it' : bytesText(table.estimatedBytes)
  if (by.kind === 'hash')
    return [
      {
        severity: 'info',
        code: 'hash-scans',
        message: `Each of the ${by.buckets} buckets reads the whole table (${size}).`,
        hint: 'Ranges of an indexed column read only what they load.',
      },
    ]
  if (column.indexed || table.relationKind === 'q' || table.relationKind === 'v') return []
  return [
    {
      severity: 'warning',
      code: 'unindexed-partition',
      message: `Partition column "${by.column}" leads no index: every partition reads the whole table (${size}).`,
      hint: `CREATE INDEX CONCURRENTLY ON ${relation(table.name, null)} (${column.column});`,
    },
  ]
}

/** What a later run sees of changes in partitions that are loaded. */
function howItChanges({ by, detect, lookback, write }: ResolvedPartitions): Finding[] {
  if (detect !== 'none' || write === 'append') return []
  if (by.kind === 'list' || by.kind === 'hash')
    return [
      {
        severity: 'info',
        code: 'never-closed',
        message: 'Partitions by value or bucket are never over: what changes in one that is loaded is not seen by a later run.',
        hint: 'Set `detect: checksum`, or load chosen ones again with `tidemark partitions reload`.',
      },
    ]
  return [
    {
      severity: 'info',
      code: 'closed-partitions',
      message: `Changes in ${by.kind === 'time' ? 'a past partition' : 'a lower range'} are seen ${lookback > 0 ? `in the newest ${lookback} only` : 'by nobody'} once it is loaded.`,
      hint: 'Set `lookback`, or `detect: checksum` to find changed partitions however old they are.',
    },
  ]
}

async function leftOut(session: Session, pipeline: ResolvedPartitions, table: PostgresTable, column: PartitionColumn): Promise<Finding[]> {
  const { by } = pipeline
  if (by.kind !== 'list' || by.values === null) return []
  const values = by.values.map((value) => `${literal(value)}::${column.declared}`).join(', ')
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const [row] = await session.query(
    `SELECT count(*) AS n FROM ${from} WHERE ${filterOf(pipeline) ?? 'true'} AND ${identifier(by.column)} NOT IN (${values})`,
  )
  const count = Number(row?.['n'] ?? 0)
  if (count === 0) return []
  return [
    {
      severity: 'warning',
      code: 'rows-left-out',
      message: `${count} rows of ${printSource(pipeline)} have a value of "${by.column}" that is not among \`values\`, and are not loaded.`,
      hint: 'Add the values, or leave `values` out to load all of them.',
    },
  ]
}

async function longSnapshot(session: Session, { consistency }: ResolvedPartitions): Promise<Finding[]> {
  if (consistency !== 'run') return []
  const [row] = await session.query('SELECT pg_is_in_recovery() AS standby')
  if (row?.['standby'] !== 't') return []
  return [
    {
      severity: 'warning',
      code: 'standby-snapshot',
      message: 'The source is a standby: a snapshot that is kept for a whole run may be cancelled by what it replays.',
      hint: 'Set `consistency: partition`, or hot_standby_feedback at the source.',
    },
  ]
}
