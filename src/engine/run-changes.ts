// A pipeline that follows a log: copies its tables in one moment, then applies what the log brings, whole transactions of all tables
// together. After any failure it looks again, and goes on from the position that the target has.

import type {
  ChangedTable,
  ChangeStream,
  ChangeTarget,
  ChangeWriter,
  LogChunk,
  LogObservation,
  LogSource,
  ValueFormat,
} from '../contract/log.ts'
import type { Target } from '../contract/target.ts'
import { marked } from '../core/change-marks.ts'
import { LoadError } from '../core/errors.ts'
import type { RunStatus } from '../core/event.ts'
import { foldChanges } from '../core/fold-changes.ts'
import type { RunRequest } from '../core/head.ts'
import { addCounts, type Load, NO_ROWS, type RowCounts } from '../core/load.ts'
import { type CdcPipeline, fingerprintChanges, targetTables } from '../core/pipeline.ts'
import { commonFormat, loadedColumns } from '../core/plan.ts'
import type { Position } from '../core/position.ts'
import { planSchema, type SchemaChange } from '../core/schema-change.ts'
import type { State } from '../core/state.ts'
import { columnNamed, printTableName, type Table } from '../core/table.ts'
import { commitUnlessStopped, copyChunks, stopIfAsked } from './copy-chunks.ts'
import type { Machinery } from './machinery.ts'
import { pause } from './pause.ts'
import { type Progress, withRetries } from './progress.ts'

export async function attemptChanges(
  pipeline: CdcPipeline,
  machinery: Machinery,
  request: RunRequest,
  progress: Progress,
): Promise<RunStatus> {
  let fresh = request.fullRefresh
  await withRetries(pipeline.name, machinery, async () => {
    await copyIfNew(pipeline, machinery, fresh, progress)
    fresh = false
    await catchUp(pipeline, machinery, progress, request.follows)
  })
  return progress.changed ? 'loaded' : 'up-to-date'
}

export function logOf(machinery: Pick<Machinery, 'source' | 'target'>, pipeline: CdcPipeline): { log: LogSource; changes: ChangeTarget } {
  const { log } = machinery.source
  const { changes } = machinery.target
  if (log === undefined) throw new LoadError('log-unavailable', `The source of pipeline ${pipeline.name} has no log that can be followed.`)
  if (changes === undefined) throw new LoadError('strategy-unsupported', `The target of pipeline ${pipeline.name} can't take changes.`)
  return { log, changes }
}

/** Copies all tables where there is no position in the log yet. A copy that was cut short begins anew: its moment is gone. */
async function copyIfNew(pipeline: CdcPipeline, machinery: Machinery, fresh: boolean, progress: Progress): Promise<void> {
  const { target, emit, reach } = machinery
  const { log } = logOf(machinery, pipeline)
  const state = await target.readState(pipeline.name)
  progress.from ??= state?.position ?? null
  progress.to = state?.position ?? null
  progress.epoch = Number(state?.epoch ?? 0n)
  if (state?.position.kind === 'log' && !fresh) return
  const seen = await log.observe(pipeline, null)
  reach('observed')
  // Before anything is made at the source: whoever finds this state knows that the slot is its own.
  let now = await remember(pipeline, seen, target, state, machinery)
  const beginning = await log.begin(pipeline, seen)
  try {
    reach('log-begun')
    const wanted = targetTables(pipeline)
    for (const [index, table] of seen.tables.entries()) {
      stopIfAsked(machinery.signal)
      emit({ kind: 'slice-started', pipeline: pipeline.name, slice: index + 1, of: seen.tables.length, estimatedRows: table.estimatedRows })
      const isLast = index === seen.tables.length - 1
      const done = [...(now.position.kind === 'snapshot' ? now.position.done : []), printTableName(table.name)]
      const position: Position = isLast ? beginning.position : { kind: 'snapshot', at: '', done }
      const load = await tableLoad(pipeline, table, wanted[index] ?? table.name, beginning.formats, machinery)
      now = await copyTable(load, table, now, { ...now, position, epoch: now.epoch + 1n }, beginning, machinery, progress)
      reach('slice-done')
    }
  } finally {
    await beginning.close()
  }
}

/** The state of a copy that has begun. */
async function remember(
  pipeline: CdcPipeline,
  seen: LogObservation,
  target: Target,
  from: State | null,
  { runId }: Machinery,
): Promise<State> {
  const to: State = {
    pipeline: pipeline.name,
    position: { kind: 'snapshot', at: '', done: [] },
    epoch: (from?.epoch ?? 0n) + 1n,
    fingerprint: logFingerprint(pipeline, seen),
    unswept: 0,
  }
  const [table] = seen.tables
  if (table === undefined) throw new LoadError('bad-project', `Pipeline ${pipeline.name} names no table.`)
  const stage = await target.begin({ ...NO_LOAD, pipeline: pipeline.name, runId, table, fingerprint: to.fingerprint })
  try {
    await stage.commit({ kind: 'state', from, to }, 0)
  } catch (error) {
    await stage.abort()
    throw error
  }
  return to
}

