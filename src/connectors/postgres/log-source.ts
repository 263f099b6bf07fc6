// PostgreSQL's own log as a source: what it needs is looked at before anything is made; the slot's snapshot is where the copy of the
// tables and the log meet.

import { randomBytes } from 'node:crypto'
import type { Finding } from '../../contract/finding.ts'
import type { ChangeStream, LogBeginning, LogChunk, LogObservation, LogSource, LogStatus, ValueFormat } from '../../contract/log.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import { LACKS, OP, ORDINAL, POSITION, READ_WORD } from '../../core/change-marks.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { columnNamed, printTableName, type Table, type TableName } from '../../core/table.ts'
import type { Relation, RelationTarget } from '../../formats/pgoutput.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'
import { type PostgresColumn, selectForColumns, selectForCopy } from './column-types.ts'
import type { PostgresConfig } from './config.ts'
import { describeTable, type PostgresTable } from './describe.ts'
import { parseLsn, printLsn } from './lsn.ts'
import { readCopy } from './read-copy.ts'
import { ReplicationStream, type StreamedChunk } from './replication-stream.ts'
import { openSession, type Session } from './session.ts'
import { completePublication, createPublication, dropSlotAndPublication, readSlot, refuseOtherPublication } from './slot.ts'

/** Transactions that are larger come in several chunks. With 16 MB it is no quicker, and the process takes 330 MB instead of 190. */
const CHUNK_BYTES = 4 * 1024 * 1024

export class PostgresLog implements LogSource {
  readonly #config: PostgresConfig
  readonly #what: string
  readonly #main: () => Promise<Session>
  /** Changes are in the log that are older than the type of a column: their values mean something only as text. */
  #hasOlderTypes = false

  constructor(config: PostgresConfig, what: string, main: () => Promise<Session>) {
    this.#config = config
    this.#what = what
    this.#main = main
  }

  async observe(pipeline: CdcPipeline, state: State | null): Promise<LogObservation> {
    const session = await this.#main()
    const facts = await readFacts(session)
    this.#refuseServer(facts)
    const tables: LoggedTable[] = []
    for (const table of pipeline.source.tables) tables.push(await describeLogged(session, table))
    await this.#refuseSlot(session, pipeline, state, facts)
    return {
      tables,
      head: logPosition(facts.timeline, facts.flushed),
      identity: `postgres/${facts.system}/${facts.database}/${pipeline.source.slot}`,
      values: tables.every(isAllBinary) && !this.#hasOlderTypes ? ['pg-binary', 'pg-text'] : ['pg-text'],
    }
  }

  #refuseServer(facts: Facts): void {
    const refuse = (message: string, hint: string): LoadError => new LoadError('log-unavailable', message, { where: this.#what, hint })
    if (facts.walLevel !== 'logical')
      throw refuse(
        `${this.#what} has wal_level = ${facts.walLevel}; its log holds changes of rows only with logical.`,
        "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
      )
    if (!facts.mayReplicate)
      throw refuse(
        `Role ${facts.role} of ${this.#what} may not read the log.`,
        `As a superuser: ALTER ROLE ${identifier(facts.role)} REPLICATION;`,
      )
    if (facts.standby && facts.version < 160000)
      throw refuse(`${this.#what} is a standby; before PostgreSQL 16 only a primary gives out its changes.`, 'Connect to the primary.')
  }

  /** A slot that is gone, or further than what is stored, has a gap that nobody can close: it is never made again in silence. */
  async #refuseSlot(session: Session, { name, source }: CdcPipeline, state: State | null, facts: Facts): Promise<void> {
    if (state?.position.kind !== 'log') return
    const slot = await readSlot(session, source.slot)
    const lost = (why: string): LoadError =>
      new LoadError(
        'log-lost',
        `${why} Pipeline ${name} is at ${state.position.kind === 'log' ? state.position.at : ''}; nothing was skipped.`,
        {
          where: this.#what,
          hint: 'Changes in between may be gone. Copy the tables again with `--full-refresh`, which makes a new slot.',
        },
      )
    if (slot === null) throw lost(`Slot ${source.slot} does not exist.`)
    if (slot.plugin !== 'pgoutput') throw lost(`Slot ${source.slot} is one of ${slot.plugin}, not of pgoutput.`)
    if (slot.confirmed === null) throw lost(`Slot ${source.slot} was invalidated: the source has removed the log that it should keep.`)
    const [timeline, at] = parsePosition(state.position, name)
    if (timeline !== facts.timeline)
      throw lost(`The source is on timeline ${facts.timeline}, the position on ${timeline}: another server has taken over.`)
    if (slot.confirmed > at) throw lost(`Slot ${source.slot} is at ${printLsn(slot.confirmed)} already: somebody else has read from it.`)
  }

