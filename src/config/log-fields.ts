// Fields and rules that every pipeline with `pattern: cdc` has, whoever reads the log of its source.

import * as z from 'zod/mini'
import { parseTableName, type TableName } from '../core/table.ts'
import { text, textThat } from './field.ts'
import { type Fields, mapIn, type RuleContext } from './table-rules.ts'

const SLOT = /^[a-z0-9_]{1,63}$/

export const tableField = (description: string): z.ZodMiniString =>
  textThat(
    (value) => parseTableName(value) !== null,
    "can't be read as a table; write it as in SQL: schema.table, odd names in double quotes",
    description,
  )

export const loggedTables = z
  .array(tableField('A table, as schema.table.'), { error: 'expected a list, such as [public.orders]' })
  .check(z.minLength(1), z.describe('The tables, as schema.table. All of them together are always of one moment.'))

export const slotField = z.optional(
  textThat(
    (value) => SLOT.test(value),
    'is no name of a slot: small letters, digits and _, at most 63',
    'The replication slot. Default: tidemark_ and the name of the pipeline.',
  ),
)

export const publicationField = z.optional(text('The publication. Default: tidemark_ and the name of the pipeline.'))

/** What slot and publication are called where nobody says it. */
export function ownName(pipeline: string): string {
  return `tidemark_${pipeline.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`.slice(0, 63)
}

export function tableNamed(text: string): TableName {
  return parseTableName(text) ?? { schema: null, name: text }
}

/** The tables that can be read, each with its place in the list. Reports what is wrong with the others. */
export function checkLoggedTables(raw: Fields, context: RuleContext): readonly (readonly [index: number, table: TableName])[] {
  const tables = mapIn(raw, 'source')?.['tables']
  if (!Array.isArray(tables)) return []
  const seen = new Map<string, readonly [number, TableName]>()
  for (const [index, table] of tables.entries()) {
    const parsed = typeof table === 'string' ? parseTableName(table) : null
    if (parsed === null) continue
    if (parsed.schema === null) context.report(['source', 'tables', index], 'needs its schema, as in public.orders')
    if (parsed.name.includes('*')) context.report(['source', 'tables', index], 'a wildcard has no meaning here; name the tables')
    const text = JSON.stringify(parsed)
    if (seen.has(text)) context.report(['source', 'tables', index], 'stands in the list twice')
    else seen.set(text, [index, parsed])
  }
  return [...seen.values()]
}
