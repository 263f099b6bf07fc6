import type * as z from 'zod/mini'
import type { CdcPipeline } from '../core/pipeline.ts'
import type { cdcSchema } from './cdc-schema.ts'
import { parseDuration } from './duration.ts'
import { checkLoggedTables, ownName, tableNamed } from './log-fields.ts'
import type { Fields, RuleContext } from './table-rules.ts'
import { checkConnections } from './table-rules.ts'

type Written = z.output<typeof cdcSchema>

/** A night's worth of bad rows; a column that fits no row at all is noticed within minutes. */
const MAX_QUARANTINED = 1000

/** A checked pipeline in the form in which the rest of tidemark knows it. */
export function buildCdc(name: string, written: Written): CdcPipeline {
  const { source } = written
  return {
    ...buildChanges(name, written),
    source: {
      connection: source.connection,
      tables: source.tables.map(tableNamed),
      slot: source.slot ?? ownName(name),
      publication: source.publication ?? ownName(name),
      failover: source.failover ?? false,
      heartbeatSeconds: source.heartbeat === undefined ? null : parseDuration(source.heartbeat),
      kafka: null,
      streams: null,
    },
    workers: written.workers === undefined ? null : Number(written.workers),
  }
}

/** All but the source, which is the same whoever reads the log. */
export function buildChanges(name: string, written: Omit<Written, 'source' | 'workers'>): Omit<CdcPipeline, 'source'> {
  const { target, write, on_schema_change, on_bad_row, max_quarantined } = written
  return {
    name,
    pattern: 'cdc',
    target: { connection: target.connection, schema: target.schema === undefined ? null : tableNamed(target.schema).name },
    write: write ?? 'merge',
    onSchemaChange: on_schema_change ?? 'evolve',
    workers: null,
    maxQuarantined: on_bad_row === 'quarantine' ? Number(max_quarantined ?? MAX_QUARANTINED) : null,
  }
}

/** Reports every broken rule. */
export function checkCdcRules(raw: Fields, context: RuleContext): void {
  checkConnections(raw, context)
  checkQuarantine(raw, context)
  checkLoggedTables(raw, context)
}

export function checkQuarantine(raw: Fields, context: RuleContext): void {
  if (raw['max_quarantined'] !== undefined && raw['on_bad_row'] !== 'quarantine')
    context.report(['max_quarantined'], 'needs on_bad_row: quarantine', 'key')
}
