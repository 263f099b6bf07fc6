import { LoadError } from './errors.ts'
import type { Load } from './load.ts'

/** Throws `partition-shrank` where a partition would lose more of its rows than it may. */
export function refuseShrinking({ pipeline, partition }: Pick<Load, 'pipeline' | 'partition'>, before: number, after: number): void {
  if (partition === null || partition.maxShrink === null || before === 0) return
  if (after >= before * (1 - partition.maxShrink)) return
  const allowed = Math.round(partition.maxShrink * 100)
  throw new LoadError(
    'partition-shrank',
    `Partition ${partition.partition.key} of pipeline ${pipeline} has ${before} rows at the target and ${after} at the source; it may lose ${allowed} % of them at most.`,
  )
}
