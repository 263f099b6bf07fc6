// What no single field of a watermark pipeline shows.

import { checkTableRules, type Fields, mapIn, type RuleContext } from './table-rules.ts'

/** Reports every broken rule. */
export function checkWatermarkRules(raw: Fields, context: RuleContext): void {
  checkTableRules(raw, { role: 'cursor', column: raw['cursor'] }, context)
  const late = mapIn(raw, 'late_rows')
  if (late !== null && (late['xid8'] === undefined) === (late['lag'] === undefined))
    context.report(['late_rows'], 'needs exactly one of xid8 and lag', 'key')
  const pieces = mapIn(raw, 'first_load')
  if (pieces === null) return
  if ((pieces['size'] === undefined) === (pieces['rows'] === undefined))
    context.report(['first_load'], 'needs exactly one of size and rows', 'key')
  if (raw['write'] === 'replace')
    context.report(['first_load'], 'has no meaning beside write: replace, which loads everything every time', 'key')
}
