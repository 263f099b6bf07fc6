import { expect, test } from 'vitest'
import { PARTITION_SOURCE_BUGS, PARTITION_TARGET_BUGS } from './partition-bugs.ts'
import { simulatePartitions } from './partition-history.ts'
import { playSeeds } from './seeds.ts'

Error.stackTraceLimit = 0

/** Enough for the rarest of them several times over. */
const MOST_SEEDS = 1_500

test.each([...PARTITION_SOURCE_BUGS, ...PARTITION_TARGET_BUGS])('noticed: $name', async (bug) => {
  const seeds = Array.from({ length: MOST_SEEDS }, (_, at) => (bug.from ?? 1) + at)
  const failed = await playSeeds('partitions', seeds, (seed) => simulatePartitions(seed, bug), { enough: 1, together: 4 })
  expect(failed.length).toBeGreaterThan(0)
  expect(failed.filter((line) => /^\S+ \d+ bug:/.test(line))).toEqual([])
})
