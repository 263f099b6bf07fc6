// A target in memory: the executable meaning of the contract, with which every other target is compared.

import type { Stage, Target } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import { compareTypes, type SchemaChange } from '../../core/schema-change.ts'
import type { Settlement } from '../../core/settlement.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import { type Column, printTableName, type Table, type TableName } from '../../core/table.ts'
import { applyRows } from './apply.ts'
import type { Value } from './database.ts'
import { advanceState, type Contents, EMPTY_CONTENTS, refuseMovedState, type TargetTable } from './state-store.ts'
import { type Cells, toRows } from './vectors.ts'

const NO_CELLS: readonly Cells[] = []

export class MemoryTarget implements Target {
  readonly formats = ['columns'] as const
  readonly strategies = ['append', 'merge', 'delete-insert', 'replace'] as const
  readonly atomic = true
  readonly types = {
    targetColumn: ({ name, type, nullable, native, backfill }: Column): Column => ({
      name,
      type,
      nullable,
      native,
      backfill: backfill ?? null,
    }),
    compare: compareTypes,
  }
  /** All there is; replaced as a whole by a commit. */
  contents: Contents = EMPTY_CONTENTS

  async describe(name: TableName): Promise<Table | null> {
    return this.contents.tables.get(printTableName(name))?.table ?? null
  }

  async readState(pipeline: string): Promise<StateRow | null> {
    return this.contents.states.get(pipeline) ?? null
  }

  async readHistory(pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    return this.contents.history.filter((row) => row.pipeline === pipeline).slice(0, limit)
  }

  async noteQuietRun({ pipeline, epoch }: State): Promise<void> {
    const state = this.contents.states.get(pipeline)
    if (state?.epoch !== epoch) return
    this.contents = { ...this.contents, states: new Map(this.contents.states).set(pipeline, { ...state, unswept: state.unswept + 1 }) }
  }

  async begin(load: Load): Promise<Stage> {
    return new MemoryStage(this, load)
  }

  /** The rows of a table, in the order of its columns. */
  rows(table: string): readonly Cells[] {
    return this.contents.tables.get(table)?.rows ?? NO_CELLS
  }

  async close(): Promise<void> {}
}

class MemoryStage implements Stage {
  readonly #target: MemoryTarget
  readonly #load: Load
  #staged: Cells[] = []

  constructor(target: MemoryTarget, load: Load) {
    this.#target = target
    this.#load = load
  }

  async write(chunk: Chunk): Promise<void> {
    invariant(chunk.format === 'columns', `memory was sent ${chunk.format}`)
    this.#staged.push(...toRows(chunk))
  }

  async commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    invariant(settlement.kind === 'state', 'memory has no ledger')
    const { from, to } = settlement
    const load = this.#load
    const staged = this.#staged
    if (staged.length !== rowsRead) throw new LoadError('short-read', `${rowsRead} rows were read, ${staged.length} written.`)
    refuseMovedState(this.#target.contents, from, to.pipeline)
    const name = printTableName(load.table.name)
    const old = changedTable(this.#target.contents.tables.get(name) ?? null, load.changes)
    // Moving a watermark by hand needs no table.
    if (old === null && staged.length === 0) {
      this.#target.contents = advanceState(this.#target.contents, from, to, load, 0, applyRows([], [], load, []).counts)
      return applyRows([], [], load, []).counts
    }
    if (old === null) throw new LoadError('target-missing', `There is no table ${name}.`)
    const { rows, counts } = applyRows(old.table.columns, old.rows, load, staged)
    const tables = new Map(this.#target.contents.tables).set(name, { table: old.table, rows })
    this.#target.contents = advanceState({ ...this.#target.contents, tables }, from, to, load, rowsRead, counts)
    return counts
  }

  async abort(): Promise<void> {
    this.#staged = []
  }
}

/** Throws `target-failed` for a table that is made twice. */
function changedTable(old: TargetTable | null, changes: readonly SchemaChange[]): TargetTable | null {
  let now = old
  for (const change of changes) {
    if (change.kind === 'create-table') {
      if (now !== null) throw new LoadError('target-failed', `Table ${printTableName(change.table.name)} is there already.`)
      now = { table: { ...change.table, identity: `memory target ${printTableName(change.table.name)}` }, rows: [] }
    } else if (now === null) throw new LoadError('target-missing', `There is no table ${printTableName(change.table)}.`)
    else if (change.kind === 'widen-column')
      now = {
        ...now,
        table: { ...now.table, columns: now.table.columns.map((column) => (column.name === change.column.name ? change.column : column)) },
      }
    else {
      // The source's older rows show the column's default without having been changed; the target's do the same.
      const shown = backfillOf(change.column)
      now = { table: { ...now.table, columns: [...now.table.columns, change.column] }, rows: now.rows.map((row) => [...row, shown]) }
    }
  }
  return now
}

function backfillOf({ type, backfill }: Column): Value {
  if (backfill === null || backfill === undefined) return null
  return type.kind === 'text' ? backfill : BigInt(backfill)
}
