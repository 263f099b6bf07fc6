// Pulls of an outbox as a stream of changes: a pull is one transaction, of all tables together. The next one is consumed only when the
// target has the last: between two of them there is never more than one in the outbox.

import { setTimeout } from 'node:timers/promises'
import type { ChangeStream, LogChunk } from '../../contract/log.ts'
import { ChangesChunk, DELETE, INSERT, NULL, UPDATE } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import type { SnowflakeConfig } from './config.ts'
import { identifier } from './names.ts'
import type { Cells, Session } from './session.ts'
import { hasData } from './stream-facts.ts'
import {
  ACTION,
  type Consumer,
  forgetPulls,
  type Owner,
  pairedRows,
  ROW,
  readConsumer,
  readOutbox,
  reducedRows,
  refuseRepeated,
  type StreamedTable,
  takeNext,
} from './stream-outbox.ts'
import { parseStreamPlace, printStreamPlace, type StreamPlace } from './stream-position.ts'
import { pgTextOf, type TextOf } from './stream-values.ts'

/** A pull that is larger comes in several chunks. */
const CHUNK_BYTES = 4 << 20
/** So often it is asked whether there is something. The question wakes no warehouse, and is not free. */
const LOOK_MS = 5000

export interface StreamReading {
  readonly session: Session
  readonly config: SnowflakeConfig
  readonly tables: readonly StreamedTable[]
  readonly owner: Owner
  /** Every change of a pull, and not only what it came to. */
  readonly everyChange: boolean
}

export class StreamChanges implements ChangeStream {
  readonly #reading: StreamReading
  readonly #from: StreamPlace
  /** The last pull that was given out, and the last that is in the target. */
  #given: bigint
  #acknowledged: bigint
  /** There are rows in the outbox that the target has. */
  #forgets = false
  #changes: AsyncGenerator<LogChunk> | null = null
  /** The streams had nothing after the last pull. */
  #isExhausted = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #asOf: string | null
  readonly #spare: ChangesChunk[] = []

  constructor(reading: StreamReading, from: Position) {
    this.#reading = reading
    this.#from = parseStreamPlace(from, reading.owner.pipeline)
    this.#asOf = from.kind === 'log' ? (from.time ?? null) : null
    this.#given = this.#from.pull
    this.#acknowledged = this.#from.pull
  }

  async next(waitMs: number): Promise<LogChunk> {
    if (this.#changes === null && this.#given === this.#acknowledged) {
      if (performance.now() - this.#lookedAt < LOOK_MS && this.#isExhausted) {
        await setTimeout(waitMs)
        return this.#nothing()
      }
      await this.#forget()
      const consumer = await this.#find()
      this.#lookedAt = performance.now()
      this.#isExhausted = consumer === null
      if (consumer !== null) this.#changes = this.#read(this.#given + 1n, consumer.takenAt)
    }
    const next = await this.#changes?.next()
    if (next?.done === false) return next.value
    this.#changes = null
    return this.#nothing()
  }

  #nothing(): LogChunk {
    return { changes: this.#chunk(), end: this.#position(), transactions: 0, committedAt: null }
  }

