// The outbox of a stream. A pull is consumed into it and numbered in one transaction, so that the changes are either still in the stream
// or here, under a number that is known before. All values stand in it as exact texts: the types of the table may change meanwhile.
// Beside it, a table of one row says who consumes the stream, and which number came last.

import { LoadError } from '../../core/errors.ts'
import { printTableName, type Table } from '../../core/table.ts'
import type { SnowflakeConfig } from './config.ts'
import { describeTable, listing, type SnowflakeColumn } from './describe.ts'
import { identifier, literal, tableIdentifier } from './names.ts'
import { exactText } from './read-rows.ts'
import type { Session } from './session.ts'
import type { StreamNames } from './stream-names.ts'
import { inTransaction, lostTransaction, within } from './transaction.ts'

const PULL = '_TIDEMARK_PULL'
export const ACTION = '_TIDEMARK_ACTION'
export const ROW = '_TIDEMARK_ROW'

/** One table of the pipeline, as it was looked at. */
export interface StreamedTable extends StreamNames {
  readonly columns: readonly SnowflakeColumn[]
  readonly key: readonly string[]
  readonly identity: string
}

export interface Owner {
  readonly pipeline: string
  readonly consumer: string
}

/** Who consumes a stream, as its row in the consumer's table says. */
export interface Consumer extends Owner {
  /** The last pull, and how many rows of it came from this stream. */
  readonly pull: bigint
  readonly rows: bigint
  /** By Snowflake's clock, before the pull was taken. ISO 8601. */
  readonly takenAt: string
}

/** A number is said by nobody else: Snowflake prints a float for people, so these stay what they are. */
function kept({ type }: SnowflakeColumn): 'FLOAT' | 'VARCHAR' {
  return type.kind === 'float' ? 'FLOAT' : 'VARCHAR'
}

/** Makes both anew; whatever was in them is of no use any more. Each statement commits by itself. */
export async function makeOutbox(session: Session, { outbox, consumer, columns }: StreamedTable, owner: Owner): Promise<void> {
  const values = columns.map((column) => `${identifier(column.name)} ${kept(column)}`)
  const own = [`${PULL} NUMBER(38,0) NOT NULL`, `${ACTION} VARCHAR NOT NULL`, `${ROW} VARCHAR NOT NULL`]
  const comment = literal(ownerMark(owner))
  await session.run(`CREATE OR REPLACE TRANSIENT TABLE ${tableIdentifier(outbox)} (${[...own, ...values].join(', ')}) COMMENT = ${comment}`)
  await session.run(
    `CREATE OR REPLACE TABLE ${tableIdentifier(consumer)} (pipeline VARCHAR NOT NULL, consumer VARCHAR NOT NULL, pull NUMBER(38,0) NOT NULL, row_count NUMBER(38,0) NOT NULL, taken_at VARCHAR NOT NULL)`,
  )
}

/** Columns that came since the outbox was made. Nothing in it is touched: another run may have put a pull there. */
async function extendOutbox(session: Session, config: SnowflakeConfig, { outbox, columns, table }: StreamedTable): Promise<void> {
  const there = await describeTable(session, config, outbox)
  if (there === null)
    throw new LoadError('log-lost', `The outbox ${printTableName(outbox)} of table ${table} is gone.`, {
      where: session.what,
      hint: `Nothing was skipped where it was empty, and nobody knows. Copy the table again with \`--resync ${table}\`.`,
    })
  for (const column of columns) {
    const found = there.columns.find(({ name }) => name === column.name)
    if (found === undefined)
      await session.run(`ALTER TABLE ${tableIdentifier(outbox)} ADD COLUMN ${identifier(column.name)} ${kept(column)}`)
    else if ((found.type.kind === 'float') !== (column.type.kind === 'float'))
      throw new LoadError('schema-conflict', `Column "${column.name}" of table ${table} has become ${column.declared}.`, {
        where: session.what,
        hint: `Copy the table again with \`--resync ${table}\`.`,
      })
  }
}

/** What SHOW says of an outbox, for which no warehouse is woken: its rows, and whose it is. null where there is none. */
export async function readOutbox(
  session: Session,
  { outbox }: StreamNames,
): Promise<{ readonly rows: number; readonly owner: Owner | null } | null> {
  const row = await listing(session, outbox)
  if (row === null) return null
  const [, pipeline, consumer] = OWNER_MARK.exec(row['comment'] ?? '') ?? []
  return {
    rows: Number(row['rows'] ?? 0),
    owner: pipeline === undefined || consumer === undefined ? null : { pipeline, consumer },
  }
}

