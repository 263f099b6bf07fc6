// Histories of pipelines in partitions, loaded by several runs side by side. Replay one: TIDEMARK_SEED=7 vitest run test/simulate

import { expect, test } from 'vitest'
import { simulatePartitions } from './partition-history.ts'
import { playSeeds, seedsOf } from './seeds.ts'

Error.stackTraceLimit = 0

test('partitions lose nothing and double nothing', async () => {
  expect(await playSeeds('partitions', seedsOf('partitions', 300), simulatePartitions)).toEqual([])
})
