// A memory table as source, under the same rules as a real server: reads only, one snapshot a slice, nothing seen before it
// is committed. Its looks are methods of their own, so that tests can blind one of them.

import type { ReadOptions } from '../../contract/read-options.ts'
import type { PartitionedTable, PartitionOptions, Source } from '../../contract/source.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Head, RunRequest } from '../../core/head.ts'
import { printSource, type ResolvedPartitions, type ResolvedPipeline, selectedTable, type TablePipeline } from '../../core/pipeline.ts'
import { type Position, watermarkOf } from '../../core/position.ts'
import type { Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import type { Column, Table, TableName } from '../../core/table.ts'
import { cursorOf, readValue, watermark } from './cursor.ts'
import { type MemoryDatabase, type MemoryTable, placeOf, type Snapshot, type Version, valueAt } from './database.ts'
import { divideSlice } from './divide.ts'
import { type Looks, readHead } from './head.ts'
import { type Candidate, isInside } from './inside.ts'
import { MemoryPartitionedTable } from './partitioned-table.ts'
import { readRows } from './read-rows.ts'

export interface MemorySourceOptions {
  /** The role may see other sessions, as with pg_read_all_stats. */
  readonly seesSessions?: boolean
  readonly marginMicros?: bigint
}

export class MemorySource implements Source, Looks {
  readonly formats = ['columns'] as const
  readonly seesSessions: boolean
  readonly marginMicros: bigint
  readonly database: MemoryDatabase
  /** Columns as a plan was made of them, by pipeline. */
  readonly #described = new Map<string, string>()

  constructor(database: MemoryDatabase, { seesSessions = true, marginMicros = 2_000_000n }: MemorySourceOptions = {}) {
    this.database = database
    this.seesSessions = seesSessions
    this.marginMicros = marginMicros
  }

  async describe(pipeline: TablePipeline): Promise<Table> {
    this.database.interrupt()
    const table = this.tableOf(pipeline)
    this.#described.set(pipeline.name, this.columnsOf(table))
    return describeTable(this.database, table)
  }

  async list(): Promise<readonly TableName[]> {
    return [...this.database.tables.keys()].map((name) => ({ schema: null, name }))
  }

  async head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head> {
    return readHead(this, pipeline, table, state, request)
  }

  async divide(pipeline: ResolvedPipeline, table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]> {
    const rows = slice.estimatedRows ?? 0
    const byStamp = slice.range.changedSince !== null && slice.range.changedSince.column !== null
    // Where rows share a key, an early piece would put an older one back until a later piece comes.
    const restless = slice.after !== null && pipeline.write !== 'append' && !selectedTable(pipeline, table).keyGuaranteed
    if (slice.range.everything || byStamp || restless || rows < targetRows * 1.5) return [slice]
    const plain = { ...slice.range, changedSince: null }
    const cursors = this.candidates(pipeline).flatMap((row) =>
      row.cursor !== null && isInside(plain, row, () => false) ? [row.cursor] : [],
    )
    return divideSlice(slice, cursorOf(pipeline, table), cursors, Math.round(rows / targetRows))
  }

  async *read(pipeline: ResolvedPipeline, slice: Slice, options: ReadOptions): AsyncIterable<Chunk> {
    const snapshot = this.snapshot()
    const table = this.tableOf(pipeline)
    // A value written to a column that the plan does not know would be passed over, and no one would come back for it.
    if (this.#described.get(pipeline.name) !== this.columnsOf(table))
      throw new LoadError('try-again', `The columns of ${printSource(pipeline)} changed while the load was planned.`)
    yield* readRows(this.database, table, (version) => this.isRead(pipeline, table, slice, version, snapshot), options)
  }

  async openPartitions(pipeline: ResolvedPartitions, _table: Table, { shared, within }: PartitionOptions): Promise<PartitionedTable> {
    const table = this.tableOf(pipeline)
    return new MemoryPartitionedTable({
      database: this.database,
      pipeline,
      table,
      shared,
      planned: this.#described.get(pipeline.name) ?? this.columnsOf(table),
      columnsOf: (now) => this.columnsOf(now),
      snapshot: () => this.snapshot(),
      settledBefore: () => this.settledBefore(),
      counts: (version) => within === null || isInside(within.range, candidate(within.pipeline, table, version), this.isChanged),
    })
  }

  isRead(pipeline: ResolvedPipeline, table: MemoryTable, slice: Slice, version: Version, snapshot: Snapshot): boolean {
    return this.database.isVisible(version, snapshot) && isInside(slice.range, candidate(pipeline, table, version), this.isChanged)
  }

  async positionAt(pipeline: ResolvedPipeline, table: Table, value: string): Promise<Position> {
    const cursor = cursorOf(pipeline, table)
    return watermark(cursor, readValue(cursor, value), undefined)
  }

  async isAfter(_pipeline: ResolvedPipeline, _table: Table, position: Position, other: Position | null): Promise<boolean> {
    const [a, b] = [watermarkOf(position), watermarkOf(other)]
    return a !== null && b !== null && BigInt(a) > BigInt(b)
  }

  async close(): Promise<void> {}

  now(): bigint {
    this.database.interrupt()
    return this.database.clock
  }

  oldestRunning(): number {
    this.database.interrupt()
    return this.database.oldestRunning()
  }

  snapshot(): Snapshot {
    this.database.interrupt()
    return this.database.snapshot()
  }

  activity(): readonly bigint[] {
    this.database.interrupt()
    return [...this.database.unfinished].flatMap(({ state, start }) => (state === 'open' ? [start] : []))
  }

  /** Transactions that write rows of an earlier time have all ended. The clock is read before they are looked at. */
  settledBefore(): bigint {
    const now = this.now()
    this.database.interrupt()
    let settled = now
    for (const { start } of this.database.unfinished) if (start < settled) settled = start
    return settled - this.marginMicros
  }

  preparedWriters(pipeline: ResolvedPipeline): number {
    this.database.interrupt()
    const table = this.tableOf(pipeline)
    return [...this.database.unfinished].filter(({ state, wrote }) => state === 'prepared' && wrote.has(table)).length
  }

  candidates(pipeline: ResolvedPipeline): readonly Candidate[] {
    const snapshot = this.snapshot()
    const table = this.tableOf(pipeline)
    return table.versions.flatMap((version) => (this.database.isVisible(version, snapshot) ? [candidate(pipeline, table, version)] : []))
  }

  /** Was a row written by a transaction that the horizon does not cover? */
  isChanged = (xmin: number, horizon: number): boolean => xmin >= horizon

  columnsOf(table: MemoryTable): string {
    return JSON.stringify(table.columns.flatMap(({ name, dropped }) => (dropped ? [] : [name])))
  }

  tableOf(pipeline: TablePipeline): MemoryTable {
    const name = pipeline.source.table?.name
    const table = name === undefined ? undefined : this.database.tables.get(name)
    if (table === undefined) throw new LoadError('missing-table', `There is no ${printSource(pipeline)} in memory.`)
    if (pipeline.where !== null) throw new LoadError('source-failed', 'A memory table knows no where.')
    return table
  }
}

function candidate(pipeline: ResolvedPipeline, table: MemoryTable, version: Version): Candidate {
  const { lateRows } = pipeline
  const cursor = valueAt(table, version, placeOf(table, pipeline.cursor)) as bigint | null
  const stamp = lateRows.kind === 'xid8' ? valueAt(table, version, placeOf(table, lateRows.column)) : null
  return { cursor, xmin: version.xmin, stamp }
}

function describeTable(database: MemoryDatabase, table: MemoryTable): Table {
  const columns = table.columns
    .filter(({ dropped }) => !dropped)
    .map(
      ({ name, type, nullable, missing }): Column => ({
        name,
        type,
        native: null,
        nullable,
        ...(missing === null ? {} : { backfill: String(missing) }),
      }),
    )
  return {
    name: { schema: null, name: table.name },
    columns,
    key: table.key,
    keyGuaranteed: table.key.length > 0,
    identity: `${database.identity}:${table.id}`,
    estimatedRows: table.versions.length,
    estimatedBytes: null,
  }
}
