// Partitions into DuckDB: a ledger, and connections side by side that fill one partition each. Staging runs in parallel; what replaces
// rows is committed one partition after the other, so that no two transactions bring one key without seeing each other.

import type { Ended, Ending, LedgerFilter, PartitionTarget, PartitionWriter, Preparation, Stage } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { type Claim, type LedgerRow, type LedgerSummary, NO_PARTITIONS, refuseAnotherLoad } from '../../core/ledger.ts'
import { addCounts, type Load, NO_ROWS } from '../../core/load.ts'
import { type Partition, storedPartition } from '../../core/partition.ts'
import { positionAtEnd, positionOnTheWay, tableInMaking } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import type { TableName } from '../../core/table.ts'
import { startedAnew } from '../../sql/quarantine-table.ts'
import { collidingPartitions } from './colliding-partitions.ts'
import type { Connection, Database } from './database.ts'
import { describeTable } from './describe.ts'
import { schemaStatements, tableIdentifier } from './dialect.ts'
import { Ledger } from './ledger.ts'
import { noteAlive, noteEnded } from './live-runs.ts'
import { insideCondition } from './partition-condition.ts'
import { beginPartition, createSchema, limitMemory } from './stage.ts'
import type { StateStore } from './state-store.ts'

export interface DuckdbEnds {
  readonly path: string
  /** How much memory DuckDB may use, as it writes it. */
  readonly memory: string
  /** Opens, and makes, the file. */
  open(): Database
  /** A connection for looking; null where there is no file yet. */
  existing(): Promise<Connection | null>
}

export class DuckdbPartitions implements PartitionTarget {
  readonly #ends: DuckdbEnds
  readonly #store: StateStore
  readonly #ledger: Ledger
  /** Runs that this target has kept alive. */
  readonly #runs = new Map<string, string>()

  constructor(ends: DuckdbEnds, store: StateStore, schema: string | null) {
    this.#ends = ends
    this.#store = store
    this.#ledger = new Ledger(schema)
  }

  /** For people to read. */
  get settleStatement(): string {
    return this.#ledger.settleStatement
  }

  async readLedger(pipeline: string, filter?: LedgerFilter): Promise<readonly LedgerRow[]> {
    const connection = await this.#ends.existing()
    return connection === null ? [] : this.#ledger.read(connection, pipeline, filter)
  }

  async summarize(pipeline: string): Promise<LedgerSummary> {
    const connection = await this.#ends.existing()
    return connection === null ? NO_PARTITIONS : this.#ledger.summarize(connection, pipeline)
  }

