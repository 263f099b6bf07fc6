// The statements that bring folded changes of one table into it. All changes of a chunk arrive in one temporary table: rows, rows that lack
// what was not sent again, and keys of rows that are gone. What touches the target asks whether its transaction is still the one it began.

import type { ChangedTable } from '../../contract/log.ts'
import { DELETED_AT, MARKS } from '../../core/change-marks.ts'
import type { ChangeWrite } from '../../core/pipeline.ts'
import { identifier, tableIdentifier } from './names.ts'
import { within } from './transaction.ts'
import { SNOWFLAKE_TYPES } from './type-rules.ts'

const KIND = '_tidemark_kind'
/** A digit for each column: 1 where it is what it was. NULL for a whole row. */
const LACKING = '_tidemark_lacking'
export const ROW = 'row'
export const GONE = 'gone'

const baseOf = (name: string): string => `base of ${name}`

/** The one parameter of those marked so is the transaction's name. */
export interface ChangeStatements {
  readonly createStage: string
  /** Names of the stage's columns, in the order of a line. */
  readonly staged: readonly string[]
  readonly emptyStage: string
  /** Partial rows become whole ones. Touches as many as there are, or the target lacks a row. */
  readonly complete: string
  /** With the transaction. */
  readonly deleteAll: string
  /** With the transaction. */
  readonly deleteGone: string
  /** With the transaction. Counts what it inserts and updates. */
  readonly merge: string
  /** With the transaction. Every change a row. */
  readonly insertLog: string
}

export function changeStatements({ table, columns, key }: ChangedTable, stage: string, write: ChangeWrite): ChangeStatements {
  const q = identifier
  const target = tableIdentifier(table.name)
  const names = columns.map((column) => column.target.name)
  const typed = (name: string): string => columns.find((column) => column.target.name === name)?.target.native ?? 'VARCHAR'
  const marked = write === 'append' ? MARKS.append.map(SNOWFLAKE_TYPES.targetColumn) : []
  const marks = marked.map(({ name }) => name)
  const extra = write === 'append' ? marks : [KIND, LACKING, ...key.map(baseOf)]
  const defined = [
    ...names.map((name) => `${q(name)} ${typed(name)}`),
    ...(write === 'append'
      ? marked.map(({ name, native }) => `${q(name)} ${native}`)
      : [`${q(KIND)} VARCHAR`, `${q(LACKING)} VARCHAR`, ...key.map((name) => `${q(baseOf(name))} ${typed(name)}`)]),
  ]
  const sameKey = (alias: string, base = false): string =>
    key.map((name) => `t.${q(name)} = ${alias}.${q(base ? baseOf(name) : name)}`).join(' AND ')
  const softly = write === 'soft-delete'
  const mark = q(DELETED_AT)
  const rest = names.filter((name) => !key.includes(name)).map((name) => `${q(name)} = s.${q(name)}`)
  const set = [...rest, ...(softly ? [`${mark} = NULL`] : [])].join(', ')
  const list = [...names, ...marks].map(q).join(', ')
  const filled = names.map((name, place) => {
    return `${q(name)} = CASE WHEN SUBSTR(p.${q(LACKING)}, ${place + 1}, 1) = '1' THEN t.${q(name)} ELSE p.${q(name)} END`
  })
  return {
    createStage: `CREATE TEMPORARY TABLE ${stage} (${defined.join(', ')})`,
    staged: [...names, ...extra],
    emptyStage: `DELETE FROM ${stage}`,
    complete: `UPDATE ${stage} AS p SET ${filled.join(', ')} FROM ${target} AS t WHERE p.${q(LACKING)} IS NOT NULL AND ${sameKey('p', true)}`,
    deleteAll: softly
      ? `UPDATE ${target} AS t SET ${mark} = CURRENT_TIMESTAMP() WHERE t.${mark} IS NULL AND ${within(1)}`
      : `DELETE FROM ${target} AS t WHERE ${within(1)}`,
    deleteGone: softly
      ? `UPDATE ${target} AS t SET ${mark} = CURRENT_TIMESTAMP() FROM ${stage} AS g WHERE g.${q(KIND)} = '${GONE}' AND ${sameKey('g')} AND t.${mark} IS NULL AND ${within(1)}`
      : `DELETE FROM ${target} AS t USING ${stage} AS g WHERE g.${q(KIND)} = '${GONE}' AND ${sameKey('g')} AND ${within(1)}`,
    merge: `MERGE INTO ${target} AS t USING (SELECT ${list} FROM ${stage} WHERE ${q(KIND)} = '${ROW}' AND ${within(1)}) AS s ON ${sameKey('s')}${
      set === '' ? '' : ` WHEN MATCHED THEN UPDATE SET ${set}`
    } WHEN NOT MATCHED THEN INSERT (${list}) VALUES (${names.map((name) => `s.${q(name)}`).join(', ')})`,
    insertLog: `INSERT INTO ${target} (${list}) SELECT ${list} FROM ${stage} WHERE ${within(1)}`,
  }
}
