// How far a watermark pipeline can be read now: the slice, fixed before its first row is read.

import { LoadError } from '../../core/errors.ts'
import type { Head, Hold, LatePlan, RunRequest } from '../../core/head.ts'
import { printSource, type ResolvedPipeline } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import type { ChangedSince, CursorRange, Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import { cursorBound, cursorTime, safeBound } from './bound.ts'
import { type Cursor, cursorLiteral, cursorOf, position as positionOf, utc, watermark } from './cursor.ts'
import { type PostgresTable, relation } from './describe.ts'
import { chooseLateRows, type Surroundings, SWEEP_EVERY } from './late-rows.ts'
import { filterOf, rangePredicate } from './predicate.ts'
import type { Session } from './session.ts'

/** Rows written so many transactions ago that xmin no longer tells their age. */
const XID_HALF = 2n ** 31n

interface Look {
  readonly session: Session
  readonly pipeline: ResolvedPipeline
  readonly table: PostgresTable
  readonly cursor: Cursor
  readonly state: State | null
  readonly position: WatermarkPosition | null
  readonly request: RunRequest
  readonly repeatable: boolean
}

export async function readHead(
  session: Session,
  pipeline: ResolvedPipeline,
  table: PostgresTable,
  state: State | null,
  request: RunRequest,
): Promise<Head> {
  const cursor = cursorOf(pipeline, table)
  const position = state?.position.kind === 'watermark' ? state.position : null
  const look: Look = { session, pipeline, table, cursor, state, position, request, repeatable: isRepeatable(pipeline.write) }
  const late = chooseLateRows(pipeline, table, cursor, await surroundings(session, table))
  if (request.from !== null || request.to !== null) return reloadHead(look, late)
  const limits = await readLimits(look, late)
  const { found, waiting, nulls } = await countRows(look, limits)
  refuseNullCursors(look, nulls)
  const due = limits.late.mode === 'bound+sweep'
  const slice: Slice = {
    after: position,
    upTo: limits.upTo,
    range: limits.range,
    estimatedRows: found ? await estimate(look, limits.range) : 0,
    sweeps: limits.range.changedSince !== null && limits.range.changedSince.column === null,
  }
  // What replaces a whole table also carries over that nothing is left of it.
  // Of an empty table append reads nothing: a row that comes only now has no place in the position yet.
  const bottomless = !look.repeatable && cursor.family === 'number' && limits.range.to === null
  const empty = bottomless || (!found && !due && !limits.whole && !(state === null && limits.everything))
  return { slice: empty ? null : slice, late: limits.late, heldBy: limits.heldBy, waiting, nullCursors: nulls }
}

async function surroundings(session: Session, table: PostgresTable): Promise<Surroundings> {
  const [row] = await session.query(
    `SELECT pg_is_in_recovery() AS standby, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees,
            EXISTS (SELECT 1 FROM pg_subscription_rel WHERE srrelid = ANY ($1::oid[])) AS subscribed`,
    [`{${table.oids.join(',')}}`],
  )
  return { standby: row?.['standby'] === 't', seesSessions: row?.['sees'] === 't', subscribed: row?.['subscribed'] === 't' }
}

interface Limits {
  readonly range: CursorRange
  readonly upTo: WatermarkPosition
  readonly late: LatePlan
  readonly heldBy: readonly Hold[]
  /** Now, as the cursor would show it; null for numbers. */
  readonly now: string | null
  readonly everything: boolean
  /** The target becomes exactly what is read. */
  readonly whole: boolean
}

/** What is read, and what the watermark becomes. */
async function readLimits(look: Look, late: LatePlan): Promise<Limits> {
  const { session, cursor, position, pipeline, table, request, repeatable } = look
  const horizon = await currentHorizon(session)
  const edge = cursor.family === 'number' ? await numberEdge(look) : await timeEdge(look, late)
  const whole = request.fullRefresh || pipeline.write === 'replace'
  const first = whole || position === null || position.value === null
  const since = first ? null : changedSince(look, late, horizon)
  const sweeping = since !== null && since !== 'too-old' && since.column === null
  const everything = first || since === 'too-old'
  const swept = everything || sweeping || late.mode === 'xid8'
  const sweepable = table.relationKind === 'r' || table.relationKind === 'p' || table.relationKind === 'm'
  const startAt = pipeline.start === null ? null : (await positionOf(session, cursor, pipeline.start)).value
  const value = await laterOf(look, edge.position?.value ?? null, edge.now, startAt)
  const nextHorizon = !sweepable && late.mode !== 'xid8' ? undefined : swept || position?.horizon === undefined ? horizon : position.horizon
  const xid8Since: ChangedSince | null =
    pipeline.lateRows.kind === 'xid8'
      ? { column: pipeline.lateRows.column, horizon: first ? '0' : (position?.horizon ?? '0'), before: repeatable ? null : horizon }
      : null
  return {
    now: edge.now,
    heldBy: value.clockBehind ? [...edge.heldBy, { kind: 'clock', pid: null, application: null, ageSeconds: null }] : edge.heldBy,
    everything,
    whole,
    late: sweeping && late.mode === 'bound' ? { mode: 'bound+sweep', reason: `${late.reason}; a sweep was due` } : late,
    upTo: watermark(value.value, value.time, { horizon: nextHorizon }),
    range: {
      from: everything ? startAt : (position?.value ?? startAt),
      fromOpen: !everything && cursor.family === 'number' && (late.mode === 'sweep' || !repeatable),
      to: edge.to,
      toClosed: edge.toClosed,
      changedSince: xid8Since ?? (sweeping ? since : null),
      nulls: pipeline.nullCursor === 'include',
      everything: repeatable && whole && startAt === null,
    },
  }
}

/** The source's oldest transaction still open: rows of all older ones are visible to every later snapshot. */
async function currentHorizon(session: Session): Promise<string> {
  const [row] = await session.query('SELECT txid_snapshot_xmin(txid_current_snapshot()) AS horizon')
  return row?.['horizon'] ?? '0'
}

function changedSince(look: Look, late: LatePlan, horizon: string): ChangedSince | 'too-old' | null {
  const { position, state, request } = look
  const due = (state?.unswept ?? 0) + 1 >= SWEEP_EVERY || request.sweep
  if (late.mode !== 'sweep' && !(late.mode === 'bound' && due && position?.horizon !== undefined && look.repeatable)) return null
  // Without a horizon, or after so many transactions that xmin has wrapped, only a full read is sure.
  if (
    position?.horizon === undefined ||
    BigInt(horizon) - BigInt(position.horizon) >= XID_HALF ||
    BigInt(horizon) < BigInt(position.horizon)
  )
    return 'too-old'
  return { column: null, horizon: position.horizon, before: null }
}

interface Edge {
  readonly to: string | null
  readonly toClosed: boolean
  readonly position: { readonly value: string; readonly time: string | null } | null
  readonly now: string | null
  readonly heldBy: readonly Hold[]
}

/** For a time: read up to now where repeating is harmless, else up to the bound; the watermark becomes the bound. */
async function timeEdge(look: Look, late: LatePlan): Promise<Edge> {
  const { session, cursor, pipeline, table, repeatable } = look
  const bounded = late.mode === 'bound'
  const lag = pipeline.lateRows.kind === 'lag' ? pipeline.lateRows.seconds : 0
  if (!bounded) {
    const [row] = await session.query(
      `WITH c AS (SELECT clock_timestamp() AS now), b AS (SELECT now - ${lag} * interval '1 second' AS bound FROM c)
       SELECT ${cursorTime(cursor, 'c.now')}::text AS now, ${cursorBound(cursor, 'b.bound')}::text AS bound, ${utc(cursor, cursorBound(cursor, 'b.bound'))} AS time FROM c, b`,
    )
    const bound = { value: row?.['bound'] ?? '', time: row?.['time'] ?? null }
    const now = row?.['now'] ?? null
    return { to: repeatable ? now : bound.value, toClosed: repeatable, position: bound, now, heldBy: [] }
  }
  const { now, bound, boundTime, heldBy } = await safeBound(session, cursor, table)
  const position = bound === null ? null : { value: bound, time: boundTime }
  if (repeatable) return { to: now, toClosed: true, position, now, heldBy }
  // While someone holds, also a full load goes no further than the rows that were delivered: its watermark is where it ended.
  const delivered = look.position?.value ?? null
  if (bound === null && delivered !== null) {
    return { to: delivered, toClosed: false, position: { value: delivered, time: look.position?.time ?? null }, now, heldBy }
  }
  return { to: bound ?? '-infinity', toClosed: false, position, now, heldBy }
}

/** For a number: up to the greatest there is, which is fixed here. */
async function numberEdge(look: Look): Promise<Edge> {
  const { session, cursor, pipeline, table } = look
  const filter = filterOf(pipeline)
  const [row] = await session.query(
    `SELECT max(${cursor.column})::text AS top FROM ${relation(look.pipeline.source.table === null ? null : table.name, pipeline.source.query)}${filter === null ? '' : ` WHERE ${filter}`}`,
  )
  const top = row?.['top'] ?? null
  return { to: top, toClosed: true, position: top === null ? null : { value: top, time: null }, now: null, heldBy: [] }
}

/** A watermark never goes back: where the new one is lower (a clock stepped back, someone holds), the old one stays, or the start. */
async function laterOf(
  { session, cursor, position, request }: Look,
  value: string | null,
  now: string | null,
  startAt: string | null,
): Promise<{ value: string | null; time: string | null; clockBehind: boolean }> {
  const stored = request.fullRefresh ? null : (position?.value ?? null)
  const old = stored ?? startAt
  if (value === null && old === null) return { value: null, time: null, clockBehind: false }
  const options = [value, old].filter((option) => option !== null).map((option) => cursorLiteral(cursor, option))
  const later = options.length === 1 ? options[0] : `greatest(${options.join(', ')})`
  const behind = now === null || stored === null ? 'false' : `${cursorLiteral(cursor, now)} < ${cursorLiteral(cursor, stored)}`
  const [row] = await session.query(`SELECT (${later})::text AS value, ${utc(cursor, `(${later})`)} AS time, ${behind} AS behind`)
  return { value: row?.['value'] ?? null, time: row?.['time'] ?? null, clockBehind: row?.['behind'] === 't' }
}

/** Is there anything to read; what waits; what has no cursor. Indexed or few looks where possible. */
async function countRows(look: Look, limits: Limits): Promise<{ found: boolean; waiting: number; nulls: number }> {
  const { session, cursor, pipeline, table } = look
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const filter = filterOf(pipeline)
  const and = filter === null ? '' : ` AND ${filter}`
  const future = limits.now === null ? null : `${cursor.column} > ${cursorLiteral(cursor, limits.now)}`
  const inside = rangePredicate(pipeline, cursor, { ...limits.range, nulls: false })
  const counts = cursor.indexed
    ? `SELECT EXISTS (SELECT 1 FROM ${from} WHERE ${inside}) AS found,
              ${future === null ? '0' : `(SELECT count(*) FROM ${from} WHERE ${future}${and})`} AS waiting,
              ${cursor.nullable ? `(SELECT count(*) FROM ${from} WHERE ${cursor.column} IS NULL${and})` : '0'} AS nulls`
    : `SELECT count(*) FILTER (WHERE ${inside}) > 0 AS found, ${future === null ? '0' : `count(*) FILTER (WHERE ${future})`} AS waiting,
              count(*) FILTER (WHERE ${cursor.column} IS NULL) AS nulls FROM ${from}${filter === null ? '' : ` WHERE ${filter}`}`
  const [row] = await session.query(counts)
  const nulls = Number(row?.['nulls'] ?? 0)
  return { found: row?.['found'] === 't' || (nulls > 0 && limits.range.nulls), waiting: Number(row?.['waiting'] ?? 0), nulls }
}

function refuseNullCursors({ pipeline, cursor }: Look, nulls: number): void {
  if (nulls > 0 && pipeline.nullCursor === 'error')
    throw new LoadError(
      'null-cursor',
      `${nulls} ${nulls === 1 ? 'row' : 'rows'} of ${printSource(pipeline)} have no value in cursor "${cursor.name}".`,
    )
}

/** The planner's estimate: good enough to divide by and to show. */
async function estimate({ session, cursor, pipeline, table }: Look, range: CursorRange): Promise<number | null> {
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const [row] = await session.query(`EXPLAIN (FORMAT JSON) SELECT 1 FROM ${from} WHERE ${rangePredicate(pipeline, cursor, range)}`)
  const rows = /"Plan Rows": (\d+)/.exec(row?.['QUERY PLAN'] ?? '')?.[1]
  return rows === undefined ? null : Number(rows)
}

/** A reload reads [from, to) again and leaves the position where it is. */
async function reloadHead(look: Look, late: LatePlan): Promise<Head> {
  const { session, cursor, request, position, pipeline } = look
  const value = async (text: string | null): Promise<string | null> =>
    text === null ? null : ((await valueAt(session, cursor, text)).value ?? null)
  const from = await value(request.from)
  const to = await value(request.to)
  const delivered = position?.value ?? null
  // What append has not delivered yet would come a second time with the next run.
  const capped = !look.repeatable && delivered !== null && (to === null || (await isAbove(look, to, delivered)))
  const range: CursorRange = {
    from,
    fromOpen: false,
    to: capped ? delivered : to,
    toClosed: capped && cursor.family === 'number',
    changedSince: null,
    nulls: false,
    everything: false,
  }
  const upTo = position ?? watermark(null, null)
  const slice: Slice = { after: position, upTo, range, estimatedRows: await estimate(look, range), sweeps: false }
  return {
    slice: !look.repeatable && delivered === null ? null : slice,
    late: { ...late, reason: `${late.reason}; a reload does not move the watermark of ${pipeline.name}` },
    heldBy: [],
    waiting: 0,
    nullCursors: 0,
  }
}

async function isAbove({ session, cursor }: Look, value: string, other: string): Promise<boolean> {
  const [row] = await session.query(`SELECT ${cursorLiteral(cursor, value)} > ${cursorLiteral(cursor, other)} AS above`)
  return row?.['above'] === 't'
}

/** Throws `bad-value` for a text that is no value of the cursor's type. */
export async function valueAt(session: Session, cursor: Cursor, text: string): Promise<WatermarkPosition> {
  try {
    return await positionOf(session, cursor, text)
  } catch (error) {
    if (error instanceof LoadError && error.code === 'value-refused')
      throw new LoadError('bad-value', `"${text}" is no value of cursor "${cursor.name}", which is ${cursor.declared}.`, { cause: error })
    throw error
  }
}

/**
 * Limits between slices of about `targetRows` rows, from a sample of pages: cheap whatever the table's size, and never an
 * OFFSET. Empty where the rows can't be told apart by the cursor. Each becomes a watermark, so none lies beyond the slice's own.
 */
/** The share of a slice that is left for the last one of a first load. */
const TAIL = 0.02

export async function sliceLimits(
  session: Session,
  pipeline: ResolvedPipeline,
  table: PostgresTable,
  slice: Slice,
  pieces: number,
  tail: boolean,
): Promise<readonly WatermarkPosition[]> {
  const cursor = cursorOf(pipeline, table)
  const sampled = table.relationKind === 'r' || table.relationKind === 'p' || table.relationKind === 'm'
  const percent = Math.min(100, (3_000_000 / Math.max(table.estimatedRows ?? 1, 1)) * Math.min(pieces, 30))
  const from =
    relation(pipeline.source.table === null ? null : table.name, pipeline.source.query) +
    (sampled && percent < 100 ? ` TABLESAMPLE SYSTEM (${percent}) REPEATABLE (1)` : '')
  const fractions = Array.from({ length: pieces - 1 }, (_, index) => (index + 1) / pieces)
  if (tail) fractions.push(1 - TAIL / pieces)
  const end = slice.upTo.kind === 'watermark' ? slice.upTo.value : null
  if (end === null) return []
  const plain: CursorRange = { ...slice.range, to: end, toClosed: false, changedSince: null, nulls: false, everything: false }
  const rows = await session.query(
    `WITH s AS (SELECT percentile_disc(ARRAY[${fractions.join(', ')}]) WITHIN GROUP (ORDER BY ${cursor.column}) AS p FROM ${from} WHERE ${rangePredicate(pipeline, cursor, plain)})
     SELECT DISTINCT v, v::text AS value, ${utc(cursor, 'v')} AS time FROM s, unnest(s.p) AS v WHERE v IS NOT NULL ORDER BY v`,
  )
  return rows.map((row) => watermark(row['value'] ?? null, row['time'] ?? null))
}
