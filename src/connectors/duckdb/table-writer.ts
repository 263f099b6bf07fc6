// The changes of one table into it, inside a transaction of the writer's. With a quarantine, rows that the table would refuse are
// picked out while they are staged.

import type { ChangedTable } from '../../contract/log.ts'
import { COMMITTED_AT, DELETED_AT, LACKS, MARKS, OLD, OP, ORDINAL, POSITION } from '../../core/change-marks.ts'
import { type ChangesChunk, NONE, UNCHANGED } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { FoldedTable } from '../../core/fold-changes.ts'
import { NO_ROWS, type RowCounts } from '../../core/load.ts'
import { printTableName } from '../../core/table.ts'
import { encodeCells } from '../../formats/pg-copy-cells.ts'
import type { KeptValue } from '../../sql/kept-values.ts'
import type { LoggedChanges } from '../../sql/logged-changes.ts'
import type { Quarantine, Refused } from '../../sql/quarantine.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection } from './database.ts'
import { tableIdentifier } from './dialect.ts'
import { PLACE, Screen, type Unfit } from './screen.ts'
import { asText, cast } from './text-values.ts'

const COPY_BYTES = 256 * 1024
const LACKING = '_tidemark_lacks'

export interface Written {
  readonly counts: RowCounts
  readonly refused: readonly Refused[]
}

interface Options {
  readonly softly: boolean
  /** Throws where so many refused rows are too many; null: the first one stops the writer. */
  readonly refuseMore: Quarantine['refuseMoreThanFit'] | null
}

export class TableWriter {
  readonly changed: ChangedTable
  readonly #connection: Connection
  readonly #rows: string
  readonly #partial: string
  readonly #gone: string
  readonly #names: readonly string[]
  readonly #keyPlaces: readonly number[]
  readonly #allPlaces: readonly number[]
  readonly #softly: boolean
  readonly #refuseMore: Options['refuseMore']
  readonly #place: readonly string[]
  readonly #made = new Set<string>()
  #screen: Screen | null = null

  constructor(connection: Connection, changed: ChangedTable, number: number, { softly, refuseMore }: Options) {
    this.changed = changed
    this.#softly = softly
    this.#refuseMore = refuseMore
    this.#place = refuseMore === null ? [] : [PLACE]
    this.#connection = connection
    this.#rows = `_tidemark_rows_${number}`
    this.#partial = `_tidemark_partial_${number}`
    this.#gone = `_tidemark_gone_${number}`
    this.#names = changed.columns.map(({ target }) => target.name)
    this.#keyPlaces = changed.key.map((name) => this.#names.indexOf(name))
    this.#allPlaces = this.#names.map((_, place) => place)
  }

