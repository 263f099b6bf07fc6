// Streams of Snowflake as a log: one stream a table, consumed into an outbox, and read from there. What lies between two positions is a
// pull, which is what its rows came to between two moments: what a row was meanwhile, no stream tells.

import { createHash, randomUUID } from 'node:crypto'
import type { Finding } from '../../contract/finding.ts'
import type {
  ChangeStream,
  Dropped,
  LogBeginning,
  LogObservation,
  LogSource,
  LogStatus,
  StreamStatus,
  TableLayout,
  ValueFormat,
} from '../../contract/log.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import type { Position } from '../../core/position.ts'
import type { State } from '../../core/state.ts'
import { columnNamed, printTableName, type Table } from '../../core/table.ts'
import type { SnowflakeConfig } from './config.ts'
import { describeTable } from './describe.ts'
import { literal, tableIdentifier } from './names.ts'
import { openSession, type Session } from './session.ts'
import type { SessionHolder } from './session-holder.ts'
import { StreamsBeginning } from './stream-beginning.ts'
import { StreamChanges } from './stream-changes.ts'
import { hasData, readStream, refuseGeospatial, refuseKind, refuseStream, type StreamFacts } from './stream-facts.ts'
import { type StreamNames, streamNames } from './stream-names.ts'
import { identityWord, makeOutbox, type Owner, readConsumer, readOutbox, type StreamedTable, takeAll } from './stream-outbox.ts'
import { parseStreamPlace, printStreamPlace, type StreamPlace } from './stream-position.ts'
import { ageFindings, readStreamStatus } from './stream-status.ts'

/** A transaction of a session that is gone holds its locks for some minutes. */
const LOCK_TIMEOUT_SECONDS = 600

interface StreamsObservation extends LogObservation {
  /** Of each table, in the order of the pipeline's. */
  readonly streamed: readonly StreamedTable[]
  readonly place: StreamPlace | null
  /** Names of the tables that nothing is known of yet, or that are copied again. */
  readonly unknown: ReadonlySet<string>
}

interface Look {
  readonly table: Table
  readonly names: StreamNames
  readonly facts: StreamFacts | null
}

export class SnowflakeStreams implements LogSource {
  readonly #config: SnowflakeConfig
  readonly #what: string
  readonly #sessions: SessionHolder

  constructor(config: SnowflakeConfig, what: string, sessions: SessionHolder) {
    this.#config = config
    this.#what = what
    this.#sessions = sessions
  }

