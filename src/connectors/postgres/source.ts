// A Postgres as source: reads only, over one connection that is opened when it is needed and thrown away when it was left
// in the middle of something.

import type { Finding } from '../../contract/finding.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import type { LoggedElsewhere, PartitionedTable, PartitionOptions, Source } from '../../contract/source.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Head, RunRequest } from '../../core/head.ts'
import type { ResolvedPartitions, ResolvedPipeline, TablePipeline } from '../../core/pipeline.ts'
import { isFilling, type Position, watermarkOf } from '../../core/position.ts'
import type { Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import { columnNamed, type Table, type TableName } from '../../core/table.ts'
import { checkSource } from './check.ts'
import { checkPartitions } from './check-partitions.ts'
import type { PostgresColumn } from './column-types.ts'
import type { PostgresConfig } from './config.ts'
import { copyToStdout, selectFor } from './copy-select.ts'
import { cursorLiteral, cursorOf } from './cursor.ts'
import { type PostgresTable, relation } from './describe.ts'
import { readHead, sliceLimits, valueAt } from './head.ts'
import { PostgresLog } from './log-source.ts'
import { describeLogged } from './logged-table.ts'
import { PostgresPartitionedTable } from './partitioned-table.ts'
import { rangePredicate } from './predicate.ts'
import { describeSource, readCopy } from './read-copy.ts'
import { openSession, type Session, type SessionOnItsWay } from './session.ts'

export class PostgresSource implements Source {
  readonly formats = ['pg-copy-binary', 'columns', 'csv'] as const
  readonly #config: PostgresConfig
  readonly #what: string
  readonly log: PostgresLog
  #session: SessionOnItsWay | null = null
  /** Names of the columns of which plans were made, by pipeline. */
  readonly #planned = new Map<string, ReadonlySet<string>>()

  constructor(config: PostgresConfig, what: string) {
    this.#config = config
    this.#what = what
    this.log = new PostgresLog(config, what, () => this.#open())
  }

  /** Kept while it is being opened, so that closing meets also a connection on its way. */
  #open(): Promise<Session> {
    if (this.#session === null || this.#session.broken) this.#session = openSession(this.#config, this.#what, 'source')
    return this.#session.opened
  }

  async describe(pipeline: TablePipeline): Promise<PostgresTable> {
    const session = await this.#open()
    const table = await describeSource(session, pipeline)
    this.#planned.set(pipeline.name, new Set(table.columns.map(({ name }) => name)))
    return table
  }

  async describeLogged(name: TableName): Promise<LoggedElsewhere> {
    const session = await this.#open()
    const { declarations, layout, ...table } = await describeLogged(session, name)
    const rows = await session.query(
      `SELECT a.attname AS name, 'e' IN (t.typtype, e.typtype) AS is_enum, c.relreplident = 'f' AS whole
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
       WHERE c.oid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped`,
      [table.oid],
    )
    const enums = new Set(rows.filter((row) => row['is_enum'] === 't').map((row) => row['name']))
    const declared = table.columns.map((column) => ({ type: column.declared, isEnum: enums.has(column.name) }))
    return { table, declared, wholeBefore: rows[0]?.['whole'] === 't' }
  }

  /** Tables whose names match, for wildcards and `init`. */
  async list(): Promise<readonly TableName[]> {
    const session = await this.#open()
    const rows = await session.query(
      `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2`,
    )
    return rows.map((row) => ({ schema: row['schema'] ?? null, name: row['name'] ?? '' }))
  }

  async head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head> {
    return readHead(await this.#open(), pipeline, table as PostgresTable, state, request)
  }

  async positionAt(pipeline: ResolvedPipeline, table: Table, value: string): Promise<Position> {
    return valueAt(await this.#open(), cursorOf(pipeline, table as PostgresTable), value)
  }

  async isAfter(pipeline: ResolvedPipeline, table: Table, position: Position, other: Position | null): Promise<boolean> {
    const [a, b] = [watermarkOf(position), watermarkOf(other)]
    if (a === null || b === null) return false
    const cursor = cursorOf(pipeline, table as PostgresTable)
    const [row] = await (await this.#open()).query(`SELECT ${cursorLiteral(cursor, a)} > ${cursorLiteral(cursor, b)} AS after`)
    return row?.['after'] === 't'
  }

  async divide(pipeline: ResolvedPipeline, table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]> {
    const rows = slice.estimatedRows ?? 0
    const byCursor = !slice.range.everything && (slice.range.changedSince === null || slice.range.changedSince.column === null)
    if (!byCursor || rows < targetRows * 1.5) return [slice]
    // What a first load merges at its end is little: everything before goes straight in.
    const tail = slice.after === null || isFilling(slice.after)
    const limits = await sliceLimits(await this.#open(), pipeline, table as PostgresTable, slice, Math.round(rows / targetRows), tail)
    return cut(slice, limits, cursorOf(pipeline, table as PostgresTable).family === 'number')
  }

  async *read(pipeline: ResolvedPipeline, slice: Slice, options: ReadOptions): AsyncIterable<Chunk> {
    const session = await this.#open()
    if (options.signal.aborted) throw new LoadError('stopped', 'The read was stopped.')
    let finished = false
    try {
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      // Described again inside the snapshot: a column may have changed since the plan was made.
      const table = await describeSource(session, pipeline)
      this.#refuseNewColumns(pipeline, table)
      yield* readCopy(session, copyStatement(pipeline, table, slice, options), options)
      await session.query('COMMIT')
      finished = true
    } finally {
      if (!finished) session.destroy()
    }
  }

  /** Rows may bring values for a column that the plan does not know; the watermark would pass them by for good. */
  #refuseNewColumns(pipeline: ResolvedPipeline, table: PostgresTable): void {
    const planned = this.#planned.get(pipeline.name)
    const { include, exclude } = pipeline.columns
    const added = table.columns.find(({ name }) => planned?.has(name) === false && include === null && !exclude.includes(name))
    if (added !== undefined) throw new LoadError('try-again', `Column "${added.name}" came to the source while the load was planned.`)
  }

  async check(pipeline: ResolvedPipeline, table: Table): Promise<readonly Finding[]> {
    return checkSource(await this.#open(), pipeline, table as PostgresTable)
  }

  async checkPartitions(pipeline: ResolvedPartitions, table: Table): Promise<readonly Finding[]> {
    return checkPartitions(await this.#open(), pipeline, table as PostgresTable)
  }

  async openPartitions(pipeline: ResolvedPartitions, table: Table, options: PartitionOptions): Promise<PartitionedTable> {
    const another = (): Promise<Session> => openSession(this.#config, this.#what, 'source').opened
    return PostgresPartitionedTable.open(pipeline, table as PostgresTable, options, another)
  }

  async close(): Promise<void> {
    await this.#session?.close()
  }
}

function copyStatement(pipeline: ResolvedPipeline, table: PostgresTable, slice: Slice, options: ReadOptions): string {
  const select = selectFor(options.format)
  const columns = options.columns.map((wanted) => {
    const column = columnNamed(table, wanted.name) as PostgresColumn | undefined
    if (column === undefined)
      throw new LoadError('try-again', `Column "${wanted.name}" vanished from the source while the load was planned.`)
    return select(column, wanted)
  })
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const where = rangePredicate(pipeline, cursorOf(pipeline, table), slice.range)
  return copyToStdout(`SELECT ${columns.join(', ')} FROM ${from} WHERE ${where}`, options.format)
}

/**
 * Pieces whose union is the slice. Only the last one sweeps, takes NULLs and moves to the slice's own end. The row at a
 * number's watermark is delivered, so its pieces are closed above; the one at a time's is not, so they are open.
 */
function cut(slice: Slice, limits: readonly Position[], closed: boolean): readonly Slice[] {
  const { upTo, range } = slice
  const horizon =
    upTo.kind === 'watermark' ? (slice.after?.kind === 'watermark' ? (slice.after.horizon ?? upTo.horizon) : upTo.horizon) : undefined
  const pieces: Slice[] = []
  let after = slice.after
  let from = range.from
  let fromOpen = range.fromOpen
  const estimatedRows = slice.estimatedRows === null ? null : Math.round(slice.estimatedRows / (limits.length + 1))
  for (const limit of limits) {
    if (limit.kind !== 'watermark' || limit.value === null) continue
    // The oldest horizon is kept until the last piece: what is changed while the others load must still be swept.
    const end: Position = horizon === undefined ? limit : { ...limit, horizon }
    pieces.push({
      after,
      upTo: end,
      range: { ...range, from, fromOpen, to: limit.value, toClosed: closed, changedSince: null, nulls: false },
      estimatedRows,
      sweeps: false,
    })
    after = end
    from = limit.value
    fromOpen = closed
  }
  return [...pieces, { ...slice, after, range: { ...range, from, fromOpen }, estimatedRows }]
}
