// Changes of one table of which the target takes some and refuses others. What was refused as a whole is tried by halves, down to single
// rows, each try with a savepoint of its own: only the server knows which row a constraint refuses.

import type { ChangesChunk } from '../../core/changes-chunk.ts'
import { NONE } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { addCounts, NO_ROWS, type RowCounts } from '../../core/load.ts'
import { isBadRow } from '../../core/quarantine.ts'
import { printTableName } from '../../core/table.ts'
import { encodeCells } from '../../formats/pg-copy-cells.ts'
import type { KeptValue } from '../../sql/kept-values.ts'
import type { LoggedChanges } from '../../sql/logged-changes.ts'
import type { Refused } from '../../sql/quarantine.ts'
import type { Session } from './session.ts'
import type { TableWriter } from './table-writer.ts'

const COPY_BYTES = 256 * 1024

/** Throws where so many refused rows are too many. */
type RefuseMore = (refused: number, last: LoadError) => void

/** Does the work for as many as it can be done for; `refuse` gets the others, one by one. Throws what is not about rows. */
async function halve<Item>(
  session: Session,
  items: readonly Item[],
  work: (some: readonly Item[]) => Promise<Partial<RowCounts>>,
  refuse: (item: Item, error: LoadError) => void,
): Promise<RowCounts> {
  if (items.length === 0) return NO_ROWS
  await session.query('SAVEPOINT sifting')
  try {
    const counts = await work(items)
    await session.query('RELEASE SAVEPOINT sifting')
    return { ...NO_ROWS, ...counts }
  } catch (error) {
    if (!isBadRow(error)) throw error
    await session.query('ROLLBACK TO SAVEPOINT sifting')
    await session.query('RELEASE SAVEPOINT sifting')
    const [first] = items
    if (items.length === 1 && first !== undefined) {
      refuse(first, error)
      return NO_ROWS
    }
  }
  const middle = items.length >> 1
  const before = await halve(session, items.slice(0, middle), work, refuse)
  return addCounts(before, await halve(session, items.slice(middle), work, refuse))
}

/** Rows of a history, each for itself. */
export async function siftLogged(
  table: TableWriter,
  chunk: ChangesChunk,
  { rows, extra }: LoggedChanges,
  refuseMore: RefuseMore,
): Promise<{ inserted: number; refused: readonly Refused[] }> {
  const refused: Refused[] = []
  const work = async (some: readonly number[]) => ({ inserted: await table.append(chunk, some, extra) })
  await table.empty('log')
  const { inserted } = await halve(table.session, rows, work, (row, error) => {
    refused.push({ row, code: error.code, message: withoutLine(error.message), values: null })
    refuseMore(refused.length, error)
  })
  return { inserted, refused }
}

/** The folded changes of one table. A place is the number of a row among them. */
export class Sieve {
  readonly #table: TableWriter
  readonly #chunk: ChangesChunk
  readonly #folded: FoldedTable
  readonly #refuseMore: RefuseMore
  readonly #refused = new Map<number, LoadError>()
  /** Not even staged: the target's encoding lacks one of their characters. */
  readonly #unstaged = new Set<number>()

  constructor(table: TableWriter, chunk: ChangesChunk, folded: FoldedTable, refuseMore: RefuseMore) {
    this.#table = table
    this.#chunk = chunk
    this.#folded = folded
    this.#refuseMore = refuseMore
  }

  get number(): number {
    return this.#folded.table
  }

  async sift(): Promise<RowCounts> {
    const { session, sql } = this.#table
    // Outside of savepoints, so that no try takes them away.
    for (const kind of ['sieve', 'rows', 'gone'] as const) await this.#table.empty(kind)
    const truncated = this.#folded.truncated ? (await session.execute(sql.deleteAll)).count : 0
    await this.#stage()
    await this.#complete()
    const deleted = await this.#delete()
    const written = await this.#write(this.#folded.rows.map((_, place) => place).filter((place) => !this.#refused.has(place)))
    return { ...written, deleted: truncated + deleted }
  }

  /** Once more: rows that they refer to may be in now, and some may only exchange values of a unique column. */
  async tryAgain(): Promise<RowCounts> {
    const [colliding, violating] = (['duplicate-key', 'constraint-violated'] as const).map((code) =>
      [...this.#refused.keys()]
        .filter((place) => this.#refused.get(place)?.code === code && !this.#unstaged.has(place))
        .sort((a, b) => a - b),
    ) as [number[], number[]]
    for (const place of violating) this.#refused.delete(place)
    const exchanging = await this.#exchanging(colliding)
    for (const place of exchanging) this.#refused.delete(place)
    return addCounts(await this.#write(exchanging), await this.#write(violating))
  }

  /** Of rows that collide, those that would not if all of them gave way at once. */
  async #exchanging(places: readonly number[]): Promise<readonly number[]> {
    let left = places
    while (left.length > 1) {
      const colliding = await this.#collidingWithOthers(left)
      if (colliding.size === 0) return left
      left = left.filter((place) => !colliding.has(place))
    }
    return []
  }

  async #collidingWithOthers(places: readonly number[]): Promise<ReadonlySet<number>> {
    const { session, sql } = this.#table
    const colliding = new Set<number>()
    await session.query('SAVEPOINT exchanging')
    await this.#pick(places)
    await session.query(sql.deleteRows)
    for (const place of places) {
      await session.query('SAVEPOINT one_row')
      try {
        await this.#pick([place])
        await session.query(sql.insertRows)
      } catch (error) {
        if (!isBadRow(error)) throw error
        colliding.add(place)
      }
      await session.query('ROLLBACK TO SAVEPOINT one_row')
    }
    await session.query('ROLLBACK TO SAVEPOINT exchanging')
    return colliding
  }

  async #pick(places: readonly number[]): Promise<void> {
    await this.#table.empty('rows')
    await this.#table.session.query(this.#table.sql.pickFromSieve, [`{${places.join()}}`])
  }

