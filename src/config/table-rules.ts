// What no single field of a pipeline that loads one table shows, whatever its pattern. Fields may be missing or of a wrong type here: each rule looks only
// at what it can read, so that it also speaks when other fields are wrong.

import { parseTableName, type TableName } from '../core/table.ts'
import { unknownWord } from './explain-issue.ts'
import type { Origin, Path } from './origin.ts'
import { tableIdentity } from './shared-target.ts'

export type Fields = Readonly<Record<string, unknown>>

export interface RuleContext {
  readonly origin: Origin
  readonly connections: Readonly<Record<string, { readonly type: string }>>
  readonly connectionNames: readonly string[]
  readonly report: (path: Path, message: string, of?: 'key' | 'value') => void
  readonly locate: (path: Path) => Path
}

const STATE_TABLES: ReadonlySet<string> = new Set(['pipeline_watermarks', 'pipeline_partitions', 'pipeline_history', 'pipeline_quarantine'])
const KEYLESS_WRITES: readonly unknown[] = ['append', 'replace', 'overwrite-partition']

/** Reports every broken rule. `leading` is the column that the pipeline goes by, where it is written. */
export function checkTableRules(raw: Fields, leading: { readonly role: string; readonly column: unknown }, context: RuleContext): void {
  checkConnections(raw, context)
  checkSource(raw, context)
  checkTarget(raw, context)
  checkColumns(raw, leading, context)
  if (raw['on_bad_row'] === 'quarantine') context.report(['on_bad_row'], 'quarantine is not supported by this version yet')
}

export function checkConnections(raw: Fields, context: RuleContext): void {
  for (const side of ['source', 'target']) {
    const name = mapIn(raw, side)?.['connection']
    if (typeof name === 'string' && name !== '' && !context.connectionNames.includes(name)) {
      const path = [side, 'connection']
      context.report(path, unknownWord('connection', context.locate(path), name, context.connectionNames, context.origin))
    } else if (typeof name === 'string' && typeOf(name, context) === 'kafka' && (side === 'target' || raw['pattern'] !== 'cdc')) {
      const why = side === 'target' ? 'nothing is written there' : 'only pattern: cdc reads it'
      context.report([side, 'connection'], `is a kafka connection: ${why}`)
    }
  }
}

/** null for a connection that there is not. */
export function typeOf(connection: string, { connections }: Pick<RuleContext, 'connections'>): string | null {
  return Object.hasOwn(connections, connection) ? (connections[connection]?.type ?? null) : null
}

function checkSource(raw: Fields, { report }: RuleContext): void {
  const source = mapIn(raw, 'source')
  if (source === null) return
  const { table, query } = source
  // Beside a misspelt key this would only be noise.
  if (table === undefined && query === undefined && Object.keys(source).every((key) => key === 'connection'))
    report(['source'], 'needs a table or a query', 'key')
  if (table !== undefined && query !== undefined) report(['source', 'query'], 'stands beside table; keep one of them', 'key')
  if (query !== undefined && table === undefined) {
    const keyless = KEYLESS_WRITES.includes(raw['write'] ?? (raw['pattern'] === 'partition' ? 'overwrite-partition' : undefined))
    if (raw['key'] === undefined && !keyless)
      report(['source', 'query'], 'a query needs key: [columns that identify a row], or write: append or replace', 'key')
    if (mapIn(raw, 'target') !== null && mapIn(raw, 'target')?.['table'] === undefined)
      report(['source', 'query'], 'a query has no name that the target table could take; name it with target: { table: … }', 'key')
  }
  if (typeof table === 'string' && wildcardOf(table) === 'schema')
    report(['source', 'table'], 'a wildcard may stand only in the last part, as in public.ord*')
  if (typeof table === 'string' && wildcardOf(table) === 'name' && parseTableName(table)?.schema === null)
    report(['source', 'table'], 'a wildcard needs a schema, as in public.ord*')
}

