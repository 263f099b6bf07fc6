// A DuckDB file as a target. The file is opened, and made, by the first load: looking at a file that is not there makes none.

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Stage, Target } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import type { Load } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import type { Table, TableName } from '../../core/table.ts'
import { applyStatements, dropDuplicates } from '../../sql/apply.ts'
import { replaceStatements } from './apply.ts'
import { DuckdbChangeTarget } from './change-writer.ts'
import { type Connection, type Database, openDatabase } from './database.ts'
import { describeTable } from './describe.ts'
import { DUCKDB, schemaStatements } from './dialect.ts'
import { DuckdbPartitions } from './partition-target.ts'
import { beginStage, goesStraightIn, type MemoryLimits } from './stage.ts'
import { StateStore } from './state-store.ts'
import { duckdbTypes } from './type-rules.ts'

export interface DuckdbConfig {
  readonly path: string
  readonly stateSchema: string | null
  /** As DuckDB writes it, such as 4GB. */
  readonly memoryLimit?: string
  readonly threads?: number
}

const OPTIONS = {
  threads: '2',
  // Two threads write row groups as they fill up; the order of rows in a table means nothing.
  preserve_insertion_order: 'false',
  // With DuckDB's own 5 a first load of 2,000,000 rows of 9 columns takes 90 MB more, and 7 % longer, as less is written on the way.
  write_buffer_row_group_count: '1',
  autoinstall_known_extensions: 'false',
}

/**
 * What DuckDB may use unless the user says otherwise. While rows come in, more would only cache blocks that nobody reads again: 10 million
 * rows then peak at 530 MB for the process instead of 400. A merge needs more: its joins, and what its UPDATE changed.
 */
const MEMORY: MemoryLimits = { feeding: '100MB', applying: '512MB' }

/** Opens nothing yet. */
export function duckdbTarget(config: DuckdbConfig): Target {
  return new DuckdbTarget(config)
}

class DuckdbTarget implements Target {
  readonly formats = ['pg-copy-binary', 'columns'] as const
  readonly strategies = ['append', 'merge', 'delete-insert', 'overwrite-partition', 'replace'] as const
  readonly atomic = true
  readonly types = duckdbTypes
  readonly #config: DuckdbConfig
  readonly #store: StateStore
  readonly partitions: DuckdbPartitions
  readonly changes: DuckdbChangeTarget
  #database: Database | null = null
  #connection: Promise<Connection> | null = null

  constructor(config: DuckdbConfig) {
    this.#config = config
    this.#store = new StateStore(config.stateSchema)
    this.changes = new DuckdbChangeTarget(
      () => this.#open(),
      () => this.#existing(),
      this.#store,
    )
    const ends = { path: config.path, memory: this.#memory.applying, open: () => this.#open(), existing: () => this.#existing() }
    this.partitions = new DuckdbPartitions(ends, this.#store, config.stateSchema)
  }

  async describe(table: TableName): Promise<Table | null> {
    const connection = await this.#existing()
    return connection && describeTable(connection, this.#config.path, table)
  }

  async readState(pipeline: string): Promise<StateRow | null> {
    const connection = await this.#existing()
    return connection && this.#store.read(connection, pipeline)
  }

  async readHistory(pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    const connection = await this.#existing()
    return connection === null ? [] : this.#store.history(connection, pipeline, limit)
  }

  async noteQuietRun(state: State): Promise<void> {
    const connection = await this.#existing()
    if (connection !== null) await this.#store.quiet(connection, state)
  }

  async forget(pipeline: string): Promise<boolean> {
    const connection = await this.#existing()
    return connection !== null && this.#store.forget(connection, pipeline)
  }

  async begin(load: Load): Promise<Stage> {
    return beginStage(this.#open(), this.#store, load, this.#memory)
  }

  explain(load: Load): readonly string[] {
    const stage = '"_tidemark_stage"'
    const direct = goesStraightIn(load)
    const ddl = load.changes.flatMap(schemaStatements)
    const into = direct ? DUCKDB.table(load.table.name) : stage
    const keepsAll = load.strategy === 'append' || load.strategy === 'overwrite-partition' || load.keyGuaranteed || load.key.length === 0
    const dedupe = keepsAll ? [] : [dropDuplicates(DUCKDB, load, into)]
    const settle = load.partition === null ? [] : [this.partitions.settleStatement]
    return [...ddl, ...dedupe, ...(direct ? [] : applying(load, stage)), ...settle]
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#database = null
    await this.partitions.close()
    if (database === null) return
    await (await this.#connection?.catch(() => null))?.close()
    this.#connection = null
    await database.close()
  }

  get #memory(): MemoryLimits {
    const { memoryLimit } = this.#config
    return memoryLimit === undefined ? MEMORY : { feeding: memoryLimit, applying: memoryLimit }
  }

  #open(): Database {
    const { path, threads } = this.#config
    if (!existsSync(dirname(path)))
      throw new LoadError('missing-database', `The folder of ${path} does not exist.`, {
        hint: 'Make the folder; the file in it is made when missing.',
      })
    this.#database ??= openDatabase(path, {
      ...OPTIONS,
      temp_directory: `${path}.tmp`,
      memory_limit: this.#memory.feeding,
      ...(threads === undefined ? {} : { threads: String(threads) }),
    })
    return this.#database
  }

  async #existing(): Promise<Connection | null> {
    if (this.#database === null && !existsSync(this.#config.path)) return null
    this.#connection ??= this.#open().connect()
    try {
      return await this.#connection
    } catch (thrown) {
      this.#connection = null
      throw thrown
    }
  }
}

/** What brings staged rows into their table. */
function applying(load: Load, stage: string): readonly string[] {
  if (load.strategy === 'overwrite-partition') {
    const { clear, unmove, insert } = replaceStatements(load, stage)
    return [clear, ...(unmove === null ? [] : [unmove]), insert]
  }
  const apply = applyStatements(DUCKDB, load, stage)
  if (load.strategy === 'append' || load.key.length === 0) return [apply.deleteAll, apply.insertAll]
  const changed = load.strategy === 'delete-insert' ? apply.deleteChanged : apply.updateChanged
  const missing = load.strategy === 'replace' ? [apply.deleteMissing] : []
  return [...missing, ...(changed === null ? [] : [changed]), apply.insertMissing]
}
