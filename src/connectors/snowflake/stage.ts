// Rows on their way into Snowflake. While they are read they only fill files in the user's stage. The commit copies these into a
// temporary table, or straight into the table itself, and then merges, in one transaction with the state: the warehouse is up for the
// commit alone. Whatever defines tables comes before, as it would end the transaction.

import { randomUUID } from 'node:crypto'
import type { Stage } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { SchemaChange } from '../../core/schema-change.ts'
import type { Settlement } from '../../core/settlement.ts'
import { refuseShrinking } from '../../core/shrink.ts'
import { encodeCsv, withFiller } from '../../formats/csv.ts'
import { copyInto, createStage, goesStraightIn, keepsAll, keyFacts, needsFiller, newestRows, type Statements, statements } from './apply.ts'
import { schemaExists } from './describe.ts'
import { schemaStatements } from './dialect.ts'
import type { Ledger } from './ledger.ts'
import { identifier, literal, tableIdentifier } from './names.ts'
import { holdingPartitions, partitionCondition } from './partition-condition.ts'
import { queryTag, type Session } from './session.ts'
import { StagedFiles } from './staged-files.ts'
import type { StateStore } from './state-store.ts'
import { inTransaction, lostTransaction, within } from './transaction.ts'

/** Makes ready for the rows of a slice, or with a ledger for those of a partition. */
export async function beginStage(session: Session, store: StateStore, load: Load, ledger: Ledger | null = null): Promise<SnowflakeStage> {
  await session.run(`ALTER SESSION SET QUERY_TAG = ${literal(queryTag(load.pipeline, load.runId))}`)
  if (ledger === null) await store.prepare(session)
  for (const change of load.changes) await changeSchema(session, change)
  return new SnowflakeStage(session, store, load, ledger)
}

