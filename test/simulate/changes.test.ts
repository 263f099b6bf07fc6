// Histories of pipelines that follow a log. Replay one: TIDEMARK_SEED=7 vitest run test/simulate

import { expect, test } from 'vitest'
import { simulateChanges } from './changes-history.ts'
import { playSeeds, seedsOf } from './seeds.ts'

Error.stackTraceLimit = 0

test('changes lose nothing and double nothing', async () => {
  // Few together: each holds chunks, which are large.
  expect(await playSeeds('changes', seedsOf('changes', 1_500), simulateChanges, { enough: 10, together: 2 })).toEqual([])
})
