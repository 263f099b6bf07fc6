// Looks at the target after each of its commits, as a reader might: every partition is what the source once held, as a whole,
// and changes only together with its row of the ledger.

import type { LedgerEntry } from '../../src/connectors/memory/state-store.ts'
import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { PartitionPipeline } from '../../src/core/pipeline.ts'
import { BrokenPromise, lookAfterCommits } from './look-after-commits.ts'
import { type Contents, contentsOf, idOf, isOnceSeen, isWanted, NULLS, rowsIn, sameRows } from './partition-compare.ts'
import type { PartitionScenario } from './partition-scenario.ts'
import type { PartitionWorld } from './partition-world.ts'

export class PartitionWatch {
  readonly #scenario: PartitionScenario
  readonly #world: PartitionWorld
  readonly #target: MemoryTarget
  readonly #ever = new Set<string>()
  #moments = 0
  /** Throws what is wrong now, or was before. */
  readonly look: () => void
  #seen: { contents: MemoryTarget['contents']; rows: Contents }

  constructor(scenario: PartitionScenario, world: PartitionWorld, target: MemoryTarget) {
    this.#scenario = scenario
    this.#world = world
    this.#target = target
    this.#seen = { contents: target.contents, rows: new Map() }
    this.look = lookAfterCommits(target, () => this.#look())
  }

  #look(): void {
    const { contents } = this.#target
    const before = this.#seen
    if (contents === before.contents) return
    const { by, write } = this.#scenario.pipeline
    const rows = contentsOf(by, this.#target.rows('orders'))
    this.#seen = { contents, rows }
    if (write === 'merge' || write === 'delete-insert') {
      this.#checkMerged(rows)
      return
    }
    if ((contents.tables.get('orders')?.unique.length ?? 0) > 0) this.#checkKeys(rows)
    const byPlace = this.#ledger(contents)
    const byPlaceBefore = this.#ledger(before.contents)
    const epoch = contents.states.get('orders')?.epoch
    const finished = epoch !== before.contents.states.get('orders')?.epoch
    for (const place of new Set([...rows.keys(), ...before.rows.keys(), ...byPlace.keys()])) {
      const [now, then] = [rowsIn(rows, place), rowsIn(before.rows, place)]
      const [entry, entryThen] = [byPlace.get(place), byPlaceBefore.get(place)]
      const isCommitted = entry !== entryThen && entry?.status === 'committed'
      if (isCommitted && entry.rows !== BigInt(now.length))
        throw new BrokenPromise(`the ledger says that ${entry.rows} rows of partition ${place} are loaded, and ${now.length} are`)
      if (sameRows(now, then)) continue
      if (!isCommitted && this.#isTakenFrom(now, then, place, rows)) continue
      if (!isCommitted && !finished) throw new BrokenPromise(`rows of partition ${place} changed without its row of the ledger`)
      if (now.length > 0 && !isOnceSeen(rows, place, this.#world.moments, this.#scenario.keyed))
        throw new BrokenPromise(`partition ${place} holds what the source never held: ${now.join(', ')}`)
    }
  }

  /** Rows that moved give way where they were. */
  #isTakenFrom(now: readonly string[], then: readonly string[], place: string, rows: Contents): boolean {
    if (!this.#scenario.keyed || !now.every((row) => then.includes(row))) return false
    const elsewhere = new Set([...rows].flatMap(([other, some]) => (other === place ? [] : some.map(idOf))))
    return then.every((row) => now.includes(row) || elsewhere.has(idOf(row)))
  }

  #checkKeys(rows: Contents): void {
    const ids = [...rows.values()].flat().map(idOf)
    if (new Set(ids).size !== ids.length) throw new BrokenPromise('a key stands twice in the target')
  }

  #checkMerged(rows: Contents): void {
    this.#checkKeys(rows)
    const all = [...rows.values()].flat()
    for (; this.#moments < this.#world.moments.length; this.#moments++)
      for (const some of this.#world.moments[this.#moments]?.values() ?? []) for (const row of some) this.#ever.add(row)
    const unknown = all.find((row) => !this.#ever.has(row))
    if (unknown !== undefined) throw new BrokenPromise(`the source never held ${unknown}`)
  }

  #ledger({ ledgers }: MemoryTarget['contents']): ReadonlyMap<string, LedgerEntry> {
    return new Map([...(ledgers.get('orders')?.values() ?? [])].map((entry) => [entry.lower ?? NULLS, entry]))
  }

  /** After a run that nothing disturbed: everything that is wanted is committed, and its rows add up. */
  settled({ by, write }: PartitionPipeline): void {
    const { rows, contents } = this.#seen
    const byPlace = this.#ledger(contents)
    for (const [place, entry] of byPlace) {
      if (!isWanted(by, place)) continue
      const isSeen = rowsIn(this.#world.moments.at(-1) ?? new Map(), place).length > 0
      if (isSeen && entry.status !== 'committed') throw new BrokenPromise(`partition ${place} is ${entry.status} in the end`)
      if (write === 'overwrite-partition' && isSeen && entry.rows !== BigInt(rowsIn(rows, place).length))
        throw new BrokenPromise(`the ledger says ${entry.rows} rows of partition ${place}, and there are ${rowsIn(rows, place).length}`)
    }
    for (const [place, some] of rows)
      if (some.length > 0 && isWanted(by, place) && byPlace.get(place)?.status !== 'committed')
        throw new BrokenPromise(`rows of partition ${place} are loaded, and the ledger does not know it`)
  }
}
