import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChangesChunk, DELETE, INSERT, NONE, NULL, TRUNCATE, UNCHANGED, UPDATE } from './changes-chunk.ts'
import { foldChanges } from './fold-changes.ts'

/** A row by its key: two more values, or null for NULL. */
type Row = readonly [a: string | null, b: string | null]
type Table = ReadonlyMap<string, Row>
type Change =
  | { readonly kind: 'insert'; readonly key: string; readonly row: Row }
  | {
      readonly kind: 'update'
      readonly key: string
      readonly to: string
      readonly row: readonly [string | null | undefined, string | null | undefined]
    }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'truncate' }

const TABLE = { width: 3, key: [0] }

/** One by one; changes that a database would refuse are left out of what is returned. */
function play(before: Table, changes: readonly Change[]): { readonly after: Table; readonly done: readonly Change[] } {
  const after = new Map(before)
  const done: Change[] = []
  for (const change of changes) {
    if (change.kind === 'truncate') after.clear()
    else if (change.kind === 'insert') {
      if (after.has(change.key)) continue
      after.set(change.key, change.row)
    } else {
      const row = after.get(change.key)
      if (row === undefined) continue
      if (change.kind === 'update' && change.to !== change.key && after.has(change.to)) continue
      after.delete(change.key)
      if (change.kind === 'update') after.set(change.to, [keep(change.row[0], row[0]), keep(change.row[1], row[1])])
    }
    done.push(change)
  }
  return { after, done }
}

const keep = (value: string | null | undefined, old: string | null): string | null => (value === undefined ? old : value)

function chunkOf(changes: readonly Change[]): ChangesChunk {
  const chunk = new ChangesChunk()
  const addRow = (values: readonly (string | null | undefined)[]): number => {
    const row = chunk.addRow(3)
    for (const [place, value] of values.entries()) {
      if (value === null) chunk.mark(row + place, NULL)
      else if (value === undefined) chunk.mark(row + place, UNCHANGED)
      else chunk.setCell(row + place, Buffer.from(value), 0, value.length)
    }
    return row
  }
  const keyRow = (key: string): number => {
    const row = chunk.addRow(3)
    chunk.setCell(row, Buffer.from(key), 0, key.length)
    return row
  }
  for (const change of changes) {
    if (change.kind === 'truncate') chunk.add(0, TRUNCATE)
    else if (change.kind === 'insert') {
      chunk.add(0, INSERT)
      chunk.row[chunk.count - 1] = addRow([change.key, ...change.row])
    } else if (change.kind === 'delete') {
      chunk.add(0, DELETE)
      chunk.old[chunk.count - 1] = keyRow(change.key)
    } else {
      chunk.add(0, UPDATE)
      if (change.to !== change.key) chunk.old[chunk.count - 1] = keyRow(change.key)
      chunk.row[chunk.count - 1] = addRow([change.to, ...change.row])
    }
  }
  return chunk
}

/** As a target does it: takes what rows lack, deletes, and writes. */
function apply(before: Table, chunk: ChangesChunk): Table {
  const [folded] = foldChanges(chunk, [TABLE])
  if (folded === undefined) return before
  const cell = (at: number): string | null | undefined => {
    const length = chunk.length[at] as number
    if (length === NULL) return null
    return length < 0 ? undefined : Buffer.from(chunk.bytes.subarray(chunk.start[at], (chunk.start[at] as number) + length)).toString()
  }
  const from: Table = folded.truncated ? new Map() : before
  const rows = folded.rows.map((row, index): [string, Row] => {
    const base = folded.bases[index] as number
    const old = base === NONE ? undefined : from.get(cell(base) ?? '')
    if (base !== NONE && old === undefined) throw new Error('a row lacks values that the table does not have')
    return [cell(row) ?? '', [keep(cell(row + 1), old?.[0] ?? null), keep(cell(row + 2), old?.[1] ?? null)]]
  })
  const after = new Map(from)
  for (const gone of folded.deletes) after.delete(cell(gone) ?? '')
  for (const [key, row] of rows) after.set(key, row)
  return after
}

const sorted = (table: Table) => [...table].sort(([a], [b]) => (a < b ? -1 : 1))

const key = fc.constantFrom('1', '2', '3', '4')
const value = fc.constantFrom('x', 'y', '', null)
const sent = fc.option(value, { nil: undefined })
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('insert' as const), key, row: fc.tuple(value, value) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('update' as const), key, to: key, row: fc.tuple(sent, sent) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'truncate' as const }) },
)
const table: fc.Arbitrary<Table> = fc.array(fc.tuple(key, fc.tuple(value, value)), { maxLength: 4 }).map((rows) => new Map(rows))

