// A Postgres table in partitions: which there are, what they hold, and readers side by side. Where one moment is asked for, the first
// connection exports its snapshot and keeps it while the others read in it.

import type { PartitionReader } from '../../contract/partition-reader.ts'
import type { PartitionedTable, PartitionOptions } from '../../contract/source.ts'
import { LoadError } from '../../core/errors.ts'
import type { RunRequest } from '../../core/head.ts'
import { isReload } from '../../core/head.ts'
import { NULL_PARTITION, type Partition, type SeenPartition, valueKey } from '../../core/partition.ts'
import type { ResolvedPartitions } from '../../core/pipeline.ts'
import type { Column } from '../../core/table.ts'
import { literal } from '../../sql/quote.ts'
import { settledBefore } from './bound.ts'
import { type PostgresTable, relation } from './describe.ts'
import { numberPartitions } from './number-partitions.ts'
import { type PartitionColumn, partitionColumn } from './partition-column.ts'
import { type Estimates, readEstimates } from './partition-estimates.ts'
import { type OpenSession, PostgresPartitionReader, readChecksums } from './partition-reader.ts'
import { rowsCondition } from './predicate.ts'
import type { Session } from './session.ts'
import { timePartitions, tooMany } from './time-partitions.ts'

const MOST_PARTITIONS = 100_000
const MOST_AGREED = 10_000_000

export class PostgresPartitionedTable implements PartitionedTable {
  readonly #pipeline: ResolvedPartitions
  readonly #table: PostgresTable
  readonly #options: PartitionOptions
  readonly #column: PartitionColumn
  readonly #openSession: OpenSession
  readonly #session: Session
  readonly #snapshot: string | null
  readonly #settledBefore: string

  private constructor(
    pipeline: ResolvedPartitions,
    table: PostgresTable,
    options: PartitionOptions,
    openSession: OpenSession,
    session: Session,
    snapshot: string | null,
    settled: string,
  ) {
    this.#pipeline = pipeline
    this.#table = table
    this.#options = options
    this.#column = partitionColumn(pipeline, pipeline.by, table)
    this.#openSession = openSession
    this.#session = session
    this.#snapshot = snapshot
    this.#settledBefore = settled
  }

  static async open(
    pipeline: ResolvedPartitions,
    table: PostgresTable,
    options: PartitionOptions,
    openSession: OpenSession,
  ): Promise<PostgresPartitionedTable> {
    partitionColumn(pipeline, pipeline.by, table)
    const session = await openSession()
    try {
      // Before the snapshot: a transaction that ends between the two is seen by one of them.
      const settled = pipeline.by.kind === 'time' ? await settledBefore(session, table) : ''
      let snapshot: string | null = null
      if (options.shared) {
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
        const [row] = await session.query('SELECT pg_export_snapshot() AS snapshot')
        snapshot = row?.['snapshot'] ?? null
      }
      return new PostgresPartitionedTable(pipeline, table, options, openSession, session, snapshot, settled)
    } catch (error) {
      await session.close()
      throw error
    }
  }

