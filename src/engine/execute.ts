// Carries out a plan: slice after slice, each staged and then committed together with the position after it.

import type { Stage } from '../contract/target.ts'
import { chunkSize } from '../core/chunk.ts'
import { LoadError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import type { RowCounts } from '../core/load.ts'
import type { ResolvedPipeline } from '../core/pipeline.ts'
import type { Plan, Step } from '../core/plan.ts'
import type { State } from '../core/state.ts'
import type { Machinery } from './machinery.ts'

/** What one commit brought. */
export interface SliceOutcome {
  readonly state: State
  readonly read: number
  readonly bytes: number
  readonly rows: RowCounts
}

/** Progress is told at most so often. */
const PROGRESS_BYTES = 4 * 1024 * 1024

export async function execute(
  plan: Plan,
  pipeline: ResolvedPipeline,
  machinery: Machinery,
  done: (outcome: SliceOutcome) => void,
): Promise<void> {
  let state = plan.from
  for (const [index, step] of plan.steps.entries()) {
    machinery.emit({
      kind: 'slice-started',
      pipeline: plan.pipeline,
      slice: index + 1,
      of: plan.steps.length,
      estimatedRows: step.slice.estimatedRows,
    })
    const outcome = await loadSlice(step, pipeline, state, machinery)
    state = outcome.state
    done(outcome)
    machinery.emit({
      kind: 'committed',
      pipeline: plan.pipeline,
      position: state.position,
      epoch: Number(state.epoch),
      read: outcome.read,
      rows: outcome.rows,
    })
    machinery.reach('slice-done')
  }
}

async function loadSlice(step: Step, pipeline: ResolvedPipeline, from: State | null, machinery: Machinery): Promise<SliceOutcome> {
  const { target, reach, emit, signal } = machinery
  const { slice, load } = step
  stopIfAsked(signal)
  const stage = await target.begin({ ...load, runId: machinery.runId })
  reach('stage-begun')
  let settled = false
  try {
    stopIfAsked(signal)
    const { read, bytes } = await copyChunks(step, pipeline, stage, machinery)
    stopIfAsked(signal)
    const to: State = {
      pipeline: pipeline.name,
      position: slice.upTo,
      epoch: (from?.epoch ?? 0n) + 1n,
      fingerprint: load.fingerprint,
      unswept: sweepCount(step, from),
    }
    emit({ kind: 'phase', pipeline: pipeline.name, phase: 'applying' })
    reach('before-commit')
    const rows = await commitUnlessStopped(stage, from, to, read, signal)
    settled = true
    reach('after-commit')
    checkCounts(read, rows)
    return { state: to, read, bytes, rows }
  } finally {
    if (!settled) await stage.abort()
  }
}

async function copyChunks(
  { slice, load }: Step,
  pipeline: ResolvedPipeline,
  stage: Stage,
  machinery: Machinery,
): Promise<{ read: number; bytes: number }> {
  const { source, emit, reach, settings, signal } = machinery
  let read = 0
  let bytes = 0
  let told = 0
  emit({ kind: 'phase', pipeline: pipeline.name, phase: 'reading' })
  for await (const chunk of source.read(pipeline, slice, {
    format: load.format,
    columns: load.columns,
    chunkBytes: settings.chunkBytes,
    signal,
  })) {
    invariant(chunk.format === load.format, `planned ${load.format}, the source sent ${chunk.format}`)
    reach('chunk-read')
    await stage.write(chunk)
    read += chunk.rows
    bytes += chunkSize(chunk)
    reach('chunk-staged')
    if (bytes - told >= PROGRESS_BYTES) {
      told = bytes
      emit({ kind: 'progress', pipeline: pipeline.name, rows: read, bytes })
    }
  }
  emit({ kind: 'progress', pipeline: pipeline.name, rows: read, bytes })
  return { read, bytes }
}

/** A signal that comes during the commit makes the target give up, unless the commit has won already. */
async function commitUnlessStopped(stage: Stage, from: State | null, to: State, read: number, signal: AbortSignal): Promise<RowCounts> {
  const commit = stage.commit(from, to, read)
  const abort = (): void => void stage.abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await commit
  } catch (error) {
    throw signal.aborted ? new LoadError('stopped', 'The run was stopped.', { cause: error }) : error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export function stopIfAsked(signal: AbortSignal): void {
  if (signal.aborted) throw new LoadError('stopped', 'The run was stopped.')
}

/** A reload says nothing about sweeps; a slice that sweeps, or reads everything, begins the count anew. */
function sweepCount({ slice, load }: Step, from: State | null): number {
  if (load.cause === 'reload') return from?.unswept ?? 0
  return slice.sweeps || slice.after === null ? 0 : (from?.unswept ?? 0) + 1
}

function checkCounts(read: number, rows: RowCounts): void {
  const sum = rows.inserted + rows.updated + rows.unchanged + rows.deduplicated + rows.quarantined
  invariant(sum === read, `${read} rows were read, ${sum} are accounted for`)
}
