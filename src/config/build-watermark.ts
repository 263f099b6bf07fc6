import type * as z from 'zod/mini'
import { invariant } from '../core/invariant.ts'
import type { LateRows } from '../core/pipeline.ts'
import { parseTableName } from '../core/table.ts'
import { parseDuration } from './duration.ts'
import type { ProjectPipeline } from './project.ts'
import { isStart } from './start.ts'
import { targetTable, wildcardOf } from './watermark-rules.ts'
import type { watermarkSchema } from './watermark-schema.ts'

type Written = z.output<typeof watermarkSchema>

/** A checked pipeline in the form in which the rest of tidemark knows it. `exactStart` is `start` with every digit written. */
export function buildWatermark(name: string, written: Written, exactStart: string | null): ProjectPipeline {
  const shared = {
    name,
    pattern: 'watermark',
    cursor: written.cursor,
    cursorTimeZone: written.cursor_time_zone ?? null,
    start: startText(written.start, exactStart),
    key: written.key ?? null,
    write: written.write ?? null,
    lateRows: lateRows(written.late_rows),
    nullCursor: written.null_cursor ?? 'error',
    where: written.where ?? null,
    columns: { include: written.columns?.include ?? null, exclude: written.columns?.exclude ?? [] },
    onSchemaChange: written.on_schema_change ?? 'evolve',
  } as const
  const { source, target } = written
  const table = source.table === undefined ? null : parseTableName(source.table)
  const to = targetTable(target, source.table ?? null)
  invariant(to !== null, `pipeline ${name} has no target table after all checks`)
  const connection = target.connection
  if (table !== null && table.schema !== null && wildcardOf(source.table ?? '') !== null) {
    const from = { connection: source.connection, schema: table.schema, table: table.name }
    return { ...shared, wildcard: true, source: from, target: { connection, schema: to.schema } }
  }
  return { ...shared, source: { connection: source.connection, table, query: source.query ?? null }, target: { connection, table: to } }
}

// 10.50 and 12345678901234567890 as JavaScript numbers would no longer be what was written.
function startText(start: string | number | undefined, exact: string | null): string | null {
  if (start === undefined || typeof start === 'string') return start ?? null
  return exact !== null && isStart(exact) ? exact : String(start)
}

function lateRows(written: Written['late_rows']): LateRows {
  if (written === undefined) return { kind: 'auto' }
  if (typeof written === 'string') return { kind: written }
  if (written.xid8 !== undefined) return { kind: 'xid8', column: written.xid8 }
  return { kind: 'lag', seconds: parseDuration(written.lag ?? '') ?? 0 }
}