  async partitions(request: RunRequest, known: readonly Partition[]): Promise<readonly SeenPartition[]> {
    const { by } = this.#pipeline
    this.#refuseRange(request)
    const estimates = await readEstimates(this.#session, this.#table, this.#column)
    const seen = await this.#withoutNulls(request, known, estimates)
    if (by.nulls === 'exclude' || !(await this.#hasNulls())) return seen
    if (by.nulls === 'error')
      throw new LoadError(
        'null-partition',
        `Rows of pipeline ${this.#pipeline.name} have NULL in column "${by.column}", and so belong to no partition.`,
      )
    return isReload(request) ? seen : [...seen, this.#seen(NULL_PARTITION, false, estimates)]
  }

  async #withoutNulls(request: RunRequest, known: readonly Partition[], estimates: Estimates): Promise<readonly SeenPartition[]> {
    const { by } = this.#pipeline
    const most = request.agreed ? MOST_AGREED : MOST_PARTITIONS
    const shared = { session: this.#session, column: this.#column, from: this.from, where: this.#rows(), range: request, most }
    if (by.kind === 'hash')
      return Array.from({ length: by.buckets }, (_, bucket) =>
        this.#seen({ key: `bucket-${bucket}`, bounds: { kind: 'bucket', bucket, of: by.buckets } }, false, estimates),
      )
    if (by.kind === 'list') return this.#values(by.values, most, estimates)
    const ranges =
      by.kind === 'time'
        ? await timePartitions({ ...shared, by, settledBefore: this.#settledBefore })
        : await numberPartitions({ ...shared, by, known, estimates, estimatedRows: this.#table.estimatedRows })
    return ranges.map(({ key, lower, upper, closed }) => this.#seen({ key, bounds: { kind: 'range', lower, upper } }, closed, estimates))
  }

  #seen(partition: Partition, closed: boolean, estimates: Estimates): SeenPartition {
    const { estimatedRows, estimatedBytes } = this.#table
    const rows = estimates.rows(partition.bounds)
    const bytes =
      rows === null || estimatedRows === null || estimatedBytes === null ? null : Math.round((rows / estimatedRows) * estimatedBytes)
    return { ...partition, closed, estimatedRows: rows, estimatedBytes: bytes }
  }

  #refuseRange(request: RunRequest): void {
    const { by, name } = this.#pipeline
    if (isReload(request) && (by.kind === 'list' || by.kind === 'hash'))
      throw new LoadError('bad-usage', `The partitions of pipeline ${name} have no order, so that none lie between two values.`, {
        hint: 'Name them: `tidemark run PIPELINE --partition KEY`.',
      })
  }

  async #values(given: readonly string[] | null, most: number, estimates: Estimates): Promise<readonly SeenPartition[]> {
    const values = given === null ? await this.#distinctValues(most) : await this.#givenValues(given)
    return values.map((value) => this.#seen({ key: valueKey(value), bounds: { kind: 'value', value } }, false, estimates))
  }

  /** By jumps from value to value where an index is there: a table has far more rows than regions. */
  async #distinctValues(most: number): Promise<readonly string[]> {
    const { column, indexed } = this.#column
    const where = this.#rows()
    const scan = `SELECT DISTINCT ${column} AS v FROM ${this.from} WHERE ${where} AND ${column} IS NOT NULL LIMIT ${most + 1}`
    const jumps = `WITH RECURSIVE j AS (
        (SELECT ${column} AS v FROM ${this.from} WHERE ${where} AND ${column} IS NOT NULL ORDER BY ${column} LIMIT 1)
        UNION ALL SELECT (SELECT ${column} FROM ${this.from} WHERE ${where} AND ${column} > j.v ORDER BY ${column} LIMIT 1) FROM j WHERE j.v IS NOT NULL)
      SELECT v FROM j WHERE v IS NOT NULL LIMIT ${most + 1}`
    const rows = await this.#session.query(`SELECT v::text AS value FROM (${indexed ? jumps : scan}) AS d ORDER BY 1`)
    if (rows.length > most) throw tooMany(rows.length)
    return rows.map((row) => row['value'] ?? '')
  }

  /** As the source itself prints them: 1 and 01 are one number. */
  async #givenValues(given: readonly string[]): Promise<readonly string[]> {
    const list = given.map((value) => `(${literal(value)}::${this.#column.declared}::text)`).join(', ')
    const rows = await this.#session.query(`SELECT v AS value FROM (VALUES ${list}) AS given(v)`).catch((error: unknown) => {
      if (!(error instanceof LoadError) || error.code !== 'value-refused') throw error
      throw new LoadError('bad-value', `One of the values of pipeline ${this.#pipeline.name} is no ${this.#column.declared}.`, {
        cause: error,
      })
    })
    const values = rows.map((row) => row['value'] ?? '')
    const again = given.find((_, index) => values.indexOf(values[index] ?? '') < index)
    if (again !== undefined)
      throw new LoadError(
        'unusable-partition',
        `Value ${JSON.stringify(again)} of pipeline ${this.#pipeline.name} is the same as one before it.`,
        {
          hint: 'Name each value once: a row can be in one partition only.',
        },
      )
    return values
  }

  async #hasNulls(): Promise<boolean> {
    if (!this.#column.nullable) return false
    const [row] = await this.#session.query(
      `SELECT EXISTS (SELECT 1 FROM ${this.from} WHERE ${this.#rows()} AND ${this.#column.column} IS NULL) AS found`,
    )
    return row?.['found'] === 't'
  }

  get from(): string {
    const { table, query } = this.#pipeline.source
    return relation(table === null ? null : this.#table.name, query)
  }

  /** The rows that count at all, whatever partition they are in. */
  #rows(): string {
    return rowsCondition(this.#pipeline, this.#table, this.#options)
  }

  async checksums(partitions: readonly Partition[], columns: readonly Column[]): Promise<ReadonlyMap<string, string>> {
    return readChecksums(this.#session, { from: this.from, rows: this.#rows(), column: this.#column, partitions, columns })
  }

  async openReader(): Promise<PartitionReader> {
    if (this.#snapshot !== null && this.#session.broken)
      throw new LoadError('connection-lost', `The connection to ${this.#session.what} that held the snapshot broke.`)
    const session = await this.#openSession()
    try {
      if (this.#snapshot !== null) {
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
        await session.query(`SET TRANSACTION SNAPSHOT ${literal(this.#snapshot)}`)
      }
      const reader = new PostgresPartitionReader(session, this.#pipeline, this.#table, this.#options, this.#snapshot !== null)
      // In a snapshot that is kept, the look at the table can come before there is something to read.
      if (this.#snapshot !== null) await reader.begin()
      return reader
    } catch (error) {
      await session.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}