const NO_LOAD: Omit<Load, 'pipeline' | 'runId' | 'table' | 'fingerprint'> = {
  cause: 'run',
  strategy: 'append',
  format: 'columns',
  creates: false,
  changes: [],
  columns: [],
  key: [],
  keyGuaranteed: false,
  filling: null,
  newestBy: null,
  replaces: null,
  rescuedBelow: null,
  partition: null,
}

async function tableLoad(
  pipeline: CdcPipeline,
  source: Table,
  name: Table['name'],
  formats: readonly Load['format'][],
  { target, runId }: Machinery,
): Promise<Load> {
  const existing = await target.describe(name)
  const schema = planSchema(marked(source, pipeline.write), existing, name, pipeline.onSchemaChange, target.types)
  return {
    ...NO_LOAD,
    pipeline: pipeline.name,
    runId,
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
  beginning: Awaited<ReturnType<LogSource['begin']>>,
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
    credit(progress, to, read, bytes, rows)
    progress.changed = true
    emit({ kind: 'committed', pipeline: load.pipeline, position: to.position, epoch: Number(to.epoch), read, rows })
    return to
  } finally {
    if (!settled) await stage.abort()
  }
}

function credit(progress: Progress, { position, epoch }: State, read: number, bytes: number, rows: RowCounts): void {
  progress.to = position
  progress.epoch = Number(epoch)
  progress.read += read
  progress.bytes += bytes
  progress.slices += 1
  progress.rows = addCounts(progress.rows, rows)
}

/** Applies what the log has up to now; or, following, whatever comes. */
async function catchUp(pipeline: CdcPipeline, machinery: Machinery, progress: Progress, follows: boolean): Promise<void> {
  const { target, runId } = machinery
  const { log, changes } = logOf(machinery, pipeline)
  const state = await target.readState(pipeline.name)
  if (state === null || state.position.kind !== 'log')
    throw new LoadError('state-conflict', `The state of pipeline ${pipeline.name} changed meanwhile.`)
  const seen = await log.observe(pipeline, state)
  refuseChangedLog(pipeline, seen, state)
  const tables = await changedTables(pipeline, seen, target)
  const format = commonValues(pipeline, seen.values, changes.values)
  const stream = await log.open(pipeline, seen, state.position, format)
  let writer: ChangeWriter | null = null
  try {
    writer = await changes.open({ pipeline: pipeline.name, runId, write: pipeline.write, format, tables })
    await new Follower(pipeline, machinery, progress, stream, writer, tables, state, follows ? null : seen.head).follow()
  } finally {
    await Promise.allSettled([stream.close(), writer?.close()])
  }
}

function commonValues(pipeline: CdcPipeline, given: readonly ValueFormat[], taken: readonly ValueFormat[]): ValueFormat {
  const format = taken.find((one) => given.includes(one))
  if (format === undefined)
    throw new LoadError('no-common-format', `Source and target of pipeline ${pipeline.name} speak no common form of values.`)
  return format
}

async function changedTables(pipeline: CdcPipeline, seen: LogObservation, target: Target): Promise<readonly ChangedTable[]> {
  const names = targetTables(pipeline)
  const tables: ChangedTable[] = []
  for (const [index, source] of seen.tables.entries()) {
    const name = names[index] ?? source.name
    const existing = await target.describe(name)
    if (existing === null)
      throw new LoadError('target-missing', `Target table ${printTableName(name)} of pipeline ${pipeline.name} does not exist any more.`)
    const schema = planSchema(marked(source, pipeline.write), existing, name, pipeline.onSchemaChange, target.types)
    refuseRename(source, existing, schema.changes, name)
    const columns = source.columns.map((column) => ({ source: column, target: columnNamed(schema.table, column.name) ?? column }))
    tables.push({ table: schema.table, changes: schema.changes, columns, key: source.key })
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
    { hint: `Rename or drop "${gone.name}" at the target by hand; or copy the tables again with \`--full-refresh\`.` },
  )
}

function logFingerprint(pipeline: CdcPipeline, seen: LogObservation): string {
  return JSON.stringify({
    source: seen.identity,
    tables: seen.tables.map(({ identity }) => identity).join(' '),
    write: pipeline.write,
    target: targetTables(pipeline).map(printTableName).join(' '),
  })
}

function refuseChangedLog(pipeline: CdcPipeline, seen: LogObservation, state: State): void {
  const changed = fingerprintChanges(state.fingerprint, logFingerprint(pipeline, seen))
  if (changed.length > 0)
    throw new LoadError('definition-changed', `Pipeline ${pipeline.name} was loaded with another ${changed.join(', ')} than it has now.`)
}

