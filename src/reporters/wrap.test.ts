import fc from 'fast-check'
import { expect, test } from 'vitest'
import { wrap } from './wrap.ts'

test('a line that fits stays as it is', () => {
  expect(wrap('  short enough', 20)).toEqual(['  short enough'])
})

test('a long line breaks between words and goes on indented', () => {
  expect(wrap('  late rows   bound: times are given', 20)).toEqual(['  late rows   bound:', '      times are', '      given'])
})

test('no line is longer than the screen, and no word is lost', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(words, fc.integer({ min: 20, max: 60 }), (list, columns) => {
      const lines = wrap(list.join(' '), columns)
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
      expect(lines.join(' ').split(/\s+/).filter(Boolean)).toEqual(list)
    }),
  )
})
