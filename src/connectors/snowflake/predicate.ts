// A range of the cursor as SQL. The same text is used to count and to read.

import type { ResolvedPipeline, TablePipeline } from '../../core/pipeline.ts'
import type { CursorRange } from '../../core/slice.ts'
import type { TableName } from '../../core/table.ts'
import { type Cursor, cursorLiteral } from './cursor.ts'
import { tableIdentifier } from './names.ts'

/** What stands after FROM; a line break ends a comment that a query may end with. */
export function relation(table: TableName | null, query: string | null): string {
  return table === null ? `(${query ?? ''}\n) AS q` : tableIdentifier(table)
}

/** The user's own condition. */
export function filterOf(pipeline: TablePipeline): string | null {
  return pipeline.where === null ? null : `(${pipeline.where}\n)`
}

export function rangePredicate(pipeline: ResolvedPipeline, cursor: Cursor, range: CursorRange): string {
  const filter = filterOf(pipeline)
  const inside = rangeAlone(cursor, range)
  return filter === null ? inside : `${inside} AND ${filter}`
}

function rangeAlone(cursor: Cursor, range: CursorRange): string {
  const { column } = cursor
  if (range.everything) return range.nulls ? 'true' : `${column} IS NOT NULL`
  const limits: string[] = []
  if (range.from !== null) limits.push(`${column} ${range.fromOpen ? '>' : '>='} ${cursorLiteral(cursor, range.from)}`)
  if (range.to !== null) limits.push(`${column} ${range.toClosed ? '<=' : '<'} ${cursorLiteral(cursor, range.to)}`)
  if (limits.length === 0) limits.push(`${column} IS NOT NULL`)
  const inside = limits.join(' AND ')
  return range.nulls ? `((${inside}) OR ${column} IS NULL)` : inside
}
