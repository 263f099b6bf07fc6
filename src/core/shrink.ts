import { LoadError } from './errors.ts'
import type { Load } from './load.ts'

/** Throws `partition-shrank` where a partition would lose more of its rows than it may. */
export function refuseShrinking({ pipeline, partition }: Pick<Load, 'pipeline' | 'partition'>, before: number, after: number): void {
  if (partition === null || partition.maxShrink === null || before === 0) return
  // Less than a row more: 70 % of 60 rows is not exactly 42 in binary numbers.
  if (before - after <= before * partition.maxShrink + 0.01) return
  const allowed = Number((partition.maxShrink * 100).toFixed(2))
  throw new LoadError(
    'partition-shrank',
    `Partition ${partition.partition.key} of pipeline ${pipeline} has ${before} rows at the target and ${after} at the source; it may lose ${allowed} % of them at most.`,
  )
}
