// Looks at the target after each of its commits, as a reader might: the tables that are followed are what the source was at the stored
// position, all of them together; and the source has been allowed to forget nothing that lies behind it.

import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import { DELETED_AT, LACKS, OP, OP_WORDS, ORDINAL, POSITION, READ_WORD } from '../../src/core/change-marks.ts'
import { TRUNCATE } from '../../src/core/changes-chunk.ts'
import { type ChangeWrite, followedTables } from '../../src/core/pipeline.ts'
import { describeTable, numberOf } from './logged-source.ts'
import type { Cell, LoggedChange, LoggedWorld, WorldTable } from './logged-world.ts'
import { BrokenPromise, lookAfterCommits } from './look-after-commits.ts'

type Found = Readonly<Record<string, string | bigint | null>>

export class ChangesWatch {
  readonly #world: LoggedWorld
  readonly #target: MemoryTarget
  readonly #write: ChangeWrite
  /** Of each table that is followed, where its copy was taken. */
  #copied = new Map<string, number>()
  #seen: MemoryTarget['contents']
  /** Throws what is wrong now, or was before. */
  readonly look: () => void

  constructor(world: LoggedWorld, target: MemoryTarget, write: ChangeWrite) {
    this.#world = world
    this.#target = target
    this.#write = write
    this.#seen = target.contents
    this.look = lookAfterCommits(target, () => this.#look())
  }

  #look(): void {
    const { contents } = this.#target
    const { slot, isLost } = this.#world
    const state = contents.states.get('shop') ?? null
    const position = state?.position.kind === 'log' ? numberOf(state.position) : null
    if (position !== null && slot !== null && !isLost && slot.confirmed > position)
      throw new BrokenPromise(`the source may forget everything before ${slot.confirmed}, and the target has ${position}`)
    if (contents === this.#seen) return
    this.#seen = contents
    const followed = followedTables(state, this.#world.tables.map(describeTable)).map(({ name }) => name.name)
    this.#copied = new Map(followed.map((name) => [name, this.#copied.get(name) ?? position ?? 0]))
    for (const name of followed) this.#check(name, position ?? 0)
  }

  #check(name: string, position: number): void {
    const number = this.#world.tables.findIndex((table) => table.name === name)
    const table = this.#world.tables[number] as WorldTable
    const rows = this.#rowsOf(table)
    const broken = (what: string): BrokenPromise => new BrokenPromise(`table ${name} at ${position}: ${what}`)
    if (this.#write === 'append') {
      const copied = this.#copied.get(name) ?? 0
      const copy = difference(
        this.#rowsAt(number, copied),
        printAll(
          table,
          rows.filter((row) => row[OP] === READ_WORD),
        ),
      )
      if (copy !== null) throw broken(`its copy: ${copy}`)
      const logged = difference(
        this.#changesOf(number, copied, position),
        printChanges(
          table,
          rows.filter((row) => row[OP] !== READ_WORD),
        ),
      )
      if (logged !== null) throw broken(`its changes: ${logged}`)
      const places = rows.filter((row) => row[OP] !== READ_WORD).map((row) => `${row[POSITION]} ${row[ORDINAL]}`)
      if (new Set(places).size !== places.length) throw broken('two changes stand at one place')
      return
    }
    const live = rows.filter((row) => (row[DELETED_AT] ?? null) === null)
    const differs = difference(this.#rowsAt(number, position), printAll(table, live))
    if (differs !== null) throw broken(differs)
    const keys = rows.map((row) => JSON.stringify(table.key.map((place) => row[table.columns[place]?.name ?? ''])))
    if (new Set(keys).size !== keys.length) throw broken('a key stands twice')
  }

  /** A column that came without a change comes over with the next one; until then every row has its default. */
  #rowsOf({ name, columns }: WorldTable): readonly Found[] {
    const found = this.#target.contents.tables.get(name)?.table.columns ?? []
    const expected = Object.fromEntries(columns.map(({ name: column, missing }) => [column, missing]))
    return this.#target
      .rows(name)
      .map((cells) => ({ ...expected, ...Object.fromEntries(found.map((column, place) => [column.name, cells[place] ?? null])) }))
  }

  #rowsAt(number: number, position: number): readonly string[] {
    const { columns } = this.#world.tables[number] as WorldTable
    const rows = [...(this.#world.contentsAt(position)[number]?.values() ?? [])]
    return rows.map((row) => print(columns.map(({ missing }, place) => (place < row.length ? (row[place] ?? null) : missing)))).sort()
  }

  #changesOf(number: number, after: number, upTo: number): readonly string[] {
    const table = this.#world.tables[number] as WorldTable
    return this.#world.log
      .filter(({ end }) => end > after && end <= upTo)
      .flatMap(({ end, changes }) => changes.map((change) => ({ end, change })))
      .filter(({ change }) => change.table === number)
      .map(({ end, change }) => printLogged(table, change, end))
  }
}

const print = (cells: readonly (Cell | bigint)[]): string => cells.map((value) => value ?? 'NULL').join(', ')

function printAll({ columns }: WorldTable, rows: readonly Found[]): readonly string[] {
  return rows.map((row) => print(columns.map(({ name }) => row[name] ?? null))).sort()
}

/** As the source has logged it. */
function printLogged({ columns }: WorldTable, { op, row, old }: LoggedChange, end: number): string {
  const cells = row ?? old
  const values = columns.map(({ missing }, place) => (cells === null ? null : place < cells.length ? (cells[place] ?? null) : missing))
  const lacks = row === null ? [] : columns.flatMap(({ name }, place) => (place < row.length && row[place] === undefined ? [name] : []))
  return print(
    [end, OP_WORDS[op], ...(op === TRUNCATE ? [] : values), lacks.join(', ')].map((part) => (part === null ? null : String(part))),
  )
}

/** As the target has it, in the order of the log. */
function printChanges({ columns }: WorldTable, rows: readonly Found[]): readonly string[] {
  const order = (row: Found): readonly [number, bigint] => [Number(row[POSITION]), BigInt(row[ORDINAL] ?? 0)]
  const sorted = [...rows].sort((a, b) => {
    const [[x, m], [y, n]] = [order(a), order(b)]
    return x - y || (m < n ? -1 : 1)
  })
  return sorted.map((row) =>
    print([
      row[POSITION] ?? null,
      row[OP] ?? null,
      ...(row[OP] === OP_WORDS[TRUNCATE] ? [] : columns.map(({ name }) => row[name] ?? null)),
      row[LACKS] ?? '',
    ]),
  )
}

/** The first thing that differs; null where nothing does. */
function difference(wanted: readonly string[], found: readonly string[]): string | null {
  const at = wanted.findIndex((row, place) => row !== found[place])
  if (at < 0 && wanted.length === found.length) return null
  const place = at < 0 ? wanted.length : at
  return `${wanted.length} wanted, ${found.length} found; wanted ${wanted[place] ?? 'no more'}, found ${found[place] ?? 'no more'}`
}