/** How long an idle stream is waited for, and how often its position is stored while nothing comes. */
const IDLE_MS = 50
const STORE_IDLE_MS = 10_000

class Follower {
  readonly #pipeline: CdcPipeline
  readonly #machinery: Machinery
  readonly #progress: Progress
  readonly #stream: ChangeStream
  readonly #writer: ChangeWriter
  readonly #tables: readonly { readonly width: number; readonly key: readonly number[] }[]
  readonly #goal: Position | null
  readonly #first: State
  #state: State
  /** Applied and not committed yet: a transaction of the source that is larger than a chunk. */
  #open = { read: 0, bytes: 0, rows: NO_ROWS }
  #total = { read: 0, rows: NO_ROWS }
  #stored = performance.now()

  constructor(
    pipeline: CdcPipeline,
    machinery: Machinery,
    progress: Progress,
    stream: ChangeStream,
    writer: ChangeWriter,
    tables: readonly ChangedTable[],
    state: State,
    goal: Position | null,
  ) {
    this.#pipeline = pipeline
    this.#machinery = machinery
    this.#progress = progress
    this.#stream = stream
    this.#writer = writer
    this.#tables = tables.map(({ columns, key }) => ({
      width: columns.length,
      key: key.map((name) => columns.findIndex(({ source }) => source.name === name)),
    }))
    this.#state = state
    this.#first = state
    this.#goal = goal
  }

  async follow(): Promise<void> {
    const { signal } = this.#machinery
    const began = performance.now()
    try {
      while (!this.#isDone()) {
        if (this.#goal !== null) stopIfAsked(signal)
        else if (signal.aborted) break
        if (this.#goal === null) await this.#restAfterCommit()
        this.#stream.ping()
        const chunk = await this.#stream.next(IDLE_MS)
        if (chunk.changes.count > 0) await this.#take(chunk)
        else if (chunk.end !== null && this.#open.read === 0) await this.#rest(chunk.end)
        this.#stream.recycle(chunk)
      }
    } catch (error) {
      await this.#writer.abort()
      throw error
    }
    if (this.#total.read > 0)
      await this.#writer.record(this.#first, this.#state, this.#total.read, this.#total.rows, (performance.now() - began) / 1000)
  }

  /** Where commits are dear, changes are gathered for a while. */
  async #restAfterCommit(): Promise<void> {
    const { signal, target } = this.#machinery
    const rest = (target.changes?.restMs ?? 0) - (performance.now() - this.#stored)
    if (rest > 0 && this.#open.read === 0) await pause(rest / 1000, signal)
  }

  #isDone(): boolean {
    return this.#goal !== null && this.#open.read === 0 && this.#stream.reaches(this.#state.position, this.#goal)
  }

  async #take(chunk: LogChunk): Promise<void> {
    const { changes } = chunk
    const { reach, emit } = this.#machinery
    const read = changes.count
    const bytes = changes.used
    const rows =
      this.#pipeline.write === 'append'
        ? await this.#writer.append(changes)
        : await this.#writer.apply(changes, foldChanges(changes, this.#tables))
    reach('changes-applied')
    this.#open = { read: this.#open.read + read, bytes: this.#open.bytes + bytes, rows: addCounts(this.#open.rows, rows) }
    emit({ kind: 'progress', pipeline: this.#pipeline.name, rows: this.#open.read, bytes: this.#open.bytes })
    if (chunk.end !== null) await this.#commit(chunk.end)
  }

  async #commit(position: Position): Promise<void> {
    const { reach, emit } = this.#machinery
    const { read, bytes, rows } = this.#open
    const to: State = { ...this.#state, position, epoch: this.#state.epoch + 1n }
    reach('before-commit')
    await this.#writer.commit(this.#state, to, rows.inserted + rows.updated + rows.deleted)
    reach('after-commit')
    this.#state = to
    this.#stored = performance.now()
    this.#stream.acknowledge(position)
    this.#open = { read: 0, bytes: 0, rows: NO_ROWS }
    this.#total = { read: this.#total.read + read, rows: addCounts(this.#total.rows, rows) }
    // A change that is folded into another counts as one that was read.
    const folded = read - rows.inserted - rows.updated - rows.deleted
    credit(this.#progress, to, read, bytes, { ...rows, deduplicated: Math.max(0, folded) })
    this.#progress.changed ||= read > 0
    if (read > 0) emit({ kind: 'committed', pipeline: this.#pipeline.name, position, epoch: Number(to.epoch), read, rows })
    reach('slice-done')
  }

  /** Nothing came: how far there was nothing is stored now and then, so that the source may forget its log. */
  async #rest(position: Position): Promise<void> {
    const isFarther = !this.#stream.reaches(this.#state.position, position)
    const isGoal = this.#goal !== null && this.#stream.reaches(position, this.#goal)
    if (isFarther && (isGoal || performance.now() - this.#stored > STORE_IDLE_MS)) await this.#commit(position)
  }
}
