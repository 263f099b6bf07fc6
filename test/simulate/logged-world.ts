// The source's side of a history that is followed by its log: writers whose transactions begin, write, undo a part, are prepared, and
// end at random. What was committed stands in the log as PostgreSQL writes it; what the tables held at every moment is kept to compare.

import { type ChangeOp, DELETE, INSERT, TRUNCATE, UPDATE } from '../../src/core/changes-chunk.ts'
import type { Random } from './random.ts'

export type Cell = string | null
export type Row = readonly Cell[]
/** By table, and by key. */
export type Contents = readonly ReadonlyMap<string, Row>[]

export interface WorldTable {
  readonly name: string
  readonly columns: { readonly name: string; readonly missing: Cell }[]
  /** Places of the columns that identify a row. */
  readonly key: readonly number[]
  /** REPLICA IDENTITY FULL: changes come with the whole row of before. */
  readonly full: boolean
}

/** Cells are undefined where the log has none: in a new row what was left alone, in an old one what is no key. */
export interface LoggedChange {
  readonly table: number
  readonly op: ChangeOp
  readonly row: readonly (Cell | undefined)[] | null
  readonly old: readonly (Cell | undefined)[] | null
}

export interface LoggedTransaction {
  readonly began: number
  readonly end: number
  readonly changes: readonly LoggedChange[]
  /** What was undone before the commit: no reader of the log gets it. */
  readonly undone: readonly LoggedChange[]
}

/** From where the log is kept for its reader. */
export interface Slot {
  confirmed: number
  reader: { cut(): void; readonly isDead: boolean } | null
}

const KEYS = ['p', 'q', 'r', 's', 't']
const LARGE = 'large '

interface Savepoint {
  readonly changes: number
  readonly own: ReadonlyMap<string, Row | null>[]
  readonly emptied: readonly boolean[]
}

interface Writer {
  readonly began: number
  changes: LoggedChange[]
  readonly undone: LoggedChange[]
  own: Map<string, Row | null>[]
  emptied: boolean[]
  readonly savepoints: Savepoint[]
}

export class LoggedWorld {
  readonly tables: readonly WorldTable[] = [
    { name: 'a', columns: columns('id', 'v', 's'), key: [0], full: false },
    { name: 'b', columns: columns('v', 'part', 'id', 's', 'z'), key: [2, 1], full: false },
    { name: 'c', columns: columns('id', 's', 'v'), key: [0], full: true },
  ]
  /** How far the log goes; other databases of the server write to it too. */
  head = 10
  readonly log: LoggedTransaction[] = []
  /** Transactions that were rolled back. */
  readonly undone: LoggedTransaction[] = []
  readonly moments: { readonly end: number; readonly contents: Contents }[] = [{ end: 0, contents: this.tables.map(() => new Map()) }]
  slot: Slot | null = null
  /** Somebody else has dropped the slot, or moved it on: nobody can close the gap. */
  isLost = false
  readonly #random: Random
  readonly #locks = new Map<string, Writer>()
  readonly #tableLocks = new Map<number, Writer>()
  readonly #open: Writer[] = []
  readonly #prepared: Writer[] = []
  #written = 0

  constructor(random: Random) {
    this.#random = random
  }

  contentsAt(position: number): Contents {
    let found = this.moments[0]?.contents ?? []
    for (const { end, contents } of this.moments) if (end <= position) found = contents
    return found
  }

