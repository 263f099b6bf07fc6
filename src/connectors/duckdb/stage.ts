// One slice or partition on its way into DuckDB. Two ways in:
// - direct: rows go into the target table inside the transaction that will commit them (a new table or partition, or append);
// - staged: rows go into a temporary table of this connection; the transaction begins at `commit`.
// Either way one connection, and one transaction for rows, schema changes and what is remembered of them.

import type { Stage } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { Claim } from '../../core/ledger.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import type { Settlement } from '../../core/settlement.ts'
import { encodeColumns } from '../../formats/pg-copy-binary.ts'
import { lostClaim } from '../../sql/ledger-table.ts'
import { identifier } from '../../sql/quote.ts'
import { applyStage, replacePartition, settleDirect } from './apply.ts'
import type { Connection, Database, Feed } from './database.ts'
import { schemaStatements, tableIdentifier } from './dialect.ts'
import type { Ledger } from './ledger.ts'
import { asConflict, type StateStore } from './state-store.ts'

const STAGE = 'temp."_tidemark_stage"'
const DROP_STAGE = `DROP TABLE IF EXISTS ${STAGE}`

/** How much memory DuckDB may use in the two phases of a load, as it writes it. */
export interface MemoryLimits {
  readonly feeding: string
  readonly applying: string
}

/** Makes ready for the rows of a slice. */
export async function beginStage(database: Database, store: StateStore, load: Load, memory: MemoryLimits): Promise<Stage> {
  const connection = await database.connect()
  try {
    await limitMemory(connection, memory.feeding)
    await store.prepare(connection)
    for (const change of load.changes) if (change.kind === 'create-table') await createSchema(connection, change.table.name.schema)
    const [feed, direct] = await openFeed(connection, load)
    return new DuckdbStage({ database, connection, lent: false, feed, load, store, ledger: null, direct, applying: memory.applying })
  } catch (thrown) {
    await connection.close().catch(() => undefined)
    throw thrown
  }
}

/** Makes ready for the rows of a partition, on a connection that goes on to the next one. */
export async function beginPartition(
  database: Database,
  connection: Connection,
  load: Load,
  store: StateStore,
  ledger: Ledger,
): Promise<Stage> {
  const { replaceBy } = load.partition ?? { replaceBy: 'delete' }
  if (replaceBy !== 'delete')
    throw new LoadError('unusable-partition', `A DuckDB table has no partitions of its own, which replace_by: ${replaceBy} needs.`, {
      hint: 'Use `replace_by: delete`.',
    })
  try {
    const [feed, direct] = await openFeed(connection, load)
    return new DuckdbStage({ database, connection, lent: true, feed, load, store, ledger, direct, applying: null })
  } catch (thrown) {
    await clear(connection)
    throw thrown
  }
}

/** A load without columns brings no rows, only a position: there is nothing to feed. */
async function openFeed(connection: Connection, load: Load): Promise<readonly [feed: Feed | null, direct: boolean]> {
  const direct = goesStraightIn(load) && (await beginDirect(connection, load))
  if (!direct) await createStage(connection, load)
  const names = load.columns.map((column) => column.name)
  if (names.length === 0) return [null, direct]
  return [await connection.feed(direct ? tableIdentifier(load.table.name) : STAGE, names), direct]
}

/** Lowering it fails while more is in use, by a load beside this one: then it stays. */
export async function limitMemory(connection: Connection, limit: string): Promise<void> {
  await connection.run(`SET GLOBAL memory_limit = '${limit.replaceAll("'", '')}'`).catch(() => 0)
}

export function goesStraightIn(load: Load): boolean {
  if (load.strategy === 'overwrite-partition') return load.partition?.absent === true
  return load.creates || (load.strategy === 'append' && load.replaces === null)
}

