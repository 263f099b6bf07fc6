// Statements that bring staged rows into a table, the same for every SQL database. Rows that are equal in every column are
// left untouched: running anything again changes nothing.

import type { Load } from '../core/load.ts'
import type { Column } from '../core/table.ts'
import type { Dialect } from './dialect.ts'

export interface Apply {
  readonly nullKeys: string
  readonly dropDuplicates: string
  readonly deleteMissing: string
  readonly updateChanged: string | null
  readonly deleteChanged: string | null
  readonly insertMissing: string
  readonly insertAll: string
  readonly deleteAll: string
  readonly sameContent: string
}

/** `stage` is the quoted name of the table with the staged rows. */
export function applyStatements(dialect: Dialect, load: Load, stage: string): Apply {
  const q = (name: string): string => dialect.identifier(name)
  const target = dialect.table(load.table.name)
  const key = load.key
  const rest = load.columns.filter((column) => !key.includes(column.name))
  const names = load.columns.map((column) => q(column.name)).join(', ')
  const staged = load.columns.map((column) => `s.${q(column.name)}`).join(', ')
  const sameKey = key.map((name) => `t.${q(name)} = s.${q(name)}`).join(' AND ')
  const differ = rest.length === 0 ? 'false' : dialect.differ('t', 's', rest)
  const scope = scopeOf(dialect, load)
  return {
    nullKeys: `SELECT count(*) AS n FROM ${stage} WHERE ${key.map((name) => `${q(name)} IS NULL`).join(' OR ') || 'false'}`,
    dropDuplicates: dropDuplicates(dialect, load, stage),
    deleteMissing: `DELETE FROM ${target} AS t WHERE NOT EXISTS (SELECT 1 FROM ${stage} AS s WHERE ${sameKey})`,
    updateChanged:
      rest.length === 0
        ? null
        : `UPDATE ${target} AS t SET ${rest.map((column) => `${q(column.name)} = s.${q(column.name)}`).join(', ')} FROM ${stage} AS s WHERE ${sameKey} AND ${differ}`,
    deleteChanged: rest.length === 0 ? null : `DELETE FROM ${target} AS t USING ${stage} AS s WHERE ${sameKey} AND ${differ}`,
    insertMissing: `INSERT INTO ${target} (${names}) ${dialect.overriding}SELECT ${staged} FROM ${stage} AS s WHERE NOT EXISTS (SELECT 1 FROM ${target} AS t WHERE ${sameKey})`,
    insertAll: `INSERT INTO ${target} (${names}) ${dialect.overriding}SELECT ${staged} FROM ${stage} AS s`,
    deleteAll: `DELETE FROM ${target} AS t${scope === null ? '' : ` WHERE ${scope}`}`,
    sameContent: sameContent(dialect, load.columns, target, stage, scope),
  }
}

/** Of rows that share a key the newest stays; among equally new ones the greatest content, whatever order they came in. */
export function dropDuplicates(dialect: Dialect, load: Load, stage: string): string {
  const key = load.key.map((name) => dialect.identifier(name))
  const newest = load.newestBy === null ? '' : `${dialect.identifier(load.newestBy)} DESC NULLS LAST, `
  return `DELETE FROM ${stage} WHERE ${dialect.rowId} IN (SELECT id FROM (
    SELECT ${dialect.rowId} AS id, row_number() OVER (PARTITION BY ${key.join(', ')} ORDER BY ${newest}${dialect.content('s', load.columns)} DESC) AS place
    FROM ${stage} AS s WHERE (${key.join(', ')}) IN (SELECT ${key.join(', ')} FROM ${stage} GROUP BY ${key.join(', ')} HAVING count(*) > 1)) AS ranked WHERE place > 1)`
}

/** The part of the target that the staged rows replace; null: all of it. */
export function scopeOf(dialect: Dialect, load: Load): string | null {
  if (load.replaces === null) return null
  const { column, from, to } = load.replaces
  const name = `t.${dialect.identifier(column)}`
  const limits = [from === null ? null : `${name} >= ${dialect.literal(from)}`, to === null ? null : `${name} < ${dialect.literal(to)}`]
  return limits.filter((limit) => limit !== null).join(' AND ') || `${name} IS NOT NULL`
}

/** Rows without a key are compared as a multiset: their number and two independent sums of hashes. */
function sameContent(dialect: Dialect, columns: readonly Column[], target: string, stage: string, scope: string | null): string {
  const side = (alias: string, table: string, where: string): string => {
    const [first, second] = dialect.hashes(alias, columns)
    return `(SELECT count(*) AS n, sum(${first}) AS a, sum(${second}) AS b FROM ${table} AS ${alias}${where})`
  }
  return `SELECT x.n = y.n AND x.a IS NOT DISTINCT FROM y.a AND x.b IS NOT DISTINCT FROM y.b AS same, x.n AS old_rows
    FROM ${side('t', target, scope === null ? '' : ` WHERE ${scope}`)} AS x, ${side('s', stage, '')} AS y`
}

/** Statement that counts, before they are applied, the changed rows that only a sweep found. */
export function countRescued(dialect: Dialect, load: Load, stage: string): string | null {
  if (load.rescuedBelow === null || load.key.length === 0) return null
  const { column, value } = load.rescuedBelow
  const rest = load.columns.filter((one) => !load.key.includes(one.name))
  const sameKey = load.key.map((name) => `t.${dialect.identifier(name)} = s.${dialect.identifier(name)}`).join(' AND ')
  const same = rest.length === 0 ? sameKey : `${sameKey} AND NOT (${dialect.differ('t', 's', rest)})`
  return `SELECT count(*) AS n FROM ${stage} AS s WHERE s.${dialect.identifier(column)} < ${dialect.literal(value)}
    AND NOT EXISTS (SELECT 1 FROM ${dialect.table(load.table.name)} AS t WHERE ${same})`
}
