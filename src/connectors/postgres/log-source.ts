// PostgreSQL's own log as a source: what it needs is looked at before anything is made; the slot's snapshot is where the copy of the
// tables and the log meet.

import { randomBytes } from 'node:crypto'
import type { Finding } from '../../contract/finding.ts'
import type {
  ChangeStream,
  Dropped,
  LogBeginning,
  LogChunk,
  LogObservation,
  LogSource,
  LogStatus,
  ValueFormat,
} from '../../contract/log.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { identifier, literal } from '../../sql/quote.ts'
import type { PostgresConfig } from './config.ts'
import { PostgresBeginning } from './log-beginning.ts'
import { describeLogged, isAllBinary, type LoggedTable } from './logged-table.ts'
import { parseLsn, printLsn } from './lsn.ts'
import { dropPublication, publishAll, readPublication, refuseGaps } from './publication.ts'
import { Relations } from './relations.ts'
import { ReplicationStream, type StreamedChunk } from './replication-stream.ts'
import { openSession, type Session } from './session.ts'
import { dropSlot, readSlot, type Slot, waitForSlot } from './slot.ts'
import { refuseRewritten } from './table-layout.ts'

/** Transactions that are larger come in several chunks. With 16 MB it is no quicker, and the process takes 330 MB instead of 190. */
const CHUNK_BYTES = 4 * 1024 * 1024

export class PostgresLog implements LogSource {
  readonly #config: PostgresConfig
  readonly #what: string
  readonly #main: () => Promise<Session>
  /** Changes are in the log that are older than the type of a column: their values mean something only as text. */
  #hasOlderTypes = false
  /** Since PostgreSQL 14 large transactions come while they are open, and values in binary. */
  #isModern = false

  constructor(config: PostgresConfig, what: string, main: () => Promise<Session>) {
    this.#config = config
    this.#what = what
    this.#main = main
  }

  async observe(pipeline: CdcPipeline, state: State | null): Promise<LogObservation> {
    const session = await this.#main()
    const facts = await readFacts(session)
    this.#refuseServer(facts)
    this.#isModern = facts.version >= 140000
    const tables: LoggedTable[] = []
    for (const table of pipeline.source.tables) tables.push(await describeLogged(session, table))
    const slot = await readSlot(session, pipeline.source.slot)
    this.#refuseSlot(pipeline, slot, state, facts)
    const publication = await readPublication(session, pipeline)
    await refuseGaps(session, pipeline, publication, tables, state)
    return {
      tables,
      layouts: tables.map(({ layout }) => layout),
      there: { slot: slot !== null, publication: publication !== null },
      head: logPosition(facts.timeline, facts.flushed),
      identity: `postgres/${facts.system}/${facts.database}/${pipeline.source.slot}`,
      values: this.#isModern && tables.every(isAllBinary) && !this.#hasOlderTypes ? ['pg-binary', 'pg-text'] : ['pg-text'],
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
  #refuseSlot({ name, source }: CdcPipeline, slot: Slot | null, state: State | null, facts: Facts): void {
    if (state?.position.kind !== 'log') return
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
    await dropSlot(session, slot)
    await publishAll(session, pipeline, seen.tables as readonly LoggedTable[])
    return this.#export(session, pipeline, seen, slot, '')
  }

  async beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const session = await this.#main()
    await publishAll(session, pipeline, seen.tables as readonly LoggedTable[])
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
      const snapshot = made?.['snapshot_name'] ?? ''
      const open = () => openSession(this.#config, this.#what, 'source').opened
      return new PostgresBeginning({ log, reader, open, snapshot, slot }, logPosition(timeline, at))
    } catch (error) {
      await Promise.allSettled([log.close(), reader.close()])
      throw error
    }
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
    const tables = seen.tables as readonly LoggedTable[]
    const head = parsePosition(seen.head, pipeline.name)[1]
    const relations = new Relations(tables, head, format, onOlderType)
    // A table is described again after any change of it, such as by VACUUM.
    let isChanged = false
    const { slot, publication } = pipeline.source
    const stream = new ReplicationStream(session, {
      slot,
      publication,
      from: at,
      until: until === null ? null : parsePosition(until, pipeline.name)[1],
      binary: format === 'pg-binary',
      streams: this.#isModern,
      chunkBytes: CHUNK_BYTES,
      relation: (relation, commit) => {
        isChanged ||= commit > head
        return relations.target(relation, commit)
      },
    })
    try {
      await waitForSlot(await this.#main(), slot)
      await stream.start()
    } catch (error) {
      stream.close()
      throw error
    }
    const look = async (): Promise<void> => {
      if (!isChanged) return
      isChanged = false
      await refuseRewritten(await this.#main(), tables)
    }
    return new PostgresChanges(stream, timeline, pipeline.name, look)
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

  async drop(pipeline: CdcPipeline): Promise<Dropped> {
    const session = await this.#main()
    const { slot, publication } = pipeline.source
    const found = await readPublication(session, pipeline)
    const removed = (await dropSlot(session, slot)) ? [`slot ${slot}`] : []
    if (found?.isOwn !== true) return { removed, left: found === null ? [] : [`publication ${publication}`] }
    await dropPublication(session, pipeline)
    return { removed: [...removed, `publication ${publication}`], left: [] }
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

class PostgresChanges implements ChangeStream {
  readonly #stream: ReplicationStream
  readonly #timeline: number
  readonly #pipeline: string
  readonly #look: () => Promise<void>
  readonly #given = new WeakMap<LogChunk, StreamedChunk>()

  constructor(stream: ReplicationStream, timeline: number, pipeline: string, look: () => Promise<void>) {
    this.#look = look
    this.#stream = stream
    this.#timeline = timeline
    this.#pipeline = pipeline
  }

  async next(waitMs: number): Promise<LogChunk> {
    await this.#look()
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
