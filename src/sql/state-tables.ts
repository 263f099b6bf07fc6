// The tables in which a target remembers its pipelines, beside the data. Names and the first four columns are those of the
// scripts that people have; such a table is adopted. The compare-and-set on `epoch` is the whole fence between rival runs.

import { LoadError } from '../core/errors.ts'
import type { RowCounts } from '../core/load.ts'
import { parsePosition, printPosition, type WatermarkPosition } from '../core/position.ts'
import type { Cause, HistoryRow, State, StateRow } from '../core/state.ts'
import type { Dialect } from './dialect.ts'

export const WATERMARKS = 'pipeline_watermarks'
export const HISTORY = 'pipeline_history'
/** Raised when an older tidemark could misread what this one writes. */
const STATE_FORMAT = 1

/** Columns that a script's own table lacks. */
export const ADDED_COLUMNS: readonly (readonly [name: string, definition: string])[] = [
  ['position', 'TEXT'],
  ['epoch', 'BIGINT DEFAULT 0'],
  ['fingerprint', "TEXT DEFAULT ''"],
  ['run_id', "TEXT DEFAULT ''"],
  ['unswept_runs', 'INTEGER DEFAULT 0'],
  ['state_format', `INTEGER DEFAULT ${STATE_FORMAT}`],
]

export interface StateStatements {
  readonly create: readonly string[]
  /** For a table that lacks this column. */
  addColumn(name: string): string
  /** Parameters: pipeline. */
  readonly read: string
  /** The same for a script's own table, as long as nothing was added to it. */
  readonly readAdopted: string
  /** Parameters: pipeline, limit. */
  readonly readHistory: string
  /** Parameters: pipeline, position, epoch, fingerprint, run id, unswept runs, last watermark, moved rows. */
  readonly insert: string
  /** The same, then the epoch that must be there. Touches one row, or another run was first. */
  readonly advance: string
  /** Moves on without a fence, for a pipeline whose fences are its partitions. Parameters: pipeline, position, fingerprint. */
  readonly moveOn: string
  /** Parameters: pipeline, epoch. */
  readonly quiet: string
  /** Parameters: pipeline, moved rows, run id of the rows already counted. */
  readonly count: string
  /** Parameters: pipeline, epoch, from, to, cause, read, inserted, updated, deleted, unchanged, deduplicated, quarantined, rescued, seconds, run id. */
  readonly addHistory: string
}