  async observe(pipeline: CdcPipeline, state: State | null): Promise<StreamsObservation> {
    const session = await this.#sessions.open()
    const place = state?.position.kind === 'log' ? parseStreamPlace(state.position, pipeline.name) : null
    const copying = state?.position.kind === 'log' ? (state.position.copying ?? []) : []
    const looks: Look[] = []
    const layouts: TableLayout[] = []
    const unknown = new Set<string>()
    let [waits, flows] = [false, false]
    const there: string[] = []
    for (const names of streamNames(this.#config, pipeline)) {
      const table = await this.#describe(session, pipeline, names)
      layouts.push(await readLayout(session, names))
      const facts = await readStream(session, names.stream)
      const known = copying.includes(names.table) ? null : (place?.streams.get(names.table) ?? null)
      looks.push({ table, names, facts })
      if (known === null) unknown.add(names.table)
      if (known !== null || !names.isOwn) refuseStream(names, facts, table, known, this.#what)
      if (facts !== null && (known !== null || !names.isOwn))
        refuseKind(names, facts, table.columns, pipeline.source.streams?.appendOnly === true, this.#what)
      const outbox = await readOutbox(session, names)
      if (outbox !== null || (names.isOwn && facts !== null)) there.push(outbox?.owner?.consumer ?? facts?.createdOn ?? '')
      if (known === null || place === null) continue
      refuseOutbox(names, outbox, { pipeline: pipeline.name, consumer: place.consumer }, this.#what)
      waits ||= (outbox?.rows ?? 0) > 0
      flows ||= await hasData(session, names.stream)
    }
    // One pull that waits, and one of what came since. Where it turns out to be less, the stream says so when it is read.
    const ahead = (waits ? 1n : 0n) + (flows ? 1n : 0n)
    const asOf = ahead === 0n && state?.position.kind === 'log' ? (state.position.time ?? null) : null
    const base = place ?? { pull: 0n, consumer: '', streams: new Map() }
    return {
      tables: looks.map(({ table }) => table),
      layouts,
      streamed: looks.map(({ table, names }) => ({ ...names, ...streamedColumns(table), key: table.key, identity: table.identity })),
      place,
      unknown,
      head: printStreamPlace({ ...base, pull: base.pull + ahead }, asOf),
      identity: `snowflake:${this.#config.account}:${this.#config.database}:${pipeline.source.slot}`,
      there: { slot: there.length === 0 ? null : there.join(' '), publication: false },
      values: ['pg-text'],
      makes: looks.map(({ names }) => made(names)),
    }
  }

  async #describe(session: Session, { name: pipeline, source: { streams }, write }: CdcPipeline, names: StreamNames): Promise<Table> {
    const table = await describeTable(session, this.#config, names.source)
    if (table === null)
      throw new LoadError('missing-table', `There is no table ${names.table}, or the role may not see it.`, { where: this.#what })
    refuseGeospatial(names, table.columns, this.#what)
    const key = streams?.keys.get(names.table) ?? table.key
    for (const column of key)
      if (columnNamed(table, column) === undefined)
        throw new LoadError(
          'missing-column',
          `Table ${names.table} of pipeline ${pipeline} has no column "${column}", which its key names.`,
        )
    if (key.length === 0 && write !== 'append')
      throw new LoadError('missing-key', `Table ${names.table} has no primary key, and pipeline ${pipeline} names none.`, {
        where: this.#what,
        hint: `Name the columns that identify a row: \`keys: { ${names.table}: [id] }\`; or use \`write: append\`.`,
      })
    const columns = table.columns.map((column) => ({ ...column, declared: column.native ?? '', native: null }))
    return { ...table, identity: identityWord(table), columns, key, keyGuaranteed: false }
  }

  async begin(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const { streamed } = seen as StreamsObservation
    return this.#take(pipeline, streamed, { pull: 1n, consumer: randomUUID(), streams: new Map() })
  }

  /** Those that are read on stay where they are; a pull of theirs that waits is delivered before the copy. */
  async beginAgain(pipeline: CdcPipeline, seen: LogObservation): Promise<LogBeginning> {
    const { streamed, place, unknown } = seen as StreamsObservation
    if (place === null) return this.begin(pipeline, seen)
    const session = await this.#sessions.open()
    let { pull } = place
    for (const table of streamed) {
      if (unknown.has(table.table)) continue
      const consumer = await readConsumer(session, table)
      if (consumer !== null && consumer.pull === pull + 1n) pull = consumer.pull
    }
    const copied = streamed.filter(({ table }) => unknown.has(table))
    return this.#take(pipeline, copied, { ...place, pull })
  }

  /** Makes what the tables need, and takes all their rows into the outbox. */
  async #take(pipeline: CdcPipeline, tables: readonly StreamedTable[], place: StreamPlace): Promise<LogBeginning> {
    const everyChange = pipeline.write === 'append'
    const owner: Owner = { pipeline: pipeline.name, consumer: place.consumer }
    for (const names of tables) await this.#refuseTaken(pipeline, names)
    const session = await this.#openOwn(pipeline)
    try {
      const streams = new Map(place.streams)
      for (const table of tables) {
        if (table.isOwn) await session.run(createStream(table, pipeline.name))
        else refuseOverlap(pipeline, table)
        await makeOutbox(session, table, owner)
      }
      await takeAll(session, tables, place.pull, owner)
      for (const { table, stream, identity } of tables)
        streams.set(table, { stream: (await readStream(session, stream))?.createdOn ?? '', table: identity })
      const consumer = tables[0] === undefined ? null : await readConsumer(session, tables[0])
      if (consumer?.consumer !== owner.consumer)
        throw new LoadError('try-again', `${this.#what} ended the transaction of the copy before its commit.`)
      const position = printStreamPlace({ ...place, streams }, consumer.takenAt)
      return new StreamsBeginning(session, tables, place.pull, position, everyChange)
    } catch (thrown) {
      await session.close()
      throw thrown
    }
  }

  /** Whatever is asked for: what another pipeline reads is not taken from it. */
  async #refuseTaken({ name }: CdcPipeline, names: StreamNames): Promise<void> {
    const owner = (await readOutbox(await this.#sessions.open(), names))?.owner ?? null
    if (owner === null || owner.pipeline === name) return
    throw new LoadError('log-unavailable', `Stream ${printTableName(names.stream)} is consumed by pipeline ${owner.pipeline}.`, {
      where: this.#what,
      hint: `Two consumers would take each other's changes: give this one a stream of its own. If the other is gone, DROP TABLE ${tableIdentifier(names.outbox)};`,
    })
  }

  async #openOwn({ name }: CdcPipeline): Promise<Session> {
    const session = await openSession(this.#config, this.#what, { side: 'source', tag: `tidemark:${name}` })
    await session.run(`ALTER SESSION SET LOCK_TIMEOUT = ${LOCK_TIMEOUT_SECONDS}`)
    return session
  }

  async open(pipeline: CdcPipeline, seen: LogObservation, from: Position, _format: ValueFormat): Promise<ChangeStream> {
    const { streamed } = seen as StreamsObservation
    const wanted = new Set(seen.tables.map(({ identity }) => identity))
    const session = await this.#openOwn(pipeline)
    const { consumer } = parseStreamPlace(from, pipeline.name)
    return new StreamChanges(
      {
        session,
        config: this.#config,
        tables: streamed.filter(({ identity }) => wanted.has(identity)),
        owner: { pipeline: pipeline.name, consumer },
        everyChange: pipeline.write === 'append',
      },
      from,
    )
  }

  async check(pipeline: CdcPipeline): Promise<readonly Finding[]> {
    await this.observe(pipeline, null)
    return ageFindings(pipeline.name, await this.#streams(pipeline))
  }

  async #streams(pipeline: CdcPipeline): Promise<readonly StreamStatus[]> {
    const session = await this.#sessions.open()
    const streams: StreamStatus[] = []
    for (const names of streamNames(this.#config, pipeline)) streams.push(await readStreamStatus(session, names))
    return streams
  }

  /** Never refuses what it is there to tell. */
  async status(pipeline: CdcPipeline, state: State | null): Promise<LogStatus> {
    const streams = await this.#streams(pipeline)
    const has = (wanted: StreamStatus['state']): boolean => streams.some((one) => one.state === wanted)
    const isThere = state?.position.kind === 'log' && streams.every(({ hasData: waits }) => waits === false)
    return {
      retainedBytes: null,
      safeBytes: null,
      lagBytes: null,
      lagSeconds: isThere ? 0 : null,
      lagMessages: null,
      partitions: [],
      state: has('missing') ? 'missing' : has('stale') ? 'lost' : 'kept',
      invalidation: null,
      active: false,
      confirmed: null,
      streams,
    }
  }

  async drop(pipeline: CdcPipeline): Promise<Dropped> {
    const session = await this.#sessions.open()
    const [removed, left]: [string[], string[]] = [[], []]
    for (const names of streamNames(this.#config, pipeline)) {
      const stream = `stream ${printTableName(names.stream)}`
      const outbox = await readOutbox(session, names)
      const isOurs = outbox === null || outbox.owner?.pipeline === pipeline.name
      const there = (await readStream(session, names.stream)) !== null
      if (there && (!names.isOwn || !isOurs)) left.push(stream)
      if (!isOurs) continue
      if (there && names.isOwn) {
        await session.run(`DROP STREAM IF EXISTS ${tableIdentifier(names.stream)}`)
        removed.push(stream)
      }
      if (outbox === null) continue
      await session.run(`DROP TABLE IF EXISTS ${tableIdentifier(names.consumer)}`)
      await session.run(`DROP TABLE IF EXISTS ${tableIdentifier(names.outbox)}`)
      removed.push(`outbox ${printTableName(names.outbox)}`)
    }
    return { removed, left }
  }
}

function createStream({ stream, source }: StreamNames, pipeline: string): string {
  const comment = literal(`Read by tidemark, pipeline ${pipeline}.`)
  return `CREATE OR REPLACE STREAM ${tableIdentifier(stream)} ON TABLE ${tableIdentifier(source)} SHOW_INITIAL_ROWS = TRUE COMMENT = ${comment}`
}

/** For people. */
function made({ stream, source, isOwn, outbox }: StreamNames): string {
  return isOwn
    ? `stream ${printTableName(stream)} (CREATE STREAM ${tableIdentifier(stream)} ON TABLE ${tableIdentifier(source)}), with an outbox`
    : `outbox ${printTableName(outbox)} of stream ${printTableName(stream)}`
}

/** What is committed while the copy begins comes a second time: harmless where rows have a key. Throws `strategy-unsupported`. */
function refuseOverlap({ name, write }: CdcPipeline, { stream }: StreamNames): void {
  if (write !== 'append') return
  throw new LoadError(
    'strategy-unsupported',
    `Pipeline ${name} would append changes twice that are committed while it takes over stream ${printTableName(stream)}.`,
    { hint: 'Leave `streams` out, and tidemark makes a stream of its own, without overlap; or use `write: merge`.' },
  )
}

function streamedColumns({ columns }: Table): Pick<StreamedTable, 'columns'> {
  return { columns: columns as StreamedTable['columns'] }
}

/** Throws `log-lost`, `log-unavailable`. */
function refuseOutbox(names: StreamNames, outbox: Awaited<ReturnType<typeof readOutbox>>, owner: Owner, what: string): void {
  if (outbox === null)
    throw new LoadError('log-lost', `The outbox ${printTableName(names.outbox)} of table ${names.table} is gone.`, {
      where: what,
      hint: `Whether it held changes, nobody knows. Copy the table again with \`--resync ${names.table}\`.`,
    })
  if (outbox.owner?.consumer === owner.consumer) return
  throw new LoadError(
    'log-unavailable',
    `Stream ${printTableName(names.stream)} was taken over by another consumer, of pipeline ${outbox.owner?.pipeline ?? 'unknown'}.`,
    {
      where: what,
      hint: `Two consumers would take each other's changes: each needs a stream of its own. To take it back, \`--resync ${names.table}\`.`,
    },
  )
}

/** A column that came with a default has values in rows that no stream tells of. */
async function readLayout(session: Session, { source }: StreamNames): Promise<TableLayout> {
  const columns = await session.rows(`DESCRIBE TABLE ${tableIdentifier(source)}`)
  const digest = (parts: readonly unknown[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)
  const defaults = columns.filter((row) => row['default'] != null && row['default'] !== 'NULL')
  return { rows: digest(defaults.map((row) => [row['name'], row['default']])), columns: digest(columns.map((row) => row['name'])) }
}
