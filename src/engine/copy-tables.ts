// The copy of tables in one moment of the source, from which its log goes on.

import type { LogBeginning, LogObservation, LogSource } from '../contract/log.ts'
import { marked } from '../core/change-marks.ts'
import { LoadError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import type { Load } from '../core/load.ts'
import { type CdcPipeline, logFingerprint, targetTables } from '../core/pipeline.ts'
import { commonFormat, loadedColumns } from '../core/plan.ts'
import { type Position, tableInMaking } from '../core/position.ts'
import { planSchema } from '../core/schema-change.ts'
import type { State } from '../core/state.ts'
import { printTableName, type Table, type TableName } from '../core/table.ts'
import { commitUnlessStopped, copyChunks, stopIfAsked } from './copy-chunks.ts'
import { copyInPieces } from './copy-in-pieces.ts'
import { logOf } from './log-of.ts'
import type { Machinery } from './machinery.ts'
import { moveState, NO_LOAD } from './move-state.ts'
import { type FollowedState, isFollowed, observeBeginning } from './observe-changes.ts'
import { creditCommit, type Progress } from './progress.ts'

/** Copies all tables where there is no position in the log yet. A copy that was cut short begins anew: its moment is gone. */
export async function copyIfNew(pipeline: CdcPipeline, machinery: Machinery, fresh: boolean, progress: Progress): Promise<FollowedState> {
  const { target, reach } = machinery
  const { log } = logOf(machinery, pipeline)
  const state = await target.readState(pipeline.name)
  progress.from ??= state?.position ?? null
  progress.to = state?.position ?? null
  progress.epoch = Number(state?.epoch ?? 0n)
  if (isFollowed(state) && !fresh) return state
  const { seen } = await observeBeginning(pipeline, log, state, fresh)
  reach('observed')
  // Before anything is made at the source: whoever finds this state knows that the slot is its own.
  const begun: State = {
    pipeline: pipeline.name,
    // Tables that a copy had made before it was cut short are still its own, and are filled anew.
    position: { kind: 'snapshot', at: machinery.runId, done: [...ownTables(state?.position ?? null)] },
    epoch: (state?.epoch ?? 0n) + 1n,
    fingerprint: logFingerprint(pipeline, seen),
    unswept: 0,
  }
  await moveState(target, state, begun, { runId: machinery.runId, cause: 'run', table: seen.tables[0] as Table })
  progress.epoch = Number(begun.epoch)
  const beginning = await log.begin(pipeline, seen)
  try {
    reach('log-begun')
    await refuseNewColumns(pipeline, log, null, seen)
    const all = seen.tables.map(({ name }) => printTableName(name))
    return await copyTables(pipeline, seen, all, begun, beginning, machinery, progress)
  } finally {
    await beginning.close()
  }
}

/** What a column holds that came between the look and the moment would be left out of the copy for good. Throws `try-again`. */
export async function refuseNewColumns(pipeline: CdcPipeline, log: LogSource, state: State | null, seen: LogObservation): Promise<void> {
  const columnsOf = ({ tables }: LogObservation): string =>
    JSON.stringify(tables.map(({ columns }) => columns.map(({ name, native, type }) => [name, native, type])))
  if (columnsOf(await log.observe(pipeline, state)) !== columnsOf(seen))
    throw new LoadError('try-again', `Columns of pipeline ${pipeline.name} changed while its copy began.`)
}

/** One table a commit; the last of them moves on to the position from which the log goes on. */
export async function copyTables(
  pipeline: CdcPipeline,
  seen: LogObservation,
  names: readonly string[],
  from: State,
  beginning: LogBeginning,
  machinery: Machinery,
  progress: Progress,
): Promise<FollowedState> {
  const targets = targetTables(pipeline)
  const tables = seen.tables
    .map((table, index) => ({ table, target: targets[index] ?? table.name }))
    .filter(({ table }) => names.includes(printTableName(table.name)))
  let now = from
  for (const [index, { table, target }] of tables.entries()) {
    stopIfAsked(machinery.signal)
    machinery.emit({
      kind: 'slice-started',
      pipeline: pipeline.name,
      slice: index + 1,
      of: tables.length,
      estimatedRows: table.estimatedRows,
    })
    const left = tables.slice(index + 1).map((one) => printTableName(one.table.name))
    const existing = await machinery.target.describe(target)
    const load = tableLoad(pipeline, table, target, existing, beginning.formats, machinery)
    const after = (position: Position): Position => afterCopy(position, left, beginning.position)
    const workers = pipeline.workers ?? machinery.target.changes?.copyWorkers ?? 1
    const fillsAnew = existing !== null && ownTables(now.position).has(existing.identity)
    const divides = workers > 1 && machinery.target.partitions !== undefined && (existing === null || fillsAnew)
    const pieces = divides ? await beginning.pieces(table, machinery.settings.pieceBytes) : null
    now =
      pieces === null
        ? await copyTable(
            load,
            table,
            now,
            { ...now, position: after(now.position), epoch: now.epoch + 1n },
            beginning,
            machinery,
            progress,
          )
        : await copyInPieces({ load, existing, table: pieces, workers, from: now, after }, machinery, progress)
    machinery.reach('slice-done')
  }
  invariant(isFollowed(now), 'after its last copy a pipeline has a position in the log')
  return now
}

/** Target tables, by their identity, that the copy under way has made: nothing in them is of use to anybody yet. */
function ownTables(position: Position | null): ReadonlySet<string> {
  const making = tableInMaking(position)
  return new Set([...(position?.kind === 'snapshot' ? position.done : []), ...(making === null ? [] : [making])])
}

/** A copy that is cut short begins anew where there was no position before; where there was one, with the tables that are left. */
function afterCopy(now: Position, left: readonly string[], end: Position): Position {
  if (left.length === 0) return end
  if (now.kind === 'log') {
    const { table: _, ...at } = now
    return { ...at, copying: left }
  }
  return now.kind === 'snapshot' ? { kind: 'snapshot', at: now.at, done: [...ownTables(now)] } : now
}

function tableLoad(
  pipeline: CdcPipeline,
  source: Table,
  name: TableName,
  existing: Table | null,
  formats: readonly Load['format'][],
  { target, runId }: Machinery,
): Load {
  const schema = planSchema(marked(source, pipeline.write), existing, name, pipeline.onSchemaChange, target.types)
  return {
    ...NO_LOAD,
    pipeline: pipeline.name,
    runId,
    cause: 'run',
    strategy: 'replace',
    format: commonFormat(formats, target.formats),
    table: schema.table,
    creates: existing === null,
    changes: schema.changes,
    columns: loadedColumns(schema),
    key: pipeline.write === 'append' ? [] : source.key,
    keyGuaranteed: pipeline.write !== 'append' && source.keyGuaranteed,
    fingerprint: '',
  }
}

async function copyTable(
  load: Load,
  table: Table,
  from: State,
  to: State,
  beginning: LogBeginning,
  machinery: Machinery,
  progress: Progress,
): Promise<State> {
  const { target, reach, emit, signal, settings } = machinery
  const stage = await target.begin(load)
  reach('stage-begun')
  let settled = false
  try {
    const { format, columns } = load
    const chunks = beginning.read(table, { format, columns, chunkBytes: settings.chunkBytes, signal })
    const { read, bytes } = await copyChunks(chunks, format, stage, reach, (copied) =>
      emit({ kind: 'progress', pipeline: load.pipeline, rows: copied.read, bytes: copied.bytes }),
    )
    stopIfAsked(signal)
    reach('before-commit')
    const rows = await commitUnlessStopped(stage, { kind: 'state', from, to }, read, signal)
    settled = true
    reach('after-commit')
    creditCommit(progress, to, read, bytes, rows)
    progress.changed = true
    emit({ kind: 'committed', pipeline: load.pipeline, position: to.position, epoch: Number(to.epoch), read, rows })
    return to
  } finally {
    if (!settled) await stage.abort()
  }
}
