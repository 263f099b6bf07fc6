// What the user asks for, checked and with every default filled in that doesn't need a look at a database.

import { LoadError } from './errors.ts'
import type { SchemaPolicy } from './schema-change.ts'
import { columnNamed, printTableName, type Table, type TableName } from './table.ts'
import { WRITE_STRATEGIES, type WriteStrategyName } from './write-strategy.ts'

/** How rows that commit late are kept from being skipped. */
export type LateRows =
  | { readonly kind: 'auto' | 'bound' | 'sweep' | 'none' }
  | { readonly kind: 'xid8'; readonly column: string }
  | { readonly kind: 'lag'; readonly seconds: number }

export interface Pipeline {
  /** 1–100 of letters, digits and `_ - . /`. */
  readonly name: string
  readonly pattern: 'watermark'
  readonly source: { readonly connection: string; readonly table: TableName | null; readonly query: string | null }
  readonly target: { readonly connection: string; readonly table: TableName }
  readonly cursor: string
  readonly cursorTimeZone: string | null
  readonly start: string | null
  /** null: the source table's primary key. */
  readonly key: readonly string[] | null
  /** null: merge with a key, append without. */
  readonly write: WriteStrategyName | null
  readonly lateRows: LateRows
  readonly nullCursor: 'error' | 'include' | 'exclude'
  readonly where: string | null
  readonly columns: { readonly include: readonly string[] | null; readonly exclude: readonly string[] }
  readonly onSchemaChange: SchemaPolicy
}

/** A pipeline whose key, strategy and columns are settled by a look at the source table. */
export interface ResolvedPipeline extends Pipeline {
  readonly key: readonly string[]
  readonly write: WriteStrategyName
}

/** Settles what depends on the source; throws `missing-column`, `missing-key`, `unusable-cursor`. */
export function resolvePipeline(pipeline: Pipeline, source: Table): ResolvedPipeline {
  const where = `pipeline ${pipeline.name}`
  const known = source.columns.map((column) => column.name)
  const need = (name: string, role: string): void => {
    if (columnNamed(source, name) === undefined)
      throw new LoadError('missing-column', `The ${role} "${name}" of ${where} is no column of ${printSource(pipeline)}.`, {
        hint: `Its columns are: ${known.join(', ')}.`,
      })
  }
  need(pipeline.cursor, 'cursor')
  for (const name of pipeline.key ?? []) need(name, 'key column')
  for (const name of [...(pipeline.columns.include ?? []), ...pipeline.columns.exclude]) need(name, 'column')
  const key = pipeline.key ?? source.key
  const write = pipeline.write ?? (key.length > 0 ? 'merge' : 'append')
  if (WRITE_STRATEGIES[write].needsKey && key.length === 0)
    throw new LoadError('missing-key', `${printSource(pipeline)} has no primary key, and ${where} names none; ${write} needs one.`)
  if (write === 'append' && pipeline.nullCursor === 'include')
    throw new LoadError(
      'strategy-unsupported',
      `Pipeline ${pipeline.name} would append its rows without a cursor value again on every run.`,
      {
        hint: 'Use `null_cursor: exclude`, or name a `key` so that it can merge.',
      },
    )
  return { ...pipeline, key, write }
}

/** The source table with only the columns that the pipeline loads, and its key. */
export function selectedTable(pipeline: ResolvedPipeline, source: Table): Table {
  const { include, exclude } = pipeline.columns
  const columns = source.columns.filter((column) => (include === null || include.includes(column.name)) && !exclude.includes(column.name))
  for (const name of [pipeline.cursor, ...pipeline.key])
    if (columnNamed({ columns }, name) === undefined && (pipeline.key.includes(name) || pipeline.write !== 'append'))
      throw new LoadError('missing-column', `Column "${name}" of pipeline ${pipeline.name} is its cursor or key and can't be left out.`)
  const same = source.keyGuaranteed && sameNames(pipeline.key, source.key)
  return { ...source, columns, key: pipeline.key, keyGuaranteed: same }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.length > 0 && a.every((name) => b.includes(name))
}

export function printSource(pipeline: Pipeline): string {
  return pipeline.source.table === null ? `the query of pipeline ${pipeline.name}` : `table ${printTableName(pipeline.source.table)}`
}

/**
 * What a stored position belongs to. Each part is named, so that a refusal can say which one changed; canonical JSON,
 * because it is stored as text.
 */
export function fingerprint(pipeline: ResolvedPipeline, source: Table): string {
  return JSON.stringify({
    source: source.identity,
    cursor: pipeline.cursor,
    zone: pipeline.cursorTimeZone,
    where: pipeline.where,
    // What xid8 has delivered can't be told from a watermark, nor the other way round.
    xid8: pipeline.lateRows.kind === 'xid8' ? pipeline.lateRows.column : null,
    query: pipeline.source.query,
    target: printTableName(pipeline.target.table),
  })
}

/** The names of the parts in which two fingerprints differ; none where the stored one is empty (an adopted row). */
export function fingerprintChanges(stored: string, current: string): readonly string[] {
  if (stored === '' || stored === current) return []
  const words: Record<string, string> = {
    source: 'source server or table',
    cursor: 'cursor',
    zone: 'cursor_time_zone',
    where: 'where',
    xid8: 'late_rows',
    query: 'query',
    target: 'target table',
  }
  try {
    const a = JSON.parse(stored) as Record<string, unknown>
    const b = JSON.parse(current) as Record<string, unknown>
    return Object.keys(words)
      .filter((part) => (a[part] ?? null) !== (b[part] ?? null))
      .map((part) => words[part] ?? part)
  } catch {
    return ['fingerprint']
  }
}
