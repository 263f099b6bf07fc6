import { expect, it } from 'vitest'
import { wrongTimeZone } from './time-zone.ts'

it.each(['UTC', 'Europe/Berlin', 'America/New_York'])('%s is known', (name) => {
  expect(wrongTimeZone(name)).toBeNull()
})

it.each([
  ['Europe/Berln', 'is no known time zone; did you mean "Europe/Berlin"?'],
  ['Mars', 'is no known time zone; write it like Europe/Berlin'],
  ['+02:00', 'is no time zone; name one, such as UTC or Europe/Berlin'],
])('%s %s', (name, wrong) => {
  expect(wrongTimeZone(name)).toBe(wrong)
})
