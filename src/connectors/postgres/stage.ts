// Rows on their way into Postgres: one transaction from the first byte to the state row. A new table is filled directly and
// gets its key afterwards; otherwise rows wait in a temporary table that vanishes with the transaction.

import type { Stage } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { Settlement } from '../../core/settlement.ts'
import { refuseShrinking } from '../../core/shrink.ts'
import { printTableName } from '../../core/table.ts'
import { type Apply, applyStatements, countRescued, dropDuplicates } from '../../sql/apply.ts'
import { partitionPredicate } from '../../sql/partition-predicate.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { schemaStatements } from '../../sql/schema-statements.ts'
import { CopyIn } from './copy-in.ts'
import { POSTGRES } from './dialect.ts'
import { postgresError } from './errors.ts'
import { addKey, buildKey } from './key.ts'
import type { Ledger } from './ledger.ts'
import { takeMovedRows } from './moved-rows.ts'
import { type NativePartition, openNativePartition } from './native-partition.ts'
import { isFilled, mayReplaceChanged, replaceChanged } from './replace-changed.ts'
import type { Session } from './session.ts'
import type { StateStore } from './state-store.ts'
import { canUpsert, upsertStatement } from './upsert.ts'

const STAGE = 'pg_temp.tidemark_stage'

export class PostgresStage implements Stage {
  readonly #session: Session
  readonly #load: Load
  readonly #store: StateStore
  readonly #ledger: Ledger | null
  /** Rows go into the table itself, and not into a temporary one. */
  #direct: boolean
  readonly #began = performance.now()
  #copy: CopyIn | null = null
  #rowsWritten = 0
  /** Rows of the partition that gave way. */
  #replaced = 0
  #native: NativePartition | null = null
  #committing = false
  #encode: ((chunk: Extract<Chunk, { format: 'columns' }>) => Uint8Array) | null = null

  private constructor(session: Session, load: Load, store: StateStore, ledger: Ledger | null) {
    this.#session = session
    this.#load = load
    this.#store = store
    this.#ledger = ledger
    this.#direct = goesStraightIn(load)
  }

  /** Throws what the schema changes meet; the session is then as it was. */
  static async begin(session: Session, load: Load, store: StateStore, ledger: Ledger | null = null): Promise<PostgresStage> {
    const stage = new PostgresStage(session, load, store, ledger)
    await session.query('BEGIN')
    try {
      for (const change of load.changes) for (const statement of schemaStatements(POSTGRES, change)) await session.query(statement)
      if (replacesPartition(load) && mayReplaceChanged(load)) stage.#direct = !(await isFilled(session, load))
      if (!stage.#direct) await session.query(stageTable(load))
      else if (replacesPartition(load)) await stage.#deletePartition()
    } catch (error) {
      await stage.abort()
      throw error
    }
    return stage
  }

  async write(chunk: Chunk): Promise<void> {
    this.#copy ??= this.#session.submit(
      new CopyIn(copyStatement(this.#load, this.#native?.into ?? (this.#direct ? tableIdentifier(this.#load.table.name) : STAGE))),
    )
    try {
      await this.#copy.write(chunk.format === 'columns' ? await this.#encoded(chunk) : chunk.bytes)
    } catch (error) {
      throw this.#mapped(error)
    }
    this.#rowsWritten += chunk.rows
  }

  async #encoded(chunk: Extract<Chunk, { format: 'columns' }>): Promise<Uint8Array> {
    this.#encode ??= (await import('../../formats/pg-copy-binary.ts')).encodeColumns
    return this.#encode(chunk)
  }

  async commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    this.#committing = true
    try {
      await this.#finishCopy(rowsRead)
      const rows = await this.#applyAndSettle(settlement, rowsRead)
      const { command } = await this.#session.execute('COMMIT')
      // A transaction that failed unnoticed answers ROLLBACK, without an error.
      if (command !== 'COMMIT') throw new LoadError('target-failed', `${this.#session.what} answered COMMIT with ${command}.`)
      return rows
    } catch (error) {
      throw this.#mapped(error)
    } finally {
      this.#committing = false
    }
  }

