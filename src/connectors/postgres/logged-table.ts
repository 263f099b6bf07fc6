// A table whose changes are read from the log: what the log says of it, and what of a table is not in the log.

import type { TableLayout } from '../../contract/log.ts'
import { LoadError } from '../../core/errors.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { describeTable, type PostgresTable } from './describe.ts'
import type { Session } from './session.ts'
import { readLayout } from './table-layout.ts'

export interface LoggedTable extends PostgresTable {
  readonly layout: TableLayout
  /** Of each column by its name, as the log says it: type and modifier. */
  readonly declarations: ReadonlyMap<string, { readonly type: number; readonly modifier: number }>
}

/** Throws `missing-key`, `log-unavailable`: publishing such a table would make its updates fail at the source. */
export async function describeLogged(session: Session, name: TableName): Promise<LoggedTable> {
  const table = await describeTable(session, name)
  if (table.relationKind !== 'r' && table.relationKind !== 'p')
    throw new LoadError('log-unavailable', `${printTableName(name)} is no table: only tables have changes in the log.`, {
      where: session.what,
    })
  const [row] = await session.query(
    `SELECT c.relreplident AS identity, c.relpersistence AS persistence, row_security_active(c.oid) AS hides, current_user AS role FROM pg_class c WHERE c.oid = $1::oid`,
    [table.oid],
  )
  if (row?.['persistence'] !== 'p')
    throw new LoadError('log-unavailable', `Table ${printTableName(name)} is unlogged or temporary: its changes are in no log.`, {
      where: session.what,
    })
  if (row['hides'] === 't')
    throw new LoadError(
      'missing-privilege',
      `A policy hides rows of table ${printTableName(name)} from role ${row['role']}; in the log are all of them.`,
      {
        where: session.what,
        hint: `As a superuser: ALTER ROLE ${identifier(row['role'] ?? '')} BYPASSRLS;`,
      },
    )
  if (table.key.length === 0)
    throw new LoadError('missing-key', `Table ${printTableName(name)} has no primary key, by which its changes could be told apart.`, {
      where: session.what,
      hint: 'Give it a primary key.',
    })
  if (row['identity'] === 'n' || row['identity'] === 'i')
    throw new LoadError('log-unavailable', `Table ${printTableName(name)} does not log the old primary key of changed rows.`, {
      where: session.what,
      hint: `ALTER TABLE ${tableIdentifier(table.name)} REPLICA IDENTITY DEFAULT;`,
    })
  const types = await session.query(
    'SELECT attname AS name, atttypid AS type, atttypmod AS modifier FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped',
    [table.oid],
  )
  const declarations = new Map(types.map((one) => [one['name'] ?? '', { type: Number(one['type']), modifier: Number(one['modifier']) }]))
  // What the database computes is not in the log.
  return {
    ...table,
    declarations,
    layout: await readLayout(session, table.oid),
    columns: table.columns.filter(({ generated }) => generated !== true),
  }
}

/**
 * The types that every server has under the same name come in binary; others as text. So does what stands in for a column in
 * changes that are older than the column.
 */
export function isAllBinary({ columns }: PostgresTable): boolean {
  return columns.every(({ declared, native, backfill }) => declared === native && backfill === null)
}
