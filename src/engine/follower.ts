// Applies what a log brings: chunk after chunk, and a commit wherever a chunk ends between two transactions. Its end is a position that
// is reached, or a signal.

import type { ChangedTable, ChangeStream, ChangeWriter, LogChunk } from '../contract/log.ts'
import { foldChanges } from '../core/fold-changes.ts'
import { invariant } from '../core/invariant.ts'
import { addCounts, NO_ROWS } from '../core/load.ts'
import type { CdcPipeline } from '../core/pipeline.ts'
import type { LogPosition, Position } from '../core/position.ts'
import type { UnreadableMessage } from '../core/quarantine.ts'
import type { State } from '../core/state.ts'
import { stopIfAsked } from './copy-chunks.ts'
import type { Machinery } from './machinery.ts'
import type { FollowedState } from './observe-changes.ts'
import { Pace } from './pace.ts'
import { pause } from './pause.ts'
import { creditCommit, type Progress } from './progress.ts'

/**
 * How long an idle stream is waited for, and how often its position is stored while nothing comes: more seldom where commits are dear, in
 * rests.
 */
const IDLE_MS = 50
const STORE_IDLE_MS = 10_000
const STORE_IDLE_RESTS = 10

export class Follower {
  readonly #pipeline: CdcPipeline
  readonly #machinery: Machinery
  readonly #progress: Progress
  readonly #stream: ChangeStream
  readonly #writer: ChangeWriter
  readonly #tables: readonly { readonly width: number; readonly key: readonly number[] }[]
  readonly #goal: Position | null
  readonly #first: State
  #state: FollowedState
  /** Applied and not committed yet: a transaction of the source that is larger than a chunk. */
  #open = { read: 0, bytes: 0, rows: NO_ROWS }
  #total = { read: 0, rows: NO_ROWS }
  #stored = performance.now()
  readonly #pace = new Pace()