  async prepare(preparation: Preparation): Promise<State> {
    this.#alive(preparation.first.pipeline, preparation.runId)
    return this.#alone(async (connection) => {
      await this.#store.prepare(connection)
      await this.#ledger.make(connection)
      for (const change of preparation.changes) if (change.kind === 'create-table') await createSchema(connection, change.table.name.schema)
      const enter = async (): Promise<State> => {
        if (preparation.empties !== null) await connection.run(`DELETE FROM ${tableIdentifier(preparation.empties)}`)
        for (const table of startedAnew(preparation)) await this.#store.forgetQuarantined(connection, preparation.first.pipeline, table)
        const state = await this.#enterState(connection, preparation)
        await this.#ledger.enter(connection, preparation)
        return state
      }
      return this.#ends.open().inTurn(() => inTransaction(connection, enter))
    })
  }

  /** Nobody else prepares now: what another run has prepared meanwhile is found here, and looked at again. */
  async #enterState(connection: Connection, { from, first, runId, changes, forget }: Preparation): Promise<State> {
    const now = await this.#store.read(connection, first.pipeline)
    refuseAnotherLoad(from, now, first.pipeline)
    let made: string | null = null
    for (const change of changes) {
      for (const statement of schemaStatements(change)) await connection.run(statement)
      if (change.kind !== 'create-table') continue
      made = (await describeTable(connection, this.#ends.path, change.table.name))?.identity ?? null
    }
    const creates = changes.some(({ kind }) => kind === 'create-table')
    const position = positionOnTheWay(first.position, now?.position ?? null, made, forget)
    const to: State = { ...first, position, epoch: (now?.epoch ?? 0n) + (now === null ? 0n : 1n) }
    if (now === null || creates || forget) await this.#store.advance(connection, now, to, runId)
    else return now
    return to
  }

  async openWriter(): Promise<PartitionWriter> {
    const database = this.#ends.open()
    const connection = await database.connect()
    await limitMemory(connection, this.#ends.memory)
    return new Writer(database, connection, this.#store, this.#ledger, (pipeline, runId) => this.#alive(pipeline, runId))
  }

  async renew(pipeline: string, runId: string): Promise<void> {
    this.#alive(pipeline, runId)
  }

  #alive(pipeline: string, runId: string): void {
    this.#runs.set(runId, pipeline)
    noteAlive(pipeline, runId)
  }

  #ended(runId: string): void {
    noteEnded(this.#runs.get(runId) ?? '', runId)
    this.#runs.delete(runId)
  }

  async finish(ending: Ending): Promise<Ended> {
    this.#ended(ending.runId)
    return this.#alone(async (connection) => {
      await limitMemory(connection, this.#ends.memory)
      return inTransaction(connection, () => this.#finish(connection, ending))
    })
  }

  async #finish(connection: Connection, ending: Ending): Promise<Ended> {
    const from = await this.#store.read(connection, ending.pipeline)
    if (from === null) throw new LoadError('state-corrupted', `The state of pipeline ${ending.pipeline} is gone.`)
    if (ending.complete && tableInMaking(from.position) !== null) {
      const collisions = await collidingPartitions(connection, ending, this.#ledger)
      if (collisions.length > 0) return { state: from, deleted: 0, collisions }
    }
    const deleted = ending.purges ? await purge(connection, ending, await this.#ledger.read(connection, ending.pipeline)) : 0
    const rows = addCounts(ending.rows, { ...NO_ROWS, deleted })
    const position = ending.complete ? positionAtEnd(from.position, ending.last, ending.purges) : from.position
    const to: State = { pipeline: ending.pipeline, position, epoch: from.epoch + 1n, fingerprint: ending.fingerprint, unswept: 0 }
    await this.#store.advance(connection, from, to, ending.runId)
    await this.#store.record(connection, from, to, ending.read, rows, ending, ending.seconds)
    return { state: to, deleted, collisions: [] }
  }

  async countOutside(table: TableName, column: string, partitions: readonly Partition[]): Promise<number> {
    const connection = await this.#ends.existing()
    const found = connection === null ? null : await describeTable(connection, this.#ends.path, table)
    if (connection === null || found === null) return 0
    return connection.count(
      `SELECT count(*) FROM ${tableIdentifier(table)} WHERE (${insideCondition(found, column, partitions)}) IS NOT TRUE`,
    )
  }

  /** A connection of its own, while nobody else commits partitions. */
  async #alone<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const database = this.#ends.open()
    return database.alone(async () => {
      const connection = await database.connect()
      try {
        return await work(connection)
      } finally {
        await connection.close().catch(() => undefined)
      }
    })
  }

  async close(): Promise<void> {
    for (const runId of [...this.#runs.keys()]) this.#ended(runId)
  }
}

/** By the ledger of now, which also has what other runs have entered: nothing is entered while this goes on. */
async function purge(connection: Connection, { table, by }: Ending, ledger: readonly LedgerRow[]): Promise<number> {
  const kept = ledger.map((row) => storedPartition(by, row.key, row.lower, row.upper))
  const inside = insideCondition(table, by.column, kept)
  return connection.run(`DELETE FROM ${tableIdentifier(table.name)} WHERE (${inside}) IS NOT TRUE`)
}

async function inTransaction<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.run('BEGIN TRANSACTION')
  try {
    const result = await work()
    await connection.run('COMMIT')
    return result
  } catch (error) {
    await connection.run('ROLLBACK').catch(() => undefined)
    throw error
  }
}

class Writer implements PartitionWriter {
  readonly #database: Database
  readonly #connection: Connection
  readonly #store: StateStore
  readonly #ledger: Ledger
  readonly #alive: (pipeline: string, runId: string) => void

  constructor(
    database: Database,
    connection: Connection,
    store: StateStore,
    ledger: Ledger,
    alive: (pipeline: string, runId: string) => void,
  ) {
    this.#database = database
    this.#connection = connection
    this.#store = store
    this.#ledger = ledger
    this.#alive = alive
  }

  claim(pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    this.#alive(pipeline, runId)
    return this.#database.inTurn(() => this.#ledger.claim(this.#connection, pipeline, runId, keys))
  }

  begin(load: Load): Promise<Stage> {
    return beginPartition(this.#database, this.#connection, load, this.#store, this.#ledger)
  }

  confirm(claim: Claim, _checksum: string, closed: boolean): Promise<void> {
    return this.#database.inTurn(() => this.#ledger.confirm(this.#connection, claim, closed))
  }

  giveUp(claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void> {
    return this.#database.inTurn(() => this.#ledger.giveUp(this.#connection, claim, failure))
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