/** Outside of a transaction. */
export async function changeSchema(session: Session, change: SchemaChange): Promise<void> {
  const schema = change.kind === 'create-table' ? change.table.name.schema : null
  if (schema !== null && !(await schemaExists(session, schema))) await session.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`)
  for (const statement of schemaStatements(change)) await session.run(statement)
}

class SnowflakeStage implements Stage {
  readonly #session: Session
  readonly #store: StateStore
  readonly #load: Load
  readonly #files: StagedFiles
  /** Beside the target table, under a name that nothing else has. */
  readonly #stage: string
  readonly #begun = performance.now()
  readonly #ledger: Ledger | null
  /** Partitions from which rows have moved into this one: they are to be loaded again. */
  #robbed: readonly string[] = []
  #committing: Promise<unknown> | null = null
  #staged = false
  #ending = false
  #aborted = false

  constructor(session: Session, store: StateStore, load: Load, ledger: Ledger | null) {
    this.#session = session
    this.#store = store
    this.#load = load
    this.#ledger = ledger
    const id = randomUUID()
    this.#files = new StagedFiles(session, `${load.runId.replaceAll(/[^\w-]/g, '_')}/${id}`)
    this.#stage = tableIdentifier({ schema: load.table.name.schema, name: `tidemark_stage_${id.replaceAll('-', '')}` })
  }

  async write(chunk: Chunk): Promise<void> {
    invariant(chunk.format !== 'pg-copy-binary', 'Snowflake was sent pg-copy-binary')
    const bytes = chunk.format === 'columns' ? encodeCsv(chunk) : chunk.bytes
    await this.#files.write(needsFiller(this.#load) ? withFiller(bytes, chunk.rows) : bytes)
  }

  commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    const commit = this.#commit(settlement, rowsRead)
    this.#committing = commit.catch(() => undefined)
    return commit
  }

  async #commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    try {
      await this.#files.finish()
      const { strategy, replaces } = this.#load
      const isIdle = rowsRead === 0 && strategy !== 'replace' && strategy !== 'overwrite-partition' && replaces === null
      const direct = goesStraightIn(this.#load)
      const deduplicated = isIdle || direct ? 0 : await this.#fillStage(rowsRead)
      const apply = async (transaction: string): Promise<RowCounts> => {
        if (isIdle) return NO_ROWS
        if (!direct)
          return strategy === 'overwrite-partition'
            ? this.#replacePartition(rowsRead, transaction)
            : this.#apply(rowsRead, deduplicated, transaction)
        await this.#copy(tableIdentifier(this.#load.table.name), rowsRead)
        return { ...NO_ROWS, inserted: rowsRead }
      }
      return settlement.kind === 'state'
        ? await this.#commitSlice(settlement, rowsRead, apply)
        : await this.#commitPartition(settlement, rowsRead, apply)
    } finally {
      await this.#cleanUp()
    }
  }

  /** The fence comes last here too. */
  async #commitPartition(
    { claim, checksum, closed }: Settlement & { kind: 'partition' },
    rowsRead: number,
    apply: (transaction: string) => Promise<RowCounts>,
  ): Promise<RowCounts> {
    const ledger = this.#ledger
    invariant(ledger !== null, 'a partition is committed without a ledger')
    const session = this.#session
    this.#goOn()
    const counts = await inTransaction(
      session,
      async (transaction) => {
        const rows = await apply(transaction)
        await this.#store.lock(session, transaction)
        await ledger.reopen(session, claim.pipeline, this.#robbed)
        await ledger.settle(session, claim, rowsRead, checksum, closed, transaction)
        return rows
      },
      () => this.#noReturn(),
    )
    if (!(await ledger.isSettled(session, claim))) throw lostTransaction(session)
    return counts
  }

  /** The staged rows become the partition's only ones: its own go, and rows under a staged key wherever they are. */
  async #replacePartition(rowsRead: number, transaction: string): Promise<RowCounts> {
    const { partition, table, key, pipeline } = this.#load
    invariant(partition !== null && this.#ledger !== null, 'a partition is replaced without one')
    const session = this.#session
    const target = tableIdentifier(table.name)
    const replaced = await session.run(
      `DELETE FROM ${target} WHERE ${partitionCondition(table, partition.column, partition.partition.bounds)} AND ${within(1)}`,
      [transaction],
    )
    refuseShrinking(this.#load, replaced, rowsRead)
    let moved = 0
    if (key.length > 0 && rowsRead > 0) {
      const sameKey = key.map((name) => `t.${identifier(name)} = s.${identifier(name)}`).join(' AND ')
      const column = identifier(partition.column)
      // Which of two partitions was read later is not known: those that rows are taken from are loaded again.
      const values = `SELECT DISTINCT t.${column} AS ${column} FROM ${target} AS t JOIN ${this.#stage} AS s ON ${sameKey}`
      if (Number(await session.value(`SELECT count(*) FROM (${values})`)) > 0) {
        const committed = await this.#ledger.rows(session, pipeline, { status: 'committed' })
        const robbed = await holdingPartitions(session, values, table, partition.by, committed)
        this.#robbed = robbed.filter((one) => one !== partition.partition.key)
        moved = await session.run(`DELETE FROM ${target} AS t USING ${this.#stage} AS s WHERE ${sameKey} AND ${within(1)}`, [transaction])
      }
    }
    const inserted = await this.#insertAll(statements(this.#load, this.#stage), rowsRead, transaction)
    return { ...NO_ROWS, inserted, deleted: replaced + moved }
  }

  /** Rows and state in one transaction. The fence comes last: its lock is that of all pipelines, and is held only for moments. */
  async #commitSlice(
    { from, to }: Settlement & { kind: 'state' },
    rowsRead: number,
    apply: (transaction: string) => Promise<RowCounts>,
  ): Promise<RowCounts> {
    const session = this.#session
    const load = this.#load
    const forgets = load.cause === 'full-refresh' && (await this.#store.hasLedger(session))
    this.#goOn()
    const counts = await inTransaction(
      session,
      async (transaction) => {
        await this.#store.refuseMoved(session, from, to.pipeline)
        const rows = await apply(transaction)
        await this.#store.advance(session, from, to, load.runId, transaction)
        if (forgets) await this.#store.forgetPartitions(session, load.pipeline)
        const seconds = (performance.now() - this.#begun) / 1000
        await this.#store.record(session, from, to, rowsRead, rows, load, seconds, transaction)
        return rows
      },
      () => this.#noReturn(),
    )
    // Where the server had ended the transaction before, COMMIT is no error.
    if (!(await this.#store.isRecorded(session, to, load.runId))) throw lostTransaction(session)
    return counts
  }

  /** From here on nothing interrupts: a COMMIT that is interrupted may be made all the same. */
  #noReturn(): void {
    this.#goOn()
    this.#ending = true
  }

  /** Returns how many rows share a key with a newer one. Throws `null-key`, `short-read`. */
  async #fillStage(rowsRead: number): Promise<number> {
    const load = this.#load
    this.#goOn()
    await this.#session.run(createStage(load, this.#stage))
    this.#staged = true
    await this.#copy(this.#stage, rowsRead)
    if (keepsAll(load) || rowsRead === 0) return 0
    const [facts] = await this.#session.rows(keyFacts(load, this.#stage))
    if (Number(facts?.['nulls']) > 0)
      throw new LoadError(
        'null-key',
        `${facts?.['nulls']} rows of pipeline ${load.pipeline} have NULL in their key (${load.key.join(', ')}).`,
      )
    return rowsRead - Number(facts?.['keys'])
  }

  async #copy(into: string, rowsRead: number): Promise<void> {
    this.#goOn()
    let loaded = 0
    if (!this.#files.isEmpty)
      for (const row of await this.#session.rows(copyInto(this.#load, into, this.#files.stage))) loaded += Number(row['rows_loaded'] ?? 0)
    if (loaded !== rowsRead)
      throw new LoadError('short-read', `${rowsRead} rows were read, but ${loaded} arrived in ${this.#session.what}.`)
  }

  async #apply(rowsRead: number, deduplicated: number, transaction: string): Promise<RowCounts> {
    const load = this.#load
    const sql = statements(load, deduplicated === 0 ? this.#stage : newestRows(load, this.#stage))
    const staged = rowsRead - deduplicated
    const isNew = load.creates || (load.strategy === 'append' && load.replaces === null)
    if (isNew && load.strategy !== 'replace') return { ...NO_ROWS, inserted: await this.#insertAll(sql, staged, transaction), deduplicated }
    if (load.strategy === 'append' || load.key.length === 0) return this.#replaceRows(sql, rowsRead, transaction)
    const rescued = sql.countRescued === null ? 0 : Number((await this.#session.rows(sql.countRescued))[0]?.['n'] ?? 0)
    const missing = load.strategy === 'replace' ? await this.#session.run(sql.deleteMissing) : 0
    const moved = load.strategy === 'delete-insert' ? await this.#deleteAndInsert(sql, staged) : await this.#merge(sql, staged)
    const repeated = load.strategy === 'replace' ? await this.#dropRepeated(sql, staged) : 0
    const { inserted, updated } = moved
    return { ...NO_ROWS, inserted, updated, deleted: missing + repeated, deduplicated, rescued, unchanged: staged - inserted - updated }
  }

  /** Where a key stands in the target several times, each of its rows is updated; it counts once. */
  async #merge(sql: Statements, staged: number): Promise<Moved> {
    const [row] = await this.#session.rows(sql.merge)
    const inserted = Number(row?.['number of rows inserted'] ?? 0)
    return { inserted, updated: Math.min(Number(row?.['number of rows updated'] ?? 0), staged - inserted) }
  }

  async #deleteAndInsert(sql: Statements, staged: number): Promise<Moved> {
    const deleted = sql.deleteChanged === null ? 0 : await this.#session.run(sql.deleteChanged)
    const entered = await this.#session.run(sql.insertMissing)
    const updated = Math.min(deleted, entered, staged)
    return { inserted: entered - updated, updated }
  }

  /** After a replace the table holds each staged key once, also where it held one twice before: nothing forbids that here. */
  async #dropRepeated(sql: Statements, staged: number): Promise<number> {
    const target = tableIdentifier(this.#load.table.name)
    if (Number(await this.#session.value(`SELECT count(*) FROM ${target}`)) === staged) return 0
    const deleted = await this.#session.run(sql.deleteRepeated)
    return deleted - (await this.#session.run(sql.insertMissing))
  }

  /** Replaces all rows, or those in a range, by the staged ones; where both are the same, nothing is touched. */
  async #replaceRows(sql: Statements, rowsRead: number, transaction: string): Promise<RowCounts> {
    const [before] = await this.#session.rows(sql.oldContent)
    const [after] = await this.#session.rows(sql.newContent)
    if (before?.['n'] === after?.['n'] && before?.['hash'] === after?.['hash']) return { ...NO_ROWS, unchanged: rowsRead }
    const deleted = await this.#session.run(sql.deleteAll, [transaction])
    return { ...NO_ROWS, inserted: await this.#insertAll(sql, rowsRead, transaction), deleted }
  }

  async #insertAll(sql: Statements, rows: number, transaction: string): Promise<number> {
    const inserted = await this.#session.run(sql.insertAll, [transaction])
    if (inserted !== rows) throw lostTransaction(this.#session)
    return inserted
  }

  #goOn(): void {
    if (this.#aborted) throw new LoadError('stopped', 'The load was stopped.')
  }

  /** A commit under way ends by itself, one way or the other. */
  async abort(): Promise<void> {
    this.#aborted = true
    if (!this.#ending) this.#session.cancel()
    await this.#committing
    await this.#cleanUp()
  }

  /** Never throws. */
  async #cleanUp(): Promise<void> {
    await this.#files.discard()
    if (!this.#staged || this.#session.broken) return
    this.#staged = false
    await this.#session.run(`DROP TABLE IF EXISTS ${this.#stage}`).catch(() => undefined)
  }
}

interface Moved {
  readonly inserted: number
  readonly updated: number
}
