// Histories of pipelines that must write each row once, or everything at once.

import { expect, test } from 'vitest'
import { playAll, seedsOf } from './seeds.ts'

Error.stackTraceLimit = 0

test.each(['bound-append', 'xid8-append', 'replace', 'long-lag'] as const)('%s loses nothing and doubles nothing', async (family) => {
  expect(await playAll(family, seedsOf(family, 2_600))).toEqual([])
})

test.each(['none', 'short-lag'] as const)('%s, which promises less, is seen to lose rows', async (family) => {
  const failed = await playAll(
    family,
    Array.from({ length: 200 }, (_, at) => at),
  )
  expect(failed.some((line) => /missing|claims the row/.test(line))).toBe(true)
})
