// A pipeline under another pattern: what it becomes, as a pipeline and as the fields of the project file. Its tables stay, and so does
// whatever in them is as it is at the source.

import { ownName } from '../config/log-fields.ts'
import type { Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import type { CdcPipeline, Pipeline, WatermarkPipeline } from '../core/pipeline.ts'
import { printTableName, type TableName } from '../core/table.ts'

export interface Conversion {
  readonly pipelines: readonly Pipeline[]
  /** Fields of the project file, by the name of the pipeline. */
  readonly fields: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Throws `bad-usage` for what a log can't do, or would do otherwise. */
export async function toCdc(pipeline: Pipeline, ends: { readonly source: Source; readonly target: Target }): Promise<Conversion> {
  const { name } = pipeline
  if (pipeline.pattern === 'cdc') throw new LoadError('bad-usage', `Pipeline ${name} follows a log already.`)
  if (ends.source.log === undefined) throw new LoadError('bad-usage', `The source of pipeline ${name} has no log that could be followed.`)
  const { source, where, columns, write } = pipeline
  const refuse = (why: string): LoadError =>
    new LoadError('bad-usage', `Pipeline ${name} ${why}; a log brings all rows and columns of a table as they are.`, {
      hint: 'Make a new pipeline with `pattern: cdc` and a target of its own beside it.',
    })
  if (source.table === null) throw refuse('reads a query')
  if (where !== null) throw refuse('loads only some rows (where)')
  if (columns.include !== null || columns.exclude.length > 0) throw refuse('loads only some columns')
  if (write === 'append') throw refuse('appends every version of a row')
  const table = (await ends.source.describe(pipeline)).name
  const into = (await ends.target.describe(pipeline.target.table))?.name ?? pipeline.target.table
  if (into.name !== table.name) throw refuse(`writes to ${printTableName(into)}, under another name than the source's table has`)
  const own = ownName(name)
  const cdc: CdcPipeline = {
    name,
    pattern: 'cdc',
    source: {
      connection: source.connection,
      tables: [table],
      slot: own,
      publication: own,
      failover: false,
      heartbeatSeconds: null,
      kafka: null,
      streams: null,
    },
    target: { connection: pipeline.target.connection, schema: into.schema },
    write: 'merge',
    onSchemaChange: pipeline.onSchemaChange,
    workers: null,
    maxQuarantined: null,
  }
  const fields = {
    pattern: 'cdc',
    source: { connection: source.connection, tables: [printTableName(table)] },
    target: { connection: pipeline.target.connection, ...(into.schema === null ? {} : { schema: printTableName(bare(into.schema)) }) },
    ...(pipeline.onSchemaChange === 'evolve' ? {} : { on_schema_change: pipeline.onSchemaChange }),
  }
  return { pipelines: [cdc], fields: { [name]: fields } }
}

/** One pipeline a table; throws `bad-usage` where deleted or older rows are kept on purpose. */
export function toWatermark(pipeline: Pipeline, cursor: string | null): Conversion {
  const { name } = pipeline
  if (pipeline.pattern !== 'cdc')
    throw new LoadError('bad-usage', `Pipeline ${name} does not follow a log: its pattern is ${pipeline.pattern}.`)
  if (cursor === null)
    throw new LoadError('bad-usage', `A watermark needs a cursor, and pipeline ${name} has none yet.`, {
      hint: 'Name the column by which changed rows are found: `--cursor updated_at`.',
    })
  if (pipeline.write !== 'merge')
    throw new LoadError('bad-usage', `Pipeline ${name} writes by ${pipeline.write}, which no watermark can go on with.`, {
      hint: 'Make a new pipeline with `pattern: watermark` and a target of its own beside it.',
    })
  const { source, target, onSchemaChange } = pipeline
  if (source.kafka !== null)
    throw new LoadError('bad-usage', `Pipeline ${name} reads topics, which have no cursor to read rows by.`, {
      hint: 'Make a new pipeline with `pattern: watermark` on the database itself, and a target of its own.',
    })
  const pipelines = source.tables.map((table): WatermarkPipeline => {
    const into: TableName = { schema: target.schema ?? table.schema, name: table.name }
    return {
      name: source.tables.length === 1 ? name : `${name}_${table.name}`.replaceAll(/[^A-Za-z0-9_\-.]/g, '_').slice(0, 90),
      pattern: 'watermark',
      source: { connection: source.connection, table, query: null },
      target: { connection: target.connection, table: into },
      cursor,
      cursorTimeZone: null,
      start: null,
      key: null,
      write: 'merge',
      lateRows: { kind: 'auto' },
      nullCursor: 'error',
      firstLoad: null,
      where: null,
      columns: { include: null, exclude: [] },
      onSchemaChange,
    }
  })
  const fields = pipelines.map((one) => [
    one.name,
    {
      pattern: 'watermark',
      cursor,
      source: { connection: source.connection, table: printTableName(one.source.table ?? one.target.table) },
      target: { connection: target.connection, table: printTableName(one.target.table) },
      write: 'merge',
      ...(onSchemaChange === 'evolve' ? {} : { on_schema_change: onSchemaChange }),
    },
  ])
  return { pipelines, fields: Object.fromEntries(fields) }
}

function bare(name: string): TableName {
  return { schema: null, name }
}
