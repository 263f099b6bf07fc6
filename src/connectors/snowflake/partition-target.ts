// Partitions into Snowflake: a ledger, and sessions side by side that fill one partition each. Files are put side by side; DELETE and COPY of
// two partitions of one table wait for each other there.

import type { Ended, Ending, LedgerFilter, PartitionTarget, PartitionWriter, Preparation, Stage } from '../../contract/target.ts'
import { LoadError } from '../../core/errors.ts'
import { type Claim, type LedgerRow, type LedgerSummary, refuseAnotherLoad } from '../../core/ledger.ts'
import { addCounts, type Load, NO_ROWS } from '../../core/load.ts'
import { type Partition, storedPartition } from '../../core/partition.ts'
import { positionAtEnd, positionOnTheWay, tableInMaking } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { printTableName, type Table, type TableName } from '../../core/table.ts'
import { Ledger } from './ledger.ts'
import { identifier, tableIdentifier } from './names.ts'
import { holdingPartitions, insideCondition } from './partition-condition.ts'
import { queryTag, type Session } from './session.ts'
import { beginStage, changeSchema } from './stage.ts'
import type { StateStore } from './state-store.ts'
import { inTransaction } from './transaction.ts'

export interface SnowflakeEnds {
  /** The target's own session. */
  main(): Promise<Session>
  /** One more, which its caller closes. */
  another(tag: string): Promise<Session>
  describe(table: TableName): Promise<Table | null>
  /** A load whose table stands in a schema. */
  placed(load: Load): Load
  full(table: TableName): TableName
}

export class SnowflakePartitions implements PartitionTarget {
  readonly #ends: SnowflakeEnds
  readonly #store: StateStore
  readonly #ledger: Ledger
  #alive: Promise<Session> | null = null

  constructor(ends: SnowflakeEnds, store: StateStore, schema: string) {
    this.#ends = ends
    this.#store = store
    this.#ledger = new Ledger(store, schema)
  }

  /** For people to read. */
  get settleStatement(): string {
    return this.#ledger.settleStatement
  }

  async readLedger(pipeline: string, filter?: LedgerFilter): Promise<readonly LedgerRow[]> {
    return this.#ledger.read(await this.#ends.main(), pipeline, filter)
  }

  async summarize(pipeline: string): Promise<LedgerSummary> {
    return this.#ledger.summarize(await this.#ends.main(), pipeline)
  }

