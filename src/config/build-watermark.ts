import type * as z from 'zod/mini'
import type { PartitionBy } from '../core/partition.ts'
import type { FirstLoad, LateRows } from '../core/pipeline.ts'
import { buildTable } from './build-table.ts'
import { parseDuration } from './duration.ts'
import type { ProjectPipeline } from './project.ts'
import { isStart } from './start.ts'
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
    firstLoad: firstLoad(written.first_load),
    where: written.where ?? null,
    columns: { include: written.columns?.include ?? null, exclude: written.columns?.exclude ?? [] },
    onSchemaChange: written.on_schema_change ?? 'evolve',
  } as const
  return buildTable(shared, written)
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

function firstLoad(written: Written['first_load']): FirstLoad | null {
  if (written === undefined) return null
  const shared = { column: written.by, nulls: 'include' } as const
  const by: PartitionBy =
    written.size === undefined
      ? { kind: 'rows', ...shared, rows: Number(written.rows) }
      : { kind: 'range', ...shared, size: BigInt(written.size) }
  return { by, workers: Number(written.workers ?? 4) }
}
