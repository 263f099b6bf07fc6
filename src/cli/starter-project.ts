// The text of a starter project file: every pipeline with the reasons for what it says, those that can't be written yet as
// comments. Pure.

import { count } from '../core/plan-text.ts'
import { printTableName, type TableName } from '../core/table.ts'
import type { CursorChoice } from './pick-cursor.ts'

/** One table of the source: how it would be loaded, or why not yet. */
export interface StarterTable {
  readonly name: TableName
  readonly cursor: CursorChoice | null
  readonly key: readonly string[]
  readonly estimatedRows: number | null
  /** Rows without a cursor value. */
  readonly nullCursors: boolean
  /** Not null: the pipeline is a comment, and this says why. */
  readonly obstacle: string | null
}

export interface StarterPipeline extends StarterTable {
  readonly pipeline: string
  readonly target: string
}

const STATE_TABLES = new Set(['pipeline_watermarks', 'pipeline_history', 'pipeline_partitions', 'pipeline_quarantine'])

/** Gives each table a pipeline name and a target table of its own. */
export function namePipelines(tables: readonly StarterTable[]): readonly StarterPipeline[] {
  const pipelines = new Set<string>()
  const targets = new Set<string>()
  return tables.map((table) => {
    const { schema, name } = table.name
    const usual = schema === null || schema === 'public'
    const plain = (usual ? name : `${schema}.${name}`).replaceAll(/[^A-Za-z0-9_\-.]/g, '_').slice(0, 90)
    const into = STATE_TABLES.has(name.toLowerCase()) ? `source_${name}` : name
    const target = unused(targets, (suffix) => printTableName({ schema: usual ? 'staging' : schema, name: into + suffix }))
    return { ...table, pipeline: unused(pipelines, (suffix) => plain + suffix), target }
  })
}

/** Names that differ only in capitals are one to DuckDB. */
function unused(taken: Set<string>, make: (suffix: string) => string): string {
  for (let number = 1; ; number++) {
    const name = make(number === 1 ? '' : `_${number}`)
    if (taken.has(name.toLowerCase())) continue
    taken.add(name.toLowerCase())
    return name
  }
}

/** `connection` names the source; `variable` is the environment variable that holds its URL. */
export function starterProject(connection: string, variable: string, pipelines: readonly StarterPipeline[]): string {
  const active = pipelines.filter(({ obstacle }) => obstacle === null)
  return `# A tidemark project: where rows come from, where they go, and how each table is loaded.
# After a change: tidemark check, then tidemark plan. Both change nothing.

connections:
  ${word(connection)}:
    type: postgres
    url: "\${env:${variable}}" # from the environment, so that no password stands here
  warehouse:
    type: duckdb
    path: ./warehouse.duckdb # made by the first run; beside it lies nothing else

# What is left out below is settled by the table itself: the key is its primary key, rows are merged by it, and rows that
# commit late are caught (late_rows: auto). Deleted rows stay in the target until \`tidemark run --full-refresh\`.

pipelines:${active.length === 0 ? ' {} # uncomment one below, and take the {} away' : ''}
${pipelines.map((pipeline) => pipelineText(connection, pipeline)).join('\n')}`
}

function pipelineText(connection: string, table: StarterPipeline): string {
  const lines = [
    `  ${word(table.pipeline)}:${sizeNote(table)}`,
    '    pattern: watermark',
    `    source: { connection: ${word(connection)}, table: ${word(printTableName(table.name))} }`,
    `    target: { connection: warehouse, table: ${word(table.target)} }`,
    ...cursorLines(table),
  ]
  if (table.key.length === 0) lines.push('    key: [] # the columns that identify a row; or, where rows are only ever added: write: append')
  if (table.obstacle === null) return `${lines.join('\n')}\n`
  return `${[`  # Not loaded yet: ${table.obstacle}`, ...lines.map((line) => `  # ${line.slice(2)}`)].join('\n')}\n`
}

function sizeNote({ estimatedRows }: StarterTable): string {
  return estimatedRows === null ? '' : ` # about ${count(estimatedRows, 'row')}`
}

function cursorLines({ cursor, nullCursors }: StarterPipeline): string[] {
  if (cursor === null) return ['    cursor: "" # a time, date or number that grows with every change']
  const { column, kind } = cursor
  const lines = [
    `    cursor: ${word(column.name)}${kind === 'number' ? ' # no column tells when a row changed: every run sweeps the table for changes' : ''}`,
  ]
  const naive = column.type.kind === 'date' || (column.type.kind === 'timestamp' && !column.type.zoned)
  if (kind === 'creation')
    lines.push('    late_rows: sweep # finds rows that changed later; without this line faster, where rows never change')
  else if (naive && kind === 'changes')
    lines.push('    # cursor_time_zone: UTC # in which zone its values are meant; then runs need not sweep the table')
  if (nullCursors) lines.push('    null_cursor: include # some rows have none; they are read on every run')
  return lines
}

/** A YAML scalar. */
function word(text: string): string {
  const plain = /^[A-Za-z_][A-Za-z0-9_./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
  return plain ? text : JSON.stringify(text)
}