const OWNER_MARK = /^tidemark pipeline (\S+), consumer (\S+)$/

function ownerMark({ pipeline, consumer }: Owner): string {
  return `tidemark pipeline ${pipeline}, consumer ${consumer}`
}

/** null where nobody ever was. */
export async function readConsumer(session: Session, { consumer }: StreamNames): Promise<Consumer | null> {
  try {
    const [row] = await session.rows(`SELECT pipeline, consumer, pull, row_count, taken_at FROM ${tableIdentifier(consumer)}`)
    if (row === undefined) return null
    const { pipeline, consumer: id, pull, row_count: rows, taken_at: takenAt } = row
    return { pipeline: pipeline ?? '', consumer: id ?? '', pull: BigInt(pull ?? 0), rows: BigInt(rows ?? 0), takenAt: takenAt ?? '' }
  } catch (thrown) {
    if (thrown instanceof LoadError && thrown.code === 'missing-table') return null
    throw thrown
  }
}

/** By Snowflake's clock, ISO 8601. */
export async function readClock(session: Session): Promise<string> {
  const text = await session.value(`SELECT TO_VARCHAR(CURRENT_TIMESTAMP()::TIMESTAMP_LTZ, 'YYYY-MM-DD HH24:MI:SS.FF3')`)
  return `${(text ?? '').replace(' ', 'T')}Z`
}

/**
 * Rows of `from` into the outbox: always all of them, or those that are left out would be lost. Outside of the transaction the number is
 * NULL, and refused.
 */
async function insertInto(
  session: Session,
  { outbox, columns }: StreamedTable,
  from: string,
  pull: bigint,
  transaction: string,
  marks: { readonly action: string; readonly row: string },
): Promise<number> {
  const names = [PULL, ACTION, ROW, ...columns.map(({ name }) => identifier(name))]
  const values = [`IFF(${within(1)}, ${pull}, NULL)`, marks.action, marks.row, ...columns.map(exactText)]
  const sql = `INSERT INTO ${tableIdentifier(outbox)} (${names.join(', ')}) SELECT ${values.join(', ')} FROM ${from}`
  return session.run(sql, [transaction])
}

const STREAM_MARKS = { action: 'METADATA$ACTION', row: 'METADATA$ROW_ID' } as const

/**
 * All rows of the tables, as pull `pull`, from where their streams go on: an own stream shows those of the moment when it was made. Of
 * one that was there before, what it had is thrown away, as the table has it: changes between may come a second time.
 */
export async function takeAll(session: Session, tables: readonly StreamedTable[], pull: bigint, owner: Owner): Promise<void> {
  const takenAt = await readClock(session)
  await inTransaction(session, async (transaction) => {
    for (const table of tables) {
      const { stream, source, outbox, consumer, isOwn } = table
      let rows = await insertInto(session, table, tableIdentifier(stream), isOwn ? pull : -1n, transaction, STREAM_MARKS)
      if (!isOwn) {
        rows = await insertInto(session, table, tableIdentifier(source), pull, transaction, { action: `'INSERT'`, row: `''` })
        await session.run(`DELETE FROM ${tableIdentifier(outbox)} WHERE ${PULL} = -1`)
      }
      const values = [owner.pipeline, owner.consumer, String(pull), rows, takenAt, transaction]
      const sql = `INSERT INTO ${tableIdentifier(consumer)} (pipeline, consumer, pull, row_count, taken_at) SELECT :1, :2, :3, :4, :5 WHERE ${within(6)}`
      if ((await session.run(sql, values)) !== 1) throw lostTransaction(session)
    }
  })
}

/**
 * Consumes all streams into their outboxes, as the pull after `last`; how many rows came. Without any the number is not used up, and the
 * streams have moved on all the same. Throws `state-conflict` where another run was first, and `try-again` where a table changed.
 */
