// The log of a simulated source, as a source of the engine: chunks of any size, in whole transactions or in parts of one.

import { toChunk } from '../../src/connectors/memory/vectors.ts'
import type { ChangeStream, LogBeginning, LogChunk, LogObservation, LogSource, LogStatus } from '../../src/contract/log.ts'
import type { ReadOptions } from '../../src/contract/read-options.ts'
import { OP, ORDINAL, POSITION, READ_WORD } from '../../src/core/change-marks.ts'
import { ChangesChunk, NULL, UNCHANGED } from '../../src/core/changes-chunk.ts'
import type { Chunk } from '../../src/core/chunk.ts'
import { LoadError } from '../../src/core/errors.ts'
import type { CdcPipeline } from '../../src/core/pipeline.ts'
import type { Position } from '../../src/core/position.ts'
import type { State } from '../../src/core/state.ts'
import type { Table } from '../../src/core/table.ts'
import type { Cell, Contents, LoggedChange, LoggedTransaction, LoggedWorld } from './logged-world.ts'
import type { Random } from './random.ts'

const encoder = new TextEncoder()

/** Of any history: a chunk is large, and a history has hundreds. */
const SPARE: ChangesChunk[] = []
const NO_CHANGES = new ChangesChunk()

export const logPosition = (at: number): Position => ({ kind: 'log', at: String(at) })

export function numberOf(position: Position): number {
  if (position.kind !== 'log') throw new Error('This is no position in a log.')
  return Number(position.at)
}

export class LoggedSource implements LogSource {
  readonly world: LoggedWorld
  readonly random: Random
  /** The process that reads is gone. */
  readonly isDead: () => boolean

  constructor(world: LoggedWorld, random: Random, isDead: () => boolean) {
    this.world = world
    this.random = random
    this.isDead = isDead
  }

  async observe({ source }: CdcPipeline, state: State | null): Promise<LogObservation> {
    const { slot, head, tables } = this.world
    if (state?.position.kind === 'log' && (slot === null || slot.confirmed > numberOf(state.position)))
      throw new LoadError('log-lost', 'The slot is gone, or further than what is stored.')
    const known = source.tables.flatMap(({ name }) => tables.find((one) => one.name === name) ?? [])
    return {
      tables: known.map(describeTable),
      layouts: known.map(({ columns }) => ({ rows: 'never-rewritten', columns: String(columns.length) })),
      head: logPosition(head),
      identity: 'log',
      there: { slot: slot === null ? null : 'slot', publication: slot !== null },
      values: ['pg-text'],
    }
  }

  async begin(): Promise<LogBeginning> {
    this.freeSlot()
    const { head } = this.world
    this.world.slot = { confirmed: head, reader: null }
    return this.beginning(head, head)
  }

  async beginAgain(): Promise<LogBeginning> {
    return this.beginning(this.world.head, this.world.head)
  }

  /** What the tables held at `moment`; the log is said to go on from `position`. */
  protected beginning(position: number, moment: number): LogBeginning {
    const contents = this.world.contentsAt(moment)
    return {
      position: logPosition(position),
      formats: ['columns'],
      read: (table, options) => this.#copy(contents, table, options, position),
      pieces: async () => null,
      close: async () => {},
    }
  }

  async *#copy(contents: Contents, { name, columns }: Table, options: ReadOptions, position: number): AsyncIterable<Chunk> {
    const number = this.world.tables.findIndex((one) => one.name === name.name)
    const known = this.world.tables[number]?.columns ?? []
    const marks: Readonly<Record<string, string | bigint>> = { [OP]: READ_WORD, [POSITION]: String(position), [ORDINAL]: 0n }
    const rows = [...(contents[number]?.values() ?? [])].map((row) =>
      options.columns.map((wanted) => {
        const place = columns.findIndex((column) => column.name === wanted.name)
        if (place < 0) return marks[wanted.name] ?? null
        return (place < row.length ? row[place] : known[place]?.missing) ?? null
      }),
    )
    const types = options.columns.map(({ type }) => type)
    for (let at = 0; at < rows.length; at += 2) yield toChunk(types, rows.slice(at, at + 2))
  }

  /** The server may not have noticed yet that its reader is gone; one that is alive may lose its connection to another. */
  protected freeSlot(): void {
    const reader = this.world.slot?.reader
    if (reader == null) return
    if (!reader.isDead && this.random.chance(0.5)) throw new LoadError('state-conflict', 'The slot is being read.')
    reader.cut()
  }

  async open(_pipeline: CdcPipeline, seen: LogObservation, from: Position, _format: string, until: Position | null): Promise<ChangeStream> {
    this.freeSlot()
    const { slot } = this.world
    if (slot === null || slot.confirmed > numberOf(from))
      throw new LoadError('log-lost', 'The slot is gone, or further than what is stored.')
    return new LoggedStream(this, seen, numberOf(from), until === null ? null : numberOf(until))
  }

  /** What a reader of the log gets of a transaction. */
  changesOf({ changes }: LoggedTransaction): readonly LoggedChange[] {
    return changes
  }

  /** In the order of their commits. */
  transactions(): readonly LoggedTransaction[] {
    return this.world.log
  }

  async check(): Promise<readonly never[]> {
    return []
  }

  async status(): Promise<LogStatus> {
    const state = this.world.slot === null ? 'missing' : 'reserved'
    return {
      retainedBytes: null,
      safeBytes: null,
      lagBytes: null,
      lagSeconds: null,
      lagMessages: null,
      partitions: [],
      streams: [],
      state,
      invalidation: null,
      active: false,
      confirmed: null,
    }
  }

  async drop(): Promise<{ removed: readonly string[]; left: readonly string[] }> {
    this.freeSlot()
    this.world.slot = null
    return { removed: ['slot'], left: [] }
  }
}

