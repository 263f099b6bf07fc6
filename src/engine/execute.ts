// Carries out a plan: slice after slice, each staged and then committed together with the position after it.

import type { RowCounts } from '../core/load.ts'
import type { ResolvedPipeline } from '../core/pipeline.ts'
import type { Plan, Step } from '../core/plan.ts'
import type { State } from '../core/state.ts'
import { commitUnlessStopped, copyChunks, stopIfAsked } from './copy-chunks.ts'
import type { Machinery } from './machinery.ts'

/** What one commit brought. */
export interface SliceOutcome {
  readonly state: State
  readonly read: number
  readonly bytes: number
  readonly rows: RowCounts
}

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
  const { source, target, reach, emit, signal, settings } = machinery
  const { slice, load } = step
  stopIfAsked(signal)
  const stage = await target.begin({ ...load, runId: machinery.runId })
  reach('stage-begun')
  let settled = false
  try {
    stopIfAsked(signal)
    emit({ kind: 'phase', pipeline: pipeline.name, phase: 'reading' })
    const chunks = source.read(pipeline, slice, { format: load.format, columns: load.columns, chunkBytes: settings.chunkBytes, signal })
    const { read, bytes } = await copyChunks(chunks, load.format, stage, reach, (copied) =>
      emit({ kind: 'progress', pipeline: pipeline.name, rows: copied.read, bytes: copied.bytes }),
    )
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
    const rows = await commitUnlessStopped(stage, { kind: 'state', from, to }, read, signal)
    settled = true
    reach('after-commit')
    return { state: to, read, bytes, rows }
  } finally {
    if (!settled) await stage.abort()
  }
}

/** A reload says nothing about sweeps; a slice that sweeps, or reads everything, begins the count anew. */
function sweepCount({ slice, load }: Step, from: State | null): number {
  if (load.cause === 'reload') return from?.unswept ?? 0
  return slice.sweeps || slice.after === null ? 0 : (from?.unswept ?? 0) + 1
}
