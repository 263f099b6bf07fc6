// The source's side of a history: writers whose transactions begin, write, wait and end at random, also between two looks
// of a run. Everything here is what an application does to its own database.

import { MemoryDatabase, type MemoryTable, placeOf, type Value, valueAt } from '../../src/connectors/memory/database.ts'
import { Transaction } from '../../src/connectors/memory/transaction.ts'
import type { Random } from './random.ts'
import { CLOCK, type Scenario } from './scenario.ts'

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const STEPS = [0n, 0n, 1n, 1n, 200n, 700n, 1_500n, 40_000n]

/** A row of the source as it is visible, by column. */
export type Row = Readonly<Record<string, Value>>

export class World {
  readonly database = new MemoryDatabase()
  readonly table: MemoryTable
  /** Keys that were removed, or lost their cursor, at some time: a target may keep them. */
  readonly gone = new Set<Value>()
  readonly #random: Random
  readonly #scenario: Scenario
  readonly #open: Transaction[] = []
  readonly #prepared: Transaction[] = []
  #written = 0
  #sequence = 0n
  #columns = 0

  constructor(random: Random, scenario: Scenario) {
    this.#random = random
    this.#scenario = scenario
    this.database.clock = CLOCK
    const stamp = { name: 'tx', type: { kind: 'integer', bits: 64 } } as const
    const type = scenario.cursor === 'time' ? ({ kind: 'timestamp', zoned: true } as const) : ({ kind: 'integer', bits: 64 } as const)
    const columns = [{ name: 'id', type: { kind: 'text' } } as const, { name: 'at', type }, { name: 'v', type: { kind: 'text' } } as const]
    this.table = this.database.createTable(
      'orders',
      scenario.pipeline.lateRows.kind === 'xid8' ? [...columns, stamp] : columns,
      scenario.keyed ? ['id'] : [],
    )
  }

  /** One thing that happens in the source. */
  act(): void {
    const random = this.#random
    this.#moveClock()
    if (this.#scenario.alters && random.chance(0.1)) this.#alter()
    if (this.#prepared.length > 0 && random.chance(0.15)) this.#end(this.#prepared)
    else if (this.#open.length === 0 || (this.#open.length < 3 && random.chance(0.2))) this.#open.push(new Transaction(this.database))
    else if (random.chance(0.3)) this.#end(this.#open)
    else this.#write(random.of(this.#open))
  }

  #moveClock(): void {
    const { database } = this
    if (this.#scenario.clockSteps && this.#random.chance(0.03)) database.clock -= 2_000n
    else database.clock += this.#random.of(STEPS)
  }

  #end(among: Transaction[]): void {
    const [transaction] = among.splice(this.#random.below(among.length), 1)
    if (transaction === undefined) return
    if (transaction.state === 'open' && this.#random.chance(0.15)) {
      transaction.prepare()
      this.#prepared.push(transaction)
    } else if (this.#random.chance(0.2)) transaction.rollback()
    else transaction.commit()
  }

  #write(transaction: Transaction): void {
    const random = this.#random
    const { table } = this
    const { changes, removes } = this.#scenario
    const chance = random.next()
    if (chance < 0.08) transaction.savepoint()
    else if (chance < 0.12) transaction.rollbackToSavepoint()
    else if (chance < 0.16) transaction.releaseSavepoint()
    else if (chance < 0.24 && removes) {
      const id = random.of(KEYS)
      if (transaction.remove(table, { id })) this.gone.add(id)
    } else if (chance < 0.55 && changes) this.#change(transaction)
    else
      transaction.insert(
        table,
        this.#stamped(transaction, { id: this.#key(), at: this.#cursorValue(transaction), v: this.#content(), ...this.#extra() }),
      )
  }

  #change(transaction: Transaction): void {
    const id = this.#random.of(KEYS)
    // Only where nobody trusts the cursor may a change leave it as it was.
    const untouched = this.#scenario.values === 'anyone' && this.#random.chance(0.4)
    const at = this.#cursorValue(transaction)
    const done = transaction.update(this.table, { id }, this.#stamped(transaction, { v: this.#content(), ...(untouched ? {} : { at }) }))
    if (done && at === null) this.gone.add(id)
  }

  /** What a trigger would do: the number of the transaction in a column of the row. */
  #stamped(transaction: Transaction, row: Row): Row {
    return this.#scenario.pipeline.lateRows.kind === 'xid8' ? { ...row, tx: BigInt(transaction.topXid()) } : row
  }

  #key(): Value {
    return this.#scenario.nullKeys && this.#random.chance(0.05) ? null : this.#random.of(KEYS)
  }

  #content(): string {
    return `v${++this.#written}`
  }

