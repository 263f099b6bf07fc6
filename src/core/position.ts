// How far a pipeline has delivered. Stored as canonical JSON in the state table: the truth from which every run begins.

import { LoadError } from './errors.ts'

export interface WatermarkPosition {
  readonly kind: 'watermark'
  /** Exact text as the source prints it; null while nothing but NULL or swept rows was delivered. */
  readonly value: string | null
  /** The same instant in UTC without zone, for people and for `last_watermark`; absent where the cursor is no time. */
  readonly time?: string
  /** Transactions of the source from this number on may not have been seen yet (`sweep`, `xid8`). */
  readonly horizon?: string
  /** A first load in slices is under way: rows of one key may stand in the target several times, the newest with the highest cursor. */
  readonly filling?: true
}

export interface LogPosition {
  readonly kind: 'log'
  /** Between two transactions; opaque outside of its connector. */
  readonly at: string
  /** By the source's clock: nothing that was committed until then is missing. ISO 8601, in UTC. */
  readonly time?: string
  /** Tables of the source that are not in the target as of `at`: they are copied before anything else. */
  readonly copying?: readonly string[]
  /** The target table, by its identity, that was made for one of them and is not filled yet. */
  readonly table?: string
}

export type Position =
  | WatermarkPosition
  /**
   * The ledger holds the detail. `table`: the target table, by its identity, that the pipeline made and has not filled yet.
   * `refreshing`: a full refresh is under way, and rows from before it may be of no partition any more.
   */
  | { readonly kind: 'partitions'; readonly table?: string; readonly refreshing?: true }
  /**
   * A first load in pieces, or the copy of several tables, is under way. `at`: what the pieces read and where they lead, opaque outside of
   * the engine. `done`: target tables, by their identity, that were made for it and filled.
   */
  | { readonly kind: 'snapshot'; readonly at: string; readonly done: readonly string[]; readonly table?: string }
  | LogPosition

/** Canonical JSON: keys in a fixed order, so that equal positions have equal text. */
export function printPosition(position: Position): string {
  const entries = Object.entries(position).filter(([, value]) => value !== undefined)
  const rank = (key: string): number => (key === 'kind' ? 0 : key === 'value' || key === 'at' ? 1 : 2)
  entries.sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
  return JSON.stringify(Object.fromEntries(entries))
}

/** Throws `state-corrupted` for anything that `printPosition` would not have written. */
export function parsePosition(text: string, pipeline: string): Position {
  const broken = (why: string): LoadError => new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} ${why}.`)
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch (cause) {
    throw new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} is not JSON.`, { cause })
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw broken('is not an object')
  const value = raw as Record<string, unknown>
  const textual = (key: string): boolean => typeof value[key] === 'string'
  const known: Record<string, readonly string[]> = {
    watermark: ['kind', 'value', 'time', 'horizon', 'filling'],
    partitions: ['kind', 'table', 'refreshing'],
    snapshot: ['kind', 'at', 'done', 'table'],
    log: ['kind', 'at', 'time', 'copying', 'table'],
  }
  const allowed = typeof value['kind'] === 'string' ? known[value['kind']] : undefined
  if (allowed === undefined) throw broken('is of no known kind; a newer tidemark may have written it')
  for (const key of Object.keys(value)) if (!allowed.includes(key)) throw broken(`has an unknown part "${key}"`)
  if (value['kind'] === 'watermark') {
    if (!textual('value') && value['value'] !== null) throw broken('has no value')
    if ('time' in value && !textual('time')) throw broken('has a broken time')
    if ('horizon' in value && !(textual('horizon') && /^\d+$/.test(value['horizon'] as string))) throw broken('has a broken horizon')
    if ('filling' in value && value['filling'] !== true) throw broken('has a broken mark')
  } else if ('table' in value && !textual('table')) throw broken('has a broken table')
  else if ('refreshing' in value && value['refreshing'] !== true) throw broken('has a broken mark')
  else if (value['kind'] === 'log' && !textual('at')) throw broken('has no place in the log')
  else if ('time' in value && !textual('time')) throw broken('has a broken time')
  else if ('copying' in value && !(Array.isArray(value['copying']) && value['copying'].every((name) => typeof name === 'string')))
    throw broken('has a broken list of tables')
  return value as unknown as Position
}

/** The watermark in a position, as people know it; null for every other kind. */
export function watermarkOf(position: Position | null): string | null {
  return position?.kind === 'watermark' ? position.value : null
}

/** The target table, by its identity, that the pipeline made and has not filled yet; null where there is none. */
export function tableInMaking(position: Position | null): string | null {
  return position === null || position.kind === 'watermark' ? null : (position.table ?? null)
}

const SHORT = 40

/** A place in a log for people: that in many topics is longer than anybody reads. */
export function placeInLog({ at }: LogPosition): string {
  return at.length <= SHORT ? at : `${at.slice(0, SHORT - 1)}…`
}

/** Is a full refresh in partitions under way? */
export function isRefreshing(position: Position | null): boolean {
  return position?.kind === 'partitions' && position.refreshing === true
}

/**
 * The position while partitions are on their way: `made` is the table that was just made for them, and `refresh` says that what stood
 * there before is to give way.
 */
export function positionOnTheWay(first: Position, now: Position | null, made: string | null, refresh: boolean): Position {
  if (first.kind === 'watermark') return now ?? first
  if (made !== null) return { ...first, table: made }
  if (!refresh || first.kind !== 'partitions') return now ?? first
  const table = tableInMaking(now)
  return { ...first, ...(table === null ? {} : { table }), refreshing: true }
}

/**
 * The position where a run of partitions or pieces ends with everything in. Another run may have finished a first load already, and
 * moved on; or begun a full refresh, whose end only a run that knows of it can make (`refreshes`).
 */
export function positionAtEnd(now: Position, last: Position, refreshes: boolean): Position {
  return now.kind === 'watermark' || (isRefreshing(now) && !refreshes) ? now : last
}

export function isFilling(position: Position | null): boolean {
  return position?.kind === 'watermark' && position.filling === true
}
