import { expect, it } from 'vitest'
import { Pace } from './pace.ts'

it('counts over a second or more, and forgets what was before', () => {
  let now = 0
  const pace = new Pace(() => now)
  const after = (ms: number, more: number) => {
    now += ms
    return pace.perSecond(more)
  }
  expect([after(400, 10), after(400, 10), after(200, 30), after(500, 1000), after(10_000, 50)]).toEqual([null, null, 50, 50, 100])
})
