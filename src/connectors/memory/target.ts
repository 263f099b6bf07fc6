// A target in memory: the executable meaning of the contract, with which every other target is compared.

import type { Stage, Target } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import { storedPartition } from '../../core/partition.ts'
import { compareTypes } from '../../core/schema-change.ts'
import type { Settlement } from '../../core/settlement.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import { type Column, printTableName, type Table, type TableName } from '../../core/table.ts'
import { applyRows, refuseDuplicates } from './apply.ts'
import { isInPartition } from './in-partition.ts'
import { robbed, settled } from './ledger.ts'
import { MemoryPartitions } from './partition-target.ts'
import { advanceState, type Contents, EMPTY_CONTENTS, type LedgerEntry, refuseMovedState, type TargetTable } from './state-store.ts'
import { changedTable } from './table-changes.ts'
import { type Cells, toRows } from './vectors.ts'

const NO_CELLS: readonly Cells[] = []

export class MemoryTarget implements Target {
  readonly formats = ['columns'] as const
  readonly strategies = ['append', 'merge', 'delete-insert', 'overwrite-partition', 'replace'] as const
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
  /** Microseconds from 1970-01-01; stands still unless it is moved. */
  clock = 1_700_000_000_000_000n
  readonly partitions = new MemoryPartitions(this, (load) => this.begin(load))

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

  async forget(pipeline: string): Promise<boolean> {
    const { states, history } = this.contents
    if (!states.has(pipeline)) return false
    const rest = new Map(states)
    rest.delete(pipeline)
    this.contents = withoutLedger({ ...this.contents, states: rest, history: history.filter((row) => row.pipeline !== pipeline) }, pipeline)
    return true
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
    if (this.#staged.length !== rowsRead) throw new LoadError('short-read', `${rowsRead} rows were read, ${this.#staged.length} written.`)
    return settlement.kind === 'state' ? this.#commitState(settlement, rowsRead) : this.#commitPartition(settlement, rowsRead)
  }

  #commitState({ from, to }: Extract<Settlement, { kind: 'state' }>, rowsRead: number): RowCounts {
    const load = this.#load
    const { contents } = this.#target
    refuseMovedState(contents, from, to.pipeline)
    const name = printTableName(load.table.name)
    const old = changedTable(contents.tables.get(name) ?? null, load.changes)
    // Moving a watermark by hand needs no table.
    if (old === null && this.#staged.length === 0) {
      this.#target.contents = advanceState(contents, from, to, load, 0, applyRows([], [], load, []).counts)
      return applyRows([], [], load, []).counts
    }
    if (old === null) throw new LoadError('target-missing', `There is no table ${name}.`)
    const { rows, counts } = applyRows(old.table.columns, old.rows, load, this.#staged)
    const tables = new Map(contents.tables).set(name, { ...old, rows })
    const after = advanceState({ ...contents, tables }, from, to, load, rowsRead, counts)
    // What is on its way in by an older claim is not to come on top of what replaces all rows.
    this.#target.contents = load.cause === 'full-refresh' ? withoutLedger(after, load.pipeline) : after
    return counts
  }

  #commitPartition({ claim, checksum, closed }: Extract<Settlement, { kind: 'partition' }>, rowsRead: number): RowCounts {
    const load = this.#load
    const { contents, clock } = this.#target
    const name = printTableName(load.table.name)
    const old = contents.tables.get(name)
    if (old === undefined) throw new LoadError('target-missing', `There is no table ${name}.`)
    const { rows, counts } = applyRows(old.table.columns, old.rows, load, this.#staged)
    refuseDuplicates(old.table.columns, rows, old.unique, name)
    const tables = new Map(contents.tables).set(name, { ...old, rows })
    const after = settled({ ...contents, tables }, claim, { rows: rowsRead, checksum, closed }, clock)
    this.#target.contents = robbed(after, claim, robbedBy(load, old, rows))
    return counts
  }

  async abort(): Promise<void> {
    this.#staged = []
  }
}

function withoutLedger(contents: Contents, pipeline: string): Contents {
  const ledgers = new Map(contents.ledgers)
  ledgers.delete(pipeline)
  return { ...contents, ledgers }
}

/** Is this a partition that rows were taken from because they are in the loaded one now? */
function robbedBy({ partition }: Load, { table, rows }: TargetTable, after: readonly Cells[]): (row: LedgerEntry) => boolean {
  if (partition?.byKey !== true) return () => false
  const place = table.columns.findIndex(({ name }) => name === partition.column)
  const kept = new Set(after)
  const values = rows.flatMap((row) => (kept.has(row) ? [] : [row[place] ?? null]))
  return ({ key, lower, upper }) => {
    const { bounds } = storedPartition(partition.by, key, lower, upper)
    return values.some((value) => isInPartition(value, bounds))
  }
}
