// The only place where a run looks at the world before it acts. After any failure the run looks again; nothing that was
// known before is trusted.

import type { Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import { isReload, type RunRequest } from '../core/head.ts'
import { resolvePipeline, selectedTable, type TablePipeline, type WatermarkPipeline } from '../core/pipeline.ts'
import { type Observation, refuseChangedDefinition } from '../core/plan.ts'

export async function observe(
  pipeline: WatermarkPipeline,
  source: Source,
  target: Target,
  request: RunRequest,
  sliceRows: number,
): Promise<Observation> {
  const [described, seen] = await both(source.describe(pipeline), lookAtTarget(pipeline, target))
  const resolved = resolvePipeline(pipeline, described)
  const sourceTable = selectedTable(resolved, described)
  refuseChangedDefinition(resolved, sourceTable, seen.table, seen.state, request)
  const head = await source.head(resolved, described, seen.state, request)
  const whole = head.slice === null ? [] : [head.slice]
  const divides = !request.fullRefresh && resolved.write !== 'replace' && !isReload(request)
  const slices = divides && head.slice !== null ? ((await source.divide?.(resolved, described, head.slice, sliceRows)) ?? whole) : whole
  return {
    pipeline: resolved,
    request,
    sourceTable,
    targetTable: seen.table,
    state: seen.state,
    head,
    slices: request.maxSlices === null ? slices : slices.slice(0, request.maxSlices),
    sourceFormats: source.formats,
    targetFormats: target.formats,
    targetStrategies: target.strategies,
    typeRules: target.types,
  }
}

/** One after the other: a target has one connection. */
export async function lookAtTarget(pipeline: TablePipeline, target: Target) {
  const state = await target.readState(pipeline.name)
  return { state, table: await target.describe(pipeline.target.table) }
}

/** Waits for both, also when one fails: a failure must not leave the other's connection busy behind it. */
export async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return [await first, await second]
}
