// What each partition holds, at the source and at the target, and how the two may differ at any time. A partition is known here by
// its lower bound.

import type { Value } from '../../src/connectors/memory/database.ts'
import { bucketOf } from '../../src/connectors/memory/in-partition.ts'
import type { PartitionBy } from '../../src/core/partition.ts'
import { HOUR } from './partition-scenario.ts'

/** Rows as text, in order, by partition. */
export type Contents = ReadonlyMap<string, readonly string[]>

export const NULLS = '(null)'
const NOTHING: readonly string[] = []

export function contentsOf(by: PartitionBy, rows: readonly (readonly Value[])[]): Contents {
  const found = new Map<string, string[]>()
  for (const [id = null, at = null, v = null] of rows) {
    const place = placeOf(by, at)
    const text = `${id} ${at ?? 'NULL'} ${v}`
    const some = found.get(place)
    if (some === undefined) found.set(place, [text])
    else some.push(text)
  }
  for (const some of found.values()) some.sort()
  return found
}

/** The partition in which a value lies. */
function placeOf(by: PartitionBy, value: Value): string {
  if (value === null) return NULLS
  switch (by.kind) {
    case 'time':
      return String(floorTo(value as bigint, HOUR))
    case 'range':
      return String(floorTo(value as bigint, by.size))
    case 'hash':
      return String(bucketOf(value, by.buckets))
    default:
      return String(value)
  }
}

function floorTo(value: bigint, size: bigint): bigint {
  const rest = ((value % size) + size) % size
  return value - rest
}

/** Does the pipeline want the rows of this partition? */
export function isWanted(by: PartitionBy, place: string): boolean {
  if (place === NULLS) return by.nulls === 'include'
  if (by.kind === 'list') return by.values === null || by.values.includes(place)
  if (by.kind !== 'time') return true
  const from = by.first === null ? null : floorTo(BigInt(by.first), HOUR)
  return (from === null || BigInt(place) >= from) && (by.last === null || BigInt(place) <= BigInt(by.last))
}

export function rowsIn(contents: Contents, place: string): readonly string[] {
  return contents.get(place) ?? NOTHING
}

export function idOf(row: string): string {
  return row.slice(0, row.indexOf(' '))
}

export function sameRows(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((row, at) => row === b[at])
}

/** Is `found` what the source once held there, or that without rows that are in another partition of the target by now? */
export function isOnceSeen(found: Contents, place: string, moments: readonly Contents[], keyed: boolean): boolean {
  const rows = rowsIn(found, place)
  for (let at = moments.length - 1; at >= 0; at--) if (sameRows(rows, rowsIn(moments[at] as Contents, place))) return true
  if (!keyed) return false
  const elsewhere = new Set([...found].flatMap(([other, some]) => (other === place ? [] : some.map(idOf))))
  return moments.some((moment) => {
    const then = rowsIn(moment, place)
    return rows.every((row) => then.includes(row)) && then.every((row) => rows.includes(row) || elsewhere.has(idOf(row)))
  })
}

/** What differs in the partitions that are wanted; null where nothing does. `keeps`: rows that are gone at the source may stay. */
export function findPartitionDifference(by: PartitionBy, source: Contents, target: Contents, keeps: boolean): string | null {
  for (const place of new Set([...source.keys(), ...target.keys()])) {
    if (!isWanted(by, place)) continue
    const [wanted, found] = [rowsIn(source, place), rowsIn(target, place)]
    const missing = wanted.find((row) => !found.includes(row))
    if (missing !== undefined) return `missing ${missing}`
    if (!keeps && !sameRows(wanted, found))
      return `partition ${place}: ${found.length} rows, wanted ${wanted.length}; found ${found.join(', ')}`
  }
  return null
}