  /** Tables are made first: what defines one would end the transaction. A run that dies in between leaves an empty table. */
  async prepare(preparation: Preparation): Promise<State> {
    const session = await this.#ends.main()
    const { pipeline } = preparation.first
    await this.#store.prepare(session)
    await this.#ledger.make(session)
    refuseAnotherLoad(preparation.from, await this.#store.read(session, pipeline), pipeline)
    let made: string | null = null
    for (const change of preparation.changes) {
      await changeSchema(
        session,
        change.kind === 'create-table'
          ? { ...change, table: { ...change.table, name: this.#ends.full(change.table.name) } }
          : { ...change, table: this.#ends.full(change.table) },
      )
      if (change.kind === 'create-table') made = (await this.#ends.describe(change.table.name))?.identity ?? null
    }
    return inTransaction(session, async (transaction) => {
      await this.#store.lock(session, transaction)
      if (preparation.empties !== null) await session.run(`DELETE FROM ${tableIdentifier(this.#ends.full(preparation.empties))}`)
      const state = await this.#enterState(session, preparation, made, transaction)
      await this.#ledger.enter(session, preparation)
      return state
    })
  }

  /** Under the lock: what another run has prepared meanwhile is found here, and looked at again. */
  async #enterState(
    session: Session,
    { from, first, runId, forget }: Preparation,
    made: string | null,
    transaction: string,
  ): Promise<State> {
    const now = await this.#store.find(session, first.pipeline)
    refuseAnotherLoad(from, now, first.pipeline)
    if (now !== null && made === null && !forget) return now
    const position = positionOnTheWay(first.position, now?.position ?? null, made, forget)
    const to: State = { ...first, position, epoch: (now?.epoch ?? 0n) + (now === null ? 0n : 1n) }
    await this.#store.advance(session, now, to, runId, transaction)
    return to
  }

  async openWriter(): Promise<PartitionWriter> {
    return new Writer(await this.#ends.another('tidemark'), this.#store, this.#ledger, (load) => this.#ends.placed(load))
  }

  /** On a session of its own: the others wait for rows, or for locks. */
  async renew(pipeline: string, runId: string): Promise<void> {
    this.#alive ??= this.#ends.another(queryTag(pipeline, runId))
    try {
      await this.#ledger.renew(await this.#alive, pipeline, runId)
    } catch (thrown) {
      await this.close()
      throw thrown
    }
  }

  async close(): Promise<void> {
    const alive = this.#alive
    this.#alive = null
    await alive?.then(
      (session) => session.close(),
      () => undefined,
    )
  }

  async countOutside(table: TableName, column: string, partitions: readonly Partition[]): Promise<number> {
    const found = await this.#ends.describe(table)
    if (found === null) return 0
    const session = await this.#ends.main()
    const inside = insideCondition(found, column, partitions)
    return Number(await session.value(`SELECT count(*) FROM ${tableIdentifier(found.name)} WHERE NOT ${inside}`))
  }

  async finish(ending: Ending): Promise<Ended> {
    await this.close()
    const session = await this.#ends.main()
    const table = this.#ends.full(ending.table.name)
    return inTransaction(session, (transaction) =>
      this.#finish(session, { ...ending, table: { ...ending.table, name: table } }, transaction),
    )
  }

  async #finish(session: Session, ending: Ending, transaction: string): Promise<Ended> {
    await this.#store.lock(session, transaction)
    const from = await this.#store.find(session, ending.pipeline)
    if (from === null) throw new LoadError('state-corrupted', `The state of pipeline ${ending.pipeline} is gone.`)
    if (ending.complete && tableInMaking(from.position) !== null) {
      const collisions = await this.#collisions(session, ending)
      if (collisions.length > 0) return { state: from, deleted: 0, collisions }
    }
    const deleted = ending.purges ? await this.#purge(session, ending) : 0
    const rows = addCounts(ending.rows, { ...NO_ROWS, deleted })
    const position = ending.complete ? positionAtEnd(from.position, ending.last, ending.purges) : from.position
    const to: State = { pipeline: ending.pipeline, position, epoch: from.epoch + 1n, fingerprint: ending.fingerprint, unswept: 0 }
    await this.#store.advance(session, from, to, ending.runId, transaction)
    await this.#store.record(session, from, to, ending.read, rows, ending, ending.seconds, transaction)
    return { state: to, deleted, collisions: [] }
  }

  /** By the ledger of now, which also has what other runs have entered: nothing is entered while this goes on. */
  async #purge(session: Session, { pipeline, table, by }: Ending): Promise<number> {
    const kept = (await this.#ledger.rows(session, pipeline)).map((row) => storedPartition(by, row.key, row.lower, row.upper))
    return session.run(`DELETE FROM ${tableIdentifier(table.name)} WHERE NOT ${insideCondition(table, by.column, kept)}`)
  }

  /** Keys of the partitions that hold rows which share a key: rows that moved while both were loaded at different times. */
  async #collisions(session: Session, { pipeline, table, by, key }: Ending): Promise<readonly string[]> {
    if (key.length === 0) return []
    const keys = key.map(identifier).join(', ')
    const target = tableIdentifier(table.name)
    const doubled = `SELECT ${keys} FROM ${target} GROUP BY ${keys} HAVING count(*) > 1`
    if (Number(await session.value(`SELECT count(*) FROM (${doubled})`)) === 0) return []
    const values = `SELECT DISTINCT ${identifier(by.column)} FROM ${target} WHERE (${keys}) IN (${doubled})`
    const found = await holdingPartitions(session, values, table, by, await this.#ledger.rows(session, pipeline))
    if (found.length > 0) return found
    throw new LoadError('duplicate-key', `Rows of ${printTableName(table.name)} share a key.`)
  }
}

class Writer implements PartitionWriter {
  readonly #session: Session
  readonly #store: StateStore
  readonly #ledger: Ledger
  readonly #placed: (load: Load) => Load

  constructor(session: Session, store: StateStore, ledger: Ledger, placed: (load: Load) => Load) {
    this.#session = session
    this.#store = store
    this.#ledger = ledger
    this.#placed = placed
  }

  claim(pipeline: string, runId: string, keys: readonly string[]): Promise<Claim | null> {
    return this.#ledger.claim(this.#session, pipeline, runId, keys)
  }

  begin(load: Load): Promise<Stage> {
    const { replaceBy } = load.partition ?? { replaceBy: 'delete' }
    if (replaceBy !== 'delete')
      throw new LoadError('unusable-partition', `A Snowflake table has no partitions of its own, which replace_by: ${replaceBy} needs.`, {
        hint: 'Use `replace_by: delete`.',
      })
    return beginStage(this.#session, this.#store, this.#placed(load), this.#ledger)
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
