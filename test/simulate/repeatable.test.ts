// Histories of pipelines that write the same row any number of times. Replay one: TIDEMARK_SEED=7 vitest run test/simulate

import { expect, test } from 'vitest'
import { playAll, seedsOf } from './seeds.ts'

Error.stackTraceLimit = 0

test.each(['bound-merge', 'sweep', 'xid8'] as const)('%s loses nothing and doubles nothing', async (family) => {
  expect(await playAll(family, seedsOf(family, 3_200))).toEqual([])
})