/** `now`: the time in UTC, without its zone. */
export function stateStatements(
  dialect: Pick<Dialect, 'identifier' | 'table'>,
  schema: string | null,
  now = "(now() AT TIME ZONE 'UTC')",
): StateStatements {
  const watermarks = dialect.table({ schema, name: WATERMARKS })
  const history = dialect.table({ schema, name: HISTORY })
  const moved = (parameter: string, run: string): string => `
      last_run_at = CASE WHEN ${parameter}::bigint > 0 THEN ${now} ELSE last_run_at END,
      records_processed = CASE WHEN ${parameter}::bigint = 0 THEN records_processed WHEN run_id = ${run} THEN coalesce(records_processed, 0) + ${parameter}::bigint ELSE ${parameter}::bigint END,
      run_id = CASE WHEN ${parameter}::bigint = 0 THEN run_id ELSE ${run} END`
  return {
    create: [
      ...(schema === null ? [] : [`CREATE SCHEMA IF NOT EXISTS ${dialect.identifier(schema)}`]),
      `CREATE TABLE IF NOT EXISTS ${watermarks} (
        pipeline_name VARCHAR(100) PRIMARY KEY, last_watermark TIMESTAMP, last_run_at TIMESTAMP, records_processed BIGINT,
        position TEXT, epoch BIGINT DEFAULT 0, fingerprint TEXT DEFAULT '', run_id TEXT DEFAULT '', unswept_runs INTEGER DEFAULT 0, state_format INTEGER DEFAULT ${STATE_FORMAT})`,
      `CREATE TABLE IF NOT EXISTS ${history} (
        pipeline_name VARCHAR(100), epoch BIGINT, from_position TEXT, to_position TEXT, cause TEXT, rows_read BIGINT, inserted BIGINT, updated BIGINT, deleted BIGINT,
        unchanged BIGINT, deduplicated BIGINT, quarantined BIGINT, rescued BIGINT, seconds DOUBLE PRECISION, run_id TEXT, committed_at TIMESTAMP, PRIMARY KEY (pipeline_name, epoch))`,
    ],
    addColumn(name) {
      const definition = ADDED_COLUMNS.find(([column]) => column === name)?.[1] ?? 'TEXT'
      return `ALTER TABLE ${watermarks} ADD COLUMN IF NOT EXISTS ${dialect.identifier(name)} ${definition}`
    },
    read: `SELECT position, CAST(epoch AS TEXT) AS epoch, fingerprint, run_id, CAST(unswept_runs AS TEXT) AS unswept_runs, CAST(state_format AS TEXT) AS state_format,
      CAST(last_watermark AS TEXT) AS last_watermark, CAST(last_run_at AS TEXT) AS last_run_at, CAST(records_processed AS TEXT) AS records_processed FROM ${watermarks} WHERE pipeline_name = $1`,
    readAdopted: `SELECT NULL AS position, '0' AS epoch, '' AS fingerprint, '' AS run_id, '0' AS unswept_runs, '${STATE_FORMAT}' AS state_format,
      CAST(last_watermark AS TEXT) AS last_watermark, CAST(last_run_at AS TEXT) AS last_run_at, CAST(records_processed AS TEXT) AS records_processed FROM ${watermarks} WHERE pipeline_name = $1`,
    readHistory: `SELECT CAST(epoch AS TEXT) AS epoch, from_position, to_position, cause, CAST(rows_read AS TEXT) AS read, CAST(inserted AS TEXT) AS inserted, CAST(updated AS TEXT) AS updated,
      CAST(deleted AS TEXT) AS deleted, CAST(unchanged AS TEXT) AS unchanged, CAST(deduplicated AS TEXT) AS deduplicated, CAST(quarantined AS TEXT) AS quarantined,
      CAST(rescued AS TEXT) AS rescued, run_id, CAST(committed_at AS TEXT) AS committed_at FROM ${history} WHERE pipeline_name = $1 ORDER BY ${history}.epoch DESC LIMIT $2`,
    insert: `INSERT INTO ${watermarks} (pipeline_name, position, epoch, fingerprint, run_id, unswept_runs, last_watermark, state_format) VALUES ($1, $2, $3, $4, $5, $6, $7, ${STATE_FORMAT})`,
    advance: `UPDATE ${watermarks} SET position = $2, epoch = $3, fingerprint = $4, unswept_runs = $5, last_watermark = $6, state_format = ${STATE_FORMAT} WHERE pipeline_name = $1 AND coalesce(epoch, 0) = $7`,
    moveOn: `UPDATE ${watermarks} SET epoch = coalesce(epoch, 0) + 1, position = $2, fingerprint = $3, state_format = ${STATE_FORMAT} WHERE pipeline_name = $1`,
    quiet: `UPDATE ${watermarks} SET unswept_runs = coalesce(unswept_runs, 0) + 1 WHERE pipeline_name = $1 AND epoch = $2`,
    count: `UPDATE ${watermarks} SET${moved('$2', '$3')} WHERE pipeline_name = $1`,
    addHistory: `INSERT INTO ${history} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, ${now})`,
  }
}

type Cells = Readonly<Record<string, unknown>>

const cell = (row: Cells, name: string): string | null => (row[name] === null || row[name] === undefined ? null : String(row[name]))

