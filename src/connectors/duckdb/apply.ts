// Runs one write strategy inside the caller's transaction and counts exactly what it did. Nothing here relies on the target's keys
// being unique: a key that stands there several times counts once.

import { LoadError } from '../../core/errors.ts'
import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import { refuseShrinking } from '../../core/shrink.ts'
import { type Apply, applyStatements, countRescued, dropDuplicates } from '../../sql/apply.ts'
import { identifier } from '../../sql/quote.ts'
import type { Connection } from './database.ts'
import { DUCKDB, tableIdentifier } from './dialect.ts'
import { holdingPartitions } from './holding-partitions.ts'
import type { Ledger } from './ledger.ts'
import { partitionCondition } from './partition-condition.ts'

/** Rows went straight into the table: one that nobody else sees yet, or one that only grows. */
export async function settleDirect(connection: Connection, load: Load, table: string, rows: number): Promise<RowCounts> {
  const keepsAll = load.strategy === 'append' || load.strategy === 'overwrite-partition'
  const deduplicated = keepsAll ? 0 : await keepNewest(connection, load, table)
  return { ...NO_ROWS, inserted: rows - deduplicated, deduplicated }
}

/** What makes the staged rows the partition's only ones: its rows go, and rows under a staged key wherever they are. */
export function replaceStatements(
  load: Load,
  stage: string,
): { readonly clear: string; readonly unmove: string | null; readonly insert: string } {
  const { partition, key, table, columns } = load
  const target = tableIdentifier(table.name)
  const where = partition === null ? 'true' : partitionCondition(table, partition.column, partition.partition.bounds)
  const names = columns.map((column) => identifier(column.name)).join(', ')
  return {
    clear: `DELETE FROM ${target} WHERE ${where}`,
    // No primary key would tell that a row has come here from another partition.
    unmove: key.length === 0 ? null : `DELETE FROM ${target} AS t WHERE EXISTS (SELECT 1 FROM ${stage} AS s WHERE ${sameKey(load)})`,
    insert: `INSERT INTO ${target} (${names}) SELECT ${names} FROM ${stage}`,
  }
}

/** Throws `partition-shrank`. */
export async function replacePartition(
  connection: Connection,
  load: Load,
  stage: string,
  rows: number,
  ledger: Ledger,
): Promise<RowCounts> {
  const { clear, unmove, insert } = replaceStatements(load, stage)
  const replaced = await connection.run(clear)
  refuseShrinking(load, replaced, rows)
  const moved = unmove === null || rows === 0 ? 0 : await takeMovedRows(connection, load, stage, unmove, ledger)
  return { ...NO_ROWS, inserted: await connection.run(insert), deleted: replaced + moved }
}

const MOVED = 'temp."_tidemark_moved"'

/**
 * Rows that are in another partition now give way where they were. Which of the two partitions was read later is not known: those that
 * rows were taken from are to be loaded again.
 */
async function takeMovedRows(connection: Connection, load: Load, stage: string, unmove: string, ledger: Ledger): Promise<number> {
  const { partition, table, pipeline } = load
  if (partition === null) return 0
  const column = identifier(partition.column)
  await connection.run(`CREATE OR REPLACE TEMP TABLE "_tidemark_moved" AS SELECT DISTINCT t.${column} FROM ${tableIdentifier(table.name)} AS t
    WHERE EXISTS (SELECT 1 FROM ${stage} AS s WHERE ${sameKey(load)})`)
  if ((await connection.count(`SELECT count(*) FROM ${MOVED}`)) === 0) return 0
  const committed = await ledger.read(connection, pipeline, { status: 'committed' })
  const robbed = await holdingPartitions(connection, MOVED, table, partition.by, committed)
  await ledger.reopen(
    connection,
    pipeline,
    robbed.filter((key) => key !== partition.partition.key),
  )
  return connection.run(unmove)
}

