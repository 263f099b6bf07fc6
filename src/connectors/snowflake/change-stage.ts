// The changes of one table on their way into it: lines of one file, put into the user's stage, copied into a temporary table, and applied from
// there in the writer's transaction.

import { randomUUID } from 'node:crypto'
import type { ChangedTable, ChangeLoad } from '../../contract/log.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { NO_ROWS, type RowCounts } from '../../core/load.ts'
import { printTableName } from '../../core/table.ts'
import { type CsvCell, csvOfCells } from '../../formats/csv-cells.ts'
import type { LoggedChanges } from '../../sql/logged-changes.ts'
import { copyFiles } from './apply.ts'
import { type ChangeStatements, changeStatements, GONE, ROW } from './change-statements.ts'
import { tableIdentifier } from './names.ts'
import type { Session } from './session.ts'
import { StagedFiles } from './staged-files.ts'

const LINES_BYTES = 256 * 1024
const encoder = new TextEncoder()

/** Lines in the user's stage. */
export interface PutChanges {
  readonly table: ChangeStage
  readonly files: StagedFiles
  readonly lines: number
}

export class ChangeStage {
  readonly changed: ChangedTable
  readonly #session: Session
  readonly #path: string
  readonly #stage: string
  readonly #sql: ChangeStatements
  readonly #cells: readonly CsvCell[]
  readonly #keyCells: readonly (CsvCell | null)[]
  readonly #keyPlaces: readonly number[]
  #isUsed = false

  constructor(session: Session, changed: ChangedTable, { runId, write }: ChangeLoad) {
    const id = randomUUID()
    this.#session = session
    this.changed = changed
    this.#path = runId.replaceAll(/[^\w-]/g, '_')
    this.#stage = tableIdentifier({ schema: changed.table.name.schema, name: `tidemark_changes_${id.replaceAll('-', '')}` })
    this.#sql = changeStatements(changed, this.#stage, write)
    this.#cells = changed.columns.map(({ target, source }, place) => ({ place, type: target.type, from: source.type }))
    this.#keyPlaces = changed.key.map((name) => changed.columns.findIndex(({ target }) => target.name === name))
    this.#keyCells = this.#cells.map((cell) => (this.#keyPlaces.includes(cell.place) ? cell : null))
  }

  /** Before a transaction, which it would end. It is gone with its session. */
  async create(): Promise<void> {
    await this.#session.run(this.#sql.createStage)
  }

  /** null where nothing has to be put. */
  async put(chunk: ChangesChunk, { deletes, rows, bases }: FoldedTable): Promise<PutChanges | null> {
    const whole = [encoder.encode(ROW), null, ...this.#keyPlaces.map(() => null)]
    const gone = [encoder.encode(GONE), null, ...this.#keyPlaces.map(() => null)]
    const baseOf = new Map(rows.map((row, index) => [row, bases[index] as number]))
    const extra = (row: number): readonly (Uint8Array | null)[] => {
      const base = baseOf.get(row) as number
      return base === NONE ? whole : this.#partial(chunk, row, base)
    }
    return this.#putLines(deletes.length + rows.length, [
      csvOfCells(chunk, deletes, this.#keyCells, LINES_BYTES, () => gone),
      csvOfCells(chunk, rows, this.#cells, LINES_BYTES, extra),
    ])
  }

  /** What it lacks, and the key under which the target has that. */
  #partial(chunk: ChangesChunk, row: number, base: number): readonly Uint8Array[] {
    const lacking = this.#cells.map(({ place }) => (chunk.length[row + place] === UNCHANGED ? '1' : '0')).join('')
    const keys = this.#keyPlaces.map((place) => {
      const start = chunk.start[base + place] as number
      return chunk.bytes.subarray(start, start + (chunk.length[base + place] as number))
    })
    return [encoder.encode(ROW), encoder.encode(lacking), ...keys]
  }

  async putLog(chunk: ChangesChunk, { rows, extra }: LoggedChanges): Promise<PutChanges | null> {
    const marks = (row: number): readonly (Uint8Array | null)[] => extra(row).map((value) => (value.length === 0 ? null : value))
    return this.#putLines(rows.length, [csvOfCells(chunk, rows, this.#cells, LINES_BYTES, marks)])
  }

  async #putLines(lines: number, chunks: readonly Iterable<Uint8Array>[]): Promise<PutChanges | null> {
    if (lines === 0) return null
    const files = new StagedFiles(this.#session, `${this.#path}/${randomUUID()}`)
    try {
      for (const some of chunks) for (const bytes of some) await files.write(bytes)
      await files.finish()
    } catch (error) {
      await files.discard()
      throw error
    }
    return { table: this, files, lines }
  }

  /** The lines alone are in the temporary table then. Throws `value-refused`, `short-read`. */
  async fill({ files, lines }: PutChanges): Promise<void> {
    if (this.#isUsed) await this.#session.run(this.#sql.emptyStage)
    this.#isUsed = true
    let loaded = 0
    for (const row of await this.#session.rows(copyFiles(this.#stage, this.#sql.staged, files.stage)))
      loaded += Number(row['rows_loaded'] ?? 0)
    if (loaded !== lines) throw new LoadError('short-read', `${lines} changes were read, but ${loaded} arrived in ${this.#session.what}.`)
  }

  /** What a row lacks is taken first, then old keys go, then whole rows come. Throws `row-missing`. */
  async apply({ truncated, deletes, rows, bases }: FoldedTable, transaction: string): Promise<RowCounts> {
    const session = this.#session
    let deleted = truncated ? await session.run(this.#sql.deleteAll, [transaction]) : 0
    const partial = bases.filter((base) => base !== NONE).length
    if (partial > 0) await this.#complete(partial)
    if (deletes.length > 0) deleted += await session.run(this.#sql.deleteGone, [transaction])
    if (rows.length === 0) return { ...NO_ROWS, deleted }
    const [counts] = await session.rows(this.#sql.merge, [transaction])
    const inserted = Number(counts?.['number of rows inserted'] ?? 0)
    // Where a key stands in the target several times, each of its rows is updated; it counts once.
    const updated = Math.min(Number(counts?.['number of rows updated'] ?? 0), rows.length - inserted)
    return { ...NO_ROWS, inserted, updated, deleted }
  }

  async #complete(partial: number): Promise<void> {
    const missing = partial - (await this.#session.run(this.#sql.complete))
    if (missing === 0) return
    const table = printTableName(this.changed.table.name)
    throw new LoadError(
      'row-missing',
      missing === 1
        ? `1 row of table ${table} was changed at the source, and is not at the target.`
        : `${missing} rows of table ${table} were changed at the source, and are not at the target.`,
    )
  }

  async insertLog(transaction: string): Promise<RowCounts> {
    return { ...NO_ROWS, inserted: await this.#session.run(this.#sql.insertLog, [transaction]) }
  }
}
