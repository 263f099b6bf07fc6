// How far a memory table can be read now: the slice, fixed before its first row is read. Each look at the database is a
// statement of its own, between which others act; their order is what keeps late rows from being lost.

import { LoadError } from '../../core/errors.ts'
import type { Head, Hold, LatePlan, RunRequest } from '../../core/head.ts'
import { printSource, type ResolvedPipeline, selectedTable } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import type { ChangedSince, CursorRange, Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import type { Table } from '../../core/table.ts'
import { type Cursor, cursorOf, readValue, watermark } from './cursor.ts'
import { type Candidate, isInside } from './inside.ts'
import { chooseLateRows, SWEEP_EVERY } from './late-rows.ts'

/** Rows written so many transactions ago that a real xmin no longer tells their age. */
const XID_HALF = 2n ** 31n

/** Below every cursor value. */
const NEVER = -(2n ** 62n)

/** What can be seen of a database, each a statement of its own. */
export interface Looks {
  readonly seesSessions: boolean
  readonly marginMicros: bigint
  now(): bigint
  /** Every transaction below this number has ended. */
  oldestRunning(): number
  /** Starts of open transactions; prepared ones are not among them. */
  activity(): readonly bigint[]
  /** How many prepared transactions have written to the table. */
  preparedWriters(pipeline: ResolvedPipeline): number
  candidates(pipeline: ResolvedPipeline): readonly Candidate[]
  isChanged(xmin: number, horizon: number): boolean
}

interface Look {
  readonly looks: Looks
  readonly pipeline: ResolvedPipeline
  readonly cursor: Cursor
  readonly state: State | null
  readonly position: WatermarkPosition | null
  readonly request: RunRequest
  readonly repeatable: boolean
  /** The source guarantees that no two rows share the key. */
  readonly unique: boolean
  readonly start: bigint | null
}

export function readHead(looks: Looks, pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Head {
  const cursor = cursorOf(pipeline, table)
  const position = state?.position.kind === 'watermark' ? state.position : null
  const start = pipeline.start === null ? null : readValue(cursor, pipeline.start)
  const unique = selectedTable(pipeline, table).keyGuaranteed
  const look: Look = { looks, pipeline, cursor, state, position, request, repeatable: isRepeatable(pipeline.write), unique, start }
  const late = chooseLateRows(pipeline, table, cursor, looks.seesSessions)
  if (request.from !== null || request.to !== null) return reloadHead(look, late)
  const limits = readLimits(look, late)
  const rows = looks.candidates(pipeline)
  const nulls = rows.filter((row) => row.cursor === null).length
  if (nulls > 0 && pipeline.nullCursor === 'error')
    throw new LoadError('null-cursor', `${nulls} rows of ${printSource(pipeline)} have no value in cursor "${cursor.name}".`)
  const found = rows.filter((row) => isInside(limits.range, row, looks.isChanged)).length
  const slice: Slice = {
    after: position,
    upTo: limits.upTo,
    range: limits.range,
    estimatedRows: found,
    sweeps: limits.everything || limits.range.changedSince?.column === null,
  }
  const needed = found > 0 || limits.late.mode === 'bound+sweep' || limits.whole || (state === null && limits.everything)
  const waiting = limits.now === null ? 0 : rows.filter((row) => row.cursor !== null && row.cursor > (limits.now ?? 0n)).length
  return { slice: needed ? slice : null, late: limits.late, heldBy: limits.heldBy, waiting, nullCursors: nulls }
}

interface Limits {
  readonly range: CursorRange
  readonly upTo: WatermarkPosition
  readonly late: LatePlan
  readonly heldBy: readonly Hold[]
  readonly now: bigint | null
  readonly everything: boolean
  /** The target becomes what is read, also where that is nothing. */
  readonly whole: boolean
}

/** What is read, and what the watermark becomes. */
function readLimits(look: Look, late: LatePlan): Limits {
  const { looks, cursor, position, pipeline, request, repeatable, start } = look
  const horizon = looks.oldestRunning()
  const edge = cursor.family === 'number' ? numberEdge(look) : timeEdge(look, late)
  const whole = request.fullRefresh || pipeline.write === 'replace'
  const first = whole || position === null || position.value === null
  const since = first ? null : changedSince(look, late, horizon)
  const everything = first || since === 'too-old'
  const sweeping = since !== null && since !== 'too-old'
  const swept = everything || sweeping || late.mode === 'xid8'
  const old = request.fullRefresh || position?.value == null ? start : readValue(cursor, position.value)
  const value = later(edge.bound, old)
  const clockBehind = edge.now !== null && old !== null && edge.now < old && position?.value != null
  const stamped: ChangedSince | null =
    pipeline.lateRows.kind === 'xid8'
      ? { column: pipeline.lateRows.column, horizon: whole ? '0' : (position?.horizon ?? '0'), before: repeatable ? null : String(horizon) }
      : null
  return {
    now: edge.now,
    whole,
    everything,
    heldBy: clockBehind ? [...edge.heldBy, hold('clock')] : edge.heldBy,
    late: sweeping && late.mode === 'bound' ? { mode: 'bound+sweep', reason: `${late.reason}; a sweep was due` } : late,
    upTo: watermark(cursor, value, swept || position?.horizon === undefined ? horizon : Number(position.horizon)),
    range: {
      from: text(everything ? start : old),
      fromOpen: !everything && cursor.family === 'number' && (late.mode === 'sweep' || !repeatable),
      to: text(edge.to),
      toClosed: edge.toClosed,
      changedSince: stamped ?? (sweeping ? since : null),
      nulls: pipeline.nullCursor === 'include',
      everything: whole && repeatable && start === null,
    },
  }
}

function changedSince(
  { position, state, request, repeatable, unique }: Look,
  late: LatePlan,
  horizon: number,
): ChangedSince | 'too-old' | null {
  const due = (state?.unswept ?? 0) + 1 >= SWEEP_EVERY || request.sweep
  if (late.mode !== 'sweep' && !(late.mode === 'bound' && due && position?.horizon !== undefined && repeatable)) return null
  // Where rows share a key, a sweep would find some of them, of which the newest need not be the newest of all.
  if (position?.horizon === undefined || !unique) return 'too-old'
  const age = BigInt(horizon) - BigInt(position.horizon)
  return age < 0n || age >= XID_HALF ? 'too-old' : { column: null, horizon: position.horizon, before: null }
}

interface Edge {
  readonly to: bigint | null
  readonly toClosed: boolean
  /** What the watermark may become; null: nothing can be said. */
  readonly bound: bigint | null
  readonly now: bigint | null
  readonly heldBy: readonly Hold[]
}

/** Read up to now where repeating is harmless, else up to the bound; the watermark becomes the bound. */
function timeEdge(look: Look, late: LatePlan): Edge {
  const { looks, pipeline, repeatable, position, cursor } = look
  if (late.mode !== 'bound') {
    const now = looks.now()
    const bound = now - (pipeline.lateRows.kind === 'lag' ? BigInt(Math.round(pipeline.lateRows.seconds * 1e6)) : 0n)
    return { to: repeatable ? now : bound, toClosed: repeatable, bound, now, heldBy: [] }
  }
  // Now comes first: who starts between the two looks starts after it.
  const now = looks.now()
  const open = looks.activity()
  const oldest = open.reduce<bigint | null>((least, start) => (least === null || start < least ? start : least), null)
  const safe = (oldest !== null && oldest < now ? oldest : now) - looks.marginMicros
  // After that: a transaction leaves the open ones for the prepared ones, never the other way.
  const prepared = looks.preparedWriters(pipeline)
  const bound = prepared > 0 ? null : safe
  const heldBy = [
    ...(oldest === null ? [] : [hold('transaction')]),
    ...Array.from({ length: prepared }, () => hold('prepared-transaction')),
  ]
  if (repeatable) return { to: now, toClosed: true, bound, now, heldBy }
  const old = position?.value == null ? null : readValue(cursor, position.value)
  // While someone holds, also a full load goes no further than the rows that were delivered: its watermark is where it ended.
  return { to: bound ?? old ?? NEVER, toClosed: false, bound: bound ?? old, now, heldBy }
}

/** For a number: up to the greatest there is, which is fixed here. */
function numberEdge({ looks, pipeline }: Look): Edge {
  const top = looks
    .candidates(pipeline)
    .reduce<bigint | null>((greatest, { cursor }) => (cursor === null ? greatest : later(greatest, cursor)), null)
  // Of an empty table nothing is read: a row that comes only now has no place in the position.
  return { to: top ?? NEVER, toClosed: true, bound: top, now: null, heldBy: [] }
}

/** A reload reads [from, to) again and leaves the position where it is. */
function reloadHead({ cursor, request, position, repeatable, looks, pipeline }: Look, late: LatePlan): Head {
  const from = request.from === null ? null : readValue(cursor, request.from)
  const to = request.to === null ? null : readValue(cursor, request.to)
  const delivered = position?.value == null ? null : readValue(cursor, position.value)
  // What append has not delivered yet would come a second time with the next run.
  const capped = !repeatable && delivered !== null && (to === null || to > delivered)
  const range: CursorRange = {
    from: text(from),
    fromOpen: false,
    to: text(capped ? delivered : to),
    toClosed: capped && cursor.family === 'number',
    changedSince: null,
    nulls: false,
    everything: false,
  }
  const estimatedRows = looks.candidates(pipeline).filter((row) => isInside(range, row, looks.isChanged)).length
  const slice: Slice = { after: position, upTo: position ?? watermark(cursor, null, undefined), range, estimatedRows, sweeps: false }
  const nothing = !repeatable && delivered === null
  return {
    slice: nothing ? null : slice,
    late: { ...late, reason: `${late.reason}; a reload does not move the watermark` },
    heldBy: [],
    waiting: 0,
    nullCursors: 0,
  }
}

function hold(kind: Hold['kind']): Hold {
  return { kind, pid: null, application: null, ageSeconds: null }
}

function later(a: bigint | null, b: bigint | null): bigint | null {
  return a === null || (b !== null && b > a) ? b : a
}

function text(value: bigint | null): string | null {
  return value === null ? null : String(value)
}
