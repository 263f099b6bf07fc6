// Which staged rows a table would refuse, asked before they go in: DuckDB has no savepoints, and a statement that fails takes its whole
// transaction with it. What the catalog says of a table is turned into conditions: types, NOT NULL, CHECK, and unique columns.

import type { ChangedTable } from '../../contract/log.ts'
import type { ErrorCode } from '../../core/errors.ts'
import { printTableName } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection } from './database.ts'
import { tableIdentifier } from './dialect.ts'
import { cast } from './text-values.ts'

export interface Unfit {
  readonly place: number
  readonly code: ErrorCode
  readonly message: string
}

interface Rule {
  /** About a row of values with their types; `_tidemark_text_N` is a value's text. */
  readonly condition: string
  readonly code: ErrorCode
  readonly message: string
}

export const PLACE = '_tidemark_place'
const PLACED = identifier(PLACE)
const textOf = (place: number): string => identifier(`_tidemark_text_${place}`)

export class Screen {
  readonly #connection: Connection
  readonly #changed: ChangedTable
  readonly #staged: string
  readonly #rules: readonly Rule[]
  readonly #unique: readonly (readonly string[])[]
  readonly #replaces: boolean

  private constructor(
    connection: Connection,
    changed: ChangedTable,
    staged: string,
    rules: readonly Rule[],
    unique: readonly (readonly string[])[],
    replaces: boolean,
  ) {
    this.#connection = connection
    this.#changed = changed
    this.#staged = staged
    this.#rules = rules
    this.#unique = unique
    this.#replaces = replaces
  }

  /** Looks at the table as it is now. `staged`: where rows wait as text; `replaces`: those of the same key give way to them. */
  static async of(connection: Connection, changed: ChangedTable, staged: string, replaces: boolean): Promise<Screen> {
    const { name } = changed.table
    const what = printTableName(name)
    const where = 'database_name = current_database() AND schema_name = $1 AND table_name = $2'
    const values = [name.schema ?? 'main', name.name]
    const constraints = await connection.rows(
      `SELECT constraint_type AS kind, expression, constraint_column_names AS names FROM duckdb_constraints() WHERE ${where}`,
      values,
    )
    const indexes = await connection.rows(`SELECT expressions FROM duckdb_indexes() WHERE ${where} AND is_unique`, values)
    const named = (kind: string): readonly (readonly string[])[] =>
      constraints.flatMap((row) => (row['kind'] === kind ? [row['names'] as readonly string[]] : []))
    const unfitting = changed.columns.map(
      ({ target }, place): Rule => ({
        condition: `${textOf(place)} IS NOT NULL AND ${identifier(target.name)} IS NULL`,
        code: 'value-refused',
        message: `A value can't be converted to the type of column "${target.name}" of ${what}.`,
      }),
    )
    // A column that is not written has its default.
    const isWritten = (column: string): boolean => changed.columns.some(({ target }) => target.name === column)
    const never = [...named('NOT NULL').flat(), ...named('PRIMARY KEY').flat()].filter(isWritten)
    const empty = never.map(
      (column): Rule => ({
        condition: `${identifier(column)} IS NULL`,
        code: 'constraint-violated',
        message: `Column "${column}" of ${what} may not be NULL.`,
      }),
    )
    const checks = constraints.flatMap((row): readonly Rule[] =>
      row['kind'] === 'CHECK'
        ? [
            {
              condition: `NOT (${row['expression']})`,
              code: 'constraint-violated',
              message: `A CHECK constraint of ${what} refused the row.`,
            },
          ]
        : [],
    )
    const unique = [...named('UNIQUE'), ...named('PRIMARY KEY'), ...indexes.map((row) => columnsOf(String(row['expressions'])))]
    // The key's own rows give way to those that come; of an index of expressions nothing can be asked.
    const isKey = (names: readonly string[]): boolean =>
      names.length === changed.key.length && names.every((one) => changed.key.includes(one))
    const isAskable = (names: readonly string[]): boolean => !(replaces && isKey(names)) && names.every(isWritten)
    return new Screen(connection, changed, staged, [...unfitting, ...empty, ...checks], unique.filter(isAskable), replaces)
  }

  /** Rows by what they say themselves. */
  async unfit(): Promise<readonly Unfit[]> {
    const cases = this.#rules.map(({ condition }, number) => `WHEN ${condition} THEN ${number}`)
    const found = await this.#connection.rows(
      `SELECT ${PLACED} AS place, rule FROM (SELECT ${PLACED}, CASE ${cases.join(' ')} END AS rule FROM (${this.#typed()})) WHERE rule IS NOT NULL`,
    )
    return found.map((row) => {
      const { code, message } = this.#rules[Number(row['rule'])] as Rule
      return { place: Number(row['place']), code, message }
    })
  }

  /** Rows by what others say, among themselves and in the table; a row of the table that one of them replaces does not count. */
  async colliding(): Promise<readonly Unfit[]> {
    const { key, table } = this.#changed
    for (const names of this.#unique) {
      const filled = names.map((name) => `${identifier(name)} IS NOT NULL`).join(' AND ')
      const same = (a: string, b: string, columns: readonly string[]): string =>
        columns.map((name) => `${a}.${identifier(name)} = ${b}.${identifier(name)}`).join(' AND ')
      const stays = this.#replaces ? `AND NOT EXISTS (SELECT 1 FROM staged AS r WHERE ${same('r', 't', key)})` : ''
      const found = await this.#connection.rows(
        `WITH staged AS (${this.#typed()}) SELECT ${PLACED} AS place FROM (
           SELECT s.${PLACED}, row_number() OVER (PARTITION BY ${names.map((name) => `s.${identifier(name)}`).join(', ')} ORDER BY s.${PLACED}) > 1
             OR EXISTS (SELECT 1 FROM ${tableIdentifier(table.name)} AS t WHERE ${same('t', 's', names)} ${stays}) AS collides
           FROM staged AS s WHERE ${filled}) WHERE collides`,
      )
      if (found.length > 0)
        return found.map(({ place }) => ({
          place: Number(place),
          code: 'duplicate-key' as const,
          message: `The row collides in unique columns of ${printTableName(table.name)}: ${names.join(', ')}.`,
        }))
    }
    return []
  }

  #typed(): string {
    const { columns, table } = this.#changed
    const given = columns.flatMap(({ target }, place) => {
      const text = `s.${identifier(target.name)}`
      return [`${text} AS ${textOf(place)}`, `${cast(text, target, 'TRY_CAST')} AS ${identifier(target.name)}`]
    })
    const others = table.columns.filter(({ name }) => !columns.some(({ target }) => target.name === name))
    const absent = others.map(({ name, native }) => `CAST(NULL AS ${native}) AS ${identifier(name)}`)
    return `SELECT s.${PLACED}, ${[...given, ...absent].join(', ')} FROM ${this.#staged} AS s`
  }
}

/** `['"a b"', n]` → names, where they are some. */
function columnsOf(expressions: string): readonly string[] {
  const parts = expressions.replace(/^\[|\]$/g, '').split(', ')
  return parts.map((part) =>
    part
      .replace(/^'(.*)'$/, '$1')
      .replace(/^"(.*)"$/, '$1')
      .replaceAll('""', '"'),
  )
}
