// Partitions into Postgres: a ledger, and connections side by side that each replace one partition in one transaction.

import type { Ended, Ending, LedgerFilter, PartitionTarget, PartitionWriter, Preparation, Stage } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { type Claim, type LedgerRow, type LedgerSummary, refuseAnotherLoad } from '../../core/ledger.ts'
import type { Load } from '../../core/load.ts'
import { addCounts, NO_ROWS } from '../../core/load.ts'
import { type Partition, storedPartition } from '../../core/partition.ts'
import { positionAtEnd, positionOnTheWay, tableInMaking } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import type { TableName } from '../../core/table.ts'
import { insidePredicate } from '../../sql/partition-predicate.ts'
import { startedAnew } from '../../sql/quarantine-table.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'
import { schemaStatements } from '../../sql/schema-statements.ts'
import { collidingPartitions } from './colliding-partitions.ts'
import { describeIfThere, type PostgresTable } from './describe.ts'
import { POSTGRES } from './dialect.ts'
import { addKey } from './key.ts'
import { Ledger } from './ledger.ts'
import type { Session } from './session.ts'
import { PostgresStage } from './stage.ts'
import type { StateStore } from './state-store.ts'

type Open = () => Promise<Session>

export class PostgresPartitions implements PartitionTarget {
  readonly #main: Open
  readonly #another: Open
  readonly #store: StateStore
  readonly #ledger: Ledger
  #alive: Promise<Session> | null = null

  /** `main`: the target's own connection; `another`: one more, which the caller of `another` closes. */
  constructor(main: Open, another: Open, store: StateStore, schema: string | null) {
    this.#main = main
    this.#another = another
    this.#store = store
    this.#ledger = new Ledger(schema)
  }

  async readLedger(pipeline: string, filter?: LedgerFilter): Promise<readonly LedgerRow[]> {
    return this.#ledger.read(await this.#main(), pipeline, filter)
  }

  async summarize(pipeline: string): Promise<LedgerSummary> {
    return this.#ledger.summarize(await this.#main(), pipeline)
  }

  async prepare(preparation: Preparation): Promise<State> {
    const session = await this.#main()
    return inTransaction(session, async () => {
      await lockPipeline(session, preparation.first.pipeline)
      if (preparation.empties !== null) await session.query(`TRUNCATE ${tableIdentifier(preparation.empties)}`)
      for (const table of startedAnew(preparation)) await this.#store.forgetQuarantined(session, preparation.first.pipeline, table)
      const state = await this.#enterState(session, preparation)
      await this.#ledger.enter(session, preparation)
      return state
    })
  }

