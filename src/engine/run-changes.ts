// A pipeline that follows a log: copies its tables in one moment, then applies what the log brings, whole transactions of all tables
// together. After any failure it looks again, and goes on from the position that the target has. Tables that are to be copied while the
// others go on stand in that position until they are in.

import type { ChangedTable, ChangeWriter, LogObservation, ValueFormat } from '../contract/log.ts'
import type { Target } from '../contract/target.ts'
import { marked } from '../core/change-marks.ts'
import { type ErrorCode, LoadError } from '../core/errors.ts'
import type { RunStatus } from '../core/event.ts'
import type { RunRequest } from '../core/head.ts'
import { type CdcPipeline, logFingerprint, targetTables } from '../core/pipeline.ts'
import type { LogPosition, Position } from '../core/position.ts'
import { planSchema, type SchemaChange } from '../core/schema-change.ts'
import { columnNamed, printTableName, type Table } from '../core/table.ts'
import { copyIfNew, copyTables, refuseNewColumns } from './copy-tables.ts'
import { Follower } from './follower.ts'
import { logOf } from './log-of.ts'
import type { Machinery } from './machinery.ts'
import { moveState } from './move-state.ts'
import { type FollowedState, observeFollowing, tablesNamed } from './observe-changes.ts'
import { type Progress, withRetries } from './progress.ts'

export async function attemptChanges(
  given: CdcPipeline,
  machinery: Machinery,
  request: RunRequest,
  progress: Progress,
): Promise<RunStatus> {
  const pipeline = { ...given, workers: request.workers ?? given.workers }
  let fresh = request.fullRefresh
  let again = tablesNamed(pipeline, request.resync)
  let commits = 0
  const attemptOnce = async (): Promise<void> => {
    try {
      // Each step goes on from the state that the one before has left. One that read it again would take over what a rival has done.
      const copied = await copyIfNew(pipeline, machinery, fresh, progress)
      fresh = false
      const noted = await noteTablesToCopy(pipeline, machinery, copied, again, progress)
      again = []
      const together = await copyNoted(pipeline, machinery, noted, progress)
      const before = progress.slices
      try {
        await catchUp(pipeline, machinery, together, progress, { until: null, follows: request.follows })
      } finally {
        // A copy that begins anew again and again is no progress.
        commits += progress.slices - before
      }
    } catch (error) {
      await refuseMoved(pipeline, machinery.target, progress, error)
      throw error
    }
  }
  await withRetries(pipeline.name, machinery, attemptOnce, () => commits)
  return progress.changed ? 'loaded' : 'up-to-date'
}

/** What source or target seem to lack where this run's look at them is older than another run's commit. */
const LOOKS_LIKE_A_GAP: readonly ErrorCode[] = ['log-lost', 'log-unavailable', 'row-missing']

/** Once another run has moved the position, the log is further than the one that this run has read: nothing is lost. Throws `state-conflict`. */
async function refuseMoved({ name }: CdcPipeline, target: Target, { epoch }: Progress, error: unknown): Promise<void> {
  if (!(error instanceof LoadError && LOOKS_LIKE_A_GAP.includes(error.code))) return
  const now = await target.readState(name)
  if (Number(now?.epoch ?? 0n) === epoch) return
  throw new LoadError('state-conflict', `Another run moved pipeline ${name} while this one was looking at it.`, { cause: error })
}

/** Tables that came to the project, and those asked for, are remembered before anything happens to them. */
async function noteTablesToCopy(
  pipeline: CdcPipeline,
  machinery: Machinery,
  state: FollowedState,
  asked: readonly string[],
  progress: Progress,
): Promise<FollowedState> {
  const { target } = machinery
  const { seen, copying, rewritten } = await observeFollowing(pipeline, logOf(machinery, pipeline).log, state, asked)
  for (const table of rewritten)
    machinery.emit({
      kind: 'warning',
      pipeline: pipeline.name,
      code: 'rewritten-table',
      message: `The rows of ${table} were rewritten by ALTER TABLE, of which no log tells; it is copied again.`,
    })
  const fingerprint = logFingerprint(pipeline, seen)
  if (copying.length === (state.position.copying?.length ?? 0) && fingerprint === state.fingerprint) return state
  const { copying: _, ...at } = state.position
  const position: LogPosition = copying.length === 0 ? at : { ...at, copying }
  const noted: FollowedState = { ...state, position, epoch: state.epoch + 1n, fingerprint }
  await moveState(target, state, noted, { runId: machinery.runId, cause: 'run', table: seen.tables[0] as Table })
  progress.epoch = Number(noted.epoch)
  return noted
}

