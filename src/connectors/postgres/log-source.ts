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
import type { CdcPipeline } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { identifier, literal } from '../../sql/quote.ts'
import { checkLine, checkSlot } from './check-log.ts'
import type { PostgresConfig } from './config.ts'
import { createSlot, type SlotToCreate } from './create-slot.ts'
import { Heartbeat } from './heartbeat.ts'
import { PostgresBeginning } from './log-beginning.ts'
import { readFacts, refuseOptions, refuseServer } from './log-facts.ts'
import { readLimits } from './log-limits.ts'
import { logIdentity, logPosition, parsePosition } from './log-position.ts'
import { openLogSession } from './log-session.ts'
import { readClock, readStatus } from './log-status.ts'
import { describeLogged, isAllBinary, type LoggedTable } from './logged-table.ts'
import { dropPublication, publishAll, readPublication, refuseGaps } from './publication.ts'
import { refuseGap, refuseSlot, refuseWait } from './refuse-slot.ts'
import { Relations } from './relations.ts'
import { ReplicationStream, type StreamedChunk } from './replication-stream.ts'
import { openSession, type Session } from './session.ts'
import { dropSlot, readSlot, replaceSlot, waitForSlot } from './slot.ts'
import { refuseRewritten } from './table-layout.ts'
import { readTimelineHistory, type TimelineHistory } from './timeline-history.ts'