class LoggedStream implements ChangeStream {
  readonly #source: LoggedSource
  readonly #world: LoggedWorld
  readonly #tables: readonly (number | undefined)[]
  readonly #widths: readonly number[]
  readonly #until: number | null
  readonly #most: number
  /** The transaction that comes next, and how many of its changes have been given out. */
  #next = 0
  #given = 0
  #whole: number
  #isCut = false

  constructor(source: LoggedSource, seen: LogObservation, from: number, until: number | null) {
    this.#source = source
    this.#world = source.world
    this.#tables = source.world.tables.map(({ name }) => {
      const number = seen.tables.findIndex((table) => table.name.name === name)
      return number < 0 ? undefined : number
    })
    this.#widths = seen.tables.map(({ columns }) => columns.length)
    this.#until = until
    this.#whole = from
    this.#most = source.random.of([1, 2, 3, 5, 100])
    while (this.#next < source.transactions().length && (source.transactions()[this.#next]?.end ?? 0) <= from) this.#next += 1
    if (source.world.slot !== null) source.world.slot.reader = this
  }

  get isDead(): boolean {
    return this.#source.isDead()
  }

  cut(): void {
    this.#isCut = true
    const { slot } = this.#world
    if (slot?.reader === this) slot.reader = null
  }

  async next(): Promise<LogChunk> {
    if (this.#isCut) throw new LoadError('connection-lost', 'The connection broke while the log was read.')
    const { random } = this.#source
    if (this.#coming() === null || random.chance(0.15)) return this.#nothing()
    const changes = SPARE.pop() ?? new ChangesChunk()
    changes.clear()
    let transactions = 0
    let end: number | null = null
    for (let entry = this.#coming(); entry !== null; entry = this.#coming()) {
      const own = this.#source.changesOf(entry).filter(({ table }) => this.#tables[table] !== undefined)
      const left = own.length - this.#given
      if (transactions > 0 && changes.count + left > this.#most) break
      changes.beginTransaction(String(entry.end), BigInt(entry.end) * 1_000_000n, this.#given)
      const fit = Math.min(left, this.#most)
      for (const change of own.slice(this.#given, this.#given + fit)) this.#add(changes, change)
      this.#given += fit
      const endsAlone = fit > 0 && fit === left && transactions === 0 && random.chance(0.2)
      if (fit < left || endsAlone) return { changes, end: null, transactions: 0, committedAt: null }
      this.#next += 1
      this.#given = 0
      transactions += 1
      end = entry.end
      this.#whole = entry.end
      if (random.chance(0.3)) break
    }
    return end === null ? this.#nothing() : { changes, end: logPosition(end), transactions, committedAt: end * 1000 }
  }

  #coming(): LoggedTransaction | null {
    const entry = this.#source.transactions()[this.#next]
    return entry === undefined || (this.#until !== null && entry.end > this.#until) ? null : entry
  }

  /** How far there was nothing else. */
  #nothing(): LogChunk {
    const end = this.#given > 0 || this.#coming() !== null ? this.#whole : (this.#until ?? this.#world.head)
    return { changes: NO_CHANGES, end: logPosition(end), transactions: 0, committedAt: null }
  }

  #add(changes: ChangesChunk, { table, op, row, old }: LoggedChange): void {
    const number = this.#tables[table] ?? 0
    const width = this.#widths[number] ?? 0
    const came = (row ?? old)?.length ?? 0
    if (came > width) throw new LoadError('try-again', 'A column came to the table.')
    changes.add(number, op)
    if (row !== null) changes.row[changes.count - 1] = this.#addRow(changes, table, width, row, UNCHANGED)
    if (old !== null) changes.old[changes.count - 1] = this.#addRow(changes, table, width, old, null)
  }

  /** `lacking`: what cells are that the log does not have; null: not known. */
  #addRow(
    changes: ChangesChunk,
    table: number,
    width: number,
    row: readonly (Cell | undefined)[],
    lacking: typeof UNCHANGED | null,
  ): number {
    const first = changes.addRow(width)
    const { columns = [] } = this.#world.tables[table] ?? {}
    for (let place = 0; place < width; place++) {
      const value = place < row.length ? row[place] : columns[place]?.missing
      if (value === undefined) {
        if (lacking !== null) changes.mark(first + place, lacking)
      } else if (value === null) changes.mark(first + place, NULL)
      else {
        const bytes = encoder.encode(value)
        changes.setCell(first + place, bytes, 0, bytes.length)
      }
    }
    return first
  }

  recycle({ changes }: LogChunk): void {
    if (changes !== NO_CHANGES) SPARE.push(changes)
  }

  acknowledge(position: Position): void {
    const { slot } = this.#world
    if (slot?.reader === this) slot.confirmed = Math.max(slot.confirmed, numberOf(position))
  }

  ping(): void {}

  reaches(position: Position, goal: Position): boolean {
    return numberOf(position) >= numberOf(goal)
  }

  async close(): Promise<void> {
    this.cut()
  }
}

export function describeTable({ name, columns, key }: LoggedWorld['tables'][number]): Table {
  return {
    name: { schema: null, name },
    columns: columns.map((column, place) => ({
      name: column.name,
      type: { kind: 'text' },
      native: null,
      nullable: !key.includes(place),
      ...(column.missing === null ? {} : { backfill: column.missing }),
    })),
    key: key.map((place) => columns[place]?.name ?? ''),
    keyGuaranteed: true,
    identity: `table ${name}`.replace(' ', ':'),
    estimatedRows: null,
    estimatedBytes: null,
  }
}
