import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LoadError } from '../core/errors.ts'
import { StreamedPieces } from './pgoutput-streams.ts'

const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
const long = (value: number): number[] => [...word(0), ...word(value)]
const start = (xid: number, first: 0 | 1): number[] => [0x53, ...word(xid), first]
const STOP = [0x45]
const commit = (xid: number): number[] => [0x63, ...word(xid), 0, ...long(20), ...long(24), ...long(1)]
const abort = (xid: number, part: number): number[] => [0x41, ...word(xid), ...word(part)]
const insert = (xid: number, ...rest: number[]): number[] => [0x49, ...word(xid), ...rest]
const ORIGIN = [0x4f, ...long(20), 0x6f, 0]

function pieces() {
  const seen: unknown[] = []
  const streamed = new StreamedPieces({
    keep: (top, xid, kind, bytes, from, to) => seen.push([top, xid, String.fromCharCode(kind), ...bytes.subarray(from, to)]),
    pause: () => seen.push('pause'),
    abort: (top, xid) => seen.push(['abort', top, xid]),
    commit: (top, _lsn, end, micros) => seen.push(['commit', top, end, micros]),
  })
  const take = (message: readonly number[]): boolean => streamed.take(Uint8Array.from([9, ...message, 9]), 1, message.length + 1)
  return { seen, take }
}

test('pieces of two transactions, with parts that are rolled back', () => {
  const { seen, take } = pieces()
  for (const message of [start(7, 1), ORIGIN, insert(7, 1), insert(8, 2), STOP, start(9, 1), insert(9), STOP, abort(7, 8)])
    expect(take(message)).toBe(true)
  for (const message of [start(7, 0), insert(7, 3), STOP, abort(9, 9), commit(7)]) expect(take(message)).toBe(true)
  const ends = ['commit', 7, 24n, 946_684_800_000_001n]
  expect(seen).toEqual([
    [7, 7, 'I', 1],
    [7, 8, 'I', 2],
    'pause',
    [9, 9, 'I'],
    'pause',
    ['abort', 7, 8],
    [7, 7, 'I', 3],
    'pause',
    ['abort', 9, 9],
    ends,
  ])
})

test('what is about nothing open is left to others, also the end of what came before', () => {
  const { seen, take } = pieces()
  expect(take([0x49, ...word(1)])).toBe(false)
  expect(take([0x42])).toBe(false)
  expect(take(abort(5, 5))).toBe(true)
  expect(seen).toEqual([])
})

test.each([
  ['a piece within another', [start(7, 1), start(8, 1)]],
  ['a commit within a piece', [start(7, 1), commit(7)]],
  ['a whole transaction within a piece', [start(7, 1), [0x42, ...long(1), ...long(1), ...word(8)]]],
  ['the end of no piece', [STOP]],
  ['a second piece without a first', [start(7, 0)]],
  ['a first piece twice', [start(7, 1), STOP, start(7, 1)]],
  ['a commit of what has not begun', [commit(7)]],
  ['a second commit', [start(7, 1), STOP, commit(7), commit(7)]],
  ['a commit of what was rolled back', [start(7, 1), STOP, abort(7, 7), commit(7)]],
])('log-corrupted: %s', (_, messages) => {
  const { take } = pieces()
  for (const message of messages.slice(0, -1)) take(message)
  expect(() => take(messages.at(-1) ?? [])).toThrow(expect.objectContaining({ code: 'log-corrupted' }))
})

test('log-corrupted: a message of any kind that ends too early, or goes on', () => {
  for (const [before, message] of [
    [[], start(7, 1)],
    [[start(7, 1)], STOP],
    [[start(7, 1), STOP], commit(7)],
    [[start(7, 1), STOP], abort(7, 7)],
  ] as const) {
    const bent = [...Array.from({ length: message.length - 1 }, (_, at) => message.slice(0, at + 1)), [...message, 0]]
    for (const wrong of bent) {
      const { take } = pieces()
      for (const one of before) take(one)
      expect(() => take(wrong)).toThrow(expect.objectContaining({ code: 'log-corrupted' }))
    }
  }
})

test('whatever is broken is said to be, or passed on as it is', () => {
  const all = [start(7, 1), start(7, 0), STOP, commit(7), abort(7, 8), insert(7, 1, 2, 3), ORIGIN]
  const broken = fc.record({ message: fc.constantFrom(...all), at: fc.nat(40), byte: fc.nat(255), cut: fc.nat(40), cuts: fc.boolean() })
  fc.assert(
    fc.property(fc.array(broken, { maxLength: 12 }), (messages) => {
      const { take } = pieces()
      for (const { message, at, byte, cut, cuts } of messages) {
        const bent = [...message]
        bent[at % bent.length] = byte
        try {
          take(cuts ? bent.slice(0, cut) : bent)
        } catch (error) {
          expect(error).toBeInstanceOf(LoadError)
          expect((error as LoadError).code).toBe('log-corrupted')
        }
      }
    }),
    { numRuns: 5000 },
  )
})