/**
 * Copies the noted tables in one moment, after the others have been brought to exactly that moment: then all are of one commit again.
 * What the log has of the noted ones before it is in their copy.
 */
async function copyNoted(pipeline: CdcPipeline, machinery: Machinery, state: FollowedState, progress: Progress): Promise<FollowedState> {
  const { log } = logOf(machinery, pipeline)
  const noted = state.position.copying ?? []
  if (noted.length === 0) return state
  const seen = await log.observe(pipeline, state)
  const beginning = await log.beginAgain(pipeline, seen)
  try {
    machinery.reach('log-begun')
    await refuseNewColumns(pipeline, log, state, seen)
    const met = await catchUp(pipeline, machinery, state, progress, { until: beginning.position, follows: false })
    return await copyTables(pipeline, seen, noted, met, beginning, machinery, progress)
  } finally {
    await beginning.close()
  }
}

interface Goal {
  /** Exactly there; null: as far as the log goes now. */
  readonly until: Position | null
  /** On and on, until a signal comes. */
  readonly follows: boolean
}

async function catchUp(
  pipeline: CdcPipeline,
  machinery: Machinery,
  state: FollowedState,
  progress: Progress,
  { until, follows }: Goal,
): Promise<FollowedState> {
  const { target, runId } = machinery
  const { log, changes } = logOf(machinery, pipeline)
  const seen = await log.observe(pipeline, state)
  const tables = await changedTables(pipeline, seen, target, state.position.copying ?? [])
  const format = commonValues(pipeline, seen.values, changes.values)
  const stream = await log.open(pipeline, { ...seen, tables: tables.map(({ source }) => source) }, state.position, format, until)
  let writer: ChangeWriter | null = null
  try {
    const { name, write, maxQuarantined } = pipeline
    writer = await changes.open({ pipeline: name, runId, write, format, tables, maxQuarantined })
    const goal = follows ? null : (until ?? seen.head)
    return await new Follower(pipeline, machinery, progress, stream, writer, tables, state, goal).follow()
  } finally {
    await Promise.allSettled([stream.close(), writer?.close()])
  }
}

function commonValues(pipeline: CdcPipeline, given: readonly ValueFormat[], taken: readonly ValueFormat[]): ValueFormat {
  // What is kept of a row besides its own columns is text.
  const keepsText = pipeline.maxQuarantined !== null || pipeline.write === 'append'
  const wanted = keepsText ? taken.filter((one) => one === 'pg-text') : taken
  const format = wanted.find((one) => given.includes(one))
  if (format === undefined)
    throw new LoadError('no-common-format', `Source and target of pipeline ${pipeline.name} speak no common form of values.`)
  return format
}

/** Of the tables that are in the target already. */
export async function changedTables(
  pipeline: CdcPipeline,
  seen: LogObservation,
  target: Target,
  without: readonly string[],
): Promise<readonly (ChangedTable & { readonly source: Table })[]> {
  const names = targetTables(pipeline)
  const tables: (ChangedTable & { readonly source: Table })[] = []
  for (const [index, source] of seen.tables.entries()) {
    if (without.includes(printTableName(source.name))) continue
    const name = names[index] ?? source.name
    const existing = await target.describe(name)
    if (existing === null)
      throw new LoadError('target-missing', `Target table ${printTableName(name)} of pipeline ${pipeline.name} does not exist any more.`, {
        hint: `Copy it again with \`--resync ${printTableName(source.name)}\`.`,
      })
    const schema = planSchema(marked(source, pipeline.write), existing, name, pipeline.onSchemaChange, target.types)
    refuseRename(source, existing, schema.changes, name)
    const columns = source.columns.map((column) => ({ source: column, target: columnNamed(schema.table, column.name) ?? column }))
    tables.push({ source, table: schema.table, changes: schema.changes, columns, key: source.key })
  }
  return tables
}

/** A renamed column brings no changes of rows: its values would be missing under the new name, and stay under the old one. */
function refuseRename(source: Table, existing: Table, changes: readonly SchemaChange[], name: Table['name']): void {
  const added = changes.find(({ kind }) => kind === 'add-column')
  const gone = existing.columns.find((column) => columnNamed(source, column.name) === undefined && !column.name.startsWith('_tidemark_'))
  if (added?.kind !== 'add-column' || gone === undefined) return
  throw new LoadError(
    'schema-conflict',
    `Column "${gone.name}" of ${printTableName(name)} is gone at the source, and "${added.column.name}" is new: that may be one column under another name.`,
    {
      hint: `Rename or drop "${gone.name}" at the target by hand; or drop it there and copy the table again with \`--resync ${printTableName(source.name)}\`.`,
    },
  )
}
