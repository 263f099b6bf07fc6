// What every target must do, whatever system it is: counts that are exact for every write strategy, nothing changed by
// running again, and one winner among rivals. Chunks are in columns, which every target takes.

import { describe, expect, test } from 'vitest'
import type { Target } from '../contract/target.ts'
import type { Chunk } from '../core/chunk.ts'
import type { ColumnVector } from '../core/columns.ts'
import type { DataType } from '../core/data-type.ts'
import { type Load, NO_ROWS, type RowCounts } from '../core/load.ts'
import type { SchemaChange } from '../core/schema-change.ts'
import type { State } from '../core/state.ts'
import type { Column, Table } from '../core/table.ts'
import type { WriteStrategyName } from '../core/write-strategy.ts'

/** A target with no table and no state, and a way to look into it. */
export interface TargetUnderTest {
  readonly target: Target
  /** Rows of the table `orders` as id, at and v, in any order. */
  rows(): Promise<readonly Row[]>
}

/** id, at, v. */
type Row = readonly [id: string | null, at: bigint, v: string | null]

const NAME = { schema: null, name: 'orders' }
const TEXT: DataType = { kind: 'text' }
const NUMBER: DataType = { kind: 'integer', bits: 64 }

const FIRST: readonly Row[] = [
  ['a', 1n, 'one'],
  ['b', 2n, null],
  ['c', 3n, 'three'],
]

/** Runs the suite on fresh targets made by `make`. */
export function testTarget(name: string, make: () => Promise<TargetUnderTest>): void {
  describe(`target ${name}`, () => {
    testStrategies(make)
    testRepetition(make)
    testRivals(make)
    testRefusals(make)
    testSchema(make)
  })
}

type Make = () => Promise<TargetUnderTest>

function testStrategies(make: Make): void {
  const second: readonly Row[] = [
    ['b', 2n, null],
    ['c', 4n, 'changed'],
    ['d', 5n, 'new'],
  ]
  const merged: readonly Row[] = [['a', 1n, 'one'], ...second]
  const cases: readonly (readonly [WriteStrategyName, Partial<RowCounts>, readonly Row[]])[] = [
    ['append', { inserted: 3 }, [...FIRST, ...second]],
    ['merge', { inserted: 1, updated: 1, unchanged: 1 }, merged],
    ['delete-insert', { inserted: 1, updated: 1, unchanged: 1 }, merged],
    ['replace', { inserted: 1, updated: 1, unchanged: 1, deleted: 1 }, second],
  ]
  test.each(cases)('%s: exact counts, and the rows that it means', async (strategy, counts, rows) => {
    await using(make, async ({ target, rows: found }) => {
      expect(await load(target, { strategy, rows: FIRST })).toEqual({ ...NO_ROWS, inserted: 3 })
      expect(await load(target, { strategy, rows: second })).toEqual({ ...NO_ROWS, ...counts })
      expect(sorted(await found())).toEqual(sorted(rows))
    })
  })

  test('append replaces a range, and nothing outside of it', async () => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy: 'append', rows: FIRST })
      const counts = await load(target, { strategy: 'append', rows: [['x', 2n, 'new']], replaces: { column: 'at', from: '2', to: '3' } })
      expect(counts).toEqual({ ...NO_ROWS, inserted: 1, deleted: 1 })
      expect(sorted(await rows())).toEqual(
        sorted([
          ['a', 1n, 'one'],
          ['x', 2n, 'new'],
          ['c', 3n, 'three'],
        ]),
      )
    })
  })

  test('of rows that share a key the newest stays, whatever order they come in', async () => {
    const doubled: readonly Row[] = [
      ['k', 2n, 'newest'],
      ['k', 1n, 'older'],
      ['k', 2n, 'new'],
      ['l', 1n, null],
    ]
    for (const rows of [doubled, doubled.toReversed()]) {
      await using(make, async ({ target, rows: found }) => {
        expect(await load(target, { strategy: 'merge', rows, keyGuaranteed: false })).toEqual({ ...NO_ROWS, inserted: 2, deduplicated: 2 })
        const kept = sorted(await found())
        expect(kept.map(([id, at]) => [id, at])).toEqual([
          ['k', 2n],
          ['l', 1n],
        ])
        await load(target, { strategy: 'merge', rows: rows.toReversed(), keyGuaranteed: false })
        expect(sorted(await found())).toEqual(kept)
      })
    }
  })

  test('rows that only a sweep found are counted when they change something', async () => {
    await using(make, async ({ target }) => {
      await load(target, { strategy: 'merge', rows: FIRST })
      const rows: readonly Row[] = [
        ['a', 1n, 'late'],
        ['b', 2n, null],
        ['d', 2n, 'late'],
        ['e', 9n, 'in time'],
      ]
      const counts = await load(target, { strategy: 'merge', rows, rescuedBelow: { column: 'at', value: '5' } })
      expect(counts).toEqual({ ...NO_ROWS, inserted: 2, updated: 1, unchanged: 1, rescued: 2 })
    })
  })
}