/** Throws `state-corrupted`, `state-newer`. */
export function stateFrom(pipeline: string, row: Cells): StateRow {
  const format = Number(cell(row, 'state_format') ?? STATE_FORMAT)
  if (format > STATE_FORMAT)
    throw new LoadError('state-newer', `The state of pipeline ${pipeline} has format ${format}; this tidemark knows ${STATE_FORMAT}.`)
  const stored = cell(row, 'position')
  const lastWatermark = cell(row, 'last_watermark')
  const epoch = cell(row, 'epoch') ?? '0'
  if (!/^\d+$/.test(epoch)) throw new LoadError('state-corrupted', `The stored epoch of pipeline ${pipeline} is no number.`)
  // A row of a script's own table: its timestamp is the watermark.
  const adopted: WatermarkPosition = { kind: 'watermark', value: lastWatermark, ...(lastWatermark === null ? {} : { time: lastWatermark }) }
  return {
    pipeline,
    position: stored === null ? adopted : parsePosition(stored, pipeline),
    epoch: BigInt(epoch),
    fingerprint: cell(row, 'fingerprint') ?? '',
    unswept: Number(cell(row, 'unswept_runs') ?? 0),
    lastWatermark,
    lastRunAt: cell(row, 'last_run_at'),
    recordsProcessed: cell(row, 'records_processed') === null ? null : BigInt(cell(row, 'records_processed') ?? '0'),
  }
}

export function historyFrom(pipeline: string, row: Cells): HistoryRow {
  const from = cell(row, 'from_position')
  const number = (name: string): number => Number(cell(row, name) ?? 0)
  return {
    epoch: BigInt(cell(row, 'epoch') ?? '0'),
    from: from === null ? null : parsePosition(from, pipeline),
    to: parsePosition(cell(row, 'to_position') ?? '', pipeline),
    rows: {
      read: number('read'),
      inserted: number('inserted'),
      updated: number('updated'),
      deleted: number('deleted'),
      unchanged: number('unchanged'),
      deduplicated: number('deduplicated'),
      quarantined: number('quarantined'),
      rescued: number('rescued'),
    },
    at: cell(row, 'committed_at') ?? '',
    runId: cell(row, 'run_id') ?? '',
    cause: (cell(row, 'cause') ?? 'run') as Cause,
  }
}

type Parameter = string | number | null

/** Parameters of `insert`, or of `advance` when there is a state to advance from. */
export function stateParameters(from: State | null, to: State, runId: string): readonly Parameter[] {
  const time = to.position.kind === 'watermark' ? (to.position.time ?? null) : null
  const position = printPosition(to.position)
  return from === null
    ? [to.pipeline, position, String(to.epoch), to.fingerprint, runId, to.unswept, time]
    : [to.pipeline, position, String(to.epoch), to.fingerprint, to.unswept, time, String(from.epoch)]
}

export function historyParameters(
  from: State | null,
  to: State,
  rowsRead: number,
  rows: RowCounts,
  cause: Cause,
  seconds: number,
  runId: string,
): readonly Parameter[] {
  const before = from === null ? null : printPosition(from.position)
  return [
    to.pipeline,
    String(to.epoch),
    before,
    printPosition(to.position),
    cause,
    rowsRead,
    rows.inserted,
    rows.updated,
    rows.deleted,
    rows.unchanged,
    rows.deduplicated,
    rows.quarantined,
    rows.rescued,
    seconds,
    runId,
  ]
}

/** Rows that changed the target, which is what `records_processed` counts. */
export function movedRows(rows: RowCounts): number {
  return rows.inserted + rows.updated + rows.deleted
}

export function conflict(pipeline: string): LoadError {
  return new LoadError(
    'state-conflict',
    `Another run moved pipeline ${pipeline} while this one was loading; nothing of this run was written.`,
  )
}

/** Of an entry that the history has already: someone took the pipeline's state row away, and left its history. */
export function historyAhead(pipeline: string, epoch: bigint): LoadError {
  return new LoadError(
    'state-corrupted',
    `pipeline_history knows epoch ${epoch} of pipeline ${pipeline} already, which pipeline_watermarks does not.`,
    { hint: 'Put its row of pipeline_watermarks back; or delete its rows of pipeline_history too, and everything loads again.' },
  )
}
