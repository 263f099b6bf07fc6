// An account of Snowflake as target: rows, state and history in one transaction.

import type { Finding } from '../../contract/finding.ts'
import type { Stage, Target } from '../../contract/target.ts'
import type { Load } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import type { Table, TableName } from '../../core/table.ts'
import { copyInto, createStage, goesStraightIn, keepsAll, newestRows, statements } from './apply.ts'
import { SnowflakeChangeTarget } from './change-target.ts'
import type { SnowflakeConfig } from './config.ts'
import { describeTable } from './describe.ts'
import { schemaStatements } from './dialect.ts'
import { tableIdentifier } from './names.ts'
import { partitionCondition } from './partition-condition.ts'
import { SnowflakePartitions } from './partition-target.ts'
import { openSession } from './session.ts'
import { SessionHolder } from './session-holder.ts'
import { beginStage } from './stage.ts'
import { StateStore } from './state-store.ts'
import { SNOWFLAKE_TYPES, targetTypeOf } from './type-rules.ts'

export class SnowflakeTarget implements Target {
  readonly formats = ['csv', 'columns'] as const
  readonly strategies = ['append', 'merge', 'delete-insert', 'overwrite-partition', 'replace'] as const
  readonly atomic = true
  readonly types = SNOWFLAKE_TYPES
  readonly #config: SnowflakeConfig
  readonly #what: string
  readonly #store: StateStore
  readonly #sessions: SessionHolder
  readonly partitions: SnowflakePartitions
  readonly changes: SnowflakeChangeTarget

  constructor(config: SnowflakeConfig, what: string) {
    this.#config = config
    this.#what = what
    this.#store = new StateStore(config.stateSchema)
    this.#sessions = new SessionHolder(config, what, 'target')
    const ends = {
      main: () => this.#sessions.open(),
      another: (tag: string) => openSession(config, what, { side: 'target', tag }),
      describe: (table: TableName) => this.describe(table),
      placed: (load: Load) => this.#placed(load),
      full: (table: TableName) => this.#full(table),
    }
    this.partitions = new SnowflakePartitions(ends, this.#store, config.stateSchema)
    this.changes = new SnowflakeChangeTarget(ends.another, ends.full, this.#store)
  }

  async describe(table: TableName): Promise<Table | null> {
    const found = await describeTable(await this.#sessions.open(), this.#config, table)
    return found && { ...found, columns: found.columns.map((column) => ({ ...column, type: targetTypeOf(column.native ?? '') })) }
  }

  async readState(pipeline: string): Promise<StateRow | null> {
    return this.#store.read(await this.#sessions.open(), pipeline)
  }

  async readHistory(pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    return this.#store.history(await this.#sessions.open(), pipeline, limit)
  }

  async noteQuietRun(state: State): Promise<void> {
    await this.#store.quiet(await this.#sessions.open(), state)
  }

  async forget(pipeline: string): Promise<boolean> {
    return this.#store.forget(await this.#sessions.open(), pipeline)
  }

  async begin(load: Load): Promise<Stage> {
    return beginStage(await this.#sessions.open(), this.#store, this.#placed(load))
  }

  /** A table without a schema stands in the connection's. */
  #placed(load: Load): Load {
    const inSchema = <T extends { readonly name: TableName }>(table: T): T => ({ ...table, name: this.#full(table.name) })
    const changes = load.changes.map((change) =>
      change.kind === 'create-table' ? { ...change, table: inSchema(change.table) } : { ...change, table: this.#full(change.table) },
    )
    return { ...load, table: inSchema(load.table), changes }
  }

  #full({ schema, name }: TableName): TableName {
    return { schema: schema ?? this.#config.schema, name }
  }

  async check(): Promise<readonly Finding[]> {
    const findings: Finding[] = []
    if (this.#config.login.kind === 'password')
      findings.push({
        severity: 'warning',
        code: 'password-login',
        message: `${this.#what} logs in with a password, which Snowflake refuses to more and more programs.`,
        hint: 'Give the user a key pair, and the connection its `private_key`.',
      })
    const session = await this.#sessions.open()
    const warehouse = await session.value('SELECT CURRENT_WAREHOUSE()')
    if (warehouse === null)
      findings.push({
        severity: 'error',
        code: 'warehouse-unavailable',
        message: `${this.#what} has no warehouse that its statements could run on.`,
        hint: 'Name a `warehouse` in the connection, and GRANT USAGE, OPERATE ON WAREHOUSE … TO ROLE …;',
      })
    return findings
  }

  explain(load: Load): readonly string[] {
    const settle = load.partition === null ? [] : [this.partitions.settleStatement]
    return [...explained(this.#placed(load)), ...settle]
  }

  async close(): Promise<void> {
    await this.partitions.close()
    await this.#sessions.close()
  }
}

const STAGE = 'tidemark_stage'
const FILES = '@~/tidemark/…/'

/** The statements of a load for people to read, in their order. */
function explained(load: Load): readonly string[] {
  const ddl = load.changes.flatMap(schemaStatements)
  if (goesStraightIn(load)) return [...ddl, copyInto(load, tableIdentifier(load.table.name), FILES)]
  const staging = [createStage(load, STAGE), copyInto(load, STAGE, FILES)]
  const sql = statements(load, keepsAll(load) ? STAGE : newestRows(load, STAGE))
  return [...ddl, ...staging, 'BEGIN', ...applying(load, sql), 'COMMIT']
}

function applying(load: Load, sql: ReturnType<typeof statements>): readonly string[] {
  const { partition, table } = load
  if (load.strategy === 'overwrite-partition' && partition !== null) {
    const where = partitionCondition(table, partition.column, partition.partition.bounds)
    return [`DELETE FROM ${tableIdentifier(table.name)} WHERE ${where}`, sql.insertAll]
  }
  if (load.creates) return [sql.insertAll]
  if (load.strategy === 'append' || load.key.length === 0) return [sql.deleteAll, sql.insertAll]
  const missing = load.strategy === 'replace' ? [sql.deleteMissing] : []
  if (load.strategy !== 'delete-insert') return [...missing, sql.merge]
  return [...(sql.deleteChanged === null ? [] : [sql.deleteChanged]), sql.insertMissing]
}
