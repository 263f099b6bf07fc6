// Foreign keys of the target's own: in which order its tables may be written, and what must not be deleted only to be written again.

import type { TableName } from '../../core/table.ts'
import { tableIdentifier } from '../../sql/quote.ts'
import type { Session } from './session.ts'

export interface ForeignKeys {
  /** One of the tables has one, or is what one refers to. */
  readonly any: boolean
  /** Numbers of the tables, those that are referred to before those that refer to them; a circle is cut somewhere. */
  readonly order: readonly number[]
  /** By the number of a table: a constraint that deletes or empties other rows when a row of this table is deleted. */
  readonly cascading: ReadonlyMap<number, string>
}

export async function readForeignKeys(session: Session, tables: readonly TableName[]): Promise<ForeignKeys> {
  const oids = await session.query(
    'SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n) ORDER BY n',
    [arrayLiteral(tables.map(tableIdentifier))],
  )
  const numbers = new Map(oids.map(({ oid }, number) => [oid, number]))
  const rows = await session.query(
    `SELECT conname AS name, conrelid AS child, confrelid AS parent, confdeltype AS on_delete FROM pg_constraint
     WHERE contype = 'f' AND (conrelid = ANY ($1::oid[]) OR confrelid = ANY ($1::oid[])) ORDER BY conname`,
    [arrayLiteral([...numbers.keys()].flatMap((oid) => oid ?? []))],
  )
  const parents = tables.map((): number[] => [])
  const cascading = new Map<number, string>()
  for (const { name, child, parent, on_delete } of rows) {
    const [from, to] = [numbers.get(child ?? null), numbers.get(parent ?? null)]
    if (from !== undefined && to !== undefined) parents[from]?.push(to)
    if (to !== undefined && name != null && ['c', 'n', 'd'].includes(on_delete ?? '')) cascading.set(to, name)
  }
  return { any: rows.length > 0, order: parentsFirst(parents), cascading }
}

function parentsFirst(parents: readonly (readonly number[])[]): readonly number[] {
  const order: number[] = []
  const met = new Set<number>()
  const visit = (table: number): void => {
    if (met.has(table)) return
    met.add(table)
    for (const parent of parents[table] ?? []) visit(parent)
    order.push(table)
  }
  for (const table of parents.keys()) visit(table)
  return order
}

function arrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`
}
