import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseDuration } from './duration.ts'

it.each([
  ['10s', 10],
  ['5m', 300],
  ['1h30m', 5_400],
  ['250ms', 0.25],
  ['1.5h', 5_400],
  ['2d', 172_800],
  ['1m250ms', 60.25],
  ['1d2h3m4s5ms', 93_784.005],
  [' 10s ', 10],
  ['0s', 0],
])('%s is %d seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds)
})

it.each(['', '10', 's', '10 s', '5x', '-5s', '30m1h', '5s5s', '1e3s', '5S', '10sec', '.5s', '9999999999s'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeNull()
})

it('reads what its parts add up to', () => {
  const part = fc.option(fc.nat(9_999), { nil: null })
  fc.assert(
    fc.property(part, part, part, part, part, (d, h, m, s, ms) => {
      const units = [
        [d, 'd', 86_400_000],
        [h, 'h', 3_600_000],
        [m, 'm', 60_000],
        [s, 's', 1_000],
        [ms, 'ms', 1],
      ] as const
      const text = units.map(([count, unit]) => (count === null ? '' : `${count}${unit}`)).join('')
      const total = units.reduce((sum, [count, , size]) => sum + (count ?? 0) * size, 0)
      expect(parseDuration(text)).toBe(text === '' ? null : total / 1_000)
    }),
  )
})

it('takes any text without throwing', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseDuration(text)))
})
