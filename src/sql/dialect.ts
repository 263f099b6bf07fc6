import type { Column, TableName } from '../core/table.ts'

/** How one database spells the few things in which SQL databases differ here. Pure; tested as text. */
export interface Dialect {
  readonly name: 'postgres' | 'duckdb' | 'snowflake'
  identifier(name: string): string
  table(name: TableName): string
  literal(text: string): string
  /** The physical name of a row, stable inside one transaction. */
  readonly rowId: string
  /** True where two rows differ in these columns in any way, also in ways that `=` does not see. */
  differ(a: string, b: string, columns: readonly Column[]): string
  /** A text that orders rows totally by their content. */
  content(alias: string, columns: readonly Column[]): string
  /** Two independent hashes of a row's content, as numbers that can be summed. */
  hashes(alias: string, columns: readonly Column[]): readonly [string, string]
  /** Into which of `of` buckets a value falls: the same in every dialect, so that source and target agree. */
  bucket(expression: string, of: number): string
  /** Put before VALUES or SELECT so that columns numbered by the target still take the source's numbers. */
  readonly overriding: string
}
