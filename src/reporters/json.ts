// The shapes of what is printed as JSON. Field names are promised to scripts: they are added to, never renamed.

import type { ChangePlan } from '../core/change-plan.ts'
import type { PipelineResult, RunEvent } from '../core/event.ts'
import type { Hold } from '../core/head.ts'
import type { LedgerRow, LedgerSummary } from '../core/ledger.ts'
import type { Load } from '../core/load.ts'
import { boundTexts } from '../core/partition.ts'
import { type PartitionPlan, partitionLoad } from '../core/partition-plan.ts'
import type { Plan } from '../core/plan.ts'
import type { Position } from '../core/position.ts'
import type { QuarantinedChange } from '../core/quarantine.ts'
import type { SchemaChange } from '../core/schema-change.ts'
import type { HistoryRow, StateRow } from '../core/state.ts'
import { printTableName } from '../core/table.ts'

/** One line of JSON; bigints are numbers there. */
export function printJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? Number(one) : one), indent)
}

export function resultJson({ heldBy, ...result }: PipelineResult) {
  return { ...result, held_by: heldBy.map(holdJson) }
}

function holdJson(hold: Hold) {
  return { kind: hold.kind, pid: hold.pid, application: hold.application, age_seconds: hold.ageSeconds }
}

export function eventJson(event: RunEvent): unknown {
  const { kind, ...rest } = event
  if (event.kind === 'partitions-planned') return { event: kind, pipeline: event.pipeline, plan: partitionPlanJson(event.plan) }
  if (event.kind === 'planned') return { event: kind, pipeline: event.pipeline, plan: planJson(event.plan) }
  if (event.kind === 'pipeline-finished') return { event: kind, pipeline: event.pipeline, result: resultJson(event.result) }
  return { event: kind, ...rest }
}

function changeJson(change: SchemaChange) {
  return change.kind === 'create-table'
    ? { kind: change.kind }
    : { kind: change.kind, column: change.column.name, type: change.column.native }
}

export function planJson(plan: Plan, explain?: (load: Load) => readonly string[]) {
  return {
    pipeline: plan.pipeline,
    from: plan.from?.position ?? null,
    to: plan.to,
    late_rows: plan.late,
    held_by: plan.heldBy.map(holdJson),
    waiting: plan.waiting,
    estimated_rows: plan.estimatedRows,
    steps: plan.steps.map(({ slice, load }) => ({
      kind: 'load',
      strategy: load.strategy,
      format: load.format,
      table: printTableName(load.table.name),
      creates: load.creates,
      changes: load.changes.map(changeJson),
      after: slice.after,
      up_to: slice.upTo,
      reads: slice.range,
      estimated_rows: slice.estimatedRows,
      ...(explain === undefined ? {} : { sql: explain({ ...load, runId: '' }) }),
    })),
  }
}

export function partitionPlanJson(plan: PartitionPlan, explain?: (load: Load) => readonly string[]) {
  return {
    pipeline: plan.pipeline,
    from: plan.from?.position ?? null,
    to: { kind: 'partitions' },
    held_by: [],
    estimated_rows: plan.estimatedRows,
    estimated_bytes: plan.estimatedBytes,
    workers: plan.workers,
    consistency: plan.consistency,
    changes: plan.changes.map(changeJson),
    skipped: plan.partitions
      .filter(({ action }) => action === 'skip')
      .map(({ partition, reason }) => ({ partition: partition.key, reason })),
    steps: plan.loads.map((one) => {
      const [lower, upper] = boundTexts(one.partition.bounds)
      return {
        kind: 'partition',
        partition: one.partition.key,
        lower,
        upper,
        reason: one.reason,
        strategy: plan.load.strategy,
        format: plan.load.format,
        table: printTableName(plan.load.table.name),
        estimated_rows: one.estimatedRows,
        estimated_bytes: one.estimatedBytes,
        ...(explain === undefined ? {} : { sql: explain(partitionLoad(plan, one, '')) }),
      }
    }),
  }
}