/** Rows are in `stage`, and the table is as `load.table` says. */
export async function applyStage(connection: Connection, load: Load, stage: string, table: string, rows: number): Promise<RowCounts> {
  const statements = applyStatements(DUCKDB, load, stage)
  if (load.strategy === 'append' || (load.strategy === 'replace' && load.key.length === 0)) return replaceRows(connection, statements, rows)
  const deduplicated = await keepNewest(connection, load, stage)
  const staged = rows - deduplicated
  const rescuedSql = countRescued(DUCKDB, load, stage)
  const rescued = rescuedSql === null ? 0 : await connection.count(rescuedSql)
  let deleted = load.strategy === 'replace' ? await connection.run(statements.deleteMissing) : 0
  const updated = await connection.count(countChanged(load, stage, table))
  let inserted: number
  if (await replacesRows(connection, load, updated)) {
    inserted = await connection.count(countNew(load, stage, table))
    if (updated > 0 && statements.deleteChanged !== null) await connection.run(statements.deleteChanged)
    if (updated > 0 || inserted > 0) await connection.run(statements.insertMissing)
  } else {
    if (updated > 0 && statements.updateChanged !== null) await connection.run(statements.updateChanged)
    inserted = await connection.run(statements.insertMissing)
  }
  if (load.strategy === 'replace') deleted += await dropRepeated(connection, load, table, staged)
  return { ...NO_ROWS, inserted, updated, deleted, deduplicated, rescued, unchanged: staged - inserted - updated }
}

const MANY_ROWS = 250_000

/**
 * Changed rows are deleted and inserted, instead of updated, where asked for, and where they are many and the outcome is the same:
 * an UPDATE keeps every old value in memory until the commit, where nothing can be moved to disk. Changing 2,000,000 rows of
 * 9 columns takes more than 300 MB as UPDATE, and passes with 300 MB this way.
 */
async function replacesRows(connection: Connection, load: Load, changed: number): Promise<boolean> {
  if (load.strategy === 'delete-insert') return true
  if (changed < MANY_ROWS) return false
  const loaded = load.columns.map((column) => column.name)
  if (load.table.columns.some((column) => column.generated !== true && !loaded.includes(column.name))) return false
  const values = [load.table.name.schema ?? 'main', load.table.name.name]
  const where = 'database_name = current_database() AND schema_name = $1 AND table_name = $2'
  const indexes = await connection.count(
    `SELECT (SELECT count(*) FROM duckdb_indexes() WHERE ${where})
  + (SELECT count(*) FROM duckdb_constraints() WHERE ${where} AND constraint_type IN ('PRIMARY KEY', 'UNIQUE'))`,
    values,
  )
  return indexes === 0
}

/** Refuses NULL keys, and leaves one row a key. Returns how many rows went. */
async function keepNewest(connection: Connection, load: Load, table: string): Promise<number> {
  if (load.keyGuaranteed || load.key.length === 0) return 0
  const nulls = await connection.count(applyStatements(DUCKDB, load, table).nullKeys)
  if (nulls > 0)
    throw new LoadError('null-key', `${nulls} rows of pipeline ${load.pipeline} have NULL in their key (${load.key.join(', ')}).`)
  return connection.run(dropDuplicates(DUCKDB, load, table))
}

function sameKey(load: Load): string {
  return load.key.map((name) => `t.${identifier(name)} = s.${identifier(name)}`).join(' AND ')
}

function countChanged(load: Load, stage: string, table: string): string {
  const rest = load.columns.filter((column) => !load.key.includes(column.name))
  const differ = rest.length === 0 ? 'false' : DUCKDB.differ('t', 's', rest)
  return `SELECT count(*) FROM ${stage} AS s WHERE EXISTS (SELECT 1 FROM ${table} AS t WHERE ${sameKey(load)} AND ${differ})`
}

function countNew(load: Load, stage: string, table: string): string {
  return `SELECT count(*) FROM ${stage} AS s WHERE NOT EXISTS (SELECT 1 FROM ${table} AS t WHERE ${sameKey(load)})`
}

/** After a replace the table holds each staged key once, also where it held one twice before. */
async function dropRepeated(connection: Connection, load: Load, table: string, staged: number): Promise<number> {
  if ((await connection.count(`SELECT count(*) FROM ${table}`)) === staged) return 0
  const keys = load.key.map(identifier).join(', ')
  return connection.run(
    `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY rowid) > 1)`,
  )
}

/** Replaces all rows, or those in a range, by the staged ones; where both are the same, nothing is touched. */
async function replaceRows(connection: Connection, statements: Apply, rows: number): Promise<RowCounts> {
  const [content] = await connection.rows(statements.sameContent)
  if (content?.['same'] === true) return { ...NO_ROWS, unchanged: rows }
  const deleted = await connection.run(statements.deleteAll)
  return { ...NO_ROWS, inserted: await connection.run(statements.insertAll), deleted }
}
