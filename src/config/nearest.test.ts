import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

const word = fc.string({ maxLength: 12 })

describe('editDistance', () => {
  it.each([
    ['cursr', 'cursor', 1],
    ['ucrsor', 'cursor', 1],
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
  ])('%s to %s takes %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance)
  })

  it('is 0 for equal words only, the same both ways, and at least the difference of lengths', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b)
        expect(distance === 0).toBe(a === b)
        expect(editDistance(b, a)).toBe(distance)
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })

  it('is 1 after one swap of neighbours', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 2, maxLength: 12 }), fc.nat(), (text, at) => {
        const index = at % (text.length - 1)
        const swapped = text.slice(0, index) + text.charAt(index + 1) + text.charAt(index) + text.slice(index + 2)
        expect(editDistance(text, swapped)).toBe(swapped === text ? 0 : 1)
      }),
    )
  })
})

describe('nearest', () => {
  it.each([
    ['cursr', ['cursor', 'columns'], 'cursor'],
    ['CURSOR', ['cursor'], 'cursor'],
    ['delete_insert', ['merge', 'delete-insert'], 'delete-insert'],
    ['kee', ['key', 'where'], 'key'],
    ['colour', ['cursor', 'columns'], null],
    ['xyz', ['key'], null],
    ['', ['key'], null],
    ['key', [], null],
  ])('of %s among %j is %s', (typed, candidates, meant) => {
    expect(nearest(typed, candidates)).toBe(meant)
  })

  it('finds a word with one letter dropped', () => {
    const known = ['connection', 'cursor_time_zone', 'on_schema_change', 'on_bad_row', 'late_rows', 'null_cursor']
    fc.assert(
      fc.property(fc.constantFrom(...known), fc.nat(), (meant, at) => {
        const index = at % meant.length
        expect(nearest(meant.slice(0, index) + meant.slice(index + 1), known)).toBe(meant)
      }),
    )
  })

  it('does not search for the like of a long text', () => {
    const long = 'x'.repeat(1_000_000)
    expect(nearest(long, [long])).toBeNull()
  })
})
