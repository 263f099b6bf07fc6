import type { Column } from '../../core/table.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'

export const POSTGRES: Dialect = {
  name: 'postgres',
  identifier,
  table: tableIdentifier,
  literal,
  rowId: 'ctid',
  // *<> compares the stored images: it sees 1.10 beside 1.1, and knows types without an equality (json, point). The casts
  // keep the parser from taking two rows apart into pairs.
  differ: (a, b, columns) => `${row(a, columns)}::record OPERATOR(pg_catalog.*<>) ${row(b, columns)}::record`,
  content: (alias, columns) => `(${row(alias, columns)}::text) COLLATE "C"`,
  hashes: (alias, columns) => {
    const text = `${row(alias, columns)}::text`
    return [`hashtextextended(${text}, 1)::numeric`, `hashtextextended(${text}, 2)::numeric`]
  },
  bucket: (expression, of) => `('x' || substr(md5(convert_to(${expression}::text, 'UTF8')), 1, 8))::bit(32)::bigint % ${of}`,
  overriding: 'OVERRIDING SYSTEM VALUE ',
}

function row(alias: string, columns: readonly Column[]): string {
  return `ROW(${columns.map(({ name }) => `${alias}.${identifier(name)}`).join(', ')})`
}