  async apply(chunk: ChangesChunk, folded: FoldedTable): Promise<Written> {
    const target = tableIdentifier(this.changed.table.name)
    const { rows } = folded
    const mark = identifier(DELETED_AT)
    let deleted = 0
    if (folded.truncated)
      deleted = await this.#connection.run(
        this.#softly ? `UPDATE ${target} SET ${mark} = now() WHERE ${mark} IS NULL` : `DELETE FROM ${target}`,
      )
    const missing = rows.length > 0 ? await this.#stage(chunk, folded) : []
    if (folded.deletes.length > 0) deleted += await this.#delete(chunk, folded.deletes)
    if (rows.length === 0) return { counts: { ...NO_ROWS, deleted }, refused: [] }
    const refused = [...missing, ...(await this.#pickOut(rows, missing.length, true))]
    const updated = await this.#connection.run(`DELETE FROM ${target} AS t USING ${temporary(this.#rows)} AS s WHERE ${this.#sameKey('s')}`)
    const names = this.#names.map(identifier).join(', ')
    const values = this.changed.columns.map(({ target: column }) => cast(`s.${identifier(column.name)}`, column)).join(', ')
    await this.#connection.run(`INSERT INTO ${target} (${names}) SELECT ${values} FROM ${temporary(this.#rows)} AS s`)
    const quarantined = refused.length
    return { counts: { ...NO_ROWS, inserted: rows.length - quarantined - updated, updated, deleted, quarantined }, refused }
  }

  /** Every change a row of its own. */
  async append(chunk: ChangesChunk, { rows, extra }: LoggedChanges): Promise<Written> {
    const marks = MARKS.append.map(({ name }) => name)
    const all = [...this.#names, ...marks]
    const placed = [...all, ...this.#place]
    await this.#empty(this.#rows, placed)
    const places = this.#placesOf(rows)
    const more = (row: number): readonly Uint8Array[] => [...extra(row), ...places(row)]
    await this.#feed(this.#rows, placed, encodeCells(chunk, rows, this.#allPlaces, COPY_BYTES, more))
    const refused = await this.#pickOut(rows, 0, false)
    const values = this.changed.columns.map(({ target: column }) => cast(`s.${identifier(column.name)}`, column))
    const marked = [
      `s.${identifier(OP)}`,
      `s.${identifier(POSITION)}`,
      `CAST(s.${identifier(ORDINAL)} AS BIGINT)`,
      `CAST(s.${identifier(COMMITTED_AT)} AS TIMESTAMPTZ)`,
      `nullif(s.${identifier(LACKS)}, '')`,
      `nullif(s.${identifier(OLD)}, '')`,
    ]
    const inserted = await this.#connection.run(
      `INSERT INTO ${tableIdentifier(this.changed.table.name)} (${all.map(identifier).join(', ')}) SELECT ${[...values, ...marked].join(', ')} FROM ${temporary(this.#rows)} AS s`,
    )
    // What a change did not bring is not known here either: it is kept as it came.
    return { counts: { ...NO_ROWS, inserted, quarantined: refused.length }, refused: refused.map((one) => ({ ...one, values: null })) }
  }

  /** Rows as text; those that the target had to complete, and does not have, are returned. */
  async #stage(chunk: ChangesChunk, { rows, bases }: FoldedTable): Promise<readonly Refused[]> {
    const placed = [...this.#names, ...this.#place]
    const places = this.#placesOf(rows)
    await this.#empty(this.#rows, placed)
    const partial = rows.filter((_, index) => bases[index] !== NONE)
    const found = bases.filter((base) => base !== NONE)
    const missing = partial.length > 0 ? await this.#complete(chunk, partial, found, places) : []
    const whole = rows.filter((_, index) => bases[index] === NONE)
    if (whole.length > 0) await this.#feed(this.#rows, placed, encodeCells(chunk, whole, this.#allPlaces, COPY_BYTES, places))
    return missing.map((place) => ({ row: rows[place] as number, ...this.#isMissing(1), values: null }))
  }

  async #delete(chunk: ChangesChunk, deletes: readonly number[]): Promise<number> {
    const target = tableIdentifier(this.changed.table.name)
    const mark = identifier(DELETED_AT)
    await this.#empty(this.#gone, this.changed.key)
    await this.#feed(this.#gone, this.changed.key, encodeCells(chunk, deletes, this.#keyPlaces, COPY_BYTES))
    const gone = temporary(this.#gone)
    return this.#connection.run(
      this.#softly
        ? `UPDATE ${target} AS t SET ${mark} = now() FROM ${gone} AS g WHERE ${this.#sameKey('g')} AND t.${mark} IS NULL`
        : `DELETE FROM ${target} AS t USING ${gone} AS g WHERE ${this.#sameKey('g')}`,
    )
  }

  /** Staged rows that the table would refuse, which are not staged any more. `before`: how many others were; `replaces`: by key. */
  async #pickOut(rows: readonly number[], before: number, replaces: boolean): Promise<readonly Refused[]> {
    if (this.#refuseMore === null) return []
    this.#screen ??= await Screen.of(this.#connection, this.changed, temporary(this.#rows), replaces)
    const picked: Refused[] = []
    let unfit = await this.#screen.unfit()
    do {
      const last = unfit.at(-1)
      if (last !== undefined) {
        this.#refuseMore(before + picked.length + unfit.length, last)
        picked.push(...(await this.#takeOut(unfit, rows)))
      }
      // A row that stays as it was in the table may be in the way of another.
      unfit = await this.#screen.colliding()
    } while (unfit.length > 0)
    return picked
  }

  async #takeOut(unfit: readonly Unfit[], rows: readonly number[]): Promise<readonly Refused[]> {
    const of = new Map(unfit.map((one) => [one.place, one]))
    const list = this.#names.map((name, place) => `${identifier(name)} AS v${place}`).join(', ')
    const found = await this.#connection.rows(
      `DELETE FROM ${temporary(this.#rows)} WHERE ${identifier(PLACE)} IN (${[...of.keys()].map((place) => `'${place}'`).join(', ')})
       RETURNING ${list}, ${identifier(PLACE)}`,
    )
    return found.map((row) => {
      const { place, code, message } = of.get(Number(row[PLACE])) as Unfit
      return { row: rows[place] as number, code, message, values: this.#names.map((_, column) => row[`v${column}`] as KeptValue) }
    })
  }

  /** What was not sent again is taken as it is, before anything is deleted: as text it would not come back the same. */
  async #complete(
    chunk: ChangesChunk,
    rows: readonly number[],
    bases: readonly number[],
    places: (row: number) => readonly Uint8Array[],
  ): Promise<readonly number[]> {
    const { key, columns, table } = this.changed
    const base = key.map((name) => `base of ${name}`)
    const all = [...this.#names, ...base, LACKING, ...this.#place]
    await this.#empty(this.#partial, all)
    const baseOf = new Map(rows.map((row, index) => [row, bases[index] as number]))
    const extra = (row: number): readonly Uint8Array[] => {
      const from = baseOf.get(row) as number
      const keys = this.#keyPlaces.map((place) => {
        const start = chunk.start[from + place] as number
        return chunk.bytes.subarray(start, start + (chunk.length[from + place] as number))
      })
      const lacks = this.#allPlaces.map((place) => (chunk.length[row + place] === UNCHANGED ? '1' : '0')).join('')
      return [...keys, Buffer.from(lacks), ...places(row)]
    }
    await this.#feed(this.#partial, all, encodeCells(chunk, rows, this.#allPlaces, COPY_BYTES, extra))
    const filled = columns.map(({ target }, place) => {
      const name = identifier(target.name)
      return `CASE WHEN substr(p.${identifier(LACKING)}, ${place + 1}, 1) = '1' THEN ${asText(`t.${name}`, target)} ELSE p.${name} END`
    })
    const [staged, partial, place] = [temporary(this.#rows), temporary(this.#partial), identifier(PLACE)]
    const selected = [...filled, ...this.#place.map(() => `p.${place}`)].join(', ')
    const count = await this.#connection.run(
      `INSERT INTO ${staged} SELECT ${selected} FROM ${partial} AS p JOIN ${tableIdentifier(table.name)} AS t ON ${this.#sameKey('p', 'base of ')}`,
    )
    if (count === rows.length) return []
    const { code, message } = this.#isMissing(rows.length - count)
    if (this.#refuseMore === null) throw new LoadError(code, message)
    const missing = await this.#connection.rows(
      `SELECT p.${place} AS place FROM ${partial} AS p ANTI JOIN ${staged} AS s ON p.${place} = s.${place}`,
    )
    return missing.map((row) => Number(row['place']))
  }

  #isMissing(rows: number): { readonly code: 'row-missing'; readonly message: string } {
    const table = printTableName(this.changed.table.name)
    const message =
      rows === 1
        ? `1 row of table ${table} was changed at the source, and is not at the target.`
        : `${rows} rows of table ${table} were changed at the source, and are not at the target.`
    return { code: 'row-missing', message }
  }

  /** With a quarantine, a key that does not fit is one that the table does not have. */
  #sameKey(alias: string, prefix = ''): string {
    const as = this.#refuseMore === null ? 'CAST' : 'TRY_CAST'
    return this.#keyPlaces
      .map((place) => {
        const column = (this.changed.columns[place] as ChangedTable['columns'][number]).target
        return `t.${identifier(column.name)} = ${cast(`${alias}.${identifier(prefix + column.name)}`, column, as)}`
      })
      .join(' AND ')
  }

  /** Of each row which one it is among these, as text; only where rows may have to be picked out. */
  #placesOf(rows: readonly number[]): (row: number) => readonly Uint8Array[] {
    if (this.#refuseMore === null) return () => []
    const places = new Map(rows.map((row, place) => [row, Buffer.from(String(place))]))
    return (row) => [places.get(row) as Uint8Array]
  }

  async #empty(name: string, columns: readonly string[]): Promise<void> {
    if (this.#made.has(name)) await this.#connection.run(`DELETE FROM ${temporary(name)}`)
    else
      await this.#connection.run(
        `CREATE TEMP TABLE ${identifier(name)} (${columns.map((column) => `${identifier(column)} VARCHAR`).join(', ')})`,
      )
    this.#made.add(name)
  }

  async #feed(name: string, columns: readonly string[], chunks: Iterable<Uint8Array>): Promise<void> {
    const feed = await this.#connection.feed(temporary(name), columns)
    try {
      for (const chunk of chunks) await feed.write(chunk)
      await feed.drain()
    } finally {
      await feed.close()
    }
  }
}

function temporary(name: string): string {
  return `temp.${identifier(name)}`
}