  /** The pipeline is locked: what another run has prepared meanwhile is found here, and looked at again. */
  async #enterState(session: Session, { from, first, runId, changes, forget, keyNow }: Preparation): Promise<State> {
    const now = await this.#store.read(session, first.pipeline)
    refuseAnotherLoad(from, now, first.pipeline)
    let made: string | null = null
    for (const change of changes) {
      for (const statement of schemaStatements(POSTGRES, change)) await session.query(statement)
      if (change.kind !== 'create-table') continue
      made = (await describeIfThere(session, change.table.name))?.identity ?? null
      if (keyNow.length > 0) await session.query(addKey(change.table.name, keyNow))
    }
    const creates = changes.some(({ kind }) => kind === 'create-table')
    const position = positionOnTheWay(first.position, now?.position ?? null, made, forget)
    const to: State = { ...first, position, epoch: (now?.epoch ?? 0n) + (now === null ? 0n : 1n) }
    if (now === null || creates || forget) await this.#store.advance(session, now, to, runId)
    else return now
    return to
  }

  async openWriter(): Promise<PartitionWriter> {
    return new Writer(await this.#another(), this.#ledger, this.#store)
  }

  /** On a connection of its own: the others wait for rows, or for locks. */
  async renew(pipeline: string, runId: string): Promise<void> {
    this.#alive ??= this.#another()
    try {
      await this.#ledger.renew(await this.#alive, pipeline, runId)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const alive = this.#alive
    this.#alive = null
    await alive?.then(
      (session) => session.close(),
      () => {},
    )
  }

  async countOutside(table: TableName, column: string, partitions: readonly Partition[]): Promise<number> {
    const inside = insidePredicate(POSTGRES, column, partitions)
    const session = await this.#main()
    const [row] = await session.query(`SELECT count(*) AS n FROM ${tableIdentifier(table)} WHERE (${inside}) IS NOT TRUE`)
    return Number(row?.['n'])
  }

  async finish(ending: Ending): Promise<Ended> {
    await this.close()
    const session = await this.#main()
    try {
      return await inTransaction(session, () => this.#finish(session, ending))
    } catch (error) {
      if (!(error instanceof LoadError) || error.code !== 'duplicate-key' || ending.key.length === 0) throw error
      const collisions = await collidingPartitions(session, ending, this.#ledger)
      if (collisions.length === 0) throw error
      const state = await this.#store.read(session, ending.pipeline)
      if (state === null) throw error
      return { state, deleted: 0, collisions }
    }
  }

  async #finish(session: Session, ending: Ending): Promise<Ended> {
    await lockPipeline(session, ending.pipeline)
    const from = await this.#store.read(session, ending.pipeline)
    if (from === null) throw new LoadError('state-corrupted', `The state of pipeline ${ending.pipeline} is gone.`)
    const deleted = await this.#purge(session, ending)
    const rows = addCounts(ending.rows, { ...NO_ROWS, deleted })
    const made = tableInMaking(from.position)
    if (ending.complete && made !== null) await this.#buildIndexes(session, ending, made)
    const position = ending.complete ? positionAtEnd(from.position, ending.last, ending.purges) : from.position
    const to: State = { pipeline: ending.pipeline, position, epoch: from.epoch + 1n, fingerprint: ending.fingerprint, unswept: 0 }
    await this.#store.advance(session, from, to, ending.runId)
    await this.#store.record(session, from, to, ending.read, rows, ending, ending.seconds)
    return { state: to, deleted, collisions: [] }
  }

  /** By the ledger of now, which also has what other runs have entered: nothing is entered while this goes on. */
  async #purge(session: Session, { pipeline, purges, table, by }: Ending): Promise<number> {
    if (!purges) return 0
    const kept = (await this.#ledger.read(session, pipeline)).map((row) => storedPartition(by, row.key, row.lower, row.upper))
    const inside = insidePredicate(POSTGRES, by.column, kept)
    return (await session.execute(`DELETE FROM ${tableIdentifier(table.name)} WHERE (${inside}) IS NOT TRUE`)).count
  }

  /** After the rows: a tenth of the time that keeping them takes while rows come in. */
  async #buildIndexes(session: Session, { table: { name }, key, by, indexes }: Ending, identity: string): Promise<void> {
    const table = await describeIfThere(session, name)
    if (table === null || table.identity !== identity) return
    if (key.length > 0 && table.key.length === 0) await session.query(addKey(name, key))
    if (indexes && by.kind !== 'hash' && needsIndex(table, by.column))
      await session.query(`CREATE INDEX ON ${tableIdentifier(name)} (${identifier(by.column)})`)
  }
}

function needsIndex(table: PostgresTable, column: string): boolean {
  return !table.indexed.includes(column) && table.key[0] !== column
}

/** Runs that prepare or finish the same pipeline do so one after the other. */
async function lockPipeline(session: Session, pipeline: string): Promise<void> {
  await session.query(`SELECT pg_advisory_xact_lock(hashtext('tidemark partitions'), hashtext(${literal(pipeline)}))`)
}

async function inTransaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.query('BEGIN')
  try {
    const result = await work()
    const { command } = await session.execute('COMMIT')
    if (command !== 'COMMIT') throw new LoadError('target-failed', `${session.what} answered COMMIT with ${command}.`)
    return result
  } catch (error) {
    await session.query('ROLLBACK').catch(() => session.destroy())
    throw error
  }
}

class Writer implements PartitionWriter {
  readonly #session: Session
  readonly #ledger: Ledger
  readonly #store: StateStore

  constructor(session: Session, ledger: Ledger, store: StateStore) {
    this.#session = session
    this.#ledger = ledger
    this.#store = store
  }

  claim(pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    return this.#ledger.claim(this.#session, pipeline, runId, keys)
  }

  begin(load: Load): Promise<Stage> {
    return PostgresStage.begin(this.#session, load, this.#store, this.#ledger)
  }

  confirm(claim: Claim, _checksum: string, closed: boolean): Promise<void> {
    return this.#ledger.confirm(this.#session, claim, closed)
  }

  giveUp(claim: Claim, failure: { readonly code: string; readonly message: string } | null): Promise<void> {
    return this.#ledger.giveUp(this.#session, claim, failure)
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}
