import { expect, test } from 'vitest'
import { SOURCE_BUGS, TARGET_BUGS } from './bugs.ts'
import { playAll } from './seeds.ts'

Error.stackTraceLimit = 0

/** Enough for the rarest of them several times over. */
const SEEDS = Array.from({ length: 3_000 }, (_, at) => at + 1)

test.each([...SOURCE_BUGS, ...TARGET_BUGS])('noticed: $name', async (bug) => {
  const failed = await Promise.all(bug.families.map((family) => playAll(family, SEEDS, bug, 1)))
  expect(failed.filter((lines) => lines.length > 0).length).toBeGreaterThan(0)
  expect(failed.flat().filter((line) => /^\S+ \d+ bug:/.test(line))).toEqual([])
})
