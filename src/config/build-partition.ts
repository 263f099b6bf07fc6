import type * as z from 'zod/mini'
import type { NullPolicy, PartitionBy } from '../core/partition.ts'
import { buildTable } from './build-table.ts'
import type { partitionSchema } from './partition-schema.ts'
import type { ProjectPipeline } from './project.ts'

type Written = z.output<typeof partitionSchema>

/** A checked pipeline in the form in which the rest of tidemark knows it. */
export function buildPartition(name: string, written: Written): ProjectPipeline {
  const shared = {
    name,
    pattern: 'partition',
    by: partitionBy(written.partition),
    workers: Number(written.workers ?? 4),
    key: written.key ?? null,
    write: written.write ?? null,
    consistency: written.consistency ?? 'run',
    lookback: Number(written.lookback ?? 0),
    detect: written.detect ?? 'none',
    maxShrink: written.allow_shrink === true ? null : share(written.max_shrink ?? '50%'),
    replaceBy: written.replace_by ?? 'delete',
    where: written.where ?? null,
    columns: { include: written.columns?.include ?? null, exclude: written.columns?.exclude ?? [] },
    onSchemaChange: written.on_schema_change ?? 'evolve',
  } as const
  return buildTable(shared, written)
}

function partitionBy(written: Written['partition']): PartitionBy {
  const nulls = (whenUnsaid: NullPolicy): { column: string; nulls: NullPolicy } => ({
    column: written.by,
    nulls: written.nulls ?? whenUnsaid,
  })
  const moment = (value: string | number | undefined): string | null => (value === undefined ? null : String(value))
  if (written.unit !== undefined)
    return {
      kind: 'time',
      ...nulls('error'),
      unit: written.unit,
      first: moment(written.first),
      last: moment(written.last),
      zone: written.time_zone ?? 'UTC',
    }
  if (written.size !== undefined) return { kind: 'range', ...nulls('error'), size: BigInt(written.size) }
  if (written.rows !== undefined) return { kind: 'rows', ...nulls('error'), rows: Number(written.rows) }
  if (written.buckets !== undefined) return { kind: 'hash', ...nulls('error'), buckets: Number(written.buckets) }
  return { kind: 'list', ...nulls('include'), values: written.values?.map(String) ?? null }
}

function share(text: string): number {
  return Number(text.replace(/ ?%$/, '')) / 100
}
