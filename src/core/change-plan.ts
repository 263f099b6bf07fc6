import { count } from './plan-text.ts'
import type { Position } from './position.ts'
import type { State } from './state.ts'
import { printTableName, type TableName } from './table.ts'

/** What a run of a pipeline that follows a log would do. */
export interface ChangePlan {
  readonly kind: 'changes'
  readonly pipeline: string
  readonly from: State | null
  readonly to: Position
  /** Tables that are copied first; none where a position in the log is stored. */
  readonly copies: readonly { readonly table: TableName; readonly estimatedRows: number | null }[]
  /** The log has something that the target does not. */
  readonly behind: boolean
  /** What the copy makes at the source. */
  readonly makes: readonly string[]
  readonly estimatedRows: number | null
}

export function changePlanText(plan: ChangePlan): readonly string[] {
  const at = (position: Position | null): string => (position?.kind === 'log' ? position.at : '(nothing yet)')
  if (plan.copies.length === 0)
    return [
      `${plan.pipeline}  ${plan.behind ? `reads the log from ${at(plan.from?.position ?? null)} to ${at(plan.to)}` : 'is up to date: nothing to do'}`,
    ]
  return [
    `${plan.pipeline}  ${count(plan.copies.length, 'table')} to copy, then the log`,
    ...plan.makes.map((what) => `  makes       ${what} at the source`),
    ...plan.copies.map(
      ({ table, estimatedRows }) =>
        `  copies      ${printTableName(table)}${estimatedRows === null ? '' : `, about ${count(estimatedRows, 'row')}`}`,
    ),
  ]
}
