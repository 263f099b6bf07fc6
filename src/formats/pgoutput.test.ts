import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ABSENT, ChangesChunk, NULL, UNCHANGED } from '../core/changes-chunk.ts'
import { LoadError } from '../core/errors.ts'
import { PgoutputDecoder, type RelationTarget } from './pgoutput.ts'

const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
const text = (value: string): number[] => [...Buffer.from(value), 0]
const given = (value: string): number[] => [0x74, ...word(value.length), ...Buffer.from(value)]
const NOTHING = [0x6e]
const LEFT_ALONE = [0x75]
const tuple = (...values: number[][]): number[] => [0, values.length, ...values.flat()]
const relation = (oid: number, ...columns: string[]): number[] => [
  0x52,
  ...word(oid),
  ...text('public'),
  ...text('t'),
  0x64,
  0,
  columns.length,
  ...columns.flatMap((name, index) => [index === 0 ? 1 : 0, ...text(name), ...word(25), ...word(0xffff_ffff)]),
]
const INSERT = [0x49, ...word(1), 0x4e, ...tuple(given('1'), given('x'), NOTHING)]
const UPDATE = [0x55, ...word(1), 0x4b, ...tuple(given('1'), NOTHING, NOTHING), 0x4e, ...tuple(given('2'), LEFT_ALONE, given('n'))]
const DELETE = [0x44, ...word(1), 0x4b, ...tuple(given('2'), NOTHING, NOTHING)]
const long = (value: number): number[] => [...word(0), ...word(value)]
const MESSAGES = [
  relation(1, 'id', 'a', 'b'),
  INSERT,
  UPDATE,
  DELETE,
  [0x42, ...long(20), ...long(1), ...word(7)],
  [0x43, 0, ...long(20), ...long(24), ...long(1)],
  [0x54, ...word(1), 0, ...word(1)],
  [0x4d, 1, ...long(20), ...text('heartbeat'), ...word(3), 1, 2, 3],
  [0x59, ...word(9), ...text('public'), ...text('mood')],
  [0x4f, ...long(20), ...text('other')],
]

function decoder(target: RelationTarget | null = { table: 0, width: 3, places: [0, 1, 2], missing: [] }) {
  const chunk = new ChangesChunk()
  const receiver = { relation: () => target, begin: () => {}, commit: () => {}, message: () => {} }
  const decode = new PgoutputDecoder(receiver, () => chunk)
  return { chunk, take: (message: readonly number[]) => decode.decode(Uint8Array.from(message), 0, message.length) }
}

const cells = (chunk: ChangesChunk, row: number): (string | number)[] =>
  [0, 1, 2].map((place) => {
    const [start, length] = [chunk.start[row + place] as number, chunk.length[row + place] as number]
    return length < 0 ? length : Buffer.from(chunk.bytes.subarray(start, start + length)).toString()
  })

test('spaces that fill up a text are no part of it', () => {
  const { chunk, take } = decoder({ table: 0, width: 3, places: [0, 1, 2], missing: [], padded: [true, true, false] })
  for (const message of [relation(1, 'id', 'a', 'b'), [0x49, ...word(1), 0x4e, ...tuple(given('ab  '), given('   '), given('c '))]])
    take(message)
  expect(cells(chunk, chunk.row[0] as number)).toEqual(['ab', '', 'c '])
})

test('rows, keys, NULL, and what was not sent', () => {
  const { chunk, take } = decoder()
  for (const message of [relation(1, 'id', 'a', 'b'), INSERT, UPDATE, DELETE]) take(message)
  expect([...chunk.op.subarray(0, chunk.count)]).toEqual([0, 1, 2])
  expect(cells(chunk, chunk.row[0] as number)).toEqual(['1', 'x', NULL])
  expect(cells(chunk, chunk.old[1] as number)).toEqual(['1', ABSENT, ABSENT])
  expect(cells(chunk, chunk.row[1] as number)).toEqual(['2', UNCHANGED, 'n'])
  expect(cells(chunk, chunk.old[2] as number)).toEqual(['2', ABSENT, ABSENT])
})

test('changes of a table that is not wanted are passed over', () => {
  const { chunk, take } = decoder(null)
  for (const message of [relation(1, 'id', 'a', 'b'), INSERT, UPDATE, DELETE]) take(message)
  expect(chunk.count).toBe(0)
})

test('whatever is broken is said to be', () => {
  const broken = fc.record({ message: fc.constantFrom(...MESSAGES), at: fc.nat(60), byte: fc.nat(255), cut: fc.nat(60) })
  fc.assert(
    fc.property(broken, fc.boolean(), ({ message, at, byte, cut }, cuts) => {
      const { take } = decoder()
      take(relation(1, 'id', 'a', 'b'))
      const bent = [...message]
      bent[at % bent.length] = byte
      const sent = cuts ? bent.slice(0, cut) : bent
      try {
        take(sent)
      } catch (error) {
        expect(error).toBeInstanceOf(LoadError)
        expect(['log-corrupted']).toContain((error as LoadError).code)
      }
    }),
    { numRuns: 5000 },
  )
})

test('log-corrupted: a message of any kind that ends too early, or goes on', () => {
  const { take } = decoder()
  take(relation(1, 'id', 'a', 'b'))
  for (const message of MESSAGES) {
    take(message)
    for (let length = 0; length < message.length; length++)
      expect(() => take(message.slice(0, length))).toThrow(expect.objectContaining({ code: 'log-corrupted' }))
    expect(() => take([...message, 0])).toThrow(expect.objectContaining({ code: 'log-corrupted' }))
  }
})
