// Statements that bring staged rows into a table of Snowflake. A MERGE counts what it inserts and updates; of rows that share a key only
// one reaches it, so that it never has to choose.

import type { Load } from '../../core/load.ts'
import { scopeOf } from '../../sql/apply.ts'
import { SNOWFLAKE } from './dialect.ts'
import { identifier, literal, tableIdentifier } from './names.ts'
import { within } from './transaction.ts'

/** For a table of one column: see `withFiller`. */
const FILLER = 'tidemark_filler'

const FILE_FORMAT = [
  'TYPE = CSV',
  'COMPRESSION = GZIP',
  "FIELD_DELIMITER = ','",
  "RECORD_DELIMITER = '\\n'",
  'SKIP_HEADER = 0',
  `FIELD_OPTIONALLY_ENCLOSED_BY = '"'`,
  'ESCAPE = NONE',
  'ESCAPE_UNENCLOSED_FIELD = NONE',
  'NULL_IF = ()',
  // Nothing between two commas is NULL, and "" is the empty text.
  'EMPTY_FIELD_AS_NULL = TRUE',
  'TRIM_SPACE = FALSE',
  'DATE_FORMAT = AUTO',
  'TIME_FORMAT = AUTO',
  'TIMESTAMP_FORMAT = AUTO',
  'BINARY_FORMAT = HEX',
  'ENCODING = UTF8',
  'ERROR_ON_COLUMN_COUNT_MISMATCH = TRUE',
].join(' ')

/** Rows that can't be NULL or repeated under their key, or need no key. */
export function keepsAll({ strategy, keyGuaranteed, key }: Load): boolean {
  return strategy === 'append' || strategy === 'overwrite-partition' || keyGuaranteed || key.length === 0
}

/** A line without any value would be no line. */
export function needsFiller({ columns }: Pick<Load, 'columns'>): boolean {
  return columns.length === 1
}

/**
 * Rows go from their files into the table itself. COPY takes no condition: where the server has ended the transaction it would stand alone, and
 * only rows that are merged when they come again may do so.
 */
export function goesStraightIn(load: Load): boolean {
  const isMergedAgain = load.strategy === 'merge' || load.strategy === 'delete-insert' || load.strategy === 'replace'
  return load.creates && isMergedAgain && load.key.length > 0 && keepsAll(load) && !needsFiller(load)
}

/** Gone with its session, whatever becomes of that. */
export function createStage(load: Load, stage: string): string {
  const columns = load.columns.map((column) => `${identifier(column.name)} ${column.native}`)
  if (needsFiller(load)) columns.push(`${identifier(FILLER)} VARCHAR`)
  return `CREATE TEMPORARY TABLE ${stage} (${columns.join(', ')})`
}

export function copyInto(load: Load, into: string, files: string): string {
  const names = load.columns.map(({ name }) => name)
  return copyFiles(into, needsFiller(load) ? [...names, FILLER] : names, files)
}

/** All files of a place in the stage, whose values are these columns in their order. */
export function copyFiles(into: string, names: readonly string[], files: string): string {
  const columns = names.map(identifier).join(', ')
  return `COPY INTO ${into} (${columns}) FROM ${literal(files)} FILE_FORMAT = (${FILE_FORMAT}) ON_ERROR = ABORT_STATEMENT`
}

/** Columns `nulls` and `keys`: rows without a whole key, and how many different keys there are. */
export function keyFacts({ key }: Load, stage: string): string {
  const names = key.map(identifier)
  const nulls = names.map((name) => `${name} IS NULL`).join(' OR ')
  return `SELECT COUNT_IF(${nulls}) AS nulls, (SELECT count(*) FROM (SELECT DISTINCT ${names.join(', ')} FROM ${stage})) AS keys FROM ${stage}`
}

/** One row a key: the newest, and among equally new ones that with the greatest content. */
export function newestRows({ key, columns, newestBy }: Load, stage: string): string {
  const names = columns.map((column) => identifier(column.name))
  const order = [...(newestBy === null ? [] : [identifier(newestBy)]), ...names].map((name) => `${name} DESC NULLS LAST`)
  const place = `row_number() OVER (PARTITION BY ${key.map(identifier).join(', ')} ORDER BY ${order.join(', ')})`
  return `(SELECT ${names.join(', ')} FROM ${stage} QUALIFY ${place} = 1)`
}

