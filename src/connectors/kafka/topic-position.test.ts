import { expect, test } from 'vitest'
import { parseTopicPlaces, printTopicPlaces } from './topic-position.ts'

const PLACES = new Map([
  [
    'cdc.public.b',
    {
      id: 'two',
      partitions: [
        {
          next: 9_007_199_254_740_993n,
          seen: { commit: 2n ** 63n, place: 7n, count: 3, order: null, snapshot: 5n, mark: 'begun' as const },
        },
      ],
    },
  ],
  [
    'cdc.public.a',
    {
      id: 'one',
      partitions: [
        { next: 0n, seen: null },
        { next: 1n, seen: { commit: -1n, place: 7n, count: 1, order: 4, snapshot: null, mark: null } },
        { next: 5n, seen: null },
      ],
    },
  ],
])

test('offsets and places come back exactly, and the same ones have the same text', () => {
  const printed = printTopicPlaces(PLACES)
  expect(parseTopicPlaces(printed, 'p')).toEqual(PLACES)
  expect(printTopicPlaces(new Map([...PLACES].reverse()))).toEqual(printed)
})

test.each(['', '7', '{"t":1}', '{"t":["id",[["x"]]]}'])('%s is refused', (at) => {
  expect(() => parseTopicPlaces({ kind: 'log', at }, 'orders')).toThrow(expect.objectContaining({ code: 'state-corrupted' }))
})