export async function createSchema(connection: Connection, schema: string | null): Promise<void> {
  if (schema !== null) await connection.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`)
}

/** False where another transaction is making the same table: then the rows wait beside it until that one has ended. */
async function beginDirect(connection: Connection, load: Load): Promise<boolean> {
  await connection.run('BEGIN TRANSACTION')
  try {
    await changeSchema(connection, load)
    return true
  } catch (thrown) {
    await connection.run('ROLLBACK')
    if (thrown instanceof LoadError && thrown.code === 'try-again') return false
    throw thrown
  }
}

async function createStage(connection: Connection, load: Load): Promise<void> {
  const columns = load.columns.map((column) => `${identifier(column.name)} ${column.native}`)
  await connection.run(`CREATE OR REPLACE TEMP TABLE "_tidemark_stage" (${columns.join(', ')})`)
}

async function changeSchema(connection: Connection, load: Load): Promise<void> {
  for (const change of load.changes) for (const statement of schemaStatements(change)) await connection.run(statement)
}

/** Nothing of a load that failed stays with the connection. */
async function clear(connection: Connection): Promise<void> {
  // Fails where no transaction is open, which is as good.
  await connection.run('ROLLBACK').catch(() => undefined)
  await connection.run(DROP_STAGE).catch(() => undefined)
}

interface Parts {
  readonly database: Database
  readonly connection: Connection
  /** The connection is someone else's to close. */
  readonly lent: boolean
  readonly feed: Feed | null
  readonly load: Load
  readonly store: StateStore
  readonly ledger: Ledger | null
  readonly direct: boolean
  /** Memory for the statements of the commit; null: as it is. */
  readonly applying: string | null
}

class DuckdbStage implements Stage {
  readonly #parts: Parts
  readonly #begun = performance.now()
  #committing: Promise<unknown> | null = null
  #aborted = false
  #ending = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async write(chunk: Chunk): Promise<void> {
    try {
      await this.#parts.feed?.write(chunk.format === 'columns' ? encodeColumns(chunk) : chunk.bytes)
    } catch (thrown) {
      throw this.#named(thrown)
    }
  }

  commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    const commit = this.#commit(settlement, rowsRead)
    this.#committing = commit.catch(() => undefined)
    return commit
  }

  async #commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    const { feed, database } = this.#parts
    try {
      const rows = (await feed?.drain()) ?? 0
      if (rows !== rowsRead) throw new LoadError('short-read', `${rowsRead} rows were read, but ${rows} arrived in the target.`)
      const counts =
        settlement.kind === 'state'
          ? await this.#commitSlice(settlement, rows)
          : await database.alone(() => this.#commitOrRollBack(settlement, rows))
      // Whatever an interruption meets now, the rows are in.
      await this.#release().catch(() => this.#cleanUp())
      return counts
    } catch (thrown) {
      await this.#cleanUp()
      throw this.#named(thrown)
    }
  }

  async #commitSlice({ from, to }: Settlement & { kind: 'state' }, rows: number): Promise<RowCounts> {
    const { connection, load, store, direct, applying } = this.#parts
    if (applying !== null) await limitMemory(connection, applying)
    if (!direct) await connection.run('BEGIN TRANSACTION')
    // The fence comes before the work: a run that lost finds out at once.
    await store.advance(connection, from, to, load.runId)
    if (load.cause === 'full-refresh') await store.forgetPartitions(connection, load.pipeline)
    if (!direct) await changeSchema(connection, load)
    const counts = await this.#apply(rows)
    if (load.strategy === 'replace') await store.forgetQuarantined(connection, load.pipeline, load.table.name)
    await store.record(connection, from, to, rows, counts, load, (performance.now() - this.#begun) / 1000)
    await this.#end().catch((thrown) => {
      throw asConflict(thrown, load.pipeline)
    })
    return counts
  }

  /** The next one to commit must not meet what this one has deleted. */
  async #commitOrRollBack(settlement: Settlement & { kind: 'partition' }, rows: number): Promise<RowCounts> {
    try {
      return await this.#commitPartition(settlement, rows)
    } catch (thrown) {
      await clear(this.#parts.connection)
      throw thrown
    }
  }

  async #commitPartition({ claim, checksum, closed }: Settlement & { kind: 'partition' }, rows: number): Promise<RowCounts> {
    const { database, connection, ledger, direct } = this.#parts
    invariant(ledger !== null, 'a partition is committed without a ledger')
    this.#goOn()
    if (!direct) await connection.run('BEGIN TRANSACTION')
    const counts = await this.#apply(rows)
    // The fence comes last: nobody can claim the partition between the question and the commit.
    await database.inTurn(async () => {
      await this.#refuseLostClaim(claim, ledger)
      await ledger.settle(connection, claim, rows, checksum, closed)
      await this.#end()
    })
    return counts
  }

  /** By another connection: this one sees the ledger as it was when its transaction began. */
  async #refuseLostClaim(claim: Claim, ledger: Ledger): Promise<void> {
    const other = await this.#parts.database.connect()
    try {
      if (!(await ledger.isOwn(other, claim))) throw lostClaim(claim)
    } finally {
      await other.close()
    }
  }

  #apply(rows: number): Promise<RowCounts> {
    const { connection, load, direct, ledger } = this.#parts
    const table = tableIdentifier(load.table.name)
    if (direct) return settleDirect(connection, load, table, rows)
    if (load.strategy === 'overwrite-partition' && ledger !== null) return replacePartition(connection, load, STAGE, rows, ledger)
    return applyStage(connection, load, STAGE, table, rows)
  }

  /** An interruption that met no statement has no effect of its own. */
  #goOn(): void {
    if (this.#aborted) throw new LoadError('stopped', 'The load was stopped.')
  }

  /** From here on nothing interrupts: a COMMIT that is interrupted may fail although it was made. */
  async #end(): Promise<void> {
    this.#goOn()
    this.#ending = true
    await this.#parts.connection.run('COMMIT')
  }

  /** A commit under way ends by itself, one way or the other: a ROLLBACK between its statements would let the rest stand alone. */
  async abort(): Promise<void> {
    this.#aborted = true
    if (!this.#ending) await this.#parts.connection.interrupt().catch(() => undefined)
    await (this.#committing ?? this.#cleanUp())
  }

  async #cleanUp(): Promise<void> {
    const { connection, feed, lent } = this.#parts
    await feed?.close().catch(() => undefined)
    await clear(connection)
    if (!lent) await connection.close().catch(() => undefined)
  }

  async #release(): Promise<void> {
    const { connection, feed, lent } = this.#parts
    await feed?.close()
    await connection.run(DROP_STAGE)
    if (!lent) await connection.close()
  }

  /** A NULL in a key column is refused by the table that was made for it before it could be counted. */
  #named(thrown: unknown): unknown {
    if (!(thrown instanceof LoadError) || thrown.code !== 'constraint-violated') return thrown
    const key = this.#parts.load.key.find((name) => thrown.message.includes(`.${name} `))
    if (key === undefined) return thrown
    return new LoadError('null-key', `Rows have NULL in key column "${key}".`, { cause: thrown })
  }
}
