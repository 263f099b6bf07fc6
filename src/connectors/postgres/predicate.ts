// A range of the cursor as SQL. The same text is used to count and to read.

import type { PartitionOptions } from '../../contract/source.ts'
import type { ResolvedPartitions, ResolvedPipeline, TablePipeline } from '../../core/pipeline.ts'
import type { ChangedSince, CursorRange } from '../../core/slice.ts'
import { identifier } from '../../sql/quote.ts'
import { type Cursor, cursorLiteral, cursorOf } from './cursor.ts'
import type { PostgresTable } from './describe.ts'

export function rangePredicate(pipeline: ResolvedPipeline, cursor: Cursor, range: CursorRange): string {
  const filter = filterOf(pipeline)
  const inside = rangeAlone(cursor, range)
  return filter === null ? inside : `${inside} AND ${filter}`
}

/** The user's own condition; the line break ends a comment that it may end with. */
export function filterOf(pipeline: TablePipeline): string | null {
  return pipeline.where === null ? null : `(${pipeline.where}\n)`
}

/** The rows of a table in partitions that count at all. */
export function rowsCondition(pipeline: ResolvedPartitions, table: PostgresTable, { within }: PartitionOptions): string {
  if (within !== null) return `(${rangePredicate(within.pipeline, cursorOf(within.pipeline, table), within.range)})`
  return filterOf(pipeline) ?? 'true'
}

function rangeAlone(cursor: Cursor, range: CursorRange): string {
  if (range.everything) return range.nulls || !cursor.nullable ? 'true' : `${cursor.column} IS NOT NULL`
  const { changedSince } = range
  if (changedSince !== null && changedSince.column !== null)
    return range.nulls || !cursor.nullable ? changed(changedSince) : `${changed(changedSince)} AND ${cursor.column} IS NOT NULL`
  const limits: string[] = []
  if (range.from !== null) limits.push(`${cursor.column} ${range.fromOpen ? '>' : '>='} ${cursorLiteral(cursor, range.from)}`)
  if (range.to !== null) limits.push(`${cursor.column} ${range.toClosed ? '<=' : '<'} ${cursorLiteral(cursor, range.to)}`)
  if (limits.length === 0) limits.push(cursor.nullable ? `${cursor.column} IS NOT NULL` : 'true')
  const ways = [limits.join(' AND ')]
  if (changedSince !== null) {
    // Rows dated in the future wait, also when a sweep meets them; unless they lie below the watermark already (the clock
    // stepped back), where nobody would come back for them.
    const below = range.from === null ? '' : ` OR ${cursor.column} <= ${cursorLiteral(cursor, range.from)}`
    const ceiling = range.to === null ? '' : `${cursor.column} ${range.toClosed ? '<=' : '<'} ${cursorLiteral(cursor, range.to)}`
    ways.push(ceiling === '' ? changed(changedSince) : `${changed(changedSince)} AND (${ceiling}${below})`)
  }
  if (range.nulls && cursor.nullable) ways.push(`${cursor.column} IS NULL`)
  return ways.length === 1 ? (ways[0] ?? 'true') : `(${ways.map((way) => `(${way})`).join(' OR ')})`
}

/**
 * Rows written by transactions from the horizon on. xmin has 32 bits and wraps: the distance is taken modulo 2^32, where
 * less than 2^31 means "not before". Frozen rows keep their xmin (since 9.4). age() would use another reference.
 */
function changed({ column, horizon, before }: ChangedSince): string {
  if (column === null) return `((xmin::text::bigint - ${BigInt(horizon) & 0xffff_ffffn}) & 4294967295) < 2147483648`
  const name = identifier(column)
  const limit = before === null ? '' : ` AND ${name} < '${BigInt(before)}'::xid8`
  return `${name} >= '${BigInt(horizon)}'::xid8${limit}`
}
