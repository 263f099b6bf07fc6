// The statements that bring folded changes of one table into it. Rows arrive in temporary tables in the types in which the source sent
// them. Nothing here depends on the order of rows: what a row lacks is taken first, then old keys go, then whole rows come.

import type { ChangedTable, ValueFormat } from '../../contract/log.ts'
import { DELETED_AT, MARKS } from '../../core/change-marks.ts'
import type { ChangeWrite } from '../../core/pipeline.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'

export interface ChangeStatements {
  readonly createRows: string
  readonly createPartial: string
  readonly createGone: string
  readonly copyRows: string
  readonly copyPartial: string
  readonly copyGone: string
  /** Partial rows become whole ones. Touches as many as there are, or the target lacks a row. */
  readonly complete: string
  readonly deleteGone: string
  readonly deleteAll: string
  /** Returns `touched` and `inserted`. */
  readonly upsert: string
  /** The other way, where new rows collide in a unique column with old ones that go: all of them go first. */
  readonly deleteRows: string
  readonly insertRows: string
  readonly empty: string
  /** Every change a row. */
  readonly createLog: string
  readonly copyLog: string
  readonly insertLog: string
  /** All rows of a chunk by their place, from which those that the target takes are picked. Parameter of the last three: places. */
  readonly createSieve: string
  readonly copySieve: string
  readonly completeSieve: string
  /** Places of rows that lack something still. */
  readonly lackingInSieve: string
  readonly pickFromSieve: string
  /** Values are named v0, v1 and on: a column may be called anything. */
  readonly readSieve: string
  /** A statement for each column that casts its value in the row of a place. */
  readonly castInSieve: readonly string[]
}

const LACKS = '"_tidemark_lacks"'
const PLACE = '"_tidemark_place"'

