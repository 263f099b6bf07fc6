// What each write strategy means, on plain rows: staged rows and the rows of a table → the rows of the table afterwards, and
// exact counts. Rows that are equal in every loaded column stay the very objects they were.

import { LoadError } from '../../core/errors.ts'
import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import { refuseShrinking } from '../../core/shrink.ts'
import type { Value } from './database.ts'
import { isInPartition } from './in-partition.ts'
import type { Cells } from './vectors.ts'

export interface Applied {
  readonly rows: readonly Cells[]
  readonly counts: RowCounts
}

type LoadMeaning = Pick<
  Load,
  'pipeline' | 'strategy' | 'key' | 'keyGuaranteed' | 'newestBy' | 'replaces' | 'rescuedBelow' | 'partition'
> & {
  readonly columns: readonly { readonly name: string }[]
}

/** `columns` are the table's, in the order of `rows`; staged rows are in the order of the load's columns. */
export function applyRows(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  load: LoadMeaning,
  staged: readonly Cells[],
): Applied {
  const places = columns.map(({ name }) => load.columns.findIndex((column) => column.name === name))
  const whole = (row: Cells, old?: Cells): Cells => places.map((place, at) => (place < 0 ? (old?.[at] ?? null) : (row[place] ?? null)))
  if (load.strategy === 'append' || (load.strategy === 'replace' && load.key.length === 0))
    return replaceRows(
      columns,
      rows,
      load,
      staged.map((row) => whole(row)),
    )
  if (load.strategy === 'overwrite-partition')
    return replacePartition(
      columns,
      rows,
      load,
      staged.map((row) => whole(row)),
    )
  const newest = oneRowPerKey(load, staged)
  return applyByKey(
    columns,
    rows,
    load,
    newest.map((row) => ({ row, whole })),
    staged.length,
  )
}

/** Without a key: all rows, those in a range, or none of them give way; the same content is left alone. */
function replaceRows(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  load: LoadMeaning,
  staged: readonly Cells[],
): Applied {
  if (load.strategy === 'append' && load.replaces === null)
    return { rows: [...rows, ...staged], counts: { ...NO_ROWS, inserted: staged.length } }
  const isReplaced = scopeOf(columns, load)
  const old = rows.filter(isReplaced)
  if (sameContent(old, staged)) return { rows, counts: { ...NO_ROWS, unchanged: staged.length } }
  return {
    rows: [...rows.filter((row) => !isReplaced(row)), ...staged],
    counts: { ...NO_ROWS, inserted: staged.length, deleted: old.length },
  }
}

/** The rows of the partition give way; `byKey`, also rows under a staged key, wherever they are. */
function replacePartition(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  load: LoadMeaning,
  staged: readonly Cells[],
): Applied {
  const { partition } = load
  if (partition === null) throw new LoadError('bug', 'overwrite-partition without a partition')
  const place = columns.findIndex(({ name }) => name === partition.column)
  const others = partition.absent ? rows : rows.filter((row) => !isInPartition(row[place] ?? null, partition.partition.bounds))
  const keyed = keyIn(columns, load.key)
  const taken = new Set(partition.byKey ? staged.map(keyed) : [])
  const kept = taken.size === 0 ? others : others.filter((row) => !taken.has(keyed(row)))
  refuseShrinking(load, rows.length - others.length, staged.length)
  return { rows: [...kept, ...staged], counts: { ...NO_ROWS, inserted: staged.length, deleted: rows.length - kept.length } }
}

/** Throws `duplicate-key` where a key that was built would not be one any more. */
export function refuseDuplicates(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  key: readonly string[],
  table: string,
): void {
  if (sharedKeys(columns, rows, key).length > 0) throw new LoadError('duplicate-key', `Rows of table ${table} share a key.`)
}

/** The rows that share their key with another. */
export function sharedKeys(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  key: readonly string[],
): readonly Cells[] {
  if (key.length === 0) return []
  const keyed = keyIn(columns, key)
  const times = new Map<string | null, number>()
  for (const row of rows) times.set(keyed(row), (times.get(keyed(row)) ?? 0) + 1)
  return rows.filter((row) => keyed(row) !== null && (times.get(keyed(row)) ?? 0) > 1)
}