function testRepetition(make: Make): void {
  test.each(['merge', 'delete-insert', 'replace'] as const)('%s: running again changes nothing', async (strategy) => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy, rows: FIRST })
      expect(await load(target, { strategy, rows: FIRST })).toEqual({ ...NO_ROWS, unchanged: 3 })
      expect(sorted(await rows())).toEqual(sorted(FIRST))
    })
  })

  test('replace without a key leaves equal content alone, and replaces other', async () => {
    await using(make, async ({ target, rows }) => {
      const twice: readonly Row[] = [...FIRST, ['a', 1n, 'one']]
      await load(target, { strategy: 'replace', key: [], rows: twice })
      expect(await load(target, { strategy: 'replace', key: [], rows: twice.toReversed() })).toEqual({ ...NO_ROWS, unchanged: 4 })
      expect(await load(target, { strategy: 'replace', key: [], rows: FIRST })).toEqual({ ...NO_ROWS, inserted: 3, deleted: 4 })
      expect(sorted(await rows())).toEqual(sorted(FIRST))
    })
  })

  test('replace by nothing empties the table', async () => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy: 'replace', rows: FIRST })
      expect(await load(target, { strategy: 'replace', rows: [] })).toEqual({ ...NO_ROWS, deleted: 3 })
      expect(await rows()).toEqual([])
    })
  })
}

function testRivals(make: Make): void {
  test('a state that moved is a conflict: nothing of the loser is written', async () => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy: 'append', rows: FIRST })
      const seen = await target.readState('orders')
      await load(target, { strategy: 'append', rows: [['d', 4n, 'winner']] })
      const late = load(target, { strategy: 'append', rows: [['e', 5n, 'loser']], from: seen })
      await expect(late).rejects.toMatchObject({ code: 'state-conflict' })
      expect((await rows()).map(([id]) => id).sort()).toEqual(['a', 'b', 'c', 'd'])
      expect((await target.readState('orders'))?.epoch).toBe(2n)
    })
  })

  test('an aborted stage leaves nothing behind', async () => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy: 'merge', rows: FIRST })
      const stage = await target.begin(await makeLoad(target, { strategy: 'merge' }))
      await stage.write(toChunk([['z', 9n, 'never']]))
      await stage.abort()
      expect(sorted(await rows())).toEqual(sorted(FIRST))
      expect((await target.readState('orders'))?.epoch).toBe(1n)
      expect(await load(target, { strategy: 'merge', rows: FIRST })).toEqual({ ...NO_ROWS, unchanged: 3 })
    })
  })

  test('state and history tell what was committed', async () => {
    await using(make, async ({ target }) => {
      expect(await target.readState('orders')).toBeNull()
      await load(target, { strategy: 'merge', rows: FIRST })
      await load(target, { strategy: 'merge', rows: [] })
      const state = await target.readState('orders')
      expect(state).toMatchObject({ epoch: 2n, fingerprint: 'test', recordsProcessed: 3n, position: { kind: 'watermark', value: '2' } })
      const history = await target.readHistory('orders', 10)
      expect(history.map(({ epoch, rows }) => [epoch, rows['read'], rows['inserted']])).toEqual([
        [2n, 0, 0],
        [1n, 3, 3],
      ])
      if (state !== null) await target.noteQuietRun(state)
      expect((await target.readState('orders'))?.unswept).toBe(1)
    })
  })
}

