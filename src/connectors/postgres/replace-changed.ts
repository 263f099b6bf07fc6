// A partition replaced by the staged rows, of which only those that differ are written: after it the partition is what was staged, and a
// reload of 66,000 rows of which one in nine has changed takes 0.55 of the time of DELETE and COPY (15.18), and leaves as few dead rows.

import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import { refuseShrinking } from '../../core/shrink.ts'
import { partitionPredicate } from '../../sql/partition-predicate.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { POSTGRES } from './dialect.ts'
import type { Session } from './session.ts'
import { canUpsert } from './upsert.ts'

const DIFFERENT = 'pg_temp.tidemark_different'

interface Writing {
  readonly deleteGone: string
  /** null where a row has nothing but its key. */
  readonly updateChanged: string | null
  readonly insertNew: string
}

/**
 * May it be done so? Rows are found by the key, which the target must guarantee; and columns that are not loaded would keep what they
 * have in rows that stay, and lose it in those that don't.
 */
export function mayReplaceChanged(load: Load): boolean {
  const { partition, table, columns, key } = load
  if (partition === null || partition.absent || partition.byKey || partition.replaceBy !== 'delete') return false
  const written = table.columns.filter(({ generated }) => generated !== true)
  return key.length > 0 && written.length === columns.length && canUpsert(load)
}

/** Where the partition is empty, rows go in straight. */
export async function isFilled(session: Session, { partition, table }: Load): Promise<boolean> {
  if (partition === null) return false
  const where = partitionPredicate(POSTGRES, partition.column, partition.partition.bounds)
  const [row] = await session.query(`SELECT EXISTS (SELECT FROM ${tableIdentifier(table.name)} WHERE ${where}) AS filled`)
  return row?.['filled'] === 't'
}

/** For people to read. */
export function replaceStatements(load: Load, stage: string): readonly string[] {
  const { deleteGone, updateChanged, insertNew } = writeDifferent(load, stage)
  return [findDifferent(load, stage), deleteGone, ...(updateChanged === null ? [] : [updateChanged]), insertNew]
}

/** Throws `duplicate-key` where a staged row's key is twice, or belongs to a row of another partition. */
export async function replaceChanged(session: Session, load: Load, stage: string, rowsRead: number): Promise<RowCounts> {
  // It finds keys that are twice, and tells the planner how many rows there are.
  await session.query(`CREATE UNIQUE INDEX ON ${stage} (${load.key.map(identifier).join(', ')})`)
  await session.query(findDifferent(load, stage))
  const [row] = await session.query(`SELECT count(old) AS old, count(new) AS new FROM ${DIFFERENT}`)
  const unchanged = rowsRead - Number(row?.['new'])
  refuseShrinking(load, unchanged + Number(row?.['old']), rowsRead)
  const { deleteGone, updateChanged, insertNew } = writeDifferent(load, stage)
  const deleted = (await session.execute(deleteGone)).count
  const updated = updateChanged === null ? 0 : (await session.execute(updateChanged)).count
  const inserted = (await session.execute(insertNew)).count
  return { ...NO_ROWS, inserted, updated, deleted, unchanged }
}

/**
 * Where rows of the partition and staged ones stand that are not the same: `old` without `new` is gone, `new` without `old` has come.
 * `spelled`: the key is equal and yet another, as 1.0 and 1.00 are; such a row goes and comes.
 */
function findDifferent({ partition, table, columns, key }: Load, stage: string): string {
  const names = columns.map(({ name }) => identifier(name)).join(', ')
  const where = partition === null ? 'true' : partitionPredicate(POSTGRES, partition.column, partition.partition.bounds)
  const keys = key.map((name, place) => `t.${identifier(name)} AS k${place}`).join(', ')
  const sameKey = key.map((name) => `t.${identifier(name)} = s.${identifier(name)}`).join(' AND ')
  const keyColumns = columns.filter(({ name }) => key.includes(name))
  return `CREATE TEMPORARY TABLE tidemark_different ON COMMIT DROP AS
    SELECT t.old, ${keys}, s.new, ${POSTGRES.differ('t', 's', keyColumns)} AS spelled
    FROM (SELECT ctid AS old, ${names} FROM ${tableIdentifier(table.name)} WHERE ${where}) AS t
    FULL JOIN (SELECT ctid AS new, ${names} FROM ${stage}) AS s ON ${sameKey}
    WHERE t.old IS NULL OR s.new IS NULL OR ${POSTGRES.differ('t', 's', columns)}`
}

/** Rows are found by their place and their key: what was at that place a moment ago may be another row by now. */
function writeDifferent({ table, columns, key }: Load, stage: string): Writing {
  const target = tableIdentifier(table.name)
  const names = columns.map(({ name }) => identifier(name))
  const isOld = ['t.ctid = d.old', ...key.map((name, place) => `t.${identifier(name)} = d.k${place}`)].join(' AND ')
  const staged = names.map((name) => `s.${name}`).join(', ')
  const rest = columns.filter(({ name }) => !key.includes(name)).map(({ name }) => `${identifier(name)} = s.${identifier(name)}`)
  return {
    deleteGone: `DELETE FROM ${target} AS t USING ${DIFFERENT} AS d WHERE ${isOld} AND (d.new IS NULL OR d.spelled)`,
    updateChanged:
      rest.length === 0
        ? null
        : `UPDATE ${target} AS t SET ${rest.join(', ')} FROM ${DIFFERENT} AS d, ${stage} AS s WHERE ${isOld} AND s.ctid = d.new AND NOT d.spelled`,
    insertNew: `INSERT INTO ${target} (${names.join(', ')}) ${POSTGRES.overriding}
      SELECT ${staged} FROM ${DIFFERENT} AS d JOIN ${stage} AS s ON s.ctid = d.new WHERE d.old IS NULL OR d.spelled`,
  }
}
