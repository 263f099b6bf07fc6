import type { Dialect } from '../../sql/dialect.ts'
import { identifier, literal, tableIdentifier } from './quote.ts'

export const POSTGRES: Dialect = {
  name: 'postgres',
  identifier,
  table: tableIdentifier,
  literal,
  rowId: 'ctid',
  // *<> compares the stored images: it sees 1.10 beside 1.1, and knows types without an equality (json, point).
  differ: (a, b, columns) => `ROW(${columns.map(({ name }) => `${a}.${identifier(name)}`).join(', ')}) *<> ROW(${columns.map(({ name }) => `${b}.${identifier(name)}`).join(', ')})`,
  content: (alias, columns) => `(ROW(${columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ')})::text) COLLATE "C"`,
  hashes: (alias, columns) => {
    const text = `ROW(${columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ')})::text`
    return [`hashtextextended(${text}, 1)::numeric`, `hashtextextended(${text}, 2)::numeric`]
  },
  overriding: 'OVERRIDING SYSTEM VALUE ',
}
