import { expect, test } from 'vitest'
import { parseTimelineHistory } from './timeline-history.ts'

test('each older timeline with its end; what is no such line is passed over', () => {
  const text = '1\t0/3000148\tno recovery target specified\n\n# a remark\n2\t1A/FF\tbefore transaction 12\n'
  expect([...parseTimelineHistory(text)]).toEqual([
    [1, 0x3000148n],
    [2, 0x1a000000ffn],
  ])
  expect(parseTimelineHistory('').size).toBe(0)
})