export function changePlanJson(plan: ChangePlan) {
  return {
    pipeline: plan.pipeline,
    from: plan.from?.position ?? null,
    to: plan.to,
    held_by: [],
    estimated_rows: plan.estimatedRows,
    makes: plan.makes,
    steps: [
      ...plan.copies.map(({ table, estimatedRows }) => ({ kind: 'copy', table: printTableName(table), estimated_rows: estimatedRows })),
      ...(plan.behind ? [{ kind: 'log', after: plan.from?.position ?? null, up_to: plan.to }] : []),
    ],
  }
}

export function partitionsJson(pipeline: string, rows: readonly LedgerRow[]) {
  return {
    pipeline,
    partitions: rows.map((row) => ({
      key: row.key,
      lower: row.lower,
      upper: row.upper,
      status: row.status,
      rows: row.rows,
      attempt: row.attempt,
      committed_at: row.committedAt,
      error: row.error,
      closed: row.closed,
      checksum: row.checksum,
      run_id: row.runId,
    })),
  }
}

export function quarantineJson(pipeline: string, changes: readonly QuarantinedChange[]) {
  return {
    pipeline,
    quarantine: changes.map((one) => ({
      id: one.id,
      table: one.table,
      op: one.op,
      key: JSON.parse(one.key) as unknown,
      payload: JSON.parse(one.payload) as unknown,
      code: one.code,
      message: one.message,
      position: one.position,
      ordinal: one.ordinal,
      committed_at: one.committedAt,
      quarantined_at: one.quarantinedAt,
      run_id: one.runId,
    })),
  }
}

export function watermarkJson(pipeline: string, pattern: string, state: StateRow | null) {
  return {
    pipeline,
    pattern,
    position: state?.position ?? null,
    last_watermark: state?.lastWatermark ?? null,
    last_run_at: state?.lastRunAt ?? null,
    records_processed: state?.recordsProcessed ?? null,
    epoch: state?.epoch ?? 0n,
  }
}

export function historyJson(pipeline: string, rows: readonly HistoryRow[]) {
  return {
    pipeline,
    history: rows.map((row) => ({
      epoch: row.epoch,
      from: row.from,
      to: row.to,
      rows: row.rows,
      at: row.at,
      run_id: row.runId,
      cause: row.cause,
    })),
  }
}

/** What a source keeps for a pipeline that follows its log. */
export interface LogFacts {
  readonly slot: string
  readonly state: string
  readonly active: boolean
  readonly retained_bytes: number | null
  readonly safe_wal_size: number | null
  readonly lag_bytes: number | null
  readonly lag_seconds: number | null
  readonly lag_messages: number | null
  /** Of topics. */
  readonly partitions: readonly {
    readonly topic: string
    readonly partition: number
    readonly messages: number | null
    readonly seconds: number | null
  }[]
  /** Of a log that consists of streams. */
  readonly streams: readonly {
    readonly stream: string
    readonly state: string
    readonly stale_after: string | null
    readonly has_data: boolean | null
  }[]
  readonly invalidation_reason: string | null
}

/** What fills the topics of a pipeline. `error`: why it can't be looked at. */
export interface ConnectorFacts {
  readonly connector: string
  readonly state: string | null
  readonly tasks: readonly { readonly id: number; readonly state: string; readonly cause: string | null }[]
  readonly error: { readonly code: string; readonly message: string } | null
}

export function statusJson(
  pipeline: string,
  pattern: string,
  state: StateRow | null,
  lagSeconds: number | null,
  partitions: LedgerSummary | null,
  log: LogFacts | null,
  quarantined: number,
  connector: ConnectorFacts | null,
) {
  const position: Position | null = state?.position ?? null
  return {
    pipeline,
    pattern,
    position,
    lag: lagSeconds,
    last_run: state?.lastRunAt ?? null,
    records_processed: state?.recordsProcessed ?? null,
    epoch: state?.epoch ?? 0n,
    partitions,
    log,
    quarantined,
    connector,
  }
}
