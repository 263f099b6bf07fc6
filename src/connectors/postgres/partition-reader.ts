// One connection that reads partitions, one after the other.

import type { PartitionReader } from '../../contract/partition-reader.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import type { PartitionOptions } from '../../contract/source.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Partition } from '../../core/partition.ts'
import { EMPTY_CHECKSUM } from '../../core/partition-plan.ts'
import type { ResolvedPartitions } from '../../core/pipeline.ts'
import { type Column, columnNamed } from '../../core/table.ts'
import { partitionPredicate } from '../../sql/partition-predicate.ts'
import { identifier } from '../../sql/quote.ts'
import type { PostgresColumn } from './column-types.ts'
import { copyToStdout, selectFor } from './copy-select.ts'
import { type PostgresTable, relation } from './describe.ts'
import { POSTGRES } from './dialect.ts'
import type { PartitionColumn } from './partition-column.ts'
import { rowsCondition } from './predicate.ts'
import { describeSource, readCopy } from './read-copy.ts'
import type { Session } from './session.ts'

export type OpenSession = () => Promise<Session>

export class PostgresPartitionReader implements PartitionReader {
  readonly #session: Session
  readonly #pipeline: ResolvedPartitions
  readonly #planned: PostgresTable
  readonly #options: PartitionOptions
  /** In a snapshot that is kept: the table is looked at once. */
  readonly #shared: boolean
  #table: PostgresTable | null = null

  constructor(session: Session, pipeline: ResolvedPartitions, planned: PostgresTable, options: PartitionOptions, shared: boolean) {
    this.#session = session
    this.#pipeline = pipeline
    this.#planned = planned
    this.#options = options
    this.#shared = shared
  }

  async begin(): Promise<void> {
    if (this.#shared && this.#table !== null) return
    if (!this.#shared) await this.#session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    this.#table = await describeSource(this.#session, this.#pipeline)
    refuseChangedColumns(this.#pipeline, this.#planned, this.#table)
  }

  async end(): Promise<void> {
    if (this.#shared || this.#session.broken) return
    await this.#session.query('COMMIT').catch(() => this.#session.destroy())
  }

  async checksum(partition: Partition, columns: readonly Column[]): Promise<string> {
    const where = `${partitionPredicate(POSTGRES, this.#pipeline.by.column, partition.bounds)} AND ${this.#rows()}`
    const [row] = await this.#session.query(`SELECT ${CHECKSUM(columns)} AS checksum FROM ${this.#from} WHERE ${where}`)
    return row?.['checksum'] ?? EMPTY_CHECKSUM
  }

  async *read(partition: Partition, options: ReadOptions): AsyncIterable<Chunk> {
    const select = selectFor(options.format)
    const columns = options.columns.map((wanted) => {
      const column = columnNamed(this.#table ?? this.#planned, wanted.name) as PostgresColumn | undefined
      if (column === undefined)
        throw new LoadError('try-again', `Column "${wanted.name}" vanished from the source while the load was planned.`)
      return select(column, wanted)
    })
    const where = `${partitionPredicate(POSTGRES, this.#pipeline.by.column, partition.bounds)} AND ${this.#rows()}`
    yield* readCopy(this.#session, copyToStdout(`SELECT ${columns.join(', ')} FROM ${this.#from} WHERE ${where}`, options.format), options)
  }

  get #from(): string {
    const { table, query } = this.#pipeline.source
    return relation(table === null ? null : this.#planned.name, query)
  }

  #rows(): string {
    return rowsCondition(this.#pipeline, this.#planned, this.#options)
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** Rows may bring values for a column that the plan does not know, and the ledger would say that they are loaded. */
function refuseChangedColumns({ columns: { include, exclude } }: ResolvedPartitions, planned: PostgresTable, now: PostgresTable): void {
  const added = now.columns.find(({ name }) => columnNamed(planned, name) === undefined && include === null && !exclude.includes(name))
  if (added !== undefined) throw new LoadError('try-again', `Column "${added.name}" came to the source while the load was planned.`)
}

/** `rows:sum of a hash of each row`, whatever their order. A row is its text, whose form is pinned by the session's settings. */
const CHECKSUM = (columns: readonly Column[]): string =>
  `count(*) || ':' || coalesce(sum(hashtextextended(ROW(${columns.map(({ name }) => identifier(name)).join(', ')})::text, 0)::numeric), 0)`

export interface ChecksumQuestion {
  readonly from: string
  readonly rows: string
  readonly column: PartitionColumn
  readonly partitions: readonly Partition[]
  readonly columns: readonly Column[]
}

/** Of all partitions in one pass over the table. */
export async function readChecksums(session: Session, question: ChecksumQuestion): Promise<ReadonlyMap<string, string>> {
  const { from, rows, partitions, columns } = question
  const found = new Map<string, string>()
  if (partitions.length === 0) return found
  const answers = await session.query(
    `SELECT ${groupOf(question)} AS place, ${CHECKSUM(columns)} AS checksum FROM ${from} WHERE ${rows} GROUP BY 1`,
  )
  const byPlace = new Map(answers.map((row) => [row['place'] ?? '', row['checksum'] ?? EMPTY_CHECKSUM]))
  for (const [index, { key, bounds }] of partitions.entries()) {
    const place =
      bounds.kind === 'range'
        ? String(index)
        : bounds.kind === 'value'
          ? `v${bounds.value}`
          : bounds.kind === 'null'
            ? ''
            : `b${bounds.bucket}`
    found.set(key, byPlace.get(place) ?? EMPTY_CHECKSUM)
  }
  return found
}

/** An expression that names the partition of a row; NULL for a NULL. Gaps between ranges get a place that no partition has. */
function groupOf({ column, partitions }: ChecksumQuestion): string {
  const [first] = partitions
  const kind = partitions.find(({ bounds }) => bounds.kind !== 'null')?.bounds
  if (kind === undefined || first === undefined) return `CASE WHEN ${column.column} IS NOT NULL THEN 'other' END`
  if (kind.kind === 'value') return `'v' || ${column.column}::text`
  if (kind.kind === 'bucket') return `'b' || (${POSTGRES.bucket(column.column, kind.of)})::text`
  // Ranges are in order: lower and upper edges alternate, so that an odd place lies inside a partition.
  const edges: string[] = []
  for (const { bounds } of partitions) if (bounds.kind === 'range') edges.push(bounds.lower, bounds.upper)
  const type = column.family === 'number' ? 'numeric' : column.declared.replace(/\(\d\)/, '')
  const array = `'{${edges.map((edge) => `"${edge}"`).join(',')}}'::${type}[]`
  const value = column.family === 'number' ? `${column.column}::numeric` : column.column
  // width_bucket counts the edges that are not above the value; of two equal edges the later wins.
  return `CASE WHEN ${column.column} IS NULL THEN NULL WHEN width_bucket(${value}, ${array}) % 2 = 1 THEN (width_bucket(${value}, ${array}) / 2)::text ELSE 'gap' END`
}