function scopeOf(columns: readonly { readonly name: string }[], { replaces }: LoadMeaning): (row: Cells) => boolean {
  if (replaces === null) return () => true
  const place = columns.findIndex((column) => column.name === replaces.column)
  return (row) => {
    const value = row[place] as bigint | null
    if (value === null) return false
    return (replaces.from === null || value >= BigInt(replaces.from)) && (replaces.to === null || value < BigInt(replaces.to))
  }
}

function sameContent(a: readonly Cells[], b: readonly Cells[]): boolean {
  const sorted = (rows: readonly Cells[]): string => JSON.stringify(rows.map(contentOf).sort())
  return a.length === b.length && sorted(a) === sorted(b)
}

/** Of rows that share a key the newest stays; among equally new ones the greatest content. Throws `null-key`. */
function oneRowPerKey(load: LoadMeaning, staged: readonly Cells[]): readonly Cells[] {
  if (load.keyGuaranteed || load.key.length === 0) return staged
  const keyed = keyIn(load.columns, load.key)
  const nulls = staged.filter((row) => keyed(row) === null).length
  if (nulls > 0)
    throw new LoadError('null-key', `${nulls} rows of pipeline ${load.pipeline} have NULL in their key (${load.key.join(', ')}).`)
  const place = load.columns.findIndex((column) => column.name === load.newestBy)
  const newest = new Map<string, Cells>()
  for (const row of staged) {
    const key = keyed(row) ?? ''
    const other = newest.get(key)
    if (other === undefined || isNewer(row, other, place)) newest.set(key, row)
  }
  return [...newest.values()]
}

function isNewer(row: Cells, other: Cells, place: number): boolean {
  const [a, b] = place < 0 ? [null, null] : [row[place] ?? null, other[place] ?? null]
  if (a !== b) return b === null || (a !== null && a > b)
  return contentOf(row) > contentOf(other)
}

interface Staged {
  readonly row: Cells
  /** The row as the table holds it: what is not loaded stays as it was. */
  readonly whole: (row: Cells, old?: Cells) => Cells
}

function applyByKey(
  columns: readonly { readonly name: string }[],
  rows: readonly Cells[],
  load: LoadMeaning,
  staged: readonly Staged[],
  read: number,
): Applied {
  const keyOfOld = keyIn(columns, load.key)
  const keyOfNew = keyIn(load.columns, load.key)
  const old = new Map(rows.map((row) => [keyOfOld(row) ?? `only ${contentOf(row)}`, row]))
  const after = load.strategy === 'replace' ? new Map<string, Cells>() : new Map(old)
  const counts = { ...NO_ROWS, deduplicated: read - staged.length }
  const cursor = load.rescuedBelow === null ? -1 : load.columns.findIndex((column) => column.name === load.rescuedBelow?.column)
  for (const { row, whole } of staged) {
    const key = keyOfNew(row) ?? `only ${contentOf(row)}`
    const before = old.get(key)
    const now = whole(row, before)
    const same = before !== undefined && now.every((value, at) => value === before[at])
    if (same) counts.unchanged += 1
    else if (before === undefined) counts.inserted += 1
    else counts.updated += 1
    if (!same && load.strategy === 'delete-insert') after.delete(key)
    if (!same && isRescued(load, row[cursor] ?? null)) counts.rescued += 1
    after.set(key, same ? before : now)
  }
  if (load.strategy === 'replace') counts.deleted = [...old.keys()].filter((key) => !after.has(key)).length
  const untouched = counts.inserted + counts.updated + counts.deleted === 0
  return { rows: untouched ? rows : [...after.values()], counts }
}

function isRescued({ rescuedBelow }: LoadMeaning, cursor: Value): boolean {
  return rescuedBelow !== null && cursor !== null && (cursor as bigint) < BigInt(rescuedBelow.value)
}

/** The key of a row as text; null where a part of it is NULL. */
function keyIn(columns: readonly { readonly name: string }[], key: readonly string[]): (row: Cells) => string | null {
  const places = key.map((name) => columns.findIndex((column) => column.name === name))
  return (row) => {
    let text = ''
    for (const place of places) {
      const value = row[place] ?? null
      if (value === null) return null
      text += `${typeof value === 'string' ? value.replaceAll('\\', '\\\\').replaceAll('/', '\\/') : value}/`
    }
    return text
  }
}

/** A row as text that is equal for equal rows only. */
function contentOf(row: Cells): string {
  return JSON.stringify(row.map((value) => (typeof value === 'bigint' ? [String(value)] : value)))
}
