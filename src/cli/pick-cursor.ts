// Which column a new pipeline goes by: pure, from a table's columns and key alone.

import type { DataType } from '../core/data-type.ts'
import type { Column, Table } from '../core/table.ts'

/** `changes`: grows with every change of a row; `creation`: set once, when the row is made; `number`: the key itself. */
export interface CursorChoice {
  readonly column: Column
  readonly kind: 'changes' | 'creation' | 'number'
}

/** Without underscores and capitals, best first. */
const CHANGES =
  /^(last)?(updated|modified|changed)(at|on|date|time|datetime|ts)?$|^(last)?(update|modify|modification|change)(at|on|date|time|datetime|ts)$|^(dt|ts)?(updated|modified)$/
const CREATION =
  /^(created|inserted|occurred|recorded|received|logged)(at|on|date|time|ts)?$|^(creation|create|insert|event)(date|time|ts|timestamp)$|^(timestamp|ts|datetime)$/

/** null where no column will do. */
export function pickCursor(table: Pick<Table, 'columns' | 'key'>): CursorChoice | null {
  return byName(table, CHANGES, 'changes') ?? byName(table, CREATION, 'creation') ?? byKey(table)
}

function byName(table: Pick<Table, 'columns'>, names: RegExp, kind: CursorChoice['kind']): CursorChoice | null {
  const found = table.columns.filter((column) => names.test(column.name.toLowerCase().replaceAll(/[_ -]/g, '')) && rank(column.type) > 0)
  // Among equals the first stays first.
  const [column] = found.sort((a, b) => rank(b.type) - rank(a.type))
  return column === undefined ? null : { column, kind }
}

function rank(type: DataType): number {
  if (type.kind === 'timestamp') return type.zoned ? 3 : 2
  return type.kind === 'date' ? 1 : 0
}

function byKey({ columns, key }: Pick<Table, 'columns' | 'key'>): CursorChoice | null {
  const column = columns.find(({ name }) => name === key[0])
  if (key.length !== 1 || column === undefined) return null
  const { type } = column
  return type.kind === 'integer' || (type.kind === 'decimal' && type.scale === 0) ? { column, kind: 'number' } : null
}