  /** One thing that happens in the source. */
  act(): void {
    const random = this.#random
    if (random.chance(0.2)) this.head += 1 + random.below(3)
    if (random.chance(0.02)) this.#addColumn()
    if (this.#prepared.length > 0 && random.chance(0.15)) this.#end(this.#prepared)
    else if (this.#open.length === 0 || (this.#open.length < 3 && random.chance(0.2))) this.#open.push(this.#begin())
    else if (random.chance(0.2)) this.#end(this.#open)
    else this.#write(random.of(this.#open))
  }

  /** All writers end. */
  quiesce(): void {
    while (this.#open.length > 0) this.#end(this.#open)
    while (this.#prepared.length > 0) this.#end(this.#prepared)
  }

  #begin(): Writer {
    return {
      began: this.head,
      changes: [],
      undone: [],
      own: this.tables.map(() => new Map()),
      emptied: this.tables.map(() => false),
      savepoints: [],
    }
  }

  #end(among: Writer[]): void {
    const [writer] = among.splice(this.#random.below(among.length), 1)
    if (writer === undefined) return
    if (among === this.#open && this.#random.chance(0.15)) {
      this.#prepared.push(writer)
      return
    }
    for (const locks of [this.#locks, this.#tableLocks] as Map<unknown, Writer>[])
      for (const [what, owner] of locks) if (owner === writer) locks.delete(what)
    this.head += 1 + this.#random.below(3)
    const { began, changes, undone } = writer
    if (this.#random.chance(0.2)) {
      this.undone.push({ began, end: this.head, changes, undone })
      return
    }
    const before = this.moments.at(-1)?.contents ?? []
    const contents = before.map((rows, table) => {
      const now = new Map(writer.emptied[table] ? [] : rows)
      for (const [key, row] of writer.own[table] ?? []) row === null ? now.delete(key) : now.set(key, row)
      return now
    })
    this.log.push({ began, end: this.head, changes, undone })
    this.moments.push({ end: this.head, contents })
  }

  #write(writer: Writer): void {
    const random = this.#random
    const chance = random.next()
    const table = random.below(this.tables.length)
    if (chance < 0.06) this.#savepoint(writer)
    else if (chance < 0.12) this.#undo(writer)
    else if (chance < 0.15) this.#truncate(writer, table)
    else {
      const key = random.of(KEYS)
      const old = this.#lock(writer, table, key) ? this.#rowOf(writer, table, key) : undefined
      if (old === undefined) return
      if (old === null) this.#insert(writer, table, key)
      else if (chance < 0.3) this.#delete(writer, table, key, old)
      else if (chance < 0.5) this.#update(writer, table, key, old, random.of(KEYS))
      else this.#update(writer, table, key, old, key)
    }
  }

  /** False where another writer has it. */
  #lock(writer: Writer, table: number, key: string): boolean {
    const what = `${table} ${key}`
    if ((this.#locks.get(what) ?? writer) !== writer || (this.#tableLocks.get(table) ?? writer) !== writer) return false
    this.#locks.set(what, writer)
    return true
  }

  #rowOf(writer: Writer, table: number, key: string): Row | null {
    const own = writer.own[table]?.get(key)
    if (own !== undefined) return own
    return writer.emptied[table] ? null : (this.moments.at(-1)?.contents[table]?.get(key) ?? null)
  }

  #insert(writer: Writer, table: number, key: string): void {
    const row = this.#tableOf(table).columns.map(({ name, missing }, place) => this.#value(table, place, key, name, missing))
    writer.changes.push({ table, op: INSERT, row, old: null })
    writer.own[table]?.set(key, row)
  }

  #update(writer: Writer, table: number, key: string, old: Row, to: string): void {
    if (to !== key && (!this.#lock(writer, table, to) || this.#rowOf(writer, table, to) !== null)) return
    const { columns, key: places, full } = this.#tableOf(table)
    const whole = columns.map(({ name, missing }, place) => {
      const was = place < old.length ? (old[place] ?? null) : missing
      return places.includes(place) || this.#random.chance(0.5) ? this.#value(table, place, to, name, missing) : was
    })
    const isLeft = (value: Cell, place: number): boolean => !full && value === old[place] && value?.startsWith(LARGE) === true
    const row = whole.map((value, place) => (isLeft(value, place) ? undefined : value))
    writer.changes.push({ table, op: UPDATE, row, old: full ? old : to === key ? null : this.#keyOnly(table, old) })
    if (to !== key) writer.own[table]?.set(key, null)
    writer.own[table]?.set(to, whole)
  }

  #delete(writer: Writer, table: number, key: string, old: Row): void {
    writer.changes.push({ table, op: DELETE, row: null, old: this.#tableOf(table).full ? old : this.#keyOnly(table, old) })
    writer.own[table]?.set(key, null)
  }

  #truncate(writer: Writer, table: number): void {
    for (const [what, owner] of this.#locks) if (what.startsWith(`${table} `) && owner !== writer) return
    if ((this.#tableLocks.get(table) ?? writer) !== writer) return
    this.#tableLocks.set(table, writer)
    writer.changes.push({ table, op: TRUNCATE, row: null, old: null })
    writer.own[table] = new Map()
    writer.emptied[table] = true
  }

  #savepoint({ changes, own, emptied, savepoints }: Writer): void {
    savepoints.push({ changes: changes.length, own: own.map((rows) => new Map(rows)), emptied: [...emptied] })
  }

  /** ROLLBACK TO: the locks stay. */
  #undo(writer: Writer): void {
    const to = writer.savepoints.pop()
    if (to === undefined) return
    writer.undone.push(...writer.changes.slice(to.changes))
    writer.changes = writer.changes.slice(0, to.changes)
    writer.own = to.own.map((rows) => new Map(rows))
    writer.emptied = [...to.emptied]
  }

  /** ALTER TABLE … ADD COLUMN, with or without a default, where no writer is in its way. */
  #addColumn(): void {
    const number = this.#random.below(this.tables.length)
    const table = this.#tableOf(number)
    const isBusy = this.#tableLocks.has(number) || [...this.#locks.keys()].some((what) => what.startsWith(`${number} `))
    if (isBusy || table.columns.some(({ name }) => name === 'x')) return
    table.columns.push({ name: 'x', missing: this.#random.of([null, 'default']) })
  }

  #keyOnly(table: number, row: Row): readonly (Cell | undefined)[] {
    const { key } = this.#tableOf(table)
    return row.map((value, place) => (key.includes(place) ? value : undefined))
  }

  #value(table: number, place: number, key: string, name: string, missing: Cell): Cell {
    const { key: places } = this.#tableOf(table)
    if (places[0] === place) return key
    if (places.includes(place)) return `part of ${key}`
    if (name === 's' || name === 'z') return this.#random.chance(0.2) ? null : `${LARGE}${++this.#written}`
    return name === 'x' && this.#random.chance(0.5) ? missing : `${++this.#written}`
  }

  #tableOf(table: number): WorldTable {
    return this.tables[table] as WorldTable
  }
}

function columns(...names: readonly string[]): WorldTable['columns'] {
  return names.map((name) => ({ name, missing: null }))
}
