// A memory target that takes changes: what a ChangeWriter promises, on plain rows. What is applied lies apart until it is committed.

import type { Value } from '../../src/connectors/memory/database.ts'
import { advanceState, refuseMovedState, type TargetTable } from '../../src/connectors/memory/state-store.ts'
import { changedTable } from '../../src/connectors/memory/table-changes.ts'
import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { Cells } from '../../src/connectors/memory/vectors.ts'
import type { ChangedTable, ChangeLoad, ChangeTarget, ChangeWriter } from '../../src/contract/log.ts'
import { COMMITTED_AT, DELETED_AT, MARKS, ORDINAL } from '../../src/core/change-marks.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../src/core/changes-chunk.ts'
import { LoadError } from '../../src/core/errors.ts'
import type { FoldedTable } from '../../src/core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../src/core/load.ts'
import type { State } from '../../src/core/state.ts'
import { printTableName } from '../../src/core/table.ts'
import { loggedChanges } from '../../src/sql/logged-changes.ts'

const decoder = new TextDecoder()

export class MemoryChangeTarget implements ChangeTarget {
  readonly values = ['pg-text'] as const
  readonly restMs = 0
  readonly copyWorkers = 1
  readonly quarantines = true
  readonly #target: MemoryTarget

  constructor(target: MemoryTarget) {
    this.#target = target
  }

  async open(load: ChangeLoad): Promise<MemoryChangeWriter> {
    return new MemoryChangeWriter(this.#target, load)
  }

  /** It refuses nothing, and so keeps nothing. */
  async quarantined(): Promise<readonly never[]> {
    return []
  }

  async discard(): Promise<number> {
    return 0
  }
}

type Tables = ReadonlyMap<string, TargetTable>

export class MemoryChangeWriter implements ChangeWriter {
  readonly #target: MemoryTarget
  readonly #load: ChangeLoad
  readonly kept = 0
  #changesSchema = true
  /** Applied and not committed; null outside of a transaction. */
  open: Map<string, TargetTable> | null = null

  constructor(target: MemoryTarget, load: ChangeLoad) {
    this.#target = target
    this.#load = load
  }