function checkTarget(raw: Fields, { report, connections }: RuleContext): void {
  const target = mapIn(raw, 'target')
  const source = mapIn(raw, 'source')
  if (target === null) return
  const sourceTable = typeof source?.['table'] === 'string' ? source['table'] : null
  const wildcard = sourceTable === null ? null : wildcardOf(sourceTable)
  if (wildcard === 'name' && target['table'] !== undefined)
    report(['target', 'table'], 'would be shared by all tables of the wildcard; give schema, or nothing', 'key')
  if (typeof target['table'] === 'string' && wildcardOf(target['table']) !== null)
    report(['target', 'table'], 'a wildcard has no meaning at the target')
  const named = typeof target['table'] === 'string' ? parseTableName(target['table']) : null
  const schema = typeof target['schema'] === 'string' ? parseTableName(target['schema']) : null
  if (named !== null && named.schema !== null && schema !== null && named.schema !== schema.name)
    report(['target', 'schema'], 'is not the schema that table names; keep one of them')
  const table = targetTable(target, sourceTable)
  if (table === null || wildcard !== null) return
  if (STATE_TABLES.has(table.name)) report(['target', 'table'], 'is one of the tables in which tidemark keeps its state')
  const read = sourceTable === null ? null : parseTableName(sourceTable)
  const same = (connection: unknown, name: TableName): string => tableIdentity(String(connection), name, connections)
  if (read !== null && same(source?.['connection'], read) === same(target['connection'], table))
    report(['target'], 'is the very table that the pipeline reads', 'key')
}

function checkColumns(raw: Fields, leading: { readonly role: string; readonly column: unknown }, { report }: RuleContext): void {
  const key = namesIn(raw, 'key')
  const columns = mapIn(raw, 'columns')
  refuseRepeated(key, ['key'], report)
  if (columns === null) return
  const include = namesIn(columns, 'include')
  const exclude = namesIn(columns, 'exclude')
  refuseRepeated(include, ['columns', 'include'], report)
  refuseRepeated(exclude, ['columns', 'exclude'], report)
  if (columns['include'] === undefined && columns['exclude'] === undefined) report(['columns'], 'needs include or exclude', 'key')
  if (columns['include'] !== undefined && columns['exclude'] !== undefined)
    report(['columns', 'exclude'], 'stands beside include; keep one of them', 'key')
  const isLeftOut = (name: string): boolean => exclude.includes(name) || (include.length > 0 && !include.includes(name))
  const place = ['columns', exclude.length > 0 ? 'exclude' : 'include']
  for (const name of key) if (isLeftOut(name)) report(place, `leaves out the key column ${JSON.stringify(name)}`)
  const { role, column } = leading
  const isNeeded = raw['write'] === undefined ? key.length > 0 : raw['write'] !== 'append'
  if (typeof column === 'string' && isNeeded && !key.includes(column) && isLeftOut(column))
    report(place, `leaves out the ${role} ${JSON.stringify(column)}`)
}

function refuseRepeated(list: readonly string[], path: Path, report: RuleContext['report']): void {
  for (const [index, name] of list.entries()) if (list.indexOf(name) < index) report([...path, index], 'stands in the list twice')
}

/** The table that is written, from what `target` and `source.table` say; null when they say too little. */
export function targetTable(target: Fields, sourceTable: string | null): TableName | null {
  const written = typeof target['table'] === 'string' ? target['table'] : sourceTable
  const named = written === null ? null : parseTableName(written)
  if (named === null) return null
  const schema = typeof target['schema'] === 'string' ? (parseTableName(target['schema'])?.name ?? null) : null
  const own = typeof target['table'] === 'string' ? named.schema : null
  return { schema: own ?? schema, name: named.name }
}

/** In which part of a table's name a `*` stands outside of quotes. */
export function wildcardOf(table: string): 'name' | 'schema' | null {
  const parts = table.replaceAll(/"(?:[^"]|"")*"/g, 'q').split('.')
  if (parts.slice(0, -1).some((part) => part.includes('*'))) return 'schema'
  return parts.at(-1)?.includes('*') === true ? 'name' : null
}

export function mapIn(raw: Fields, name: string): Fields | null {
  const value = raw[name]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

function namesIn(raw: Fields, name: string): readonly string[] {
  const value = raw[name]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}
