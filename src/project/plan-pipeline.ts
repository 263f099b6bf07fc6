// What a run of a pipeline would do, whatever its pattern. Looks, and changes nothing.

import type { Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import type { ChangePlan } from '../core/change-plan.ts'
import type { RunRequest } from '../core/head.ts'
import { type PartitionPlan, planPartitions } from '../core/partition-plan.ts'
import type { CdcPipeline, Pipeline, WatermarkPipeline } from '../core/pipeline.ts'
import { type Plan, plan } from '../core/plan.ts'
import { printTableName } from '../core/table.ts'
import { loadsInPieces, observePieces } from '../engine/first-load.ts'
import { logOf } from '../engine/log-of.ts'
import { observe } from '../engine/observe.ts'
import { isFollowed, observeBeginning, observeFollowing, tablesNamed } from '../engine/observe-changes.ts'
import { observePartitions } from '../engine/observe-partitions.ts'

export interface Ends {
  readonly source: Source
  readonly target: Target
}

export type AnyPlan = Plan | PartitionPlan | ChangePlan

export async function planPipeline(pipeline: Pipeline, ends: Ends, request: RunRequest, sliceRows: number): Promise<AnyPlan> {
  if (pipeline.pattern === 'cdc') return planChanges(pipeline, ends, request)
  if (pipeline.pattern === 'watermark') return planWatermark(pipeline, ends, request, sliceRows)
  const { seen, table } = await observePartitions(pipeline, ends.source, ends.target, request)
  await table.close()
  return planPartitions(seen)
}

async function planWatermark(
  pipeline: WatermarkPipeline,
  { source, target }: Ends,
  request: RunRequest,
  sliceRows: number,
): Promise<Plan | PartitionPlan> {
  const { firstLoad } = pipeline
  if (firstLoad !== null && loadsInPieces(pipeline, await target.readState(pipeline.name), request)) {
    const look = await observePieces({ ...pipeline, firstLoad }, source, target, request)
    await look?.table.close()
    if (look !== null) return planPartitions(look.seen)
  }
  return plan(await observe(pipeline, source, target, request, sliceRows))
}

async function planChanges(pipeline: CdcPipeline, ends: Ends, request: RunRequest): Promise<ChangePlan> {
  const { log } = logOf(ends, pipeline)
  const state = await ends.target.readState(pipeline.name)
  const asked = tablesNamed(pipeline, request.resync)
  const begins = !isFollowed(state) || request.fullRefresh
  const { seen, copying } = begins
    ? await observeBeginning(pipeline, log, state, request.fullRefresh)
    : await observeFollowing(pipeline, log, state, asked)
  const copies = seen.tables.filter(({ name }) => copying.includes(printTableName(name)))
  const { slot, publication } = pipeline.source
  return {
    kind: 'changes',
    pipeline: pipeline.name,
    from: state,
    to: seen.head,
    copies: copies.map(({ name, estimatedRows }) => ({ table: name, estimatedRows })),
    behind: copies.length > 0 || JSON.stringify(state?.position) !== JSON.stringify(seen.head),
    makes: begins ? (seen.makes ?? [...(seen.there.publication ? [] : [`publication ${publication}`]), `slot ${slot}`]) : [],
    estimatedRows: null,
  }
}
