import type * as z from 'zod/mini'
import { invariant } from '../core/invariant.ts'
import type { PartitionPipeline, WatermarkPipeline } from '../core/pipeline.ts'
import { parseTableName } from '../core/table.ts'
import type { ProjectPipeline } from './project.ts'
import { targetTable, wildcardOf } from './table-rules.ts'
import type { source, target } from './table-schema.ts'

type Ends = { readonly source: z.output<typeof source>; readonly target: z.output<typeof target> }
type Rest = Omit<WatermarkPipeline, 'source' | 'target'> | Omit<PartitionPipeline, 'source' | 'target'>

/** A pipeline with its source and target, or with a wildcard that stands for many. */
export function buildTable(rest: Rest, written: Ends): ProjectPipeline {
  const from = written.source
  const { connection } = written.target
  const table = from.table === undefined ? null : parseTableName(from.table)
  const to = targetTable(written.target, from.table ?? null)
  invariant(to !== null, `pipeline ${rest.name} has no target table after all checks`)
  if (table !== null && table.schema !== null && wildcardOf(from.table ?? '') !== null) {
    const tables = { connection: from.connection, schema: table.schema, table: table.name }
    return { ...rest, wildcard: true, source: tables, target: { connection, schema: to.schema } }
  }
  return { ...rest, source: { connection: from.connection, table, query: from.query ?? null }, target: { connection, table: to } }
}