  async begin(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const session = await this.#main()
    const { slot } = pipeline.source
    const found = await readSlot(session, slot)
    if (found !== null) await this.#dropOwnSlot(session, slot, found.active)
    if ((await refuseOtherPublication(session, pipeline)) === 'missing') await createPublication(session, pipeline)
    return this.#export(session, pipeline, seen, slot, '')
  }

  async beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const session = await this.#main()
    await completePublication(session, pipeline)
    return this.#export(session, pipeline, seen, `tidemark_copy_${randomBytes(8).toString('hex')}`, ' TEMPORARY')
  }

  /** A slot, and the moment at which it begins. */
  async #export(session: Session, pipeline: CdcPipeline, seen: LogObservation, slot: string, kind: string): Promise<LogBeginning> {
    const log = await openSession(this.#config, this.#what, 'log').opened
    const reader = await openSession(this.#config, this.#what, 'source').opened
    try {
      const [made] = await this.#createSlot(log, session, slot, kind)
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await reader.query(`SET TRANSACTION SNAPSHOT ${literal(made?.['snapshot_name'] ?? '')}`)
      const [timeline] = parsePosition(seen.head, pipeline.name)
      const at = parseLsn(made?.['consistent_point'] ?? '')
      if (at === null) throw new LoadError('log-corrupted', `${this.#what} did not say from where slot ${slot} goes on.`)
      return new Beginning(log, reader, logPosition(timeline, at))
    } catch (error) {
      await Promise.allSettled([log.close(), reader.close()])
      throw error
    }
  }

  async #dropOwnSlot(session: Session, slot: string, active: boolean): Promise<void> {
    if (active)
      throw new LoadError('log-unavailable', `Slot ${slot} is being read at this moment.`, {
        where: this.#what,
        hint: 'Another run of this pipeline may be at work. Name another `slot` if it is not yours.',
      })
    await session.query('SELECT pg_drop_replication_slot($1)', [slot])
  }

  /** The slot begins where all transactions of now have ended: one that stays open would be waited for without end. */
  async #createSlot(log: Session, session: Session, slot: string, kind: string) {
    const made = log.query(`CREATE_REPLICATION_SLOT ${identifier(slot)}${kind} LOGICAL pgoutput EXPORT_SNAPSHOT`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new LoadError('log-unavailable', 'late')), SLOT_SECONDS * 1000)
    })
    try {
      return await Promise.race([made, late])
    } catch (error) {
      made.catch(() => {})
      log.cancel()
      log.destroy()
      if (!(error instanceof LoadError) || error.message !== 'late') throw this.#slotError(error, slot)
      const blockers = await session.query(
        `SELECT pid, application_name AS application, extract(epoch FROM clock_timestamp() - xact_start)::int AS age FROM pg_stat_activity
         WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 5`,
      )
      const who = blockers.map((row) => `process ${row['pid']} (${row['application'] || 'no name'}, open for ${row['age']} s)`).join(', ')
      throw new LoadError(
        'log-unavailable',
        `Slot ${slot} waited ${SLOT_SECONDS} s for older transactions to end: ${who || 'prepared ones'}.`,
        {
          where: this.#what,
          hint: 'End them, or run again when they are over.',
        },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  #slotError(error: unknown, slot: string): unknown {
    if (!(error instanceof LoadError)) return error
    if (/all replication slots are in use/.test(error.message))
      return new LoadError('log-unavailable', `${this.#what} has no free replication slot for ${slot}.`, {
        cause: error,
        hint: 'Raise max_replication_slots, or drop slots that nobody reads: SELECT * FROM pg_replication_slots.',
      })
    return error
  }

  async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    from: Position,
    format: ValueFormat,
    until: Position | null,
  ): Promise<ChangeStream> {
    const session = await openSession(this.#config, this.#what, 'log').opened
    const [timeline, at] = parsePosition(from, pipeline.name)
    const onOlderType = (): void => {
      this.#hasOlderTypes ||= format === 'pg-binary'
    }
    const relations = new Relations(seen.tables as readonly LoggedTable[], parsePosition(seen.head, pipeline.name)[1], format, onOlderType)
    const { slot, publication } = pipeline.source
    const stream = new ReplicationStream(session, {
      slot,
      publication,
      from: at,
      until: until === null ? null : parsePosition(until, pipeline.name)[1],
      binary: format === 'pg-binary',
      chunkBytes: CHUNK_BYTES,
      relation: (relation, commit) => relations.target(relation, commit),
    })
    await stream.start()
    return new PostgresChanges(stream, timeline, pipeline.name)
  }

  async check(pipeline: CdcPipeline): Promise<readonly Finding[]> {
    const session = await this.#main()
    const slot = await readSlot(session, pipeline.source.slot)
    if (slot === null) return []
    const finding: Finding = {
      severity: slot.walStatus === 'lost' ? 'error' : 'info',
      code: 'slot',
      message: `Slot ${pipeline.source.slot} is ${slot.walStatus}, and keeps ${slot.retainedBytes ?? 0} bytes of log.`,
      hint: slot.walStatus === 'lost' ? 'Copy the tables again with `--full-refresh`.' : '',
    }
    return [finding]
  }

  async status(pipeline: CdcPipeline): Promise<LogStatus> {
    const slot = await readSlot(await this.#main(), pipeline.source.slot)
    if (slot === null) return { retainedBytes: null, lagBytes: null, state: 'missing', active: false }
    return { retainedBytes: slot.retainedBytes, lagBytes: slot.lagBytes, state: slot.walStatus, active: slot.active }
  }

  async drop(pipeline: CdcPipeline): Promise<readonly string[]> {
    return dropSlotAndPublication(await this.#main(), pipeline)
  }
}

const SLOT_SECONDS = 60

interface Facts {
  readonly walLevel: string
  readonly role: string
  readonly mayReplicate: boolean
  readonly standby: boolean
  readonly version: number
  readonly system: string
  readonly database: string
  readonly timeline: number
  readonly flushed: bigint
}

async function readFacts(session: Session): Promise<Facts> {
  const [row] = await session.query(
    `SELECT current_setting('wal_level') AS wal_level, current_user AS role, pg_is_in_recovery() AS standby, current_setting('server_version_num') AS version,
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS replicates,
       (SELECT system_identifier FROM pg_control_system()) AS system, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS flushed`,
  )
  return {
    walLevel: row?.['wal_level'] ?? '',
    role: row?.['role'] ?? '',
    mayReplicate: row?.['replicates'] === 't',
    standby: row?.['standby'] === 't',
    version: Number(row?.['version']),
    system: row?.['system'] ?? '',
    database: row?.['database'] ?? '',
    timeline: Number(row?.['timeline']),
    flushed: parseLsn(row?.['flushed'] ?? '') ?? 0n,
  }
}

interface LoggedTable extends PostgresTable {
  /** Of each column by its name, as the log says it: type and modifier. */
  readonly declarations: ReadonlyMap<string, { readonly type: number; readonly modifier: number }>
}

/** Throws `missing-key`, `log-unavailable`: publishing such a table would make its updates fail at the source. */
async function describeLogged(session: Session, name: TableName): Promise<LoggedTable> {
  const table = await describeTable(session, name)
  if (table.relationKind !== 'r' && table.relationKind !== 'p')
    throw new LoadError('log-unavailable', `${printTableName(name)} is no table: only tables have changes in the log.`, {
      where: session.what,
    })
  const [row] = await session.query(
    `SELECT c.relreplident AS identity, c.relpersistence AS persistence FROM pg_class c WHERE c.oid = $1::oid`,
    [table.oid],
  )
  if (row?.['persistence'] !== 'p')
    throw new LoadError('log-unavailable', `Table ${printTableName(name)} is unlogged or temporary: its changes are in no log.`, {
      where: session.what,
    })
  if (table.key.length === 0)
    throw new LoadError('missing-key', `Table ${printTableName(name)} has no primary key, by which its changes could be told apart.`, {
      where: session.what,
      hint: 'Give it a primary key.',
    })
  if (row['identity'] === 'n' || row['identity'] === 'i')
    throw new LoadError('log-unavailable', `Table ${printTableName(name)} does not log the old primary key of changed rows.`, {
      where: session.what,
      hint: `ALTER TABLE ${tableIdentifier(table.name)} REPLICA IDENTITY DEFAULT;`,
    })
  const types = await session.query(
    'SELECT attname AS name, atttypid AS type, atttypmod AS modifier FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped',
    [table.oid],
  )
  const declarations = new Map(types.map((one) => [one['name'] ?? '', { type: Number(one['type']), modifier: Number(one['modifier']) }]))
  // What the database computes is not in the log.
  return { ...table, declarations, columns: table.columns.filter(({ generated }) => generated !== true) }
}

/**
 * The types that every server has under the same name come in binary; others as text. So does what stands in for a column in
 * changes that are older than the column.
 */
function isAllBinary({ columns }: PostgresTable): boolean {
  return columns.every(({ declared, native, backfill }) => declared === native && backfill === null)
}

function logPosition(timeline: number, lsn: bigint): Position {
  return { kind: 'log', at: `${timeline}:${printLsn(lsn)}` }
}

function parsePosition(position: Position, pipeline: string): readonly [timeline: number, lsn: bigint] {
  const match = position.kind === 'log' ? /^(\d+):(.+)$/.exec(position.at) : null
  const lsn = match === null ? null : parseLsn(match[2] ?? '')
  if (match === null || lsn === null)
    throw new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} is no place in PostgreSQL's log.`)
  return [Number(match[1]), lsn]
}

/** The columns of changes → the columns of the tables as they were looked at. */
class Relations {
  readonly #tables: readonly LoggedTable[]
  /** How far the log went when the tables were looked at. */
  readonly #head: bigint
  readonly #format: ValueFormat
  readonly #onOlderType: () => void

  constructor(tables: readonly LoggedTable[], head: bigint, format: ValueFormat, onOlderType: () => void) {
    this.#tables = tables
    this.#head = head
    this.#format = format
    this.#onOlderType = onOlderType
  }

  /**
   * Throws `try-again` where the table has got columns since it was looked at, or one has another type than was seen. A column that was
   * gone by then was dropped; or renamed, where another is missing: its values would be lost. Throws `schema-conflict`.
   */
  target({ schema, name, columns }: Relation, commit: bigint): RelationTarget | null {
    const table = this.#tables.findIndex((one) => one.name.schema === schema && one.name.name === name)
    const known = this.#tables[table]
    if (known === undefined) return null
    const places = columns.map((column) => known.columns.findIndex((one) => one.name === column.name))
    const added = columns.find((column) => columnNamed(known, column.name) === undefined)
    if (added !== undefined && commit > this.#head)
      throw new LoadError('try-again', `Column "${added.name}" came to table ${printTableName(known.name)}.`)
    this.#refuseOtherTypes(known, columns, commit)
    const absent = known.columns.find(({ name: column }) => columns.every((one) => one.name !== column))
    if (added !== undefined && absent !== undefined)
      throw new LoadError(
        'schema-conflict',
        `Changes of table ${printTableName(known.name)} have a column "${added.name}" and none "${absent.name}": that may be one column under two names.`,
        { hint: `Copy the table again with \`--resync ${printTableName(known.name)}\`.` },
      )
    const missing = known.columns.flatMap(({ name: column, backfill }, place) =>
      places.includes(place) || backfill == null || columns.some((one) => one.name === column)
        ? []
        : [{ place, value: Buffer.from(backfill) }],
    )
    return { table, width: known.columns.length, places, missing }
  }

  /** Text of an older type fits into what it has grown to; its bytes do not. */
  #refuseOtherTypes(known: LoggedTable, columns: Relation['columns'], commit: bigint): void {
    const isNew = commit > this.#head
    for (const { name, typeOid, modifier } of columns) {
      const declared = known.declarations.get(name)
      if (declared === undefined || (declared.type === typeOid && (!isNew || declared.modifier === modifier))) continue
      if (!isNew && this.#format === 'pg-text') continue
      if (declared.type !== typeOid) this.#onOlderType()
      throw new LoadError('try-again', `Column "${name}" of table ${printTableName(known.name)} has another type than it had.`)
    }
  }
}

class Beginning implements LogBeginning {
  readonly position: Position
  readonly formats = ['pg-copy-binary', 'columns'] as const
  readonly #log: Session
  readonly #reader: Session

  constructor(log: Session, reader: Session, position: Position) {
    this.#log = log
    this.#reader = reader
    this.position = position
  }

  async *read(table: Table, options: ReadOptions): AsyncIterable<Chunk> {
    const select = options.format === 'columns' ? selectForColumns : selectForCopy
    const columns = options.columns.map((wanted) => {
      const column = columnNamed(table, wanted.name) as PostgresColumn | undefined
      return column === undefined ? this.#mark(wanted.name) : select(column, wanted)
    })
    yield* readCopy(
      this.#reader,
      `COPY (SELECT ${columns.join(', ')} FROM ${tableIdentifier(table.name)}) TO STDOUT (FORMAT binary)`,
      options,
    )
  }

  /** What a row of the copy has in a column that the pipeline adds. */
  #mark(name: string): string {
    const at = this.position.kind === 'log' ? this.position.at.replace(/^\d+:/, '') : ''
    const marks: Readonly<Record<string, string>> = { [OP]: literal(READ_WORD), [POSITION]: literal(at), [ORDINAL]: '0::bigint' }
    if (marks[name] !== undefined) return name === ORDINAL ? (marks[name] ?? '') : `${marks[name]}::text`
    return name === LACKS ? 'NULL::text' : 'NULL::timestamptz'
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#log.close(), this.#reader.close()])
  }
}

class PostgresChanges implements ChangeStream {
  readonly #stream: ReplicationStream
  readonly #timeline: number
  readonly #pipeline: string
  readonly #given = new WeakMap<LogChunk, StreamedChunk>()

  constructor(stream: ReplicationStream, timeline: number, pipeline: string) {
    this.#stream = stream
    this.#timeline = timeline
    this.#pipeline = pipeline
  }

  async next(waitMs: number): Promise<LogChunk> {
    const given = await this.#stream.next(waitMs)
    const chunk: LogChunk = {
      changes: given.changes,
      end: given.end === null ? null : logPosition(this.#timeline, given.end),
      transactions: given.transactions,
      committedAt: given.committedMicros === null ? null : Number(given.committedMicros / 1000n),
    }
    this.#given.set(chunk, given)
    return chunk
  }

  recycle(chunk: LogChunk): void {
    const given = this.#given.get(chunk)
    if (given !== undefined) this.#stream.recycle(given)
  }

  acknowledge(position: Position): void {
    this.#stream.acknowledge(parsePosition(position, this.#pipeline)[1])
  }

  ping(): void {
    this.#stream.ping()
  }

  reaches(position: Position, goal: Position): boolean {
    return parsePosition(position, this.#pipeline)[1] >= parsePosition(goal, this.#pipeline)[1]
  }

  async close(): Promise<void> {
    this.#stream.close()
  }
}
