// What a partition is: a part of a table that can be replaced as a whole. Its bounds are data, stored before anything is read and
// never computed again; one rendering of them (sql/partition-predicate.ts) both reads the source and deletes from the target.

import { LoadError } from './errors.ts'

export const PARTITION_UNITS = ['hour', 'day', 'week', 'month', 'quarter', 'year'] as const
export type PartitionUnit = (typeof PARTITION_UNITS)[number]

/** What to do with rows whose partition column is NULL. They are a partition of their own, `(null)`, or none. */
export type NullPolicy = 'error' | 'include' | 'exclude'

/** How a pipeline's table is cut into partitions. */
export type PartitionBy = { readonly column: string; readonly nulls: NullPolicy } & (
  | {
      readonly kind: 'time'
      readonly unit: PartitionUnit
      /** Both included; as the user wrote them, such as `2024-01-01`, `-7d`, `yesterday`; null: where the rows begin and end. */
      readonly first: string | null
      readonly last: string | null
      readonly zone: string
    }
  /** `values` null: the distinct values that there are. */
  | { readonly kind: 'list'; readonly values: readonly string[] | null }
  /** Ranges whose bounds are multiples of `size`. */
  | { readonly kind: 'range'; readonly size: bigint }
  /** Ranges of about so many rows, by the planner's statistics. */
  | { readonly kind: 'rows'; readonly rows: number }
  | { readonly kind: 'hash'; readonly buckets: number }
)

/** Texts are exact, as the source prints them; a range is half-open. */
export type PartitionBounds =
  | { readonly kind: 'range'; readonly lower: string; readonly upper: string }
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'bucket'; readonly bucket: number; readonly of: number }
  | { readonly kind: 'null' }

export interface Partition {
  /** Its name for people: `2024-03-10`, `EU`, `0..999999`, `bucket-3`, `(null)`. */
  readonly key: string
  readonly bounds: PartitionBounds
}

/** A partition as the source sees it now. */
export interface SeenPartition extends Partition {
  /** Ordinary work no longer adds rows to it: its time is over, or higher numbers are in use. */
  readonly closed: boolean
  readonly estimatedRows: number | null
  readonly estimatedBytes: number | null
}

export const NULL_KEY = '(null)'
export const NULL_PARTITION: Partition = { key: NULL_KEY, bounds: { kind: 'null' } }

/** A value's own text, unless that would pass for the partition of NULL. */
export function valueKey(value: string): string {
  return value === NULL_KEY || /^".*"$/s.test(value) ? `"${value}"` : value
}

/** `0..999999` for [0, 1000000). */
export function rangeKey(lower: bigint, upper: bigint): string {
  return `${lower}..${upper - 1n}`
}

/** The two columns of the ledger that hold the bounds. */
export function boundTexts(bounds: PartitionBounds): readonly [lower: string | null, upper: string | null] {
  switch (bounds.kind) {
    case 'range':
      return [bounds.lower, bounds.upper]
    case 'value':
      return [bounds.value, bounds.value]
    case 'bucket':
      return [String(bounds.bucket), String(bounds.of)]
    case 'null':
      return [null, null]
  }
}

/** The partition in a row of the ledger; throws `state-corrupted`. */
export function storedPartition(by: PartitionBy, key: string, lower: string | null, upper: string | null): Partition {
  if (lower === null || upper === null) {
    if (key === NULL_KEY) return NULL_PARTITION
    throw new LoadError('state-corrupted', `Partition ${key} has no bounds in pipeline_partitions.`)
  }
  if (by.kind === 'list') return { key, bounds: { kind: 'value', value: lower } }
  if (by.kind === 'hash') return { key, bounds: { kind: 'bucket', bucket: Number(lower), of: Number(upper) } }
  return { key, bounds: { kind: 'range', lower, upper } }
}

/** What of the definition the stored bounds depend on. Not `first`, `last` and `values`: they only say which partitions are wanted. */
export function partitionRule(by: PartitionBy): string {
  switch (by.kind) {
    case 'time':
      return `${by.column} by ${by.unit} in ${by.zone}`
    case 'list':
      return `${by.column} by value`
    case 'range':
      return `${by.column} in ranges of ${by.size}`
    case 'rows':
      return `${by.column} in ranges of about ${by.rows} rows`
    case 'hash':
      return `${by.column} in ${by.buckets} buckets`
  }
}
