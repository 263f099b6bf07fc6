// What a pipeline keeps in Snowflake for each of its tables: a stream, which is its own or one that the project names, and beside it an
// outbox and a consumer. These two are named after the stream: whoever else would consume it finds them.

import type { CdcPipeline } from '../../core/pipeline.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import type { SnowflakeConfig } from './config.ts'
import { storedName } from './names.ts'

export interface StreamNames {
  /** In the project. */
  readonly table: string
  readonly source: TableName
  readonly stream: TableName
  /** Made by tidemark, and to be removed by it. */
  readonly isOwn: boolean
  readonly outbox: TableName
  readonly consumer: TableName
}

export function streamNames(config: Pick<SnowflakeConfig, 'schema' | 'stateSchema'>, pipeline: CdcPipeline): readonly StreamNames[] {
  const { tables, streams } = pipeline.source
  return tables.map((table) => {
    const source = { schema: table.schema ?? config.schema, name: table.name }
    const named = streams?.named.get(printTableName(table)) ?? null
    const stream =
      named === null
        ? { schema: config.stateSchema, name: ownStream(pipeline.name, source) }
        : { schema: named.schema ?? config.schema, name: named.name }
    const beside = (what: string): TableName => ({ schema: stream.schema, name: `${storedName(stream.name)}_${what}` })
    return {
      table: printTableName(table),
      source,
      stream,
      isOwn: named === null,
      outbox: beside('TIDEMARK_OUTBOX'),
      consumer: beside('TIDEMARK_CONSUMER'),
    }
  })
}

/** Two underscores stand between its parts. */
function ownStream(pipeline: string, { schema, name }: TableName): string {
  const word = (text: string): string => text.toUpperCase().replaceAll(/[^A-Z0-9_]/g, '_')
  return ['TIDEMARK', pipeline, schema ?? '', name].map(word).join('__')
}