function testRefusals(make: Make): void {
  test.each(['merge', 'delete-insert', 'replace'] as const)('%s refuses NULL in a key', async (strategy) => {
    await using(make, async ({ target, rows }) => {
      await load(target, { strategy, rows: FIRST, keyGuaranteed: false })
      await expect(load(target, { strategy, rows: [[null, 4n, 'who']], keyGuaranteed: false })).rejects.toMatchObject({ code: 'null-key' })
      expect(sorted(await rows())).toEqual(sorted(FIRST))
    })
  })

  test('fewer rows written than read is no load', async () => {
    await using(make, async ({ target }) => {
      await expect(load(target, { strategy: 'merge', rows: FIRST, read: 4 })).rejects.toMatchObject({ code: 'short-read' })
      expect(await target.readState('orders')).toBeNull()
    })
  })
}

function testSchema(make: Make): void {
  test('a new column shows its default in the rows that are there', async () => {
    await using(make, async ({ target }) => {
      await load(target, { strategy: 'merge', rows: FIRST })
      const column = target.types.targetColumn({ name: 'x', type: TEXT, native: null, nullable: true, backfill: 'old' })
      await load(target, { strategy: 'merge', rows: [], changes: [{ kind: 'add-column', table: NAME, column }] })
      const table = await target.describe(NAME)
      expect(table?.columns.map(({ name }) => name)).toEqual(['id', 'at', 'v', 'x'])
    })
  })
}

interface Ask extends Partial<Load> {
  readonly rows?: readonly Row[]
  readonly read?: number
  readonly from?: State | null
}

async function makeLoad(target: Target, { rows: _rows, read: _read, from: _from, ...asked }: Ask): Promise<Load> {
  const columns = [columnOf('id', TEXT), columnOf('at', NUMBER), columnOf('v', TEXT)].map((column) => target.types.targetColumn(column))
  const there = await target.describe(NAME)
  const table: Table = { name: NAME, columns, key: ['id'], keyGuaranteed: true, identity: '', estimatedRows: null, estimatedBytes: null }
  const made: readonly SchemaChange[] = there === null ? [{ kind: 'create-table', table }] : []
  return {
    pipeline: 'orders',
    runId: 'conformance',
    cause: 'run',
    strategy: 'merge',
    format: 'columns',
    table: there ?? table,
    creates: there === null,
    changes: made,
    columns,
    key: ['id'],
    keyGuaranteed: true,
    filling: null,
    newestBy: 'at',
    replaces: null,
    rescuedBelow: null,
    partition: null,
    fingerprint: 'test',
    ...asked,
  }
}

/** One commit; its position is its epoch. */
async function load(target: Target, asked: Ask): Promise<RowCounts> {
  const { rows = [] } = asked
  const from = asked.from === undefined ? await target.readState('orders') : asked.from
  const epoch = (from?.epoch ?? 0n) + 1n
  const stage = await target.begin(await makeLoad(target, asked))
  try {
    for (const row of rows) await stage.write(toChunk([row]))
    const to: State = { pipeline: 'orders', position: { kind: 'watermark', value: String(epoch) }, epoch, fingerprint: 'test', unswept: 0 }
    return await stage.commit({ kind: 'state', from, to }, asked.read ?? rows.length)
  } catch (error) {
    await stage.abort()
    throw error
  }
}

async function using(make: Make, use: (under: TargetUnderTest) => Promise<void>): Promise<void> {
  const under = await make()
  try {
    await use(under)
  } finally {
    await under.target.close()
  }
}

function columnOf(name: string, type: DataType): Column {
  return { name, type, native: null, nullable: true }
}

function sorted(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((a, b) => (String(a) < String(b) ? -1 : 1))
}

function toChunk(rows: readonly Row[]): Chunk {
  const at: ColumnVector = { type: NUMBER, data: BigInt64Array.from(rows, (row) => row[1]), bytes: null, valid: null }
  return {
    format: 'columns',
    rows: rows.length,
    columns: [textVector(rows.map((row) => row[0])), at, textVector(rows.map((row) => row[2]))],
  }
}

function textVector(values: readonly (string | null)[]): ColumnVector {
  const texts = values.map((value) => new TextEncoder().encode(value ?? ''))
  const data = new Uint32Array(values.length + 1)
  for (const [at, text] of texts.entries()) data[at + 1] = (data[at] ?? 0) + text.length
  const valid = new Uint8Array((values.length + 7) >> 3)
  for (const [at, value] of values.entries()) if (value !== null) valid[at >> 3] = (valid[at >> 3] ?? 0) | (1 << (at & 7))
  return { type: TEXT, data, bytes: Uint8Array.from(texts.flatMap((text) => [...text])), valid }
}