  async apply(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<RowCounts> {
    const tables = this.#begin()
    let counts = NO_ROWS
    for (const one of folded) counts = addCounts(counts, this.#applyTable(tables, this.#load.tables[one.table] as ChangedTable, chunk, one))
    return counts
  }

  async append(chunk: ChangesChunk): Promise<RowCounts> {
    const tables = this.#begin()
    let inserted = 0
    for (const [number, changed] of this.#load.tables.entries()) {
      const { rows, extra } = loggedChanges(chunk, number, changed)
      const { name, old } = tableIn(tables, changed)
      const logged = rows.map((row) => {
        const marks = extra(row).map((bytes) => decoder.decode(bytes))
        return spread(old, changed, cellsOf(chunk, row, changed), (mark) =>
          markValue(mark, marks[MARKS.append.findIndex((one) => one.name === mark)]),
        )
      })
      tables.set(name, { ...old, rows: [...old.rows, ...logged] })
      inserted += rows.length
    }
    return { ...NO_ROWS, inserted }
  }

  #begin(): Map<string, TargetTable> {
    if (this.open !== null) return this.open
    this.open = new Map(this.#target.contents.tables)
    if (this.#changesSchema)
      for (const { table, changes } of this.#load.tables) {
        const old = this.open.get(printTableName(table.name)) ?? null
        const now = changedTable(old, changes)
        if (now !== null) this.open.set(printTableName(table.name), now)
      }
    return this.open
  }

  /** Rows that lack something are completed before anything else is touched, but for a table that is emptied. */
  #applyTable(tables: Map<string, TargetTable>, changed: ChangedTable, chunk: ChangesChunk, folded: FoldedTable): RowCounts {
    const { name, old } = tableIn(tables, changed)
    const softly = this.#load.write === 'soft-delete'
    const keyOf = keyIn(old, changed.key)
    const before = new Map(old.rows.map((row) => [keyOf(row), row]))
    const markPlace = old.table.columns.findIndex((column) => column.name === DELETED_AT)
    const dead = (row: Cells): Cells => row.with(markPlace, row[markPlace] ?? this.#target.clock)
    const now = new Map(folded.truncated ? (softly ? [...before].map(([key, row]) => [key, dead(row)] as const) : []) : before)
    const whole = folded.rows.map((row, index) => {
      const base = folded.bases[index] as number
      const cells = cellsOf(chunk, row, changed)
      if (base === NONE) return spread(old, changed, cells, () => null)
      const known = now.get(keyText(changed, cellsOf(chunk, base, changed)))
      if (known === undefined) throw new LoadError('row-missing', `A changed row of table ${name} is not at the target.`)
      const completed = cells.map((value, place) =>
        chunk.length[row + place] === UNCHANGED ? (known[placeIn(old, changed, place)] ?? null) : value,
      )
      return spread(old, changed, completed, () => null)
    })
    let deleted = before.size - (softly ? before.size : now.size)
    for (const row of folded.deletes) {
      const key = keyText(changed, cellsOf(chunk, row, changed))
      const gone = now.get(key)
      if (gone === undefined) continue
      if (softly) now.set(key, dead(gone))
      else now.delete(key)
      deleted += 1
    }
    const updated = whole.filter((row) => now.has(keyOf(row))).length
    for (const row of whole) now.set(keyOf(row), row)
    tables.set(name, { ...old, rows: [...now.values()] })
    return { ...NO_ROWS, inserted: whole.length - updated, updated, deleted }
  }

  async commit(from: State, to: State): Promise<void> {
    const tables: Tables = this.#begin()
    const { contents } = this.#target
    refuseMovedState(contents, from, to.pipeline)
    this.#target.contents = advanceState({ ...contents, tables }, from, to, { runId: this.#load.runId, cause: 'run' }, 0, NO_ROWS)
    this.open = null
    this.#changesSchema = false
  }

  async record(): Promise<void> {}

  async keepMessage(): Promise<never> {
    throw new LoadError('strategy-unsupported', 'Memory has no quarantine.')
  }

  async replay(): Promise<never> {
    throw new LoadError('strategy-unsupported', 'Memory has no quarantine.')
  }

  async abort(): Promise<void> {
    this.open = null
  }

  async close(): Promise<void> {}
}

function tableIn(tables: Tables, { table }: ChangedTable): { readonly name: string; readonly old: TargetTable } {
  const name = printTableName(table.name)
  const old = tables.get(name)
  if (old === undefined) throw new LoadError('target-missing', `There is no table ${name}.`)
  return { name, old }
}

function cellsOf(chunk: ChangesChunk, row: number, { columns }: ChangedTable): readonly (string | null)[] {
  return columns.map((_, place) => {
    const from = chunk.start[row + place] as number
    const length = chunk.length[row + place] as number
    return length < 0 ? null : decoder.decode(chunk.bytes.subarray(from, from + length))
  })
}

/** Cells of a change in the order of the target's columns; the others are as `other` says. */
function spread({ table }: TargetTable, { columns }: ChangedTable, cells: Cells, other: (name: string) => Value): Cells {
  return table.columns.map(({ name }) => {
    const place = columns.findIndex(({ target }) => target.name === name)
    return place < 0 ? other(name) : (cells[place] ?? null)
  })
}

function placeIn({ table }: TargetTable, { columns }: ChangedTable, place: number): number {
  return table.columns.findIndex(({ name }) => name === columns[place]?.target.name)
}

function keyIn({ table }: TargetTable, key: readonly string[]): (row: Cells) => string {
  const places = key.map((name) => table.columns.findIndex((column) => column.name === name))
  return (row) => JSON.stringify(places.map((place) => row[place]))
}

function keyText({ columns, key }: ChangedTable, cells: readonly (string | null)[]): string {
  return JSON.stringify(key.map((name) => cells[columns.findIndex(({ target }) => target.name === name)]))
}

function markValue(name: string, text: string | undefined): Value {
  if (text === undefined || text === '') return null
  return name === ORDINAL ? BigInt(text) : name === COMMITTED_AT ? BigInt(Date.parse(text)) * 1000n : text
}