test('folded changes say what all of them say one by one', () => {
  fc.assert(
    fc.property(table, fc.array(change, { maxLength: 14 }), (before, changes) => {
      const { after, done } = play(before, changes)
      expect(sorted(apply(before, chunkOf(done)))).toEqual(sorted(after))
    }),
    { numRuns: 10_000 },
  )
})

test('a chunk that is cut anywhere says the same in two', () => {
  fc.assert(
    fc.property(table, fc.array(change, { maxLength: 10 }), fc.nat(10), (before, changes, cut) => {
      const { after, done } = play(before, changes)
      const at = Math.min(cut, done.length)
      const mark = chunkOf(done.slice(0, at)).end()
      const whole = chunkOf(done)
      const tail = new ChangesChunk()
      whole.moveTail(mark, tail)
      expect(whole.count).toBe(at)
      expect(sorted(apply(apply(before, whole), tail))).toEqual(sorted(after))
    }),
    { numRuns: 2000 },
  )
})

test('rows that exchange keys in one transaction, told with all that they were', () => {
  // What a deferred key and REPLICA IDENTITY FULL write: for a moment two rows have one key.
  const chunk = new ChangesChunk()
  const addRow = (values: readonly string[]): number => {
    const row = chunk.addRow(3)
    for (const [place, value] of values.entries()) chunk.setCell(row + place, Buffer.from(value), 0, value.length)
    return row
  }
  const move = (old: readonly string[], row: readonly string[]): void => {
    chunk.add(0, UPDATE)
    chunk.old[chunk.count - 1] = addRow(old)
    chunk.row[chunk.count - 1] = addRow(row)
  }
  move(['1', 'one', 'x'], ['2', 'one', 'x'])
  move(['2', 'two', 'x'], ['1', 'two', 'x'])
  // A third goes on to another key, and leaves none behind.
  move(['3', 'three', 'x'], ['4', 'three', 'x'])
  move(['4', 'three', 'x'], ['5', 'three', 'x'])
  // The one that was there is deleted, not the one that came.
  move(['6', 'six', 'x'], ['7', 'six', 'x'])
  chunk.add(0, DELETE)
  chunk.old[chunk.count - 1] = addRow(['7', 'seven', 'x'])
  const before: Table = new Map(['1', '2', '3', '6', '7'].map((name): [string, Row] => [name, ['?', 'x']]))
  expect(sorted(apply(before, chunk))).toEqual([
    ['1', ['two', 'x']],
    ['2', ['one', 'x']],
    ['5', ['three', 'x']],
    ['7', ['six', 'x']],
  ])
})

describe('by hand', () => {
  const before: Table = new Map([
    ['1', ['a', 'b']],
    ['2', ['c', 'd']],
  ])
  const update = (from: string, to: string, row: readonly [string | null | undefined, string | null | undefined]): Change => ({
    kind: 'update',
    key: from,
    to,
    row,
  })

  test('two rows change places, and no value of theirs is sent', () => {
    const swap = [
      update('1', '9', [undefined, undefined]),
      update('2', '1', [undefined, undefined]),
      update('9', '2', [undefined, undefined]),
    ]
    expect(sorted(apply(before, chunkOf(swap)))).toEqual([
      ['1', ['c', 'd']],
      ['2', ['a', 'b']],
    ])
  })

  test('two updates, each of another column', () => {
    expect(sorted(apply(before, chunkOf([update('1', '1', ['x', undefined]), update('1', '1', [undefined, 'y'])])))[0]).toEqual([
      '1',
      ['x', 'y'],
    ])
  })
})

test('many rows: each is found again, also one whose key is longer or shorter than another', () => {
  const keys = Array.from({ length: 3000 }, (_, at) => (at % 2 === 0 ? `${at}` : `${'k'.repeat(at % 50)}${at}`))
  const before: Table = new Map(keys.map((name) => [name, ['a', null]]))
  const changes = [
    ...keys.map((name): Change => ({ kind: 'update', key: name, to: name, row: ['b', undefined] })),
    ...keys.map((name): Change => ({ kind: 'update', key: name, to: `${name}x`, row: [undefined, 'c'] })),
    ...keys.slice(0, 1000).map((name): Change => ({ kind: 'delete', key: `${name}x` })),
  ]
  const { after, done } = play(before, changes)
  expect(done).toHaveLength(changes.length)
  expect(sorted(apply(before, chunkOf(done)))).toEqual(sorted(after))
})