  #refuse(place: number, error: LoadError): void {
    this.#refused.set(place, error)
    this.#refuseMore(this.#refused.size, error)
  }

  async #stage(): Promise<void> {
    const table = this.#table
    const { rows, bases } = this.#folded
    const places = new Map(rows.map((row, place) => [row, place]))
    const extra = (row: number): readonly Uint8Array[] => {
      const place = places.get(row) as number
      const base = bases[place] as number
      const number = Buffer.alloc(4)
      number.writeInt32BE(place)
      return [...table.lacking(this.#chunk, row, base === NONE ? row : base), number]
    }
    const work = async (some: readonly number[]) => {
      await table.copy(table.sql.copySieve, encodeCells(this.#chunk, some, table.allPlaces, COPY_BYTES, extra))
      return NO_ROWS
    }
    await halve(table.session, rows, work, (row, error) => {
      const place = places.get(row) as number
      this.#unstaged.add(place)
      this.#refuse(place, error)
    })
  }

  /** Before anything is deleted. */
  async #complete(): Promise<void> {
    const { session, sql, changed } = this.#table
    const partial = this.#folded.bases.flatMap((base, place) => (base === NONE || this.#refused.has(place) ? [] : [place]))
    if (partial.length === 0) return
    const work = async (some: readonly number[]) => {
      await session.query(sql.completeSieve, [`{${some.join()}}`])
      return NO_ROWS
    }
    await halve(session, partial, work, (place, error) => this.#refuse(place, error))
    const missing = `A row of table ${printTableName(changed.table.name)} was changed at the source, and is not at the target.`
    for (const { place } of await session.query(sql.lackingInSieve))
      if (!this.#refused.has(Number(place))) this.#refuse(Number(place), new LoadError('row-missing', missing))
  }

  async #delete(): Promise<number> {
    const table = this.#table
    const work = async (some: readonly number[]) => {
      await table.empty('gone')
      await table.copy(table.sql.copyGone, encodeCells(this.#chunk, some, table.keyPlaces, COPY_BYTES))
      return { deleted: (await table.session.execute(table.sql.deleteGone)).count }
    }
    const { deleted } = await halve(table.session, this.#folded.deletes, work, (_, error) => {
      // A key that the target can't have is not there. Anything else that keeps a row from going is not the row's fault.
      if (error.code !== 'value-refused') throw error
    })
    return deleted
  }

  #write(places: readonly number[]): Promise<RowCounts> {
    const table = this.#table
    const work = async (some: readonly number[]) => {
      await this.#pick(some)
      return table.write(some.length)
    }
    return halve(table.session, places, work, (place, error) => this.#refuse(place, error))
  }

  /** The refused rows, completed as far as the target could. */
  async refused(): Promise<readonly Refused[]> {
    const { session, sql } = this.#table
    const staged = [...this.#refused.keys()].filter((place) => !this.#unstaged.has(place))
    const values = new Map<number, readonly KeptValue[]>()
    for (const row of staged.length === 0 ? [] : await session.query(sql.readSieve, [`{${staged.join()}}`]))
      values.set(Number(row['_tidemark_place']), this.#valuesOf(row))
    const refused: Refused[] = []
    for (const [place, error] of this.#refused)
      refused.push({
        row: this.#folded.rows[place] as number,
        code: error.code,
        message: await this.#told(place, error),
        values: values.get(place) ?? null,
      })
    return refused
  }

  #valuesOf(row: Readonly<Record<string, string | null>>): readonly KeptValue[] {
    const lacks = row['_tidemark_lacks'] ?? ''
    return this.#table.changed.columns.map((_, place) => (lacks[place] === '1' ? undefined : row[`v${place}`]))
  }

  /** The server does not say in which column a value does not fit. */
  async #told(place: number, error: LoadError): Promise<string> {
    const { session, sql, changed } = this.#table
    if (error.code !== 'value-refused' || this.#unstaged.has(place) || error.message.includes(' in column '))
      return withoutLine(error.message)
    let message = error.message
    for (const [column, statement] of sql.castInSieve.entries()) {
      const name = JSON.stringify(changed.columns[column]?.target.name)
      const work = async () => {
        await session.query(statement, [`{${place}}`])
        return NO_ROWS
      }
      await halve(session, [column], work, (_, refused) => {
        message = refused.message.replace(/(?= \(\w{5}\)\.$)/, ` in column ${name}`)
      })
    }
    return message
  }
}

/** Which line of a COPY it was means nothing any more. */
function withoutLine(message: string): string {
  return message.replace(/, row \d+ of the slice/, '')
}