  constructor(
    pipeline: CdcPipeline,
    machinery: Machinery,
    progress: Progress,
    stream: ChangeStream,
    writer: ChangeWriter,
    tables: readonly ChangedTable[],
    state: FollowedState,
    goal: Position | null,
  ) {
    this.#pipeline = pipeline
    this.#machinery = machinery
    this.#progress = progress
    this.#stream = stream
    this.#writer = writer
    this.#tables = tables.map(({ columns, key }) => ({
      width: columns.length,
      key: key.map((name) => columns.findIndex(({ source }) => source.name === name)),
    }))
    this.#state = state
    this.#first = state
    this.#goal = goal
  }

  /** Gives the state as the last commit has left it. */
  async follow(): Promise<FollowedState> {
    const { signal } = this.#machinery
    const began = performance.now()
    if (this.#goal === null) this.#machinery.emit({ kind: 'phase', pipeline: this.#pipeline.name, phase: 'following' })
    try {
      while (!this.#isDone()) {
        if (this.#goal !== null) stopIfAsked(signal)
        else if (signal.aborted) break
        if (this.#goal === null) await this.#restAfterCommit()
        this.#stream.ping()
        const chunk = await this.#stream.next(IDLE_MS)
        // The end of a transaction may come alone: its changes were handed out before.
        if (chunk.unreadable !== undefined) await this.#keep(chunk, chunk.unreadable)
        else if (chunk.changes.count > 0 || (chunk.transactions > 0 && this.#open.read > 0)) await this.#take(chunk)
        else if (chunk.end !== null && this.#open.read === 0) await this.#rest(chunk.end)
        this.#stream.recycle(chunk)
      }
    } catch (error) {
      await this.#writer.abort()
      throw error
    }
    // Else the history's commit would take along what is there of a transaction.
    if (this.#open.read > 0) await this.#writer.abort()
    if (this.#total.read > 0)
      await this.#writer.record(this.#first, this.#state, this.#total.read, this.#total.rows, (performance.now() - began) / 1000)
    return this.#state
  }

  /** Where commits are dear, changes are gathered for a while. */
  async #restAfterCommit(): Promise<void> {
    const { signal, target } = this.#machinery
    const rest = (target.changes?.restMs ?? 0) - (performance.now() - this.#stored)
    const hasCommitted = this.#state !== this.#first
    if (rest > 0 && hasCommitted && this.#open.read === 0) await pause(rest / 1000, signal)
  }

  #isDone(): boolean {
    return this.#goal !== null && this.#open.read === 0 && this.#stream.reaches(this.#state.position, this.#goal)
  }

  async #take(chunk: LogChunk): Promise<void> {
    const { changes } = chunk
    const { reach, emit } = this.#machinery
    const read = changes.count
    const bytes = changes.used
    const rows =
      this.#pipeline.write === 'append'
        ? await this.#writer.append(changes)
        : await this.#writer.apply(changes, foldChanges(changes, this.#tables))
    reach('changes-applied')
    this.#open = { read: this.#open.read + read, bytes: this.#open.bytes + bytes, rows: addCounts(this.#open.rows, rows) }
    emit({ kind: 'progress', pipeline: this.#pipeline.name, rows: this.#open.read, bytes: this.#open.bytes })
    if (chunk.end === null) return
    await this.#commit(chunk.end)
    if (this.#goal === null)
      emit({
        kind: 'followed',
        pipeline: this.#pipeline.name,
        lagMs: chunk.committedAt === null ? null : Date.now() - chunk.committedAt,
        perSecond: this.#pace.perSecond(read),
      })
  }

  async #keep({ changes, end }: LogChunk, message: UnreadableMessage): Promise<void> {
    await this.#writer.keepMessage(changes, message)
    const { read, bytes, rows } = this.#open
    this.#open = { read: read + 1, bytes, rows: { ...rows, quarantined: rows.quarantined + 1 } }
    if (end !== null) await this.#commit(end)
  }

  async #commit(position: Position): Promise<void> {
    const { reach, emit } = this.#machinery
    const { read, bytes, rows } = this.#open
    const to: FollowedState = { ...this.#state, position: this.#withTables(position), epoch: this.#state.epoch + 1n }
    reach('before-commit')
    await this.#writer.commit(this.#state, to, rows.inserted + rows.updated + rows.deleted)
    reach('after-commit')
    this.#state = to
    this.#stored = performance.now()
    this.#stream.acknowledge(position)
    this.#open = { read: 0, bytes: 0, rows: NO_ROWS }
    this.#total = { read: this.#total.read + read, rows: addCounts(this.#total.rows, rows) }
    // A change that is folded into another counts as one that was read.
    const folded = read - rows.inserted - rows.updated - rows.deleted - rows.quarantined
    creditCommit(this.#progress, to, read, bytes, { ...rows, deduplicated: Math.max(0, folded) })
    this.#progress.changed ||= read > 0
    if (read > 0) emit({ kind: 'committed', pipeline: this.#pipeline.name, position, epoch: Number(to.epoch), read, rows })
    if (rows.quarantined > 0) this.#warnOfBadRows(rows.quarantined)
    reach('slice-done')
  }

  #warnOfBadRows(rows: number): void {
    const { name } = this.#pipeline
    const message = `${rows} ${rows === 1 ? 'row was' : 'rows were'} refused, and put into quarantine, which holds ${this.#writer.kept} now. See \`tidemark quarantine list ${name}\`.`
    this.#machinery.emit({ kind: 'warning', pipeline: name, code: 'quarantined', message })
  }

  /** Tables that are still to be copied stay remembered. */
  #withTables(position: Position): LogPosition {
    invariant(position.kind === 'log', 'a log gives positions in it')
    const { copying, table } = this.#state.position
    return copying === undefined ? position : { ...position, copying, ...(table === undefined ? {} : { table }) }
  }

  /** Nothing came: how far there was nothing is stored now and then, so that the source may forget its log. */
  async #rest(position: Position): Promise<void> {
    const isFarther = !this.#stream.reaches(this.#state.position, position)
    const isGoal = this.#goal !== null && this.#stream.reaches(position, this.#goal)
    const everyMs = Math.max(STORE_IDLE_MS, (this.#machinery.target.changes?.restMs ?? 0) * STORE_IDLE_RESTS)
    if (isFarther && (isGoal || performance.now() - this.#stored > everyMs)) await this.#commit(position)
  }
}
