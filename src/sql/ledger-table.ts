// The ledger as a table: one row a partition, beside the data. Its first columns are promised to people who query it.

import { LoadError } from '../core/errors.ts'
import type { Claim, LedgerRow, PartitionStatus } from '../core/ledger.ts'
import type { Dialect } from './dialect.ts'

export const PARTITIONS = 'pipeline_partitions'

export function ledgerTable(dialect: Pick<Dialect, 'table'>, schema: string | null): string {
  return dialect.table({ schema, name: PARTITIONS })
}

/** `worker` names the server process that loads it, where the target has one; `lease_until` is by the target's clock. */
export function createLedger(table: string): string {
  return `CREATE TABLE IF NOT EXISTS ${table} (
    pipeline_name VARCHAR(100), partition_key TEXT, lower_bound TEXT, upper_bound TEXT, status TEXT NOT NULL, attempt INTEGER NOT NULL, epoch BIGINT,
    "rows" BIGINT, checksum TEXT, staged_at TIMESTAMP, committed_at TIMESTAMP, run_id TEXT NOT NULL, error TEXT,
    closed BOOLEAN NOT NULL, estimated_rows BIGINT, lease_until TIMESTAMP, worker TEXT, PRIMARY KEY (pipeline_name, partition_key))`
}

type Cells = Readonly<Record<string, unknown>>

/** Columns: key, lower, upper, status, attempt, rows, checksum, closed, committed_at, run_id, error, abandoned; all but the booleans as text. */
export function ledgerRowFrom(row: Cells): LedgerRow {
  const text = (name: string): string | null => (row[name] === null || row[name] === undefined ? null : String(row[name]))
  const truth = (name: string): boolean => row[name] === true || row[name] === 't' || row[name] === 'true'
  const status = text('status') ?? ''
  if (!['planned', 'running', 'committed', 'failed'].includes(status))
    throw new LoadError('state-corrupted', `pipeline_partitions knows no status "${status}".`)
  const rows = text('rows')
  return {
    key: text('key') ?? '',
    lower: text('lower'),
    upper: text('upper'),
    status: status as PartitionStatus,
    attempt: Number(text('attempt') ?? 0),
    rows: rows === null ? null : BigInt(rows),
    checksum: text('checksum'),
    closed: truth('closed'),
    committedAt: text('committed_at'),
    runId: text('run_id') ?? '',
    error: text('error'),
    abandoned: truth('abandoned'),
  }
}

export function lostClaim({ pipeline, key }: Claim): LoadError {
  return new LoadError(
    'state-conflict',
    `Another run has claimed partition ${key} of pipeline ${pipeline}; nothing of this attempt was written.`,
  )
}

/** As it stands in the ledger: code first, so that it can be looked up. */
export function failureText({ code, message }: { readonly code: string; readonly message: string }): string {
  return `${code}: ${message}`
}
