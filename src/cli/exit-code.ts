import { ERRORS } from '../core/errors.ts'
import type { PipelineResult } from '../core/event.ts'

/**
 * 0 when nothing failed; the code of the failures where all agree; 1 for a mixture. A conflict beside another failure is the
 * lesser news.
 */
export function exitCodeOf(results: readonly PipelineResult[]): number {
  const codes = new Set(results.flatMap((result) => (result.error === null ? [] : [ERRORS[result.error.code].exit as number])))
  if (codes.size > 1) codes.delete(5)
  if (codes.size > 1) return 1
  return [...codes][0] ?? 0
}