  #extra(): Row {
    return this.#columns > 0 && this.#random.chance(0.6)
      ? { [`x${this.#columns}`]: `own ${this.#written}` }
      : this.#columns > 0
        ? { [`x${this.#columns}`]: `default ${this.#columns}` }
        : {}
  }

  #cursorValue(transaction: Transaction): Value {
    const random = this.#random
    const { values, nullCursors, cursor } = this.#scenario
    if (nullCursors && random.chance(0.06)) return null
    if (values === 'sequence') return ++this.#sequence
    if (cursor === 'number') return BigInt(random.below(30))
    // A row may be dated in the future: it waits, and is not to be forgotten.
    if (random.chance(0.04)) return this.database.clock + BigInt(random.below(5_000))
    if (values === 'anyone') return this.database.clock + BigInt(random.below(4_000) - 3_000)
    return values === 'start' ? transaction.start : this.database.clock
  }

  /** ALTER TABLE … ADD COLUMN … DEFAULT, where no writer is in its way. */
  #alter(): void {
    if (!this.database.isFree(this.table) || this.#columns === 2) return
    this.#columns += 1
    this.database.addColumn(this.table, { name: `x${this.#columns}`, type: { kind: 'text' }, missing: `default ${this.#columns}` })
  }

  /** All writers end, rows that no one could load are mended, and time passes. */
  quiesce(): void {
    while (this.#open.length > 0) this.#end(this.#open)
    while (this.#prepared.length > 0) this.#end(this.#prepared)
    this.#mend()
    this.pass(2_000_000_000n)
  }

  pass(micros: bigint): void {
    this.database.clock += micros
  }

  #mend(): void {
    const { pipeline } = this.#scenario
    const spoilt = this.rows().filter((row) => row['id'] === null || (row['at'] === null && pipeline.nullCursor === 'error'))
    if (spoilt.length === 0) return
    if (this.#scenario.keyed) {
      const mending = new Transaction(this.database)
      for (const { id } of spoilt)
        mending.update(
          this.table,
          { id: id ?? null },
          this.#stamped(mending, { at: this.#scenario.cursor === 'time' ? mending.start : ++this.#sequence }),
        )
      mending.commit()
      return
    }
    const snapshot = this.database.snapshot()
    const deleting = this.database.assignXid()
    for (const version of this.table.versions) {
      const [id, at] = version.values
      if (this.database.isVisible(version, snapshot) && (id === null || (at === null && pipeline.nullCursor === 'error')))
        version.xmax = deleting
    }
    this.database.endXid(deleting, 'committed')
  }

  /** What is committed now, with the transaction that made it. */
  rows(): readonly (Row & { readonly xmin: bigint })[] {
    const { database, table } = this
    const snapshot = database.snapshot()
    const names = this.columns()
    return table.versions.flatMap((version) => {
      if (!database.isVisible(version, snapshot)) return []
      return [
        { ...Object.fromEntries(names.map((name) => [name, valueAt(table, version, placeOf(table, name))])), xmin: BigInt(version.xmin) },
      ]
    })
  }

  columns(): readonly string[] {
    return this.table.columns.flatMap(({ name, dropped }) => (dropped ? [] : [name]))
  }
}
