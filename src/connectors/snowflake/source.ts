// An account of Snowflake as source: it is only read. A slice is one statement, which sees one moment.

import type { Finding } from '../../contract/finding.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import type { Source } from '../../contract/source.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Head, RunRequest } from '../../core/head.ts'
import { printSource, type ResolvedPipeline, type TablePipeline } from '../../core/pipeline.ts'
import { type Position, watermarkOf } from '../../core/position.ts'
import type { Slice } from '../../core/slice.ts'
import type { State } from '../../core/state.ts'
import type { Table, TableName } from '../../core/table.ts'
import { chooseLateRows, seesTransactions } from './bound.ts'
import type { SnowflakeConfig } from './config.ts'
import { cursorOf, watermarkOfText } from './cursor.ts'
import { describeQuery, describeTable, type SnowflakeColumn } from './describe.ts'
import { isAbove, readHead } from './head.ts'
import { shownName } from './names.ts'
import { rangePredicate, relation } from './predicate.ts'
import { readRows } from './read-rows.ts'
import { SessionHolder } from './session-holder.ts'
import { SnowflakeStreams } from './stream-log.ts'

interface SnowflakeTable extends Table {
  readonly columns: readonly SnowflakeColumn[]
}

export class SnowflakeSource implements Source {
  readonly formats = ['columns'] as const
  readonly log: SnowflakeStreams
  readonly #config: SnowflakeConfig
  readonly #sessions: SessionHolder
  /** Columns of which plans were made, by pipeline. */
  readonly #planned = new Map<string, ReadonlySet<string>>()

  constructor(config: SnowflakeConfig, what: string) {
    this.#config = config
    this.#sessions = new SessionHolder(config, what, 'source')
    this.log = new SnowflakeStreams(config, what, this.#sessions)
  }

  async describe(pipeline: TablePipeline): Promise<Table> {
    const table = await this.#describe(pipeline)
    this.#planned.set(pipeline.name, new Set(table.columns.map(({ name }) => name)))
    return table
  }

  async #describe(pipeline: TablePipeline): Promise<SnowflakeTable> {
    const session = await this.#sessions.open()
    const { table: name, query } = pipeline.source
    const table =
      name === null
        ? await describeQuery(session, this.#config, query ?? '', pipeline.key ?? [])
        : await describeTable(session, this.#config, name)
    if (table === null)
      throw new LoadError('missing-table', `There is no ${printSource(pipeline)}, or the role may not see it.`, { where: session.what })
    const { include, exclude } = pipeline.columns
    for (const { name: column, type, native } of table.columns)
      if (type.kind === 'other' && (include === null || include.includes(column)) && !exclude.includes(column))
        throw new LoadError(
          'schema-conflict',
          `Column "${column}" of ${printSource(pipeline)} is ${native}, which tidemark does not read.`,
          {
            hint: `Leave it out with \`columns: { exclude: [${column}] }\`, or convert it to a text in a \`query\`.`,
          },
        )
    return { ...table, columns: table.columns.map((column) => ({ ...column, declared: column.native ?? '', native: null })) }
  }

  async head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head> {
    return readHead(await this.#sessions.open(), pipeline, table, state, request)
  }

  async *read(pipeline: ResolvedPipeline, slice: Slice, options: ReadOptions): AsyncIterable<Chunk> {
    const session = await this.#sessions.open()
    // Described again: a column may have come since the plan was made, and the position would say that its values are loaded.
    const table = await this.#describe(pipeline)
    this.#refuseNewColumns(pipeline, table)
    const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
    const where = rangePredicate(pipeline, cursorOf(pipeline, table), slice.range)
    yield* readRows(session, table.columns, `${from} WHERE ${where}`, options)
  }

  #refuseNewColumns({ name, columns: { include, exclude } }: TablePipeline, table: Table): void {
    const planned = this.#planned.get(name)
    if (planned === undefined || include !== null) return
    const added = table.columns.find((column) => !planned.has(column.name) && !exclude.includes(column.name))
    if (added !== undefined) throw new LoadError('try-again', `Column "${added.name}" came to the source while the load was planned.`)
  }

  async list(): Promise<readonly TableName[]> {
    const session = await this.#sessions.open()
    const rows = [...(await session.rows('SHOW TABLES IN DATABASE')), ...(await session.rows('SHOW VIEWS IN DATABASE'))]
    return rows
      .map((row) => ({ schema: shownName(row['schema_name'] ?? ''), name: shownName(row['name'] ?? '') }))
      .filter(({ schema }) => schema !== 'information_schema')
  }

  async check(pipeline: ResolvedPipeline, table: Table): Promise<readonly Finding[]> {
    const session = await this.#sessions.open()
    const late = chooseLateRows(pipeline, cursorOf(pipeline, table), await seesTransactions(session))
    return [
      {
        severity: 'info',
        code: 'late-rows',
        message: `Late rows are caught by ${late.mode}: ${late.reason}.`,
        hint: late.mode === 'none' ? 'Use `late_rows: auto`.' : '',
      },
      {
        severity: 'info',
        code: 'deletes',
        message: `Rows deleted from ${printSource(pipeline)} stay in the target: a watermark can't see them.`,
        hint: 'Use `--full-refresh` now and then.',
      },
    ]
  }

  async positionAt(pipeline: ResolvedPipeline, table: Table, value: string): Promise<Position> {
    return watermarkOfText(await this.#sessions.open(), cursorOf(pipeline, table), value)
  }

  async isAfter(pipeline: ResolvedPipeline, table: Table, position: Position, other: Position | null): Promise<boolean> {
    const [a, b] = [watermarkOf(position), watermarkOf(other)]
    if (a === null || b === null) return false
    return isAbove(await this.#sessions.open(), cursorOf(pipeline, table), a, b)
  }

  close(): Promise<void> {
    return this.#sessions.close()
  }
}