/** `number` keeps the temporary tables of several tables apart. `upserts`: the target has a unique key to go by. */
export function changeStatements(
  { table, columns, key }: ChangedTable,
  number: number,
  format: ValueFormat,
  upserts: boolean,
  write: ChangeWrite,
): ChangeStatements {
  const [rows, partial, gone] = ['rows', 'partial', 'gone'].map((kind) => `pg_temp.tidemark_${kind}_${number}`) as [string, string, string]
  const sieve = `pg_temp.tidemark_sieve_${number}`
  const target = tableIdentifier(table.name)
  const names = columns.map(({ target: { name } }) => identifier(name))
  const staged = (name: string): string => columnType(columns, name, format)
  const keyed = key.map(identifier)
  const cast = (alias: string, name: string): string => `${alias}.${identifier(name)}::${targetType(columns, name)}`
  const list = names.join(', ')
  const marks = MARKS.append.map(({ name }) => name)
  const values = columns.map(({ target: { name } }) => cast('s', name)).join(', ')
  const define = (which: readonly string[], prefix = ''): string =>
    which.map((name) => `${identifier(prefix + name)} ${staged(name)}`).join(', ')
  const all = columns.map(({ target: { name } }) => name)
  const sameKey = (alias: string, prefix = ''): string =>
    key.map((name) => `t.${identifier(name)} = ${alias}.${identifier(prefix + name)}::${targetType(columns, name)}`).join(' AND ')
  const filled = all.map(
    (name, place) =>
      `CASE WHEN substr(p.${LACKS}, ${place + 1}, 1) = '1' THEN t.${identifier(name)}::${staged(name)} ELSE p.${identifier(name)} END`,
  )
  const rest = all.filter((name) => !key.includes(name))
  const softly = write === 'soft-delete'
  const mark = identifier(DELETED_AT)
  const set = [...rest.map((name) => `${identifier(name)} = excluded.${identifier(name)}`), ...(softly ? [`${mark} = NULL`] : [])].join(
    ', ',
  )
  // The key's index is gone through once, and not searched from its root for each row: two thirds of the server's work (64,000 of 2,000,000 rows, 15.18).
  const order = key.map((name) => cast('s', name)).join(', ')
  const conflict = set === '' ? 'DO NOTHING' : `DO UPDATE SET ${set}`
  return {
    createRows: `CREATE TEMPORARY TABLE IF NOT EXISTS tidemark_rows_${number} (${define(all)}) ON COMMIT DELETE ROWS`,
    createPartial: `CREATE TEMPORARY TABLE IF NOT EXISTS tidemark_partial_${number} (${define(all)}, ${define(key, 'base of ')}, ${LACKS} text) ON COMMIT DELETE ROWS`,
    createGone: `CREATE TEMPORARY TABLE IF NOT EXISTS tidemark_gone_${number} (${define(key)}) ON COMMIT DELETE ROWS`,
    copyRows: `COPY ${rows} (${list}) FROM STDIN (FORMAT binary)`,
    copyPartial: `COPY ${partial} FROM STDIN (FORMAT binary)`,
    copyGone: `COPY ${gone} (${keyed.join(', ')}) FROM STDIN (FORMAT binary)`,
    complete: `INSERT INTO ${rows} (${list}) SELECT ${filled.join(', ')} FROM ${partial} AS p JOIN ${target} AS t ON ${sameKey('p', 'base of ')}`,
    deleteGone: softly
      ? `UPDATE ${target} AS t SET ${mark} = now() FROM ${gone} AS g WHERE ${sameKey('g')} AND t.${mark} IS NULL`
      : `DELETE FROM ${target} AS t USING ${gone} AS g WHERE ${sameKey('g')}`,
    deleteAll: softly ? `UPDATE ${target} SET ${mark} = now() WHERE ${mark} IS NULL` : `DELETE FROM ${target}`,
    upsert: upserts
      ? `WITH written AS (INSERT INTO ${target} AS t (${list}) OVERRIDING SYSTEM VALUE SELECT ${values} FROM ${rows} AS s ORDER BY ${order}
           ON CONFLICT (${keyed.join(', ')}) ${conflict} RETURNING t.xmax = 0 AS inserted)
         SELECT count(*) AS touched, count(*) FILTER (WHERE inserted) AS inserted FROM written`
      : '',
    deleteRows: `DELETE FROM ${target} AS t USING ${rows} AS s WHERE ${sameKey('s')}`,
    insertRows: `INSERT INTO ${target} (${list}) OVERRIDING SYSTEM VALUE SELECT ${values} FROM ${rows} AS s`,
    empty: `TRUNCATE ${rows}`,
    createLog: `CREATE TEMPORARY TABLE IF NOT EXISTS tidemark_log_${number} (${define(all)}, ${marks.map((name) => `${identifier(name)} text`).join(', ')}) ON COMMIT DELETE ROWS`,
    copyLog: `COPY pg_temp.tidemark_log_${number} FROM STDIN (FORMAT binary)`,
    insertLog: `INSERT INTO ${target} (${list}, ${marks.map(identifier).join(', ')}) OVERRIDING SYSTEM VALUE
      SELECT ${values}, ${MARKS.append.map(({ name, native }) => `nullif(s.${identifier(name)}, '')::${native}`).join(', ')} FROM pg_temp.tidemark_log_${number} AS s`,
    createSieve: `CREATE TEMPORARY TABLE IF NOT EXISTS tidemark_sieve_${number} (${define(all)}, ${define(key, 'base of ')}, ${LACKS} text, ${PLACE} int) ON COMMIT DELETE ROWS`,
    copySieve: `COPY ${sieve} FROM STDIN (FORMAT binary)`,
    completeSieve: `UPDATE ${sieve} AS p SET ${all.map((name, place) => `${identifier(name)} = ${filled[place]}`).join(', ')}, ${LACKS} = ''
      FROM ${target} AS t WHERE ${sameKey('p', 'base of ')} AND p.${PLACE} = ANY ($1::int[])`,
    lackingInSieve: `SELECT ${PLACE} AS place FROM ${sieve} WHERE position('1' IN ${LACKS}) > 0`,
    pickFromSieve: `INSERT INTO ${rows} (${list}) SELECT ${list} FROM ${sieve} WHERE ${PLACE} = ANY ($1::int[])`,
    readSieve: `SELECT ${PLACE}, ${LACKS}, ${names.map((name, place) => `${name} AS v${place}`).join(', ')} FROM ${sieve} WHERE ${PLACE} = ANY ($1::int[])`,
    castInSieve: all.map((name) => `SELECT ${cast('s', name)} FROM ${sieve} AS s WHERE ${PLACE} = ANY ($1::int[])`),
  }
}

function columnType(columns: ChangedTable['columns'], name: string, format: ValueFormat): string {
  if (format === 'pg-text') return 'text'
  return columns.find(({ target }) => target.name === name)?.source.native ?? 'text'
}

function targetType(columns: ChangedTable['columns'], name: string): string {
  return columns.find(({ target }) => target.name === name)?.target.native ?? 'text'
}
