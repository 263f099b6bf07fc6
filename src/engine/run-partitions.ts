// One pipeline in partitions brought up to date: look, plan, prepare the ledger, load side by side, finish. After a failure of
// the environment it looks again; what is committed stays committed.

import type { Preparation } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import type { PartitionCounts, RunStatus } from '../core/event.ts'
import { ORDINARY_RUN, type RunRequest } from '../core/head.ts'
import { addCounts, NO_ROWS } from '../core/load.ts'
import { type PartitionPlan, type PlannedPartition, planPartitions } from '../core/partition-plan.ts'
import type { PartitionPipeline } from '../core/pipeline.ts'
import type { Position } from '../core/position.ts'
import type { State } from '../core/state.ts'
import type { PartitionOutcome } from './load-partition.ts'
import type { Machinery } from './machinery.ts'
import { observePartitions, type PartitionLook, partitionsOf } from './observe-partitions.ts'
import { type FailedPartition, runWorkers, type WorkersEnd } from './partition-workers.ts'
import { type Progress, withRetries } from './progress.ts'

/** Two rounds settle rows that moved while the partitions were loaded; a source that never rests needs a few more. */
const MOST_ROUNDS = 5

/** How a run looks at its partitions; null where there is nothing to load yet. */
export type Look = (request: RunRequest) => Promise<PartitionLook | null>

/** Throws what ended it; what was committed before is in `progress`. */
export async function attemptPartitions(
  pipeline: PartitionPipeline,
  machinery: Machinery,
  request: RunRequest,
  progress: Progress,
): Promise<RunStatus> {
  const { source, target } = machinery
  await loadPartitions(pipeline.name, (wanted) => observePartitions(pipeline, source, target, wanted), machinery, request, progress)
  return progress.changed ? 'loaded' : 'up-to-date'
}

/** Loads what is wanted, and once more what moved meanwhile. False where there was nothing to look at. */
export async function loadPartitions(
  name: string,
  look: Look,
  machinery: Machinery,
  request: RunRequest,
  progress: Progress,
): Promise<boolean> {
  let wanted = request
  for (let round = 1; ; round++) {
    const collisions = await withRetries(name, machinery, () => attemptOnce(look, machinery, wanted, progress))
    if (collisions === null) return false
    if (collisions.length === 0) return true
    if (round === MOST_ROUNDS)
      throw new LoadError('duplicate-key', `Rows of pipeline ${name} share a key in partitions ${shortList(collisions)}.`, {
        hint: 'Choose the key that is unique, or load again when the source is at rest.',
      })
    machinery.emit({
      kind: 'warning',
      pipeline: name,
      code: 'moved-rows',
      message: `Rows moved between partitions while they were loaded; ${shortList(collisions)} are loaded again.`,
    })
    wanted = { ...ORDINARY_RUN, partitions: collisions }
  }
}

/** Keys of partitions in which rows collide. */
async function attemptOnce(look: Look, machinery: Machinery, request: RunRequest, progress: Progress): Promise<readonly string[] | null> {
  const { target, emit, reach } = machinery
  const looked = await look(request)
  if (looked === null) return null
  const { seen, table, first } = looked
  try {
    reach('observed')
    const plan = planPartitions(seen)
    const { pipeline } = plan
    begin(progress, plan)
    emit({ kind: 'partitions-planned', pipeline, plan })
    reach('planned')
    const unfinished = (plan.makesTable || plan.refreshes) && seen.state !== null
    if (plan.loads.length === 0 && plan.changes.length === 0 && !unfinished) return []
    const work = { plan, target: partitionsOf(target, pipeline), machinery }
    const preparation: Preparation = {
      from: seen.state,
      first: { pipeline, position: first, epoch: 0n, fingerprint: plan.load.fingerprint, unswept: 0 },
      runId: machinery.runId,
      changes: plan.changes,
      keyNow: looked.keyed && plan.load.strategy !== 'overwrite-partition' ? plan.load.key : [],
      wanted: entered(plan, looked).map((one) => ({ partition: one.partition, estimatedRows: one.estimatedRows, seen: one.seen })),
      empties: null,
      forget: plan.forget,
    }
    const prepare = async (): Promise<void> => {
      progress.epoch = Number((await work.target.prepare(preparation)).epoch)
      reach('ledger-prepared')
    }
    const end = await runWorkers({ ...work, table, prepare, done: (_, outcome) => credit(progress, outcome) })
    return await finish(plan, looked, end, machinery, progress)
  } finally {
    await table.close()
  }
}