  async #applyAndSettle(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    const load = this.#load
    if (settlement.kind === 'partition') {
      const rows = await this.#apply(rowsRead)
      // The fence comes last: the ledger's row must stay free for those who renew its lease.
      await this.#ledger?.settle(this.#session, settlement.claim, rowsRead, settlement.checksum, settlement.closed)
      return rows
    }
    const { from, to } = settlement
    // The fence comes before the work: a run that lost finds out at once, and rivals queue here instead of deadlocking.
    await this.#store.advance(this.#session, from, to, load.runId)
    if (load.cause === 'full-refresh') await this.#store.forgetPartitions(this.#session, load.pipeline)
    const isIdle = rowsRead === 0 && load.strategy !== 'replace' && load.replaces === null && load.filling !== 'ends'
    const rows = isIdle ? await this.#nothing() : await this.#apply(rowsRead)
    if (load.strategy === 'replace') await this.#store.forgetQuarantined(this.#session, load.pipeline, load.table.name)
    await this.#store.record(this.#session, from, to, rowsRead, rows, load, (performance.now() - this.#began) / 1000)
    return rows
  }

  async #deletePartition(): Promise<void> {
    const { partition, table } = this.#load
    if (partition === null) return
    if (partition.replaceBy !== 'delete') {
      this.#native = await openNativePartition(this.#session, this.#load, partition)
      this.#replaced = this.#native.replaced
      return
    }
    if (partition.absent) return
    const where = partitionPredicate(POSTGRES, partition.column, partition.partition.bounds)
    this.#replaced = (await this.#session.execute(`DELETE FROM ${tableIdentifier(table.name)} WHERE ${where}`)).count
  }

  /** Rows of the partition, and rows that are elsewhere under a key of its own now, give way to the staged ones. */
  async #replaceByKey(rowsRead: number): Promise<RowCounts> {
    const { columns, table } = this.#load
    const target = tableIdentifier(table.name)
    invariant(this.#ledger !== null, 'partitions have a ledger')
    await this.#deletePartition()
    const moved = await takeMovedRows(this.#session, this.#load, STAGE, this.#ledger.table)
    const names = columns.map((column) => identifier(column.name)).join(', ')
    await this.#session.query(`INSERT INTO ${target} (${names}) ${POSTGRES.overriding}SELECT ${names} FROM ${STAGE}`)
    refuseShrinking(this.#load, this.#replaced, rowsRead)
    return { ...NO_ROWS, inserted: rowsRead, deleted: this.#replaced + moved }
  }

  async #finishCopy(rowsRead: number): Promise<void> {
    const taken = this.#copy === null ? 0 : await this.#copy.end()
    if (taken !== rowsRead || this.#rowsWritten !== rowsRead)
      throw new LoadError(
        'short-read',
        `${rowsRead} rows were read, ${this.#rowsWritten} sent, and ${taken} taken by ${this.#session.what}.`,
      )
  }

  async #nothing(): Promise<RowCounts> {
    if (this.#load.creates) await this.#addKey()
    return NO_ROWS
  }

  async #apply(rowsRead: number): Promise<RowCounts> {
    const load = this.#load
    if (replacesPartition(load)) {
      if (load.partition?.byKey === true) return this.#replaceByKey(rowsRead)
      if (!this.#direct) return replaceChanged(this.#session, load, STAGE, rowsRead)
      refuseShrinking(load, this.#replaced, rowsRead)
      await this.#native?.finish()
      return { ...NO_ROWS, inserted: rowsRead, deleted: this.#replaced }
    }
    if (this.#direct) return this.#applyDirect(rowsRead)
    const statements = applyStatements(POSTGRES, load, STAGE)
    if (load.strategy === 'append' || (load.strategy === 'replace' && load.key.length === 0)) return this.#replaceRows(statements, rowsRead)
    const repeated = load.filling === 'ends' ? await buildKey(this.#session, load) : 0
    const deduplicated = await this.#oneRowPerKey(STAGE, statements.nullKeys)
    const rescued = await this.#countRescued()
    const count = async (sql: string | null): Promise<number> => (sql === null ? 0 : (await this.#session.execute(sql)).count)
    const deleted = repeated + (load.strategy === 'replace' ? await count(statements.deleteMissing) : 0)
    const { inserted, updated } =
      canUpsert(load) || load.filling === 'ends' ? await this.#upsert() : await this.#updateThenInsert(statements, count)
    return { ...NO_ROWS, inserted, updated, deleted, deduplicated, rescued, unchanged: rowsRead - deduplicated - inserted - updated }
  }

  async #upsert(): Promise<{ inserted: number; updated: number }> {
    const [row] = await this.#session.query(upsertStatement(this.#load, STAGE))
    const inserted = Number(row?.['inserted'])
    return { inserted, updated: Number(row?.['touched']) - inserted }
  }

  async #updateThenInsert(
    statements: Apply,
    count: (sql: string | null) => Promise<number>,
  ): Promise<{ inserted: number; updated: number }> {
    const replaces = this.#load.strategy === 'delete-insert'
    const updated = await count(replaces ? statements.deleteChanged : statements.updateChanged)
    const entered = await count(statements.insertMissing)
    return { inserted: replaces ? entered - updated : entered, updated }
  }

  /** The table is new and holds exactly what was copied. */
  async #applyDirect(rowsRead: number): Promise<RowCounts> {
    const load = this.#load
    if (!load.creates) return { ...NO_ROWS, inserted: rowsRead }
    const table = tableIdentifier(load.table.name)
    const nullKeys = applyStatements(POSTGRES, load, table).nullKeys
    const deduplicated = load.strategy === 'append' ? 0 : await this.#oneRowPerKey(table, nullKeys)
    await this.#addKey()
    return { ...NO_ROWS, inserted: rowsRead - deduplicated, deduplicated }
  }

  async #addKey(): Promise<void> {
    const { key, table, strategy, filling } = this.#load
    if (key.length === 0 || strategy === 'append' || filling === 'goes-on') return
    await this.#session.query(addKey(table.name, key))
  }

  /** Replaces all rows, or those in a range, by the staged ones; where both are the same, nothing is touched. */
  async #replaceRows(statements: Apply, rowsRead: number): Promise<RowCounts> {
    const [content] = await this.#session.query(statements.sameContent)
    if (content?.['same'] === 't') return { ...NO_ROWS, unchanged: rowsRead }
    const deleted = (await this.#session.execute(statements.deleteAll)).count
    const inserted = (await this.#session.execute(statements.insertAll)).count
    return { ...NO_ROWS, inserted, deleted }
  }

  async #oneRowPerKey(table: string, nullKeys: string): Promise<number> {
    const load = this.#load
    if (load.keyGuaranteed || load.key.length === 0) return 0
    const [row] = await this.#session.query(nullKeys)
    if (Number(row?.['n']) > 0)
      throw new LoadError('null-key', `${row?.['n']} rows of pipeline ${load.pipeline} have NULL in their key (${load.key.join(', ')}).`)
    return (await this.#session.execute(dropDuplicates(POSTGRES, load, table))).count
  }

  async #countRescued(): Promise<number> {
    const sql = countRescued(POSTGRES, this.#load, STAGE)
    return sql === null ? 0 : Number((await this.#session.query(sql))[0]?.['n'] ?? 0)
  }

  #mapped(error: unknown): LoadError {
    const mapped = postgresError(error, this.#session.what, 'target')
    if (mapped.code !== 'duplicate-key' || this.#load.strategy === 'append' || replacesPartition(this.#load)) return mapped
    return new LoadError('duplicate-key', mapped.message, {
      cause: mapped,
      hint: `Rows of the slice collide in a unique column of ${printTableName(this.#load.table.name)}. If they only swap its values, \`write: delete-insert\` applies them.`,
    })
  }

  async abort(): Promise<void> {
    // A COPY under way can't be rolled back politely, and a ROLLBACK amid the statements of a commit would let the rest of them stand
    // alone; the server undoes all of it when the connection goes.
    if (this.#committing || this.#copy?.underWay === true || this.#session.broken) {
      this.#session.cancel()
      this.#session.destroy()
      return
    }
    await this.#session.query('ROLLBACK').catch(() => this.#session.destroy())
  }
}

function replacesPartition(load: Load): boolean {
  return load.strategy === 'overwrite-partition'
}

function goesStraightIn(load: Load): boolean {
  if (replacesPartition(load)) return load.partition?.byKey !== true
  return load.creates || load.filling === 'goes-on' || (load.strategy === 'append' && load.replaces === null)
}

function stageTable(load: Load): string {
  const columns = load.columns.map((column) => `${identifier(column.name)} ${column.native ?? 'text'}`)
  return `CREATE TEMPORARY TABLE tidemark_stage (${columns.join(', ')}) ON COMMIT DROP`
}

function copyStatement(load: Load, into: string): string {
  invariant(load.columns.length > 0, 'a load without columns')
  const names = load.columns.map((column) => identifier(column.name)).join(', ')
  return `COPY ${into} (${names}) FROM STDIN (FORMAT binary)`
}