export interface Statements {
  readonly merge: string
  readonly deleteMissing: string
  readonly deleteChanged: string | null
  readonly insertMissing: string
  /** These two only in the transaction that is their parameter. */
  readonly insertAll: string
  readonly deleteAll: string
  /** Columns `n` and `hash`, of the part of the target that is replaced and of the staged rows. */
  readonly oldContent: string
  readonly newContent: string
  /** Keys that stand in the table more than once. */
  readonly deleteRepeated: string
  /** Column `n`: changed rows that only a sweep found; null where none is asked for. */
  readonly countRescued: string | null
}

/** `rows` is the stage, or a query over it in brackets. */
export function statements(load: Load, rows: string): Statements {
  const target = tableIdentifier(load.table.name)
  const q = identifier
  const rest = load.columns.filter((column) => !load.key.includes(column.name))
  const names = load.columns.map((column) => q(column.name))
  const staged = names.map((name) => `s.${name}`).join(', ')
  const sameKey = load.key.map((name) => `t.${q(name)} = s.${q(name)}`).join(' AND ')
  const differ = SNOWFLAKE.differ('t', 's', rest)
  const update =
    rest.length === 0 ? '' : ` WHEN MATCHED AND ${differ} THEN UPDATE SET ${rest.map(({ name }) => `${q(name)} = s.${q(name)}`).join(', ')}`
  const scope = scopeOf(SNOWFLAKE, load)
  const replaced = `${target} AS t${scope === null ? '' : ` WHERE ${scope}`}`
  const keys = load.key.map(q).join(', ')
  return {
    merge: `MERGE INTO ${target} AS t USING ${rows} AS s ON ${sameKey}${update} WHEN NOT MATCHED THEN INSERT (${names.join(', ')}) VALUES (${staged})`,
    deleteMissing: `DELETE FROM ${target} AS t WHERE NOT EXISTS (SELECT 1 FROM ${rows} AS s WHERE ${sameKey})`,
    deleteChanged: rest.length === 0 ? null : `DELETE FROM ${target} AS t USING ${rows} AS s WHERE ${sameKey} AND ${differ}`,
    insertMissing: `INSERT INTO ${target} (${names.join(', ')}) SELECT ${staged} FROM ${rows} AS s WHERE NOT EXISTS (SELECT 1 FROM ${target} AS t WHERE ${sameKey})`,
    insertAll: `INSERT INTO ${target} (${names.join(', ')}) SELECT ${staged} FROM ${rows} AS s WHERE ${within(1)}`,
    deleteAll: `DELETE FROM ${target} AS t WHERE ${scope === null ? '' : `${scope} AND `}${within(1)}`,
    oldContent: `SELECT count(*) AS n, HASH_AGG(${names.join(', ')}) AS hash FROM ${replaced}`,
    newContent: `SELECT count(*) AS n, HASH_AGG(${names.join(', ')}) AS hash FROM ${rows} AS s`,
    deleteRepeated: `DELETE FROM ${target} WHERE (${keys}) IN (SELECT ${keys} FROM ${target} GROUP BY ${keys} HAVING count(*) > 1)`,
    countRescued: countRescued(load, rows, sameKey, rest.length === 0 ? null : differ),
  }
}

/** A join: Snowflake takes no comparison but of equality in a subquery that depends on its row. */
function countRescued({ rescuedBelow, key, table }: Load, rows: string, sameKey: string, differ: string | null): string | null {
  const [first] = key
  if (rescuedBelow === null || first === undefined) return null
  const same = differ === null ? sameKey : `${sameKey} AND NOT ${differ}`
  return `SELECT count(*) AS n FROM ${rows} AS s LEFT JOIN ${tableIdentifier(table.name)} AS t ON ${same}
    WHERE s.${identifier(rescuedBelow.column)} < ${literal(rescuedBelow.value)} AND t.${identifier(first)} IS NULL`
}
