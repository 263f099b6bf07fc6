// A Postgres as target: rows, state and history in one transaction.

import type { Finding } from '../../contract/finding.ts'
import type { Stage, Target } from '../../contract/target.ts'
import type { Load } from '../../core/load.ts'
import type { HistoryRow, State, StateRow } from '../../core/state.ts'
import type { Table, TableName } from '../../core/table.ts'
import { applyStatements } from '../../sql/apply.ts'
import { partitionPredicate } from '../../sql/partition-predicate.ts'
import { schemaStatements } from '../../sql/schema-statements.ts'
import { PostgresChangeTarget } from './change-writer.ts'
import { POSTGRES_TYPES } from './column-types.ts'
import type { PostgresConfig } from './config.ts'
import { describeIfThere } from './describe.ts'
import { POSTGRES } from './dialect.ts'
import { Ledger } from './ledger.ts'
import { PostgresPartitions } from './partition-target.ts'
import { mayReplaceChanged, replaceStatements } from './replace-changed.ts'
import { openSession, type Session, type SessionOnItsWay } from './session.ts'
import { PostgresStage } from './stage.ts'
import { StateStore } from './state-store.ts'
import { canUpsert, upsertStatement } from './upsert.ts'

export class PostgresTarget implements Target {
  readonly formats = ['pg-copy-binary', 'columns'] as const
  readonly strategies = ['append', 'merge', 'delete-insert', 'overwrite-partition', 'replace'] as const
  readonly atomic = true
  readonly types = POSTGRES_TYPES
  readonly #config: PostgresConfig
  readonly #what: string
  readonly #store: StateStore
  readonly partitions: PostgresPartitions
  readonly changes: PostgresChangeTarget
  #session: SessionOnItsWay | null = null

  constructor(config: PostgresConfig, what: string) {
    this.#config = config
    this.#what = what
    this.#store = new StateStore(config.stateSchema)
    const another = (): Promise<Session> => openSession(config, what, 'target').opened
    this.changes = new PostgresChangeTarget(another, () => this.#open(), this.#store)
    this.partitions = new PostgresPartitions(() => this.#open(), another, this.#store, config.stateSchema)
  }

  /** Kept while it is being opened, so that closing meets also a connection on its way. */
  #open(): Promise<Session> {
    if (this.#session === null || this.#session.broken) this.#session = openSession(this.#config, this.#what, 'target')
    return this.#session.opened
  }

  async describe(table: TableName): Promise<Table | null> {
    return describeIfThere(await this.#open(), table)
  }

  async readState(pipeline: string): Promise<StateRow | null> {
    return this.#store.read(await this.#open(), pipeline)
  }

  async readHistory(pipeline: string, limit: number): Promise<readonly HistoryRow[]> {
    return this.#store.history(await this.#open(), pipeline, limit)
  }

  async noteQuietRun(state: State): Promise<void> {
    await this.#store.quiet(await this.#open(), state)
  }

  async forget(pipeline: string): Promise<boolean> {
    return this.#store.forget(await this.#open(), pipeline)
  }

  async begin(load: Load): Promise<Stage> {
    return PostgresStage.begin(await this.#open(), load, this.#store)
  }

  async check(table: TableName): Promise<readonly Finding[]> {
    const session = await this.#open()
    const [row] = await session.query(
      `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS readonly, current_user AS role,
              has_database_privilege(current_database(), 'CREATE') AS creates`,
    )
    if (row?.['readonly'] === 't')
      return [
        {
          severity: 'error',
          code: 'read-only-target',
          message: `${this.#what} takes no writes.`,
          hint: 'Connect to the primary, with a user that may write.',
        },
      ]
    const findings: Finding[] = []
    const triggers = await session.query(
      `SELECT count(*) AS n FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'`,
      [POSTGRES.table(table)],
    )
    if (Number(triggers[0]?.['n'] ?? 0) > 0)
      findings.push({
        severity: 'warning',
        code: 'target-triggers',
        message: `Target table ${POSTGRES.table(table)} has triggers, which may change what is loaded.`,
        hint: 'Disable them if the target should equal the source.',
      })
    return findings
  }

  explain(load: Load): readonly string[] {
    const ddl = load.changes.flatMap((change) => schemaStatements(POSTGRES, change))
    const settle = load.partition === null ? [] : [new Ledger(this.#config.stateSchema).settleStatement]
    return [...ddl, ...rowStatements(load), ...settle]
  }

  async close(): Promise<void> {
    await this.partitions.close()
    await this.#session?.close()
  }
}

function rowStatements(load: Load): readonly string[] {
  const stage = 'tidemark_stage'
  const copyInto = (table: string): string => `COPY ${table} FROM STDIN (FORMAT binary)`
  const target = POSTGRES.table(load.table.name)
  if (load.strategy === 'overwrite-partition') {
    if (mayReplaceChanged(load)) return [copyInto(stage), ...replaceStatements(load, stage)]
    return [...clearPartition(load, target), copyInto(target)]
  }
  if (load.creates || load.strategy === 'append') return [copyInto(target)]
  const apply = applyStatements(POSTGRES, load, stage)
  const changed = load.strategy === 'delete-insert' ? apply.deleteChanged : apply.updateChanged
  const missing = load.strategy === 'replace' ? [apply.deleteMissing] : []
  if (canUpsert(load)) return [copyInto(stage), ...missing, upsertStatement(load, stage)]
  return [copyInto(stage), ...missing, ...(changed === null ? [] : [changed]), apply.insertMissing]
}

function clearPartition({ partition }: Load, target: string): readonly string[] {
  if (partition === null || partition.absent || partition.replaceBy !== 'delete') return []
  return [`DELETE FROM ${target} WHERE ${partitionPredicate(POSTGRES, partition.column, partition.partition.bounds)}`]
}
