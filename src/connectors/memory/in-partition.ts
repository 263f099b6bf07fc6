// Which rows a partition's bounds mean: what `partitionPredicate` says in SQL, on a plain value.

import { createHash } from 'node:crypto'
import type { PartitionBounds } from '../../core/partition.ts'
import type { Value } from './database.ts'

export function isInPartition(value: Value, bounds: PartitionBounds): boolean {
  if (value === null || bounds.kind === 'null') return value === null && bounds.kind === 'null'
  switch (bounds.kind) {
    case 'range':
      return typeof value === 'bigint' && value >= BigInt(bounds.lower) && value < BigInt(bounds.upper)
    case 'value':
      return String(value) === bounds.value
    case 'bucket':
      return bucketOf(value, bounds.of) === bounds.bucket
  }
}

/** The same bucket as in every SQL dialect. */
export function bucketOf(value: string | bigint, of: number): number {
  return createHash('md5').update(String(value)).digest().readUInt32BE(0) % of
}
