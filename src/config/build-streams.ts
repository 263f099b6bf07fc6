import type * as z from 'zod/mini'
import type { CdcPipeline } from '../core/pipeline.ts'
import { parseTableName, printTableName } from '../core/table.ts'
import { buildChanges, checkQuarantine } from './build-cdc.ts'
import { checkLoggedTables, ownName, tableNamed } from './log-fields.ts'
import type { streamSchema } from './stream-schema.ts'
import type { Fields, RuleContext } from './table-rules.ts'
import { checkConnections, mapIn } from './table-rules.ts'

type Written = z.output<typeof streamSchema>

/** A checked pipeline in the form in which the rest of tidemark knows it. */
export function buildStreams(name: string, written: Written): CdcPipeline {
  const { connection, tables, streams, keys, append_only: appendOnly } = written.source
  const byTable = <T, V>(map: Readonly<Record<string, T>>, value: (written: T) => V): ReadonlyMap<string, V> =>
    new Map(Object.entries(map).map(([table, one]) => [printTableName(tableNamed(table)), value(one)]))
  return {
    ...buildChanges(name, written),
    source: {
      connection,
      tables: tables.map(tableNamed),
      slot: ownName(name),
      publication: ownName(name),
      failover: false,
      heartbeatSeconds: null,
      kafka: null,
      streams: {
        named: byTable(streams ?? {}, tableNamed),
        keys: byTable(keys ?? {}, (columns) => columns),
        appendOnly: appendOnly ?? false,
      },
    },
  }
}

/** Reports every broken rule. */
export function checkStreamRules(raw: Fields, context: RuleContext): void {
  checkConnections(raw, context)
  checkQuarantine(raw, context)
  const source = mapIn(raw, 'source') ?? {}
  const tables = checkLoggedTables(raw, context).map(([, table]) => printTableName(table))
  for (const field of ['streams', 'keys'])
    for (const table of Object.keys(mapIn(source, field) ?? {})) {
      const parsed = parseTableName(table)
      if (parsed === null || !tables.includes(printTableName(parsed)))
        context.report(['source', field, table], `is none of the pipeline's tables: ${tables.join(', ')}`, 'key')
    }
  const seen = new Map<string, string>()
  for (const [table, stream] of Object.entries(mapIn(source, 'streams') ?? {})) {
    const parsed = typeof stream === 'string' ? parseTableName(stream) : null
    if (parsed === null) continue
    const earlier = seen.get(printTableName(parsed))
    if (earlier !== undefined) context.report(['source', 'streams', table], `is the stream of ${earlier} already`)
    seen.set(printTableName(parsed), table)
  }
}
