// How far a table or query of Snowflake can be read now: the slice, fixed before its first row is read. Every look that reads rows needs
// the warehouse; there is one for all counts.

import { LoadError } from '../../core/errors.ts'
import type { Head, Hold, LatePlan, RunRequest } from '../../core/head.ts'
import { printSource, type ResolvedPipeline } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import type { WatermarkPosition } from '../../core/position.ts'
import type { CursorRange, Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import type { Table } from '../../core/table.ts'
import { before, chooseLateRows, readNow, safeBound, seesTransactions } from './bound.ts'
import { type Cursor, cursorLiteral, cursorOf, cursorText, cursorTime, watermarkAt, watermarkOfText } from './cursor.ts'
import { filterOf, rangePredicate, relation } from './predicate.ts'
import type { Session } from './session.ts'

interface Look {
  readonly session: Session
  readonly pipeline: ResolvedPipeline
  readonly cursor: Cursor
  readonly from: string
  readonly position: WatermarkPosition | null
  readonly state: State | null
  readonly request: RunRequest
  readonly repeatable: boolean
}

const NEVER: CursorRange = { from: null, fromOpen: false, to: null, toClosed: false, changedSince: null, nulls: false, everything: false }

export async function readHead(
  session: Session,
  pipeline: ResolvedPipeline,
  table: Table,
  state: State | null,
  request: RunRequest,
): Promise<Head> {
  const cursor = cursorOf(pipeline, table)
  const position = state?.position.kind === 'watermark' ? state.position : null
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const look: Look = { session, pipeline, cursor, from, position, state, request, repeatable: isRepeatable(pipeline.write) }
  const asks = pipeline.lateRows.kind === 'auto' || pipeline.lateRows.kind === 'bound'
  const late = chooseLateRows(pipeline, cursor, asks && cursor.family !== 'number' && (await seesTransactions(session)))
  if (request.from !== null || request.to !== null) return reloadHead(look, late)
  const edge = cursor.family === 'number' ? await numberEdge(look) : await timeEdge(look, late)
  const { slice, whole, everything } = await sliceTo(look, edge)
  const { inside, waiting, nulls } = await countRows(look, slice.range, edge.now)
  if (nulls > 0 && pipeline.nullCursor === 'error')
    throw new LoadError(
      'null-cursor',
      `${nulls} ${nulls === 1 ? 'row' : 'rows'} of ${printSource(pipeline)} have no value in cursor "${cursor.name}".`,
    )
  // Of an empty table append reads nothing: a row that comes only now has no place in the position yet.
  const bottomless = !look.repeatable && cursor.family === 'number' && slice.range.to === null
  const empty = bottomless || (inside === 0 && !whole && !(state === null && everything))
  return { slice: empty ? null : { ...slice, estimatedRows: inside }, late, heldBy: edge.heldBy, waiting, nullCursors: nulls }
}

interface Edge {
  readonly to: string | null
  readonly toClosed: boolean
  /** What the watermark may become, as SQL; null: nothing can be said. */
  readonly bound: string | null
  /** As SQL, of the cursor's type; null for numbers. */
  readonly now: string | null
  readonly heldBy: readonly Hold[]
}

/** Read up to now where repeating is harmless, else up to the bound; the watermark becomes the bound. */
async function timeEdge({ session, cursor, pipeline, repeatable }: Look, late: LatePlan): Promise<Edge> {
  const lag = pipeline.lateRows.kind === 'lag' ? pipeline.lateRows.seconds : 0
  const found = late.mode === 'bound' ? await safeBound(session) : await laggedBound(session, lag)
  const now = cursorTime(cursor, found.now)
  const bound = cursorTime(cursor, found.bound)
  const edge = await session.value(`SELECT ${cursorText(cursor, repeatable ? now : bound)}`)
  return { to: edge, toClosed: repeatable, bound, now, heldBy: found.heldBy }
}

async function laggedBound(session: Session, seconds: number): Promise<{ now: string; bound: string; heldBy: readonly Hold[] }> {
  const now = await readNow(session)
  return { now, bound: before(now, seconds * 1000), heldBy: [] }
}

/** For a number: up to the greatest there is, which is fixed here. */
async function numberEdge({ session, cursor, from, pipeline }: Look): Promise<Edge> {
  const filter = filterOf(pipeline)
  const where = filter === null ? '' : ` WHERE ${filter}`
  const top = await session.value(
    `SELECT ${cursorText(cursor, 'm.top')} FROM (SELECT MAX(${cursor.column}) AS top FROM ${from}${where}) AS m`,
  )
  return { to: top, toClosed: true, bound: top, now: null, heldBy: [] }
}

/** What is read, and what the watermark becomes. It never goes back: where the new one is lower, the old one stays, or the start. */
async function sliceTo(look: Look, edge: Edge): Promise<{ slice: Slice; whole: boolean; everything: boolean }> {
  const { session, cursor, position, pipeline, request, repeatable } = look
  const whole = request.fullRefresh || pipeline.write === 'replace'
  const everything = whole || position === null || position.value === null
  const start = pipeline.start === null ? null : (await watermarkOfText(session, cursor, pipeline.start)).value
  const stored = request.fullRefresh ? null : (position?.value ?? null)
  const options = [edge.bound, ...[stored ?? start].flatMap((value) => (value === null ? [] : [cursorLiteral(cursor, value)]))]
  const known = options.filter((option) => option !== null)
  const upTo: WatermarkPosition =
    known.length === 0
      ? { kind: 'watermark', value: null }
      : await watermarkAt(session, cursor, known.length === 1 ? (known[0] ?? '') : `GREATEST(${known.join(', ')})`)
  const range: CursorRange = {
    from: everything ? start : (position?.value ?? start),
    fromOpen: !everything && cursor.family === 'number' && !repeatable,
    to: edge.to,
    toClosed: edge.toClosed,
    changedSince: null,
    nulls: pipeline.nullCursor === 'include',
    everything: repeatable && whole && start === null,
  }
  return { slice: { after: position, upTo, range, estimatedRows: null, sweeps: everything }, whole, everything }
}

async function countRows(look: Look, range: CursorRange, now: string | null): Promise<{ inside: number; waiting: number; nulls: number }> {
  const { session, cursor, from, pipeline } = look
  const filter = filterOf(pipeline)
  const [row] = await session.rows(
    `SELECT COUNT_IF(${rangePredicate({ ...pipeline, where: null }, cursor, range)}) AS inside, ${
      now === null ? '0' : `COUNT_IF(${cursor.column} > ${now})`
    } AS waiting, COUNT_IF(${cursor.column} IS NULL) AS nulls FROM ${from}${filter === null ? '' : ` WHERE ${filter}`}`,
  )
  return { inside: Number(row?.['inside'] ?? 0), waiting: Number(row?.['waiting'] ?? 0), nulls: Number(row?.['nulls'] ?? 0) }
}

/** A reload reads [from, to) again and leaves the position where it is. */
async function reloadHead(look: Look, late: LatePlan): Promise<Head> {
  const { session, cursor, request, position, repeatable, pipeline } = look
  const value = async (text: string | null): Promise<string | null> =>
    text === null ? null : (await watermarkOfText(session, cursor, text)).value
  const from = await value(request.from)
  const to = await value(request.to)
  const delivered = position?.value ?? null
  // What append has not delivered yet would come a second time with the next run.
  const capped = !repeatable && delivered !== null && (to === null || (await isAbove(session, cursor, to, delivered)))
  const range: CursorRange = { ...NEVER, from, to: capped ? delivered : to, toClosed: capped && cursor.family === 'number' }
  const { inside } = await countRows(look, range, null)
  const upTo: WatermarkPosition = position ?? { kind: 'watermark', value: null }
  return {
    slice: !repeatable && delivered === null ? null : { after: position, upTo, range, estimatedRows: inside, sweeps: false },
    late: { ...late, reason: `${late.reason}; a reload does not move the watermark of ${pipeline.name}` },
    heldBy: [],
    waiting: 0,
    nullCursors: 0,
  }
}

export async function isAbove(session: Session, cursor: Cursor, value: string, other: string): Promise<boolean> {
  return /^(true|1)$/i.test((await session.value(`SELECT ${cursorLiteral(cursor, value)} > ${cursorLiteral(cursor, other)}`)) ?? '')
}
