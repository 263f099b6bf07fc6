// What a stream shows: the least set of changes that leads from one commit to another, per row. There is no history in it and no order.

import type { Stream, Table } from './catalog.ts'
import { printPath } from './catalog.ts'
import type { EmulatorClock } from './clock.ts'
import { quote } from './identifiers.ts'
import { SnowflakeError } from './snowflake-error.ts'
import { columnsOf } from './store.ts'

const DAY = 86_400_000

export interface Window {
  /** The commit after which changes begin, and the last one whose changes count. */
  readonly after: number
  readonly to: number
}

function metadata(table: Table, row: string, action: 'INSERT' | 'DELETE', isUpdate: string): string {
  return `'${action}' AS ${quote('METADATA$ACTION')}, ${isUpdate} AS ${quote('METADATA$ISUPDATE')}, md5('${table.id}-' || ${row}) AS ${quote('METADATA$ROW_ID')}`
}

/** Rows that an older and a newer commit do not show alike; one that is the same again is not among them. */
export function netChanges(table: Table, { after, to }: Window): string {
  const { columns, id } = table
  const old = `SELECT * FROM v.t${id} WHERE "from" BETWEEN 0 AND ${after} AND "to" > ${after} AND "to" <= ${to}`
  const now = `SELECT * FROM v.t${id} WHERE "from" > ${after} AND "from" <= ${to} AND ("to" IS NULL OR "to" > ${to} OR "to" < 0)`
  const same = columns.map((column) => `o.c${column.id} IS NOT DISTINCT FROM n.c${column.id}`).join(' AND ')
  const unchanged = `o."row" IS NOT NULL AND n."row" IS NOT NULL AND ${same}`
  const pairs = `FROM (${old}) o FULL JOIN (${now}) n ON o."row" = n."row" WHERE NOT (${unchanged})`
  const gone = `SELECT ${columnsOf(columns, 'o.')}, ${metadata(table, 'o."row"', 'DELETE', 'n."row" IS NOT NULL')} ${pairs} AND o."row" IS NOT NULL`
  const come = `SELECT ${columnsOf(columns, 'n.')}, ${metadata(table, 'n."row"', 'INSERT', 'o."row" IS NOT NULL')} ${pairs} AND n."row" IS NOT NULL`
  return `(${gone} UNION ALL ${come})`
}

/** Rows as they were inserted, whatever became of them. */
export function appendedRows(table: Table, { after, to }: Window): string {
  const meta = metadata(table, '"row"', 'INSERT', 'false')
  return `(SELECT ${columnsOf(table.columns)}, ${meta} FROM v.t${table.id} WHERE "inserted" AND "from" > ${after} AND "from" <= ${to})`
}

function initialRows(table: Table, version: number): string {
  const meta = metadata(table, '"row"', 'INSERT', 'false')
  const there = `"from" BETWEEN 0 AND ${version} AND ("to" IS NULL OR "to" > ${version} OR "to" < 0)`
  return `(SELECT ${columnsOf(table.columns)}, ${meta} FROM v.t${table.id} WHERE ${there})`
}

/** What a query finds under the stream's name, for a transaction that began after the commit `to`. */
export function streamRows(stream: Stream, to: number): string {
  const { table } = stream
  if (stream.initial) return initialRows(table, stream.offset)
  const window = { after: stream.offset, to: Math.max(to, stream.offset) }
  return stream.mode === 'APPEND_ONLY' ? appendedRows(table, window) : netChanges(table, window)
}

/** Until when changes after its offset are kept. */
export function staleAfter(stream: Stream): number {
  const { retentionDays, extensionDays } = stream.table
  return stream.movedAt + Math.max(retentionDays, extensionDays) * DAY
}

export function isStale(stream: Stream, clock: EmulatorClock): boolean {
  return stream.table.dropped || isUntracked(stream) || clock.now() > staleAfter(stream)
}

/** Changes were not tracked at some time since its offset. */
function isUntracked({ table, offset }: Stream): boolean {
  return table.trackedSince === null || table.trackedSince > offset
}

export function checkReadable(stream: Stream, clock: EmulatorClock, tableIsHidden = false): void {
  const { table } = stream
  const fail = (code: string, state: string, text: string) => {
    throw new SnowflakeError(code, state, `SQL compilation error:\n${text}`)
  }
  if (table.dropped || tableIsHidden)
    fail('091901', '01000', `Base table '${printPath(table.path)}' dropped, cannot read from stream '${printPath(stream.path)}'`)
  if (isUntracked(stream)) {
    const what = 'Change tracking is not enabled or has been missing for the time range requested on table'
    fail('091930', '55000', `${what} '${printPath(table.path)}'.`)
  }
  // Its code and text are ours: what an account says here has not been published, as far as we know.
  if (clock.now() > staleAfter(stream)) {
    fail(
      '091904',
      '55000',
      `Stream '${printPath(stream.path)}' is stale: its offset is older than the retention of table '${printPath(table.path)}'.`,
    )
  }
  if (stream.mode === 'DEFAULT' && table.columns.some(({ type }) => type.name === 'GEOGRAPHY' || type.name === 'GEOMETRY')) {
    fail('091902', '0A000', `Stream '${printPath(stream.path)}' of type DEFAULT cannot return geospatial data.`)
  }
}
