// One slice on its way into DuckDB. Two ways in:
// - direct: rows go into the target table inside the transaction that will commit them (a new table, or append);
// - staged: rows go into a temporary table of this connection; the transaction begins at `commit`.
// Either way one connection, and one transaction for rows, schema changes, position and history.

import type { Stage } from '../../contract/target.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { Load, RowCounts } from '../../core/load.ts'
import type { Settlement } from '../../core/settlement.ts'
import { encodeColumns } from '../../formats/pg-copy-binary.ts'
import { identifier } from '../../sql/quote.ts'
import { applyStage, settleDirect } from './apply.ts'
import type { Connection, Database, Feed } from './database.ts'
import { schemaStatements, tableIdentifier } from './dialect.ts'
import { asConflict, type StateStore } from './state-store.ts'

const STAGE = 'temp."_tidemark_stage"'

/** How much memory DuckDB may use in the two phases of a load, as it writes it. */
export interface MemoryLimits {
  readonly feeding: string
  readonly applying: string
}

/** Makes ready for the rows of the load. */
export async function beginStage(database: Database, store: StateStore, load: Load, memory: MemoryLimits): Promise<Stage> {
  const connection = await database.connect()
  try {
    await limitMemory(connection, memory.feeding)
    await store.prepare(connection)
    for (const change of load.changes) if (change.kind === 'create-table') await createSchema(connection, change.table.name.schema)
    const direct = goesStraightIn(load) && (await beginDirect(connection, load))
    if (!direct) await createStage(connection, load)
    const feed = await connection.feed(
      direct ? tableIdentifier(load.table.name) : STAGE,
      load.columns.map((column) => column.name),
    )
    return new DuckdbStage(connection, feed, load, store, direct, memory)
  } catch (thrown) {
    await connection.close().catch(() => undefined)
    throw thrown
  }
}

/** Lowering it fails while more is in use, by a load beside this one: then it stays. */
async function limitMemory(connection: Connection, limit: string): Promise<void> {
  await connection.run(`SET GLOBAL memory_limit = '${limit.replaceAll("'", '')}'`).catch(() => 0)
}

function goesStraightIn(load: Load): boolean {
  return load.creates || (load.strategy === 'append' && load.replaces === null)
}

async function createSchema(connection: Connection, schema: string | null): Promise<void> {
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
  await connection.run(`CREATE TEMP TABLE "_tidemark_stage" (${columns.join(', ')})`)
}

async function changeSchema(connection: Connection, load: Load): Promise<void> {
  for (const change of load.changes) for (const statement of schemaStatements(change)) await connection.run(statement)
}

class DuckdbStage implements Stage {
  readonly #connection: Connection
  readonly #feed: Feed
  readonly #load: Load
  readonly #store: StateStore
  readonly #direct: boolean
  readonly #memory: MemoryLimits
  readonly #begun = performance.now()

  constructor(connection: Connection, feed: Feed, load: Load, store: StateStore, direct: boolean, memory: MemoryLimits) {
    this.#connection = connection
    this.#feed = feed
    this.#load = load
    this.#store = store
    this.#direct = direct
    this.#memory = memory
  }

  async write(chunk: Chunk): Promise<void> {
    try {
      await this.#feed.write(chunk.format === 'columns' ? encodeColumns(chunk) : chunk.bytes)
    } catch (thrown) {
      throw this.#named(thrown)
    }
  }

  async commit(settlement: Settlement, rowsRead: number): Promise<RowCounts> {
    invariant(settlement.kind === 'state', 'DuckDB has no ledger')
    const { from, to } = settlement
    const connection = this.#connection
    const load = this.#load
    try {
      const rows = await this.#feed.drain()
      if (rows !== rowsRead) throw new LoadError('short-read', `${rowsRead} rows were read, but ${rows} arrived in the target.`)
      await limitMemory(connection, this.#memory.applying)
      if (!this.#direct) await connection.run('BEGIN TRANSACTION')
      // The fence comes before the work: a run that lost finds out at once.
      await this.#store.advance(connection, from, to, load.runId)
      const table = tableIdentifier(load.table.name)
      if (!this.#direct) await changeSchema(connection, load)
      const counts = this.#direct
        ? await settleDirect(connection, load, table, rows)
        : await applyStage(connection, load, STAGE, table, rows)
      const seconds = (performance.now() - this.#begun) / 1000
      await this.#store.record(connection, from, to, rowsRead, counts, load, seconds)
      await connection.run('COMMIT').catch((thrown) => {
        throw asConflict(thrown, load.pipeline)
      })
      await this.#release()
      return counts
    } catch (thrown) {
      await this.abort()
      throw this.#named(thrown)
    }
  }

  async abort(): Promise<void> {
    await this.#connection.interrupt().catch(() => undefined)
    await this.#feed.close().catch(() => undefined)
    // Fails where no transaction is open, which is as good.
    await this.#connection.run('ROLLBACK').catch(() => undefined)
    await this.#connection.close().catch(() => undefined)
  }

  async #release(): Promise<void> {
    await this.#feed.close()
    await this.#connection.run('DROP TABLE IF EXISTS temp."_tidemark_stage"')
    await this.#connection.close()
  }

  /** A NULL in a key column is refused by the table that was made for it before it could be counted. */
  #named(thrown: unknown): unknown {
    if (!(thrown instanceof LoadError) || thrown.code !== 'constraint-violated') return thrown
    const key = this.#load.key.find((name) => thrown.message.includes(`.${name} `))
    if (key === undefined) return thrown
    return new LoadError('null-key', `Rows have NULL in key column "${key}".`, { cause: thrown })
  }
}