export async function takeNext(
  session: Session,
  config: SnowflakeConfig,
  tables: readonly StreamedTable[],
  last: bigint,
  owner: Owner,
): Promise<number> {
  for (const table of tables) await extendOutbox(session, config, table)
  const takenAt = await readClock(session)
  return inTransaction(session, async (transaction) => {
    const mine = `consumer = :1 AND pull = :2 AND ${within(3)}`
    const who = [owner.consumer, String(last), transaction]
    // The lock of this row is held to the end: one at a time.
    for (const { consumer, stream } of tables)
      if ((await session.run(`UPDATE ${tableIdentifier(consumer)} SET row_count = 0 WHERE ${mine}`, who)) !== 1)
        throw new LoadError('state-conflict', `Another run has consumed stream ${printTableName(stream)} first.`, { where: session.what })
    const counts: number[] = []
    for (const table of tables) {
      await session.run(`DELETE FROM ${tableIdentifier(table.outbox)} WHERE ${PULL} <= :1`, [String(last)])
      counts.push(await insertInto(session, table, tableIdentifier(table.stream), last + 1n, transaction, STREAM_MARKS))
    }
    for (const table of tables) await refuseChanged(session, config, table)
    const sum = counts.reduce((total, one) => total + one, 0)
    for (const [place, { consumer }] of tables.entries()) {
      const sql = `UPDATE ${tableIdentifier(consumer)} SET pull = :4, row_count = :5, taken_at = :6 WHERE ${mine}`
      if ((await session.run(sql, [...who, String(sum === 0 ? last : last + 1n), counts[place] ?? 0, takenAt])) !== 1)
        throw lostTransaction(session)
    }
    return sum
  })
}

/** A table's identity as one word: such lists are kept with a space between them. */
export function identityWord({ identity }: Table): string {
  return encodeURI(identity)
}

/** A column that came before the pull would be missing in it for good. */
async function refuseChanged(
  session: Session,
  config: SnowflakeConfig,
  { source, columns, identity, table }: StreamedTable,
): Promise<void> {
  const now = await describeTable(session, config, source)
  const text = (list: readonly { readonly name: string; readonly native?: string | null }[]): string => JSON.stringify(list)
  const found = text((now?.columns ?? []).map(({ name, native }) => ({ name, native })))
  if (now === null || identityWord(now) !== identity || found !== text(columns.map(({ name, declared }) => ({ name, native: declared }))))
    throw new LoadError('try-again', `Table ${table} was changed while its stream was consumed.`)
}

/** All rows of a pull, in any order. */
export function pullRows({ outbox }: StreamNames, pull: bigint): string {
  return `${tableIdentifier(outbox)} WHERE ${PULL} = ${pull}`
}

/** The two halves of an update one after the other, the old one first. */
export function pairedRows(table: StreamNames, pull: bigint): string {
  return `${pullRows(table, pull)} ORDER BY ${ROW}, ${ACTION}`
}

/** One row a key, in any order: the new one where there is one. */
export function reducedRows(table: StreamedTable, pull: bigint): string {
  const keys = table.key.map(identifier).join(', ')
  return `${pullRows(table, pull)} QUALIFY ROW_NUMBER() OVER (PARTITION BY ${keys} ORDER BY IFF(${ACTION} = 'INSERT', 0, 1)) = 1`
}

/** A key that several new rows have: which of them is right, nobody can say. Throws `duplicate-key`. */
export async function refuseRepeated(session: Session, { outbox, key, table }: StreamedTable, pull: bigint): Promise<void> {
  const keys = key.map(identifier).join(', ')
  const repeated = await session.value(
    `SELECT COUNT(*) FROM (SELECT ${keys} FROM ${tableIdentifier(outbox)} WHERE ${PULL} = ${pull} AND ${ACTION} = 'INSERT' GROUP BY ${keys} HAVING COUNT(*) > 1)`,
  )
  if (repeated === null || repeated === '0') return
  const many = repeated === '1' ? '1 key stands' : `${repeated} keys stand`
  throw new LoadError('duplicate-key', `${many} in several rows of table ${table}; its key is ${key.join(', ')}.`, {
    where: session.what,
    hint: `Snowflake enforces no key. Delete the rows that are too many, then \`--resync ${table}\`; or name columns that are unique in \`keys\`; or use \`write: append\`.`,
  })
}

/** What the target has needs no outbox any more. */
export async function forgetPulls(session: Session, tables: readonly StreamNames[], upTo: bigint): Promise<void> {
  for (const { outbox } of tables) await session.run(`DELETE FROM ${tableIdentifier(outbox)} WHERE ${PULL} <= :1`, [String(upTo)])
}
