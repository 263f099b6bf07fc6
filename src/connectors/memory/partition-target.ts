// Partitions into a memory target: the meaning of the ledger's contract, with which every other target is compared.

import type { Ended, Ending, LedgerFilter, PartitionTarget, PartitionWriter, Preparation, Stage } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { type Claim, type LedgerRow, type LedgerSummary, refuseAnotherLoad } from '../../core/ledger.ts'
import { addCounts, type Load, NO_ROWS } from '../../core/load.ts'
import { type Partition, storedPartition } from '../../core/partition.ts'
import { positionAtEnd, positionOnTheWay, tableInMaking } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { printTableName } from '../../core/table.ts'
import { refuseDuplicates, sharedKeys } from './apply.ts'
import { isInPartition } from './in-partition.ts'
import { claimed, entered, givenUp, ledgerOf, readLedger, renewed, settled } from './ledger.ts'
import { advanceState, type Contents, type Holder, type TargetTable } from './state-store.ts'
import { changedTable } from './table-changes.ts'
import type { Cells } from './vectors.ts'

export class MemoryPartitions implements PartitionTarget {
  readonly #holder: Holder
  readonly #begin: (load: Load) => Promise<Stage>

  constructor(holder: Holder, begin: (load: Load) => Promise<Stage>) {
    this.#holder = holder
    this.#begin = begin
  }

  async readLedger(pipeline: string, filter: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    return readLedger(this.#holder.contents, pipeline, filter, this.#holder.clock)
  }

  async summarize(pipeline: string): Promise<LedgerSummary> {
    const statuses = [...ledgerOf(this.#holder.contents, pipeline).values()].map(({ status }) => status)
    const count = (status: string): number => statuses.filter((one) => one === status).length
    return {
      total: statuses.length,
      committed: count('committed'),
      planned: count('planned'),
      running: count('running'),
      failed: count('failed'),
    }
  }

  async prepare(preparation: Preparation): Promise<State> {
    const { from, first, runId, changes, forget, keyNow, empties } = preparation
    let { contents } = this.#holder
    const emptied = empties === null ? undefined : contents.tables.get(printTableName(empties))
    if (emptied !== undefined)
      contents = { ...contents, tables: new Map(contents.tables).set(printTableName(emptied.table.name), { ...emptied, rows: [] }) }
    const now = contents.states.get(first.pipeline) ?? null
    refuseAnotherLoad(from, now, first.pipeline)
    let made: string | null = null
    for (const change of changes) {
      const name = printTableName(change.kind === 'create-table' ? change.table.name : change.table)
      let table = changedTable(contents.tables.get(name) ?? null, [change])
      if (table === null) continue
      if (change.kind === 'create-table') {
        made = table.table.identity
        table = { ...table, unique: keyNow }
      }
      contents = { ...contents, tables: new Map(contents.tables).set(name, table) }
    }
    const creates = changes.some(({ kind }) => kind === 'create-table')
    const position = positionOnTheWay(first.position, now?.position ?? null, made, forget)
    const state: State = { ...first, position, epoch: now === null ? 0n : now.epoch + 1n }
    const moves = now === null || creates || forget
    if (moves) contents = withState(contents, state)
    this.#holder.contents = entered(contents, { ...preparation, runId })
    return moves ? state : now
  }

  async openWriter(): Promise<PartitionWriter> {
    const holder = this.#holder
    return {
      claim: async (pipeline, runId, keys) => {
        const taken = claimed(holder.contents, pipeline, runId, keys, holder.clock)
        if (taken === null) return null
        holder.contents = taken.contents
        return taken.claim
      },
      begin: this.#begin,
      confirm: async (claim, _checksum, closed) => {
        holder.contents = settled(holder.contents, claim, { closed }, holder.clock)
      },
      giveUp: async (claim: Claim, failure) => {
        holder.contents = givenUp(holder.contents, claim, failure)
      },
      close: async () => {},
    }
  }

  async renew(pipeline: string, runId: string): Promise<void> {
    this.#holder.contents = renewed(this.#holder.contents, pipeline, runId, this.#holder.clock)
  }

  async finish(ending: Ending): Promise<Ended> {
    const { pipeline, cause, runId, table, by, complete } = ending
    const { contents } = this.#holder
    const from = contents.states.get(pipeline) ?? null
    if (from === null) throw new LoadError('state-corrupted', `The state of pipeline ${pipeline} is gone.`)
    const name = printTableName(table.name)
    const old = contents.tables.get(name)
    if (old === undefined) throw new LoadError('target-missing', `There is no table ${name}.`)
    // By the ledger of now, which also has what other runs have entered.
    const entered = [...ledgerOf(contents, pipeline).values()].map((row) => storedPartition(by, row.key, row.lower, row.upper))
    const kept = { ...old, rows: ending.purges ? rowsIn(old, by.column, entered) : old.rows }
    const deleted = old.rows.length - kept.rows.length
    const builds = complete && tableInMaking(from.position) === old.table.identity && ending.key.length > 0
    if (builds) {
      const collisions = collidingPartitions(kept, ending, contents)
      if (collisions.length > 0) return { state: from, deleted: 0, collisions }
      refuseDuplicates(kept.table.columns, kept.rows, ending.key, name)
    }
    const tables = new Map(contents.tables).set(name, builds ? { ...kept, unique: ending.key } : kept)
    const to: State = {
      pipeline,
      position: complete ? positionAtEnd(from.position, ending.last, ending.purges) : from.position,
      epoch: from.epoch + 1n,
      fingerprint: ending.fingerprint,
      unswept: 0,
    }
    const counts = addCounts(ending.rows, { ...NO_ROWS, deleted })
    this.#holder.contents = advanceState({ ...contents, tables }, from, to, { runId, cause }, ending.read, counts)
    return { state: to, deleted, collisions: [] }
  }

  async close(): Promise<void> {}
}

/** Without a row in the history: nothing was loaded yet. */
function withState(contents: Contents, state: State): Contents {
  const before = contents.states.get(state.pipeline)
  const row = {
    ...state,
    lastWatermark: null,
    lastRunAt: before?.lastRunAt ?? null,
    recordsProcessed: before?.recordsProcessed ?? null,
  }
  return { ...contents, states: new Map(contents.states).set(state.pipeline, row) }
}

function rowsIn({ table, rows }: TargetTable, column: string, partitions: readonly Partition[]): readonly Cells[] {
  const place = table.columns.findIndex(({ name }) => name === column)
  const kept = rows.filter((row) => partitions.some(({ bounds }) => isInPartition(row[place] ?? null, bounds)))
  return kept.length === rows.length ? rows : kept
}

/** Keys of the ledger's partitions that hold rows which share the key. */
function collidingPartitions({ table, rows }: TargetTable, { pipeline, by, key }: Ending, contents: Contents): readonly string[] {
  const shared = sharedKeys(table.columns, rows, key)
  if (shared.length === 0) return []
  const place = table.columns.findIndex(({ name }) => name === by.column)
  const values = new Set(shared.map((row) => row[place] ?? null))
  return [...ledgerOf(contents, pipeline).values()]
    .filter((row) => {
      const { bounds } = storedPartition(by, row.key, row.lower, row.upper)
      return [...values].some((value) => isInPartition(value, bounds))
    })
    .map((row) => row.key)
    .sort()
}
