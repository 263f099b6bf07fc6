// What Snowflake says of a stream, and what of that is refused. A stream that lost changes may read as one without any: everything here is
// looked at before a stream is read.

import { LoadError } from '../../core/errors.ts'
import { type Column, printTableName, type Table, type TableName } from '../../core/table.ts'
import { identifier, literal, storedName, tableIdentifier } from './names.ts'
import type { Session } from './session.ts'
import type { StreamNames } from './stream-names.ts'
import type { StreamIdentity } from './stream-position.ts'

export interface StreamFacts {
  readonly createdOn: string
  /** DEFAULT, APPEND_ONLY, INSERT_ONLY. */
  readonly mode: string
  /** What it is on, `RAW.PUBLIC.ORDERS`, and which kind of thing that is. */
  readonly on: string
  readonly sourceType: string
  readonly stale: boolean
  /** Milliseconds from 1970; null where Snowflake says nothing. */
  readonly staleAfter: number | null
  readonly invalidReason: string | null
}

/** null where there is none, or the role may not see it. SHOW wakes no warehouse. */
export async function readStream(session: Session, { schema, name }: TableName): Promise<StreamFacts | null> {
  const like = literal(storedName(name).replaceAll(/[\\%_]/g, '\\$&'))
  const rows = await session.rows(`SHOW STREAMS LIKE ${like} IN SCHEMA ${identifier(schema ?? '')}`)
  const row = rows.find((one) => one['name'] === storedName(name))
  if (row === undefined) return null
  const reason = row['invalid_reason'] ?? 'N/A'
  return {
    createdOn: row['created_on'] ?? '',
    mode: row['mode'] ?? 'DEFAULT',
    on: row['table_name'] ?? '',
    sourceType: row['source_type'] ?? 'Table',
    stale: /^true$/i.test(row['stale'] ?? ''),
    staleAfter: instant(row['stale_after'] ?? null),
    invalidReason: reason === 'N/A' || reason === '' ? null : reason,
  }
}

/** False where the stream has nothing; it may say true for nothing. Wakes no warehouse. */
export async function hasData(session: Session, stream: TableName): Promise<boolean> {
  const said = await session.value(`SELECT SYSTEM$STREAM_HAS_DATA(${literal(tableIdentifier(stream))})`)
  // Whatever is no clear no may be a yes.
  return !/^(false|0)$/i.test(said ?? '')
}

function instant(text: string | null): number | null {
  const at =
    text === null
      ? Number.NaN
      : Date.parse(
          text
            .replace(' ', 'T')
            .replace(/(\.\d{3})\d*/, '$1')
            .replace(/([+-]\d\d):?(\d\d)$/, '$1:$2'),
        )
  return Number.isNaN(at) ? null : at
}

/** `known`: what the stored position was said of; null for a stream that is only about to be consumed. */
export function refuseStream(
  names: StreamNames,
  facts: StreamFacts | null,
  table: Table,
  known: StreamIdentity | null,
  what: string,
): void {
  const stream = printTableName(names.stream)
  const lost = (message: string): LoadError => new LoadError('log-lost', message, { where: what, hint: waysOn(names) })
  if (known !== null && known.table !== table.identity)
    throw lost(`Table ${names.table} was made anew since its last changes were read: what happened between is in no stream.`)
  if (facts === null) {
    if (known !== null) throw lost(`Stream ${stream} of table ${names.table} is gone, and with it the changes that nobody has read.`)
    throw new LoadError('log-unavailable', `There is no stream ${stream}, or the role may not see it.`, {
      where: what,
      hint: `CREATE STREAM ${tableIdentifier(names.stream)} ON TABLE ${tableIdentifier(names.source)}; or leave \`streams\` out, and tidemark makes its own.`,
    })
  }
  if (known !== null && known.stream !== facts.createdOn)
    throw lost(`Stream ${stream} was made anew since it was last read: it knows nothing of the changes before.`)
  if (facts.stale || facts.invalidReason !== null)
    throw lost(
      `Stream ${stream} of table ${names.table} is stale${facts.invalidReason === null ? '' : ` (${facts.invalidReason})`}: it may read as empty although changes are lost.`,
    )
}

/** Two, and both lose nothing. */
function waysOn({ table, isOwn, stream, source }: StreamNames): string {
  const remade = isOwn ? '' : ` after \`CREATE OR REPLACE STREAM ${tableIdentifier(stream)} ON TABLE ${tableIdentifier(source)};\``
  return `Nothing was skipped. Copy this table again with \`--resync ${table}\`${remade}; or all tables, with \`--full-refresh\`.`
}

const GEOSPATIAL = /^(GEOGRAPHY|GEOMETRY)\b/

/** Streams that can't tell everything, whatever their state. `appendOnly`: the project says that rows are only ever added. */
export function refuseKind(names: StreamNames, facts: StreamFacts, columns: readonly Column[], appendOnly: boolean, what: string): void {
  const stream = printTableName(names.stream)
  const refuse = (message: string, hint: string): LoadError => new LoadError('log-unavailable', message, { where: what, hint })
  if (facts.mode === 'INSERT_ONLY')
    throw refuse(`Stream ${stream} is insert-only: it tells nothing of rows that go.`, 'Name a standard stream, on a table of Snowflake.')
  if (facts.mode === 'APPEND_ONLY' && !appendOnly)
    throw refuse(
      `Stream ${stream} is append-only: updates and deletes of ${names.table} would be lost.`,
      'Name a standard stream; or, where rows are only ever added, say so with `append_only: true`.',
    )
  if (facts.sourceType.toUpperCase() !== 'TABLE' || !isOn(facts.on, names.source))
    throw refuse(
      `Stream ${stream} is on ${facts.sourceType.toLowerCase()} ${facts.on}, and not on table ${printTableName(names.source)}.`,
      'Name the stream of that very table. Streams on views tell changes by rows that have no key, and are not read.',
    )
  refuseGeospatial(names, columns, what)
}

export function refuseGeospatial({ table }: StreamNames, columns: readonly Column[], what: string): void {
  const bad = columns.find(({ type }) => type.kind === 'other')
  if (bad === undefined || bad.type.kind !== 'other') return
  const why = GEOSPATIAL.test(bad.type.native) ? 'which a stream can not return' : 'which tidemark does not read'
  throw new LoadError('schema-conflict', `Column "${bad.name}" of table ${table} is ${bad.type.native}, ${why}.`, {
    where: what,
    hint: 'Keep it in a table of its own, beside this one.',
  })
}

function isOn(shown: string, { schema, name }: TableName): boolean {
  const parts = shown.replaceAll('"', '').split('.')
  return parts.at(-1) === storedName(name) && (parts.length < 2 || parts.at(-2) === storedName(schema ?? ''))
}
