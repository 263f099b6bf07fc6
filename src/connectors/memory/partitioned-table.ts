// A memory table in partitions, under the same rules as on a real server: one snapshot for all readers where that is asked for, else
// one from each `begin`. What no longer gets rows is told from a moment before the snapshot.

import type { PartitionReader } from '../../contract/partition-reader.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import type { PartitionedTable } from '../../contract/source.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { isReload, type RunRequest } from '../../core/head.ts'
import { NULL_PARTITION, type Partition, type SeenPartition } from '../../core/partition.ts'
import { printSource, type ResolvedPartitions } from '../../core/pipeline.ts'
import type { Column } from '../../core/table.ts'
import { type MemoryDatabase, type MemoryTable, placeOf, type Snapshot, type Value, type Version, valueAt } from './database.ts'
import { isInPartition } from './in-partition.ts'
import { partitionsOf } from './partition-bounds.ts'
import { readRows } from './read-rows.ts'

/** What it looks at, and how. */
export interface PartitionLooks {
  readonly database: MemoryDatabase
  readonly pipeline: ResolvedPartitions
  readonly table: MemoryTable
  readonly shared: boolean
  /** The table's columns as the plan knows them. */
  readonly planned: string
  readonly columnsOf: (table: MemoryTable) => string
  readonly snapshot: () => Snapshot
  readonly settledBefore: () => bigint
  /** The row counts at all, whatever partition it is in. */
  readonly counts: (version: Version) => boolean
}

export class MemoryPartitionedTable implements PartitionedTable {
  readonly #looks: PartitionLooks
  readonly #settledBefore: bigint
  readonly #shared: Snapshot | null

  constructor(looks: PartitionLooks) {
    this.#looks = looks
    this.#settledBefore = looks.settledBefore()
    this.#shared = looks.shared ? looks.snapshot() : null
  }

  async partitions(request: RunRequest, _known: readonly Partition[]): Promise<readonly SeenPartition[]> {
    const { pipeline } = this.#looks
    const values = this.#values()
    const filled = values.filter((value) => value !== null)
    const seen = partitionsOf(pipeline, request, filled, this.#settledBefore).map(
      (one): SeenPartition => ({
        ...one,
        estimatedRows: filled.filter((value) => isInPartition(value, one.bounds)).length,
        estimatedBytes: null,
      }),
    )
    const nulls = values.length - filled.length
    if (nulls === 0 || pipeline.by.nulls === 'exclude') return seen
    if (pipeline.by.nulls === 'error')
      throw new LoadError('null-partition', `Rows of pipeline ${pipeline.name} have NULL in column "${pipeline.by.column}".`)
    return isReload(request) ? seen : [...seen, { ...NULL_PARTITION, closed: false, estimatedRows: nulls, estimatedBytes: null }]
  }

  #values(): readonly Value[] {
    const { database, table, pipeline, snapshot, counts } = this.#looks
    const moment = this.#shared ?? snapshot()
    const place = placeOf(table, pipeline.by.column)
    return table.versions.flatMap((version) =>
      database.isVisible(version, moment) && counts(version) ? [valueAt(table, version, place)] : [],
    )
  }

  async checksums(partitions: readonly Partition[], columns: readonly Column[]): Promise<ReadonlyMap<string, string>> {
    const moment = this.#shared ?? this.#looks.snapshot()
    return new Map(partitions.map((one) => [one.key, checksum(this.#looks, moment, one, columns)]))
  }

  async openReader(): Promise<PartitionReader> {
    return new MemoryPartitionReader(this.#looks, this.#shared)
  }

  async close(): Promise<void> {}
}

class MemoryPartitionReader implements PartitionReader {
  readonly #looks: PartitionLooks
  readonly #shared: Snapshot | null
  #moment: Snapshot | null

  constructor(looks: PartitionLooks, shared: Snapshot | null) {
    this.#looks = looks
    this.#shared = shared
    this.#moment = shared
  }

  async begin(): Promise<void> {
    const { table, planned, columnsOf, pipeline, snapshot } = this.#looks
    this.#moment = this.#shared ?? snapshot()
    // A value written to a column that the plan does not know would be passed over, and the ledger would say that it is loaded.
    if (columnsOf(table) !== planned)
      throw new LoadError('try-again', `The columns of ${printSource(pipeline)} changed while the load was planned.`)
  }

  async checksum(partition: Partition, columns: readonly Column[]): Promise<string> {
    const moment = this.#now()
    this.#looks.database.interrupt()
    return checksum(this.#looks, moment, partition, columns)
  }

  async *read(partition: Partition, options: ReadOptions): AsyncIterable<Chunk> {
    const { database, table } = this.#looks
    const moment = this.#now()
    yield* readRows(database, table, (version) => isRead(this.#looks, moment, partition, version), options)
  }

  async end(): Promise<void> {
    this.#moment = this.#shared
  }

  async close(): Promise<void> {}

  #now(): Snapshot {
    return this.#moment ?? this.#looks.snapshot()
  }
}

function isRead({ database, table, pipeline, counts }: PartitionLooks, moment: Snapshot, { bounds }: Partition, version: Version): boolean {
  if (!database.isVisible(version, moment) || !counts(version)) return false
  return isInPartition(valueAt(table, version, placeOf(table, pipeline.by.column)), bounds)
}

/** `rows:sum of a hash of each row`, whatever their order. */
function checksum(looks: PartitionLooks, moment: Snapshot, partition: Partition, columns: readonly Column[]): string {
  const { table } = looks
  const places = columns.map(({ name }) => placeOf(table, name))
  let rows = 0
  let sum = 0
  for (const version of table.versions) {
    if (!isRead(looks, moment, partition, version)) continue
    rows += 1
    sum += hashOf(JSON.stringify(places.map((place) => valueAt(table, version, place)?.toString() ?? null)))
  }
  return `${rows}:${sum}`
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
