// What a change of the schema does to a table in memory.

import { LoadError } from '../../core/errors.ts'
import type { SchemaChange } from '../../core/schema-change.ts'
import { type Column, printTableName } from '../../core/table.ts'
import type { Value } from './database.ts'
import type { TargetTable } from './state-store.ts'

/** Throws `target-failed` for a table that is made twice. */
export function changedTable(old: TargetTable | null, changes: readonly SchemaChange[]): TargetTable | null {
  let now = old
  for (const change of changes) {
    if (change.kind === 'create-table') {
      if (now !== null) throw new LoadError('target-failed', `Table ${printTableName(change.table.name)} is there already.`)
      now = { table: { ...change.table, identity: `memory target ${printTableName(change.table.name)}` }, rows: [], unique: [] }
    } else if (now === null) throw new LoadError('target-missing', `There is no table ${printTableName(change.table)}.`)
    else if (change.kind === 'widen-column')
      now = {
        ...now,
        table: { ...now.table, columns: now.table.columns.map((column) => (column.name === change.column.name ? change.column : column)) },
      }
    else {
      // The source's older rows show the column's default without having been changed; the target's do the same.
      const shown = backfillOf(change.column)
      now = {
        ...now,
        table: { ...now.table, columns: [...now.table.columns, change.column] },
        rows: now.rows.map((row) => [...row, shown]),
      }
    }
  }
  return now
}

function backfillOf({ type, backfill }: Column): Value {
  if (backfill === null || backfill === undefined) return null
  return type.kind === 'text' ? backfill : BigInt(backfill)
}
