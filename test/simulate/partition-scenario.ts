// What a history of a pipeline in partitions is about: how its table is cut and loaded, and what writers do to the source.

import type { PartitionBy } from '../../src/core/partition.ts'
import type { PartitionPipeline } from '../../src/core/pipeline.ts'
import type { Random } from './random.ts'
import { CLOCK } from './scenario.ts'

export const HOUR = 3_600_000_000n

export interface PartitionScenario {
  readonly pipeline: PartitionPipeline
  /** The source keeps the key unique; otherwise the same row may stand in it twice. */
  readonly keyed: boolean
  /** Rows are only added, under the time at which they are written: a run needs no comparison to find all that is new. */
  readonly orderly: boolean
  readonly removes: boolean
  readonly nulls: boolean
  /** The wanted range moves on while histories last. */
  readonly moves: boolean
}

/** `moving`: rows that change their partition come first. */
export function makePartitionScenario(random: Random): PartitionScenario {
  const kind = random.of(['time', 'time', 'list', 'range', 'hash'] as const)
  const orderly = kind === 'time' && random.chance(0.35)
  const keyed = random.chance(0.65)
  const write = random.of(
    orderly
      ? (['append', 'append', 'overwrite-partition'] as const)
      : keyed
        ? (['overwrite-partition', 'overwrite-partition', 'overwrite-partition', 'merge', 'delete-insert'] as const)
        : (['overwrite-partition'] as const),
  )
  const replaces = write !== 'append'
  const nulls = random.chance(0.2)
  const moves = kind === 'time' && !orderly && random.chance(0.3)
  const by = makeBy(random, kind, nulls && replaces ? random.of(['error', 'include', 'exclude']) : random.of(['error', 'exclude']), moves)
  return {
    keyed,
    orderly,
    removes: !orderly && random.chance(0.7),
    nulls,
    moves,
    pipeline: {
      name: 'orders',
      pattern: 'partition',
      source: { connection: 'source', table: { schema: null, name: 'orders' }, query: null },
      target: { connection: 'target', table: { schema: null, name: 'orders' } },
      key: null,
      write,
      where: null,
      columns: { include: null, exclude: [] },
      onSchemaChange: 'evolve',
      by,
      workers: random.of([1, 2, 3]),
      consistency: random.of(['run', 'partition']),
      lookback: replaces ? random.of([0, 0, 1, 2]) : 0,
      detect: replaces ? random.of(['none', 'none', 'checksum', 'checksum', 'all']) : 'none',
      maxShrink: random.chance(0.1) ? 0.5 : null,
      replaceBy: 'delete',
    },
  }
}

function makeBy(random: Random, kind: 'time' | 'list' | 'range' | 'hash', nulls: PartitionBy['nulls'], moves: boolean): PartitionBy {
  const shared = { column: 'at', nulls } as const
  switch (kind) {
    case 'time': {
      const first = moves ? String(CLOCK - HOUR * BigInt(2 + random.below(3))) : null
      const last = moves && random.chance(0.5) ? String(CLOCK + HOUR * BigInt(random.below(3))) : null
      return { ...shared, kind, unit: 'hour', first, last, zone: 'UTC' }
    }
    case 'list':
      return { ...shared, kind, values: random.chance(0.3) ? ['A', 'B', 'C'] : null }
    case 'range':
      return { ...shared, kind, size: random.of([5n, 10n]) }
    case 'hash':
      return { ...shared, kind, buckets: random.of([2, 3, 4]) }
  }
}
