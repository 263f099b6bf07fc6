import { expect, it } from 'vitest'
import { NO_ROWS } from './load.ts'
import { beginView, foldEvent, progressLine } from './run-view.ts'

it('of a log that is followed, says how many changes come now, and how late', () => {
  const at = { kind: 'log', at: 'x' } as const
  const committed = { kind: 'committed', pipeline: 'p', position: at, epoch: 1, read: 5000, rows: NO_ROWS } as const
  const view = [committed, { kind: 'followed', pipeline: 'p', lagMs: 80, perSecond: 1234 } as const].reduce(foldEvent, beginView('p'))
  expect(progressLine(view, 3600)).toBe('p  following  5,000 rows  1,234 changes/s  0 B  80 ms behind')
})
