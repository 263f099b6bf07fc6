import type * as z from 'zod/mini'
import type { CdcPipeline } from '../core/pipeline.ts'
import { parseTableName, type TableName } from '../core/table.ts'
import type { cdcSchema } from './cdc-schema.ts'
import { parseDuration } from './duration.ts'
import type { Fields, RuleContext } from './table-rules.ts'
import { checkConnections, mapIn } from './table-rules.ts'

type Written = z.output<typeof cdcSchema>

/** A night's worth of bad rows; a column that fits no row at all is noticed within minutes. */
const MAX_QUARANTINED = 1000

/** A checked pipeline in the form in which the rest of tidemark knows it. */
export function buildCdc(name: string, written: Written): CdcPipeline {
  const { source, target, write, on_schema_change, workers, on_bad_row, max_quarantined } = written
  const own = `tidemark_${name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`.slice(0, 63)
  return {
    name,
    pattern: 'cdc',
    source: {
      connection: source.connection,
      tables: source.tables.map(tableNamed),
      slot: source.slot ?? own,
      publication: source.publication ?? own,
      failover: source.failover ?? false,
      heartbeatSeconds: source.heartbeat === undefined ? null : parseDuration(source.heartbeat),
    },
    target: { connection: target.connection, schema: target.schema === undefined ? null : tableNamed(target.schema).name },
    write: write ?? 'merge',
    onSchemaChange: on_schema_change ?? 'evolve',
    workers: workers === undefined ? null : Number(workers),
    maxQuarantined: on_bad_row === 'quarantine' ? Number(max_quarantined ?? MAX_QUARANTINED) : null,
  }
}

function tableNamed(text: string): TableName {
  return parseTableName(text) ?? { schema: null, name: text }
}

/** Reports every broken rule. */
export function checkCdcRules(raw: Fields, context: RuleContext): void {
  checkConnections(raw, context)
  if (raw['max_quarantined'] !== undefined && raw['on_bad_row'] !== 'quarantine')
    context.report(['max_quarantined'], 'needs on_bad_row: quarantine', 'key')
  const tables = mapIn(raw, 'source')?.['tables']
  if (!Array.isArray(tables)) return
  const seen = new Set<string>()
  for (const [index, table] of tables.entries()) {
    const parsed = typeof table === 'string' ? parseTableName(table) : null
    if (parsed === null) continue
    if (parsed.schema === null) context.report(['source', 'tables', index], 'needs its schema, as in public.orders')
    if (parsed.name.includes('*')) context.report(['source', 'tables', index], 'a wildcard has no meaning here; name the tables')
    const text = JSON.stringify(parsed)
    if (seen.has(text)) context.report(['source', 'tables', index], 'stands in the list twice')
    seen.add(text)
  }
}
