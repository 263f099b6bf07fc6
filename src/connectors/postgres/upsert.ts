// One statement that inserts what is new and updates what differs, where the target's own key is the pipeline's. In one pass
// over the key's index it takes 0.8 of the time of UPDATE … FROM followed by INSERT (220,000 of 2,000,000 rows, 15.18).

import type { Load } from '../../core/load.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import type { PostgresTable } from './describe.ts'
import { POSTGRES } from './dialect.ts'

/** ON CONFLICT needs a unique index on exactly the key; a partitioned table does not show xmax. */
export function canUpsert(load: Load): boolean {
  const table = load.table as Partial<PostgresTable> & Load['table']
  const sameKey = table.key.length === load.key.length && table.key.every((name) => load.key.includes(name))
  return load.strategy !== 'delete-insert' && table.keyGuaranteed && sameKey && table.relationKind === 'r'
}

/** Returns one row: `touched`, all rows inserted or updated, and `inserted`. A row that was updated carries the lock of its update in xmax. */
export function upsertStatement(load: Load, stage: string): string {
  const names = load.columns.map((column) => identifier(column.name)).join(', ')
  const staged = load.columns.map((column) => `s.${identifier(column.name)}`).join(', ')
  const rest = load.columns.filter((column) => !load.key.includes(column.name))
  const set = rest.map((column) => `${identifier(column.name)} = excluded.${identifier(column.name)}`).join(', ')
  const action = rest.length === 0 ? 'NOTHING' : `UPDATE SET ${set} WHERE ${POSTGRES.differ('t', 'excluded', rest)}`
  return `WITH written AS (
    INSERT INTO ${tableIdentifier(load.table.name)} AS t (${names}) ${POSTGRES.overriding}SELECT ${staged} FROM ${stage} AS s
    ON CONFLICT (${load.key.map(identifier).join(', ')}) DO ${action} RETURNING t.xmax = 0 AS inserted)
    SELECT count(*) AS touched, count(*) FILTER (WHERE inserted) AS inserted FROM written`
}