  #chunk(): ChangesChunk {
    return this.#spare.pop() ?? new ChangesChunk()
  }

  #position(): Position {
    return printStreamPlace({ ...this.#from, pull: this.#given }, this.#asOf)
  }

  /** The pull that waits in the outbox, or a new one; null where there is nothing. */
  async #find(): Promise<Consumer | null> {
    const { session, config, tables, owner } = this.#reading
    if (await this.#holdsRows()) {
      const waiting = await this.#waiting()
      if (waiting !== null) return waiting
      await forgetPulls(session, tables, this.#acknowledged)
    }
    let there = false
    for (const { stream } of tables) there = (await hasData(session, stream)) || there
    if (!there || (await takeNext(session, config, tables, this.#given, owner)) === 0) return null
    const taken = await this.#waiting()
    // Where the server had ended the transaction before, COMMIT is no error.
    if (taken === null) throw new LoadError('try-again', `${session.what} ended the transaction of a pull before its commit.`)
    return taken
  }

  /** Asked without a warehouse. */
  async #holdsRows(): Promise<boolean> {
    const { session, tables } = this.#reading
    for (const table of tables) if (((await readOutbox(session, table))?.rows ?? 0) > 0) return true
    return false
  }

  /** Throws `log-lost` where the outbox is not what the position says, and `log-unavailable` where it is another's. */
  async #waiting(): Promise<Consumer | null> {
    const { session, tables } = this.#reading
    let found: Consumer | null = null
    let waiting = 0
    for (const table of tables) {
      const consumer = refuseConsumer(table, await readConsumer(session, table), this.#reading.owner, session.what)
      const ahead = consumer.pull - this.#given
      if (ahead !== 0n && ahead !== 1n) throw lostPull(table, consumer, this.#given, session.what)
      waiting += Number(ahead)
      if (ahead === 1n) found = consumer
    }
    if (waiting !== 0 && waiting !== tables.length) throw lostPull(tables[0] as StreamedTable, found, this.#given, session.what)
    return found
  }

  async *#read(pull: bigint, takenAt: string): AsyncGenerator<LogChunk> {
    const { tables } = this.#reading
    const committedAt = Date.parse(takenAt)
    let chunk = this.#chunk()
    let before = 0
    const begin = (): void => chunk.beginTransaction(String(pull), BigInt(committedAt) * 1000n, before)
    begin()
    for (const [number, table] of tables.entries()) {
      for await (const change of this.#changesOf(table, pull)) {
        addChange(chunk, number, table.columns.length, change)
        if (chunk.size < CHUNK_BYTES) continue
        before += chunk.count
        yield { changes: chunk, end: null, transactions: 0, committedAt: null }
        chunk = this.#chunk()
        begin()
      }
    }
    this.#given = pull
    this.#asOf = takenAt
    this.#forgets = true
    yield { changes: chunk, end: this.#position(), transactions: 1, committedAt }
  }

  async *#changesOf(table: StreamedTable, pull: bigint): AsyncGenerator<Change> {
    const { session, everyChange } = this.#reading
    const consumer = await readConsumer(session, table)
    if (consumer?.rows === 0n) return
    if (!everyChange) await refuseRepeated(session, table, pull)
    const select = [...table.columns.map(({ name }) => identifier(name)), ACTION, ROW]
    const texts = table.columns.map(pgTextOf)
    const width = texts.length
    const valuesOf = (row: Cells): Values => texts.map((textOf, place) => cellOf(row[place] ?? null, textOf))
    let old: Cells | null = null
    let read = 0n
    for await (const row of session.stream(`SELECT ${select.join(', ')} FROM ${(everyChange ? pairedRows : reducedRows)(table, pull)}`)) {
      read += 1n
      const isNew = row[width] === 'INSERT'
      const isPair: boolean = isNew && old !== null && row[width + 1] === old[width + 1]
      if (old !== null && !isPair) yield { op: DELETE, row: null, old: valuesOf(old) }
      if (isNew) yield { op: isPair ? UPDATE : INSERT, row: valuesOf(row), old: isPair && old !== null ? valuesOf(old) : null }
      old = isNew ? null : row
    }
    if (old !== null) yield { op: DELETE, row: null, old: valuesOf(old) }
    // Of a pull that another run has delivered, and removed, nothing may be taken for nothing.
    if (read === 0n) throw lostPull(table, consumer, pull - 1n, session.what)
  }

  recycle({ changes }: LogChunk): void {
    changes.clear()
    this.#spare.push(changes)
  }

  acknowledge(position: Position): void {
    this.#acknowledged = parseStreamPlace(position, this.#reading.owner.pipeline).pull
  }

  ping(): void {}

  /** Where the streams had nothing more, there is nothing further to be reached. */
  reaches(position: Position, goal: Position): boolean {
    const { pipeline } = this.#reading.owner
    const now = parseStreamPlace(position, pipeline).pull
    return now >= parseStreamPlace(goal, pipeline).pull || (this.#isExhausted && now === this.#given)
  }

  async #forget(): Promise<void> {
    const { session, tables } = this.#reading
    if (this.#forgets) await forgetPulls(session, tables, this.#acknowledged)
    this.#forgets = false
  }

  /** What is left over goes with the next pull. */
  async close(): Promise<void> {
    const { session } = this.#reading
    try {
      await this.#changes?.return(undefined)
      if (!session.broken && this.#given === this.#acknowledged) await this.#forget()
    } finally {
      await session.close()
    }
  }
}

type Values = readonly (Uint8Array | null)[]

interface Change {
  readonly op: typeof INSERT | typeof UPDATE | typeof DELETE
  readonly row: Values | null
  readonly old: Values | null
}

function cellOf(text: string | null, textOf: TextOf): Uint8Array | null {
  return text === null ? null : Buffer.from(textOf(text))
}

function addChange(chunk: ChangesChunk, table: number, width: number, { op, row, old }: Change): void {
  chunk.add(table, op)
  const place = chunk.count - 1
  if (row !== null) chunk.row[place] = addRow(chunk, width, row)
  if (old !== null) chunk.old[place] = addRow(chunk, width, old)
}

function addRow(chunk: ChangesChunk, width: number, values: Values): number {
  const first = chunk.addRow(width)
  for (const [place, value] of values.entries())
    if (value === null) chunk.mark(first + place, NULL)
    else chunk.setCell(first + place, value, 0, value.length)
  return first
}

/** Throws `log-lost`, `log-unavailable`. */
function refuseConsumer(table: StreamedTable, consumer: Consumer | null, owner: Owner, what: string): Consumer {
  const hint = `Two consumers would take each other's changes: each needs a stream of its own. To take it over, \`--resync ${table.table}\`.`
  if (consumer === null)
    throw new LoadError('log-lost', `What consumes the stream of table ${table.table} is gone.`, {
      where: what,
      hint: `Copy the table again with \`--resync ${table.table}\`.`,
    })
  if (consumer.consumer === owner.consumer) return consumer
  throw new LoadError(
    'log-unavailable',
    `The stream of table ${table.table} is consumed by another run of pipeline ${consumer.pipeline}.`,
    {
      where: what,
      hint,
    },
  )
}

function lostPull(table: StreamedTable, consumer: Consumer | null, at: bigint, what: string): LoadError {
  return new LoadError(
    'log-lost',
    `The target has pull ${at} of table ${table.table}, and the outbox goes on after pull ${consumer?.pull ?? 'none'}: what lies between is gone.`,
    {
      where: what,
      hint: 'Copy the tables again with `--full-refresh`. A target that was restored from a backup is older than the outbox.',
    },
  )
}
