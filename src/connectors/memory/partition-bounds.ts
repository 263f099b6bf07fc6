// The partitions of a memory table: of a time by units of a fixed length in UTC, of a value, of numbers by size, or in buckets. Bounds
// are whole numbers as text, for a time the microseconds.

import { LoadError } from '../../core/errors.ts'
import { isReload, type RunRequest } from '../../core/head.ts'
import { type Partition, type PartitionBy, type PartitionUnit, rangeKey, valueKey } from '../../core/partition.ts'
import type { ResolvedPartitions } from '../../core/pipeline.ts'
import type { Value } from './database.ts'

export interface Cut extends Partition {
  readonly closed: boolean
}

const HOUR = 3_600_000_000n
const DAY = 24n * HOUR
/** 1970-01-01 was a Thursday. */
const FIRST_MONDAY = 4n * DAY
const UNITS: Partial<Record<PartitionUnit, { readonly micros: bigint; readonly from: bigint; readonly key: (at: Date) => string }>> = {
  hour: { micros: HOUR, from: 0n, key: (at) => at.toISOString().slice(0, 13) },
  day: { micros: DAY, from: 0n, key: (at) => at.toISOString().slice(0, 10) },
  week: { micros: 7n * DAY, from: FIRST_MONDAY, key: (at) => `week of ${at.toISOString().slice(0, 10)}` },
}

/** In order. `values` are those that there are, without NULL; rows of a time before `settledBefore` come no more. */
export function partitionsOf(
  pipeline: ResolvedPartitions,
  request: RunRequest,
  values: readonly Exclude<Value, null>[],
  settledBefore: bigint,
): readonly Cut[] {
  const { by, name } = pipeline
  if (isReload(request) && (by.kind === 'list' || by.kind === 'hash'))
    throw new LoadError('bad-usage', `The partitions of pipeline ${name} have no order, so that none lie between two values.`)
  switch (by.kind) {
    case 'time':
      return byTime(by, request, numbers(pipeline, values), settledBefore)
    case 'range':
      return bySize(by.size, request, numbers(pipeline, values))
    case 'list':
      return (by.values ?? [...new Set(values.map(String))].sort()).map((value) => ({
        key: valueKey(value),
        bounds: { kind: 'value', value },
        closed: false,
      }))
    case 'hash':
      return Array.from({ length: by.buckets }, (_, bucket) => ({
        key: `bucket-${bucket}`,
        bounds: { kind: 'bucket', bucket, of: by.buckets },
        closed: false,
      }))
    case 'rows':
      throw new LoadError(
        'unusable-partition',
        'Memory keeps no statistics, by which a table could be cut into ranges of about so many rows.',
      )
  }
}

function numbers({ by, name }: ResolvedPartitions, values: readonly Exclude<Value, null>[]): readonly bigint[] {
  if (values.every((value) => typeof value === 'bigint')) return values
  throw new LoadError('unusable-partition', `Column "${by.column}" of pipeline ${name} is a text; it can't be cut into ranges.`)
}

function byTime(
  { unit, first, last }: Extract<PartitionBy, { kind: 'time' }>,
  { from, to }: RunRequest,
  values: readonly bigint[],
  settledBefore: bigint,
): readonly Cut[] {
  const measure = UNITS[unit]
  if (measure === undefined)
    throw new LoadError('unusable-partition', `Memory can't cut a time by ${unit}, only by units of a fixed length.`)
  const [least, most] = ends(values)
  const begin = given(from ?? first) ?? least
  const end = to === null ? (given(last) ?? most) : BigInt(to) - 1n
  if (begin === null || end === null) return []
  const cuts: Cut[] = []
  for (let lower = floorTo(begin - measure.from, measure.micros) + measure.from; lower <= end; lower += measure.micros) {
    const upper = lower + measure.micros
    const key = measure.key(new Date(Number(lower / 1000n)))
    cuts.push({ key, bounds: { kind: 'range', lower: String(lower), upper: String(upper) }, closed: upper <= settledBefore })
  }
  return cuts
}

function bySize(size: bigint, { from, to }: RunRequest, values: readonly bigint[]): readonly Cut[] {
  const [least, most] = ends(values)
  if (least === null || most === null) return []
  const last = floorTo(most, size)
  const cuts: Cut[] = []
  for (let lower = floorTo(least, size); lower <= last; lower += size) {
    const upper = lower + size
    if ((from !== null && upper <= BigInt(from)) || (to !== null && lower >= BigInt(to))) continue
    // Numbers are handed out in order but committed in any: the last two ranges may still get rows.
    const bounds = { kind: 'range', lower: String(lower), upper: String(upper) } as const
    cuts.push({ key: rangeKey(lower, upper), bounds, closed: upper < last })
  }
  return cuts
}

function ends(values: readonly bigint[]): readonly [least: bigint | null, most: bigint | null] {
  const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  return [sorted[0] ?? null, sorted.at(-1) ?? null]
}

function given(text: string | null): bigint | null {
  if (text === null) return null
  if (!/^-?\d+$/.test(text)) throw new LoadError('bad-value', `"${text}" is no time in microseconds.`)
  return BigInt(text)
}

function floorTo(value: bigint, size: bigint): bigint {
  const rest = value % size
  return value - (rest < 0n ? rest + size : rest)
}