function credit(progress: Progress, outcome: PartitionOutcome): void {
  progress.partitions = { ...counts(progress), committed: counts(progress).committed + 1 }
  progress.read += outcome.read
  progress.bytes += outcome.bytes
  progress.slices += 1
  progress.rows = addCounts(progress.rows, outcome.rows)
  progress.changed ||= outcome.rows.inserted + outcome.rows.updated + outcome.rows.deleted > 0
}

/** Pieces of a first load are stored all together, also those that are not loaded now: nobody would know of them later. */
function entered({ loads, partitions }: PartitionPlan, { last }: PartitionLook): readonly PlannedPartition[] {
  return last.kind === 'partitions' ? loads : [...loads, ...partitions.filter(({ action, seen }) => action === 'skip' && seen === null)]
}

function begin(progress: Progress, plan: PartitionPlan): void {
  progress.from ??= plan.from?.position ?? null
  progress.to = plan.from?.position ?? null
  progress.epoch = Number(plan.from?.epoch ?? 0n)
  if (progress.partitions !== null) return
  const wanted = plan.partitions.filter(({ reason }) => reason !== 'not asked')
  const skipped = wanted.filter(({ action }) => action === 'skip').length
  progress.partitions = { total: wanted.length, committed: 0, skipped, failed: 0 }
  progress.changed = plan.from === null
}

function counts(progress: Progress): PartitionCounts {
  return progress.partitions ?? { total: 0, committed: 0, skipped: 0, failed: 0 }
}

async function finish(
  plan: PartitionPlan,
  { seen, last, keyed }: PartitionLook,
  end: WorkersEnd,
  machinery: Machinery,
  progress: Progress,
): Promise<readonly string[]> {
  const { target, reach, runId } = machinery
  const before = counts(progress)
  progress.partitions = { ...before, skipped: before.skipped + end.byOthers, failed: end.failed.length }
  reach('before-finish')
  machinery.emit({ kind: 'phase', pipeline: plan.pipeline, phase: 'applying' })
  const loaded = new Set(plan.loads)
  const complete =
    end.failed.length === 0 &&
    plan.partitions.every((one) => loaded.has(one) || one.seen?.status === 'committed' || one.reason === 'not closed yet')
  const ended = await partitionsOf(target, plan.pipeline).finish({
    pipeline: plan.pipeline,
    runId,
    cause: plan.cause,
    table: plan.load.table,
    by: seen.pipeline.by,
    indexes: last.kind === 'partitions',
    key: plan.load.keyGuaranteed && keyed ? plan.load.key : [],
    complete,
    purges: plan.refreshes && complete,
    fingerprint: plan.load.fingerprint,
    last,
    read: progress.read,
    rows: progress.rows,
    seconds: (performance.now() - progress.began) / 1000,
  })
  reach('finished')
  if (ended.collisions.length > 0) return ended.collisions
  settle(progress, ended.state, ended.deleted)
  if (end.failed.length > 0) throw failure(end.failed, counts(progress).total)
  return []
}

function settle(progress: Progress, state: State, deleted: number): void {
  progress.to = state.position as Position
  progress.epoch = Number(state.epoch)
  progress.rows = addCounts(progress.rows, { ...NO_ROWS, deleted })
  progress.changed ||= deleted > 0
}

/** The first failure's words, and how many there are. */
function failure(failed: readonly FailedPartition[], total: number): LoadError {
  const [first] = failed as [FailedPartition]
  const { code, message, hint, where } = first.error
  const one = failed.length === 1
  return new LoadError(
    'partitions-failed',
    `${failed.length} of ${total} partitions failed: ${shortList(failed.map(({ key }) => key))}. ${one ? 'It' : 'The first'} with ${code}: ${message}`,
    {
      cause: first.error,
      hint: `${hint} Then \`tidemark partitions retry\` loads only what failed.`,
      ...(where === null ? {} : { where }),
    },
  )
}

/** A few names, and how many more there are. */
function shortList(keys: readonly string[]): string {
  return keys.length <= 3 ? keys.join(', ') : `${keys.slice(0, 3).join(', ')} and ${keys.length - 3} more`
}
