import { expect, test } from 'vitest'
import { simulateChanges } from './changes-history.ts'
import { LOG_BUGS } from './changes-log-bugs.ts'
import { CHANGE_TARGET_BUGS } from './changes-target-bugs.ts'
import { playSeeds } from './seeds.ts'

Error.stackTraceLimit = 0

/** Enough for the rarest of them several times over. */
const MOST_SEEDS = 1_500

test.each([...LOG_BUGS, ...CHANGE_TARGET_BUGS])('noticed: $name', async (bug) => {
  const seeds = Array.from({ length: MOST_SEEDS }, (_, at) => (bug.from ?? 1) + at)
  const failed = await playSeeds('changes', seeds, (seed) => simulateChanges(seed, bug), { enough: 1, together: 4 })
  expect(failed.length).toBeGreaterThan(0)
  expect(failed.filter((line) => /^\S+ \d+ bug:/.test(line))).toEqual([])
})
