// One pipeline brought up to date. Retry is to observe again: no attempt remembers anything of the one before but what it
// has committed, and that only to report it.

import { asLoadError } from '../core/errors.ts'
import type { ErrorReport, PipelineResult, RunStatus } from '../core/event.ts'
import type { RunRequest } from '../core/head.ts'
import { addCounts, NO_ROWS } from '../core/load.ts'
import type { Pipeline, WatermarkPipeline } from '../core/pipeline.ts'
import { isRepeatable, plan } from '../core/plan.ts'
import { execute, type SliceOutcome } from './execute.ts'
import { loadsInPieces, observePieces } from './first-load.ts'
import type { Machinery } from './machinery.ts'
import { observe } from './observe.ts'
import { type Progress, withRetries } from './progress.ts'
import { attemptChanges } from './run-changes.ts'
import { attemptPartitions, loadPartitions } from './run-partitions.ts'

export async function runPipeline(pipeline: Pipeline, machinery: Machinery, request: RunRequest): Promise<PipelineResult> {
  const began = performance.now()
  const progress: Progress = {
    began,
    from: null,
    to: null,
    epoch: 0,
    read: 0,
    bytes: 0,
    slices: 0,
    rows: NO_ROWS,
    partitions: null,
    changed: false,
    plan: null,
  }
  machinery.emit({ kind: 'pipeline-started', pipeline: pipeline.name, runId: machinery.runId })
  let status: RunStatus
  let error: ErrorReport | null = null
  try {
    status = await attempt(pipeline, machinery, request, progress)
  } catch (thrown) {
    const failure = asLoadError(thrown)
    error = { code: failure.code, message: failure.message, hint: failure.hint, where: failure.where }
    status = failure.code === 'state-conflict' ? 'conflict' : progress.slices > 0 ? 'partial' : 'failed'
    if (failure.code === 'bug')
      machinery.emit({ kind: 'warning', pipeline: pipeline.name, code: 'bug', message: failure.stack ?? failure.message })
  }
  const result: PipelineResult = {
    pipeline: pipeline.name,
    status,
    pattern: pipeline.pattern,
    from: progress.from,
    to: progress.to,
    epoch: progress.epoch,
    rows: { read: progress.read, ...progress.rows },
    bytes: progress.bytes,
    seconds: Math.round(performance.now() - began) / 1000,
    slices: progress.slices,
    partitions: progress.partitions,
    waiting: progress.plan?.waiting ?? 0,
    heldBy: progress.plan?.heldBy ?? [],
    error,
  }
  machinery.emit({ kind: 'pipeline-finished', pipeline: pipeline.name, result })
  return result
}

function attempt(pipeline: Pipeline, machinery: Machinery, request: RunRequest, progress: Progress): Promise<RunStatus> {
  switch (pipeline.pattern) {
    case 'partition':
      return attemptPartitions(pipeline, machinery, request, progress)
    case 'cdc':
      return attemptChanges(pipeline, machinery, request, progress)
    default:
      return attemptWatermark(pipeline, machinery, request, progress)
  }
}

async function attemptWatermark(
  pipeline: WatermarkPipeline,
  machinery: Machinery,
  request: RunRequest,
  progress: Progress,
): Promise<RunStatus> {
  const { source, target } = machinery
  const { firstLoad } = pipeline
  if (firstLoad !== null && loadsInPieces(pipeline, await target.readState(pipeline.name), request)) {
    const look = (wanted: RunRequest) => observePieces({ ...pipeline, firstLoad }, source, target, wanted)
    await loadPartitions(pipeline.name, look, machinery, request, progress)
    // Not all pieces were asked for: the watermark comes with the last one.
    if (progress.to?.kind === 'snapshot') return 'loaded'
  }
  return withRetries(pipeline.name, machinery, () => attemptOnce(pipeline, machinery, request, progress))
}

async function attemptOnce(pipeline: WatermarkPipeline, machinery: Machinery, request: RunRequest, progress: Progress): Promise<RunStatus> {
  const { source, target, emit, reach, settings } = machinery
  const seen = await observe(pipeline, source, target, request, settings.sliceRows)
  reach('observed')
  await creditLostAnswer(machinery, progress)
  const now = plan(seen)
  progress.plan = now
  progress.from ??= now.from?.position ?? null
  if (progress.slices === 0) progress.epoch = Number(now.from?.epoch ?? 0n)
  progress.to = progress.slices === 0 ? (now.from?.position ?? null) : progress.to
  emit({ kind: 'planned', pipeline: pipeline.name, plan: now })
  reach('planned')
  if (now.waiting > 0)
    emit({
      kind: 'warning',
      pipeline: pipeline.name,
      code: 'future-rows',
      message: `${now.waiting} rows are dated in the future and wait.`,
    })
  if (now.steps.length === 0) {
    if (now.from !== null && now.late.mode === 'bound' && progress.slices === 0) await target.noteQuietRun(now.from)
    if (progress.slices > 0) return 'loaded'
    return now.heldBy.length > 0 && !isRepeatable(seen.pipeline.write) ? 'held' : 'up-to-date'
  }
  await execute(now, seen.pipeline, machinery, (outcome) => credit(progress, outcome))
  return progress.read === 0 && progress.rows.deleted === 0 ? (now.from === null ? 'loaded' : 'up-to-date') : 'loaded'
}

function credit(progress: Progress, outcome: SliceOutcome): void {
  progress.to = outcome.state.position
  progress.epoch = Number(outcome.state.epoch)
  progress.read += outcome.read
  progress.bytes += outcome.bytes
  progress.slices += 1
  progress.rows = addCounts(progress.rows, outcome.rows)
}

/** A COMMIT whose answer was lost may have been made: the history says so, with its counts. */
async function creditLostAnswer({ target, runId }: Machinery, progress: Progress): Promise<void> {
  if (progress.plan === null) return
  for (const row of await target.readHistory(progress.plan.pipeline, 3)) {
    if (row.runId !== runId || Number(row.epoch) <= progress.epoch) continue
    const { read = 0, ...counts } = row.rows
    progress.to = row.to
    progress.epoch = Number(row.epoch)
    progress.read += read
    progress.slices += 1
    progress.rows = addCounts(progress.rows, { ...NO_ROWS, ...counts })
  }
}