/** Transactions that are larger come in several chunks. Smaller ones cost the target more, and with larger ones the process takes more than 200 MB. */
const CHUNK_BYTES = 6 * 1024 * 1024

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
    refuseServer(facts, this.#what)
    this.#isModern = facts.version >= 140000
    const tables: LoggedTable[] = []
    for (const table of pipeline.source.tables) tables.push(await describeLogged(session, table))
    const slot = await readSlot(session, pipeline.source.slot)
    await refuseSlot(pipeline, slot, state, facts, this.#what, () => this.#readHistory(facts.timeline))
    refuseOptions(facts, pipeline, this.#what)
    const publication = await readPublication(session, pipeline)
    await refuseGaps(session, pipeline, publication, tables, state)
    return {
      tables,
      layouts: tables.map(({ layout }) => layout),
      there: { slot: slot?.mark ?? null, publication: publication !== null },
      head: logPosition(facts.timeline, facts.flushed),
      identity: logIdentity(facts, pipeline.source.slot),
      values: this.#isModern && tables.every(isAllBinary) && !this.#hasOlderTypes ? ['pg-binary', 'pg-text'] : ['pg-text'],
    }
  }

  async #readHistory(timeline: number): Promise<TimelineHistory> {
    const log = await openLogSession(this.#config, this.#what)
    try {
      return await readTimelineHistory(log, timeline)
    } finally {
      await log.close()
    }
  }

  async begin(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const session = await this.#main()
    const { slot: name, failover } = pipeline.source
    await replaceSlot(session, name, seen.there.slot)
    await publishAll(session, pipeline, seen.tables as readonly LoggedTable[])
    try {
      return await this.#export(session, pipeline, seen, { name, temporary: false, failover })
    } catch (error) {
      if (!seen.there.publication) await this.#takeBack(session, pipeline)
      throw error
    }
  }

  /** A publication that was made for nothing goes again, unless a rival has made a slot that reads it. */
  async #takeBack(session: Session, pipeline: CdcPipeline): Promise<void> {
    try {
      if ((await readSlot(session, pipeline.source.slot)) === null) await dropPublication(session, pipeline)
    } catch {
      // The server may be gone. Why there is no slot is what has to be said, and a publication alone keeps nothing back.
    }
  }

  async beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const session = await this.#main()
    await publishAll(session, pipeline, seen.tables as readonly LoggedTable[])
    const name = `tidemark_copy_${randomBytes(8).toString('hex')}`
    return this.#export(session, pipeline, seen, { name, temporary: true, failover: false })
  }

  /** A slot, and the moment at which it begins. */
  async #export(session: Session, pipeline: CdcPipeline, seen: LogObservation, slot: SlotToCreate): Promise<LogBeginning> {
    const log = await openLogSession(this.#config, this.#what)
    const reader = openSession(this.#config, this.#what, 'source')
    try {
      // Read before the moment: what was committed until then is in it.
      const asOf = await readClock(session)
      const { begins, snapshot } = await createSlot(log, session, slot)
      const copier = await reader.opened
      await copier.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await copier.query(`SET TRANSACTION SNAPSHOT ${literal(snapshot)}`)
      const [timeline] = parsePosition(seen.head, pipeline.name)
      const open = () => openSession(this.#config, this.#what, 'source').opened
      return new PostgresBeginning({ log, reader: copier, open, snapshot, slot: slot.name }, logPosition(timeline, begins, asOf))
    } catch (error) {
      await Promise.allSettled([log.close(), reader.close()])
      throw error
    }
  }

  async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    from: Position,
    format: ValueFormat,
    until: Position | null,
  ): Promise<ChangeStream> {
    const session = await openLogSession(this.#config, this.#what)
    const [, at] = parsePosition(from, pipeline.name)
    // After a failover the log goes on under another timeline than the position's.
    const [timeline, head] = parsePosition(seen.head, pipeline.name)
    const onOlderType = (): void => {
      this.#hasOlderTypes ||= format === 'pg-binary'
    }
    const tables = seen.tables as readonly LoggedTable[]
    const relations = new Relations(tables, head, format, onOlderType)
    // A table is described again after any change of it, such as by VACUUM.
    let isChanged = false
    const { slot, publication, failover, heartbeatSeconds } = pipeline.source
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
      const main = await this.#main()
      const there = await waitForSlot(main, slot)
      if (there?.failover === true) await refuseWait(main, slot)
      if (failover && there?.failover === false) await session.query(`ALTER_REPLICATION_SLOT ${identifier(slot)} (FAILOVER true)`)
      await stream.start()
      refuseGap(pipeline, from, await readSlot(main, slot), this.#what)
    } catch (error) {
      stream.close()
      throw error
    }
    const look = async (): Promise<void> => {
      if (!isChanged) return
      isChanged = false
      await refuseRewritten(await this.#main(), tables)
    }
    const heartbeat = heartbeatSeconds === null ? null : new Heartbeat(this.#main, heartbeatSeconds)
    return new PostgresChanges(stream, timeline, pipeline.name, look, heartbeat)
  }

  async check(pipeline: CdcPipeline): Promise<readonly Finding[]> {
    const session = await this.#main()
    const slot = await readSlot(session, pipeline.source.slot)
    const findings = checkSlot(pipeline, slot, await readLimits(session))
    // Where somebody reads already, a line can be had; where none is free, that is said.
    const isKnown = slot?.active === true || findings.some(({ code }) => code === 'senders-used')
    if (isKnown || !(await readFacts(session)).mayReplicate) return findings
    return [...findings, ...(await checkLine(this.#config, this.#what))]
  }

  async status(pipeline: CdcPipeline, state: State | null): Promise<LogStatus> {
    return readStatus(await this.#main(), pipeline, state)
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

class PostgresChanges implements ChangeStream {
  readonly #stream: ReplicationStream
  readonly #timeline: number
  readonly #pipeline: string
  readonly #look: () => Promise<void>
  readonly #heartbeat: Heartbeat | null
  readonly #given = new WeakMap<LogChunk, StreamedChunk>()

  constructor(stream: ReplicationStream, timeline: number, pipeline: string, look: () => Promise<void>, heartbeat: Heartbeat | null) {
    this.#look = look
    this.#stream = stream
    this.#timeline = timeline
    this.#pipeline = pipeline
    this.#heartbeat = heartbeat
  }

  async next(waitMs: number): Promise<LogChunk> {
    await this.#look()
    this.#heartbeat?.look()
    const given = await this.#stream.next(waitMs)
    const committedAt = milliseconds(given.committedMicros)
    // Where nothing came, the server has said up to when.
    const asOf = given.transactions > 0 ? committedAt : milliseconds(this.#stream.saidMicros)
    const chunk: LogChunk = {
      changes: given.changes,
      end: given.end === null ? null : logPosition(this.#timeline, given.end, asOf),
      transactions: given.transactions,
      committedAt,
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
    this.#heartbeat?.stop()
    this.#stream.close()
  }
}

function milliseconds(micros: bigint | null): number | null {
  return micros === null ? null : Number(micros / 1000n)
}
