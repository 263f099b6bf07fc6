// The source of a pipeline in partitions: writers whose rows come, change, go, and move from one partition to another; and what each
// partition held at every moment of the past.

import { MemoryDatabase, type MemoryTable, type Value, valueAt } from '../../src/connectors/memory/database.ts'
import { Transaction } from '../../src/connectors/memory/transaction.ts'
import type { DataType } from '../../src/core/data-type.ts'
import { type Contents, contentsOf } from './partition-compare.ts'
import { HOUR, type PartitionScenario } from './partition-scenario.ts'
import type { Random } from './random.ts'
import { CLOCK } from './scenario.ts'

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const MINUTE = 60_000_000n
const STEPS = [0n, 1n, MINUTE, 20n * MINUTE, 45n * MINUTE]

export class PartitionWorld {
  readonly database = new MemoryDatabase()
  readonly table: MemoryTable
  /** What was committed, after every commit; the last one holds now. */
  readonly moments: Contents[] = []
  readonly #random: Random
  readonly #scenario: PartitionScenario
  readonly #open: Transaction[] = []
  #written = 0
  #last = ''

  constructor(random: Random, scenario: PartitionScenario) {
    this.#random = random
    this.#scenario = scenario
    this.database.clock = CLOCK
    const { kind } = scenario.pipeline.by
    const type: DataType =
      kind === 'time' ? { kind: 'timestamp', zoned: true } : kind === 'list' ? { kind: 'text' } : { kind: 'integer', bits: 64 }
    const columns = [
      { name: 'id', type: { kind: 'text' } as const },
      { name: 'at', type },
      { name: 'v', type: { kind: 'text' } as const },
    ]
    this.table = this.database.createTable('orders', columns, scenario.keyed ? ['id'] : [])
    this.#remember()
  }

  /** One thing that happens in the source. */
  act(): void {
    const random = this.#random
    this.database.clock += random.of(STEPS)
    if (this.#open.length === 0 || (this.#open.length < 3 && random.chance(0.25))) this.#open.push(new Transaction(this.database))
    else if (random.chance(0.4)) this.#end()
    else this.#write(random.of(this.#open))
  }

  #end(): void {
    const [transaction] = this.#open.splice(this.#random.below(this.#open.length), 1)
    if (transaction === undefined) return
    if (transaction.state === 'open' && this.#random.chance(0.1)) {
      transaction.prepare()
      this.#open.push(transaction)
    } else if (this.#random.chance(0.15)) transaction.rollback()
    else transaction.commit()
    this.#remember()
  }

  #write(transaction: Transaction): void {
    if (transaction.state !== 'open') return
    const random = this.#random
    const { orderly, removes, keyed } = this.#scenario
    const v = `v${++this.#written}`
    if (orderly) {
      transaction.insert(this.table, { id: keyed ? `k${this.#written}` : random.of(KEYS), at: this.#value(transaction), v })
      return
    }
    const id = random.of(KEYS)
    const chance = random.next()
    if (!keyed || chance < 0.45) transaction.insert(this.table, { id, at: this.#value(transaction), v: keyed ? v : random.of(['x', 'y']) })
    else if (chance < 0.55 && removes) transaction.remove(this.table, { id })
    else if (chance < 0.75) transaction.update(this.table, { id }, { at: this.#value(transaction) })
    else transaction.update(this.table, { id }, { v })
  }

  #value(transaction: Transaction): Value {
    const random = this.#random
    const { nulls, orderly, pipeline } = this.#scenario
    if (nulls && random.chance(0.1)) return null
    switch (pipeline.by.kind) {
      case 'time':
        if (orderly) return random.chance(0.5) ? transaction.start : this.database.clock
        return this.database.clock - BigInt(random.below(5)) * HOUR
      case 'list':
        return random.of(['A', 'B', 'C', 'D'])
      case 'range':
        return BigInt(random.below(30) - 5)
      default:
        return BigInt(random.below(12))
    }
  }

  /** Rows leave without a transaction of their own being seen: a source without a key still deletes. */
  #removeSome(): void {
    const snapshot = this.database.snapshot()
    const xid = this.database.assignXid()
    for (const version of this.table.versions)
      if (this.database.isVisible(version, snapshot) && this.#random.chance(0.3)) version.xmax = xid
    this.database.endXid(xid, 'committed')
    this.#remember()
  }

  /** All writers end, and rows that no one could load are mended. */
  quiesce(): void {
    while (this.#open.length > 0) this.#end()
    const { removes, keyed, pipeline } = this.#scenario
    if (removes && !keyed && this.#random.chance(0.5)) this.#removeSome()
    if (pipeline.by.nulls === 'error') this.#mend()
    this.database.clock += 3n * HOUR
  }

  #mend(): void {
    const snapshot = this.database.snapshot()
    const xid = this.database.assignXid()
    for (const version of this.table.versions)
      if (this.database.isVisible(version, snapshot) && version.values[1] === null) version.xmax = xid
    this.database.endXid(xid, 'committed')
    this.#remember()
  }

  #remember(): void {
    const { database, table } = this
    const snapshot = database.snapshot()
    const rows = table.versions
      .filter((version) => database.isVisible(version, snapshot))
      .map((version) => [valueAt(table, version, 0), valueAt(table, version, 1), valueAt(table, version, 2)])
    const text = JSON.stringify(rows.map((row) => row.map(String)))
    if (text === this.#last) return
    this.#last = text
    this.moments.push(contentsOf(this.#scenario.pipeline.by, rows))
  }
}
