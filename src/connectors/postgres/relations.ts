// The tables as changes describe them, beside the tables as they were looked at.

import type { ValueFormat } from '../../contract/log.ts'
import { LoadError } from '../../core/errors.ts'
import { columnNamed, printTableName } from '../../core/table.ts'
import type { Relation, RelationTarget } from '../../formats/pgoutput.ts'
import type { LoggedTable } from './logged-table.ts'

/** A copy reads values of `character(n)` without the spaces that fill them up; the log has them. */
function isPadded(table: LoggedTable, place: number): boolean {
  return /^(character\(|bpchar)/.test(table.columns[place]?.native ?? '')
}

/** The columns of changes → the columns of the tables as they were looked at. */
export class Relations {
  readonly #tables: readonly LoggedTable[]
  /** How far the log went when the tables were looked at. */
  readonly #head: bigint
  readonly #format: ValueFormat
  readonly #onOlderType: () => void

  constructor(tables: readonly LoggedTable[], head: bigint, format: ValueFormat, onOlderType: () => void) {
    this.#tables = tables
    this.#head = head
    this.#format = format
    this.#onOlderType = onOlderType
  }

  /**
   * Throws `try-again` where the table has got columns since it was looked at, or one has another type than was seen. A column that was
   * gone by then was dropped; or renamed, where another is missing: its values would be lost. Throws `schema-conflict`.
   */
  target({ schema, name, columns }: Relation, commit: bigint): RelationTarget | null {
    const table = this.#tables.findIndex((one) => one.name.schema === schema && one.name.name === name)
    const known = this.#tables[table]
    if (known === undefined) return null
    const places = columns.map((column) => known.columns.findIndex((one) => one.name === column.name))
    const added = columns.find((column) => columnNamed(known, column.name) === undefined)
    if (added !== undefined && commit > this.#head)
      throw new LoadError('try-again', `Column "${added.name}" came to table ${printTableName(known.name)}.`)
    this.#refuseOtherTypes(known, columns, commit)
    const absent = known.columns.find(({ name: column }) => columns.every((one) => one.name !== column))
    if (added !== undefined && absent !== undefined)
      throw new LoadError(
        'schema-conflict',
        `Changes of table ${printTableName(known.name)} have a column "${added.name}" and none "${absent.name}": that may be one column under two names.`,
        { hint: `Copy the table again with \`--resync ${printTableName(known.name)}\`.` },
      )
    const missing = known.columns.flatMap(({ name: column, backfill }, place) =>
      places.includes(place) || backfill == null || columns.some((one) => one.name === column)
        ? []
        : [{ place, value: Buffer.from(isPadded(known, place) ? backfill.replace(/ +$/, '') : backfill) }],
    )
    const padded = places.map((place) => isPadded(known, place))
    return { table, width: known.columns.length, places, missing, padded: padded.includes(true) ? padded : null }
  }

  /** Text of an older type fits into what it has grown to; its bytes do not. */
  #refuseOtherTypes(known: LoggedTable, columns: Relation['columns'], commit: bigint): void {
    const isNew = commit > this.#head
    for (const { name, typeOid, modifier } of columns) {
      const declared = known.declarations.get(name)
      if (declared === undefined || (declared.type === typeOid && (!isNew || declared.modifier === modifier))) continue
      if (!isNew && this.#format === 'pg-text') continue
      if (declared.type !== typeOid) this.#onOlderType()
      throw new LoadError('try-again', `Column "${name}" of table ${printTableName(known.name)} has another type than it had.`)
    }
  }
}
