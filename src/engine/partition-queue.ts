// Which partition is next, for workers of this process and beside other processes that load the same pipeline. A partition is
// pending (nobody has it, as far as is known), elsewhere (another run has it), or gone from here (loaded, failed, committed by others).

import type { PartitionTarget, PartitionWriter } from '../contract/target.ts'
import type { Claim, LedgerRow } from '../core/ledger.ts'
import type { PlannedPartition } from '../core/partition-plan.ts'
import type { RunTime } from './run-time.ts'

export interface Claimed {
  readonly claim: Claim
  readonly planned: PlannedPartition
}

/** One is asked for at a time, so that the largest come first; more where other runs have taken them meanwhile. */
const MOST_CANDIDATES = 16

export class PartitionQueue {
  readonly #pipeline: string
  readonly #runId: string
  readonly #target: PartitionTarget
  readonly #time: RunTime
  #width = 1
  readonly #planned = new Map<string, PlannedPartition>()
  readonly #pending: string[]
  readonly #elsewhere = new Set<string>()
  /** Asked for by a worker at this moment. */
  readonly #asked = new Set<string>()
  /** Being loaded by a worker of this process, by its attempt. */
  readonly #held = new Map<string, number>()
  /** Given back, not before this moment. */
  readonly #later = new Map<string, number>()
  /** Keys that another run committed, or failed on. */
  readonly othersCommitted: string[] = []
  /** What this run committed without hearing of it. */
  readonly unheard: { claimed: Claimed; row: LedgerRow }[] = []
  readonly othersFailed: { key: string; error: string }[] = []

  constructor(pipeline: string, runId: string, target: PartitionTarget, loads: readonly PlannedPartition[], time: RunTime) {
    this.#pipeline = pipeline
    this.#runId = runId
    this.#target = target
    this.#time = time
    for (const one of loads) this.#planned.set(one.partition.key, one)
    this.#pending = loads.map(({ partition }) => partition.key)
  }

  /** How many other runs have. */
  get elsewhere(): number {
    return this.#elsewhere.size
  }

  /** Nothing is left that this process could ever get. */
  get isEmpty(): boolean {
    return this.#pending.length === 0 && this.#elsewhere.size === 0 && this.#asked.size === 0 && this.#later.size === 0
  }

  /** null where nothing is free at the moment. */
  async claim(writer: PartitionWriter): Promise<Claimed | null> {
    this.#wake()
    while (this.#pending.length > 0) {
      const keys = this.#pending.splice(0, this.#width)
      for (const key of keys) this.#asked.add(key)
      let claim: Claim | null = null
      try {
        claim = await writer.claim(this.#pipeline, this.#runId, keys)
      } catch (error) {
        this.#pending.unshift(...keys)
        throw error
      } finally {
        for (const key of keys) this.#asked.delete(key)
      }
      if (claim === null) {
        for (const key of keys) this.#elsewhere.add(key)
        this.#width = Math.min(this.#width * 2, MOST_CANDIDATES)
      } else {
        const at = keys.indexOf(claim.key)
        if (at === 0) this.#width = 1
        // Those before it were asked first and are not free.
        for (const key of keys.slice(0, at)) this.#elsewhere.add(key)
        this.#pending.unshift(...keys.slice(at + 1))
        const planned = this.#planned.get(claim.key)
        this.#held.set(claim.key, claim.attempt)
        if (planned !== undefined) return { claim, planned }
      }
    }
    return null
  }

  /** Its worker is done with it, one way or the other. */
  release({ key, attempt }: Claim): void {
    if (this.#held.get(key) === attempt) this.#held.delete(key)
  }

  /** To be tried again, after a pause. */
  giveBack(key: string, seconds: number): void {
    this.#later.set(key, this.#time.now() + seconds)
  }

  /** Another run has it. */
  lost(key: string): void {
    this.#elsewhere.add(key)
  }

  #wake(): void {
    for (const [key, when] of this.#later)
      if (this.#time.now() >= when) {
        this.#later.delete(key)
        this.#pending.unshift(key)
      }
  }

  /** Looks at what other runs have: done, free again, or still theirs. */
  async lookAround(): Promise<void> {
    // Workers of one process never take a partition from each other, even when its lease is over.
    const keys = [...this.#elsewhere].filter((key) => !this.#held.has(key))
    if (keys.length === 0) return
    const rows = new Map((await this.#target.readLedger(this.#pipeline, { keys })).map((row) => [row.key, row]))
    for (const key of keys) {
      const row = rows.get(key)
      if (row !== undefined && row.status === 'running' && !row.abandoned) continue
      this.#elsewhere.delete(key)
      const planned = this.#planned.get(key)
      if (row?.status === 'committed' && row.runId === this.#runId && planned !== undefined)
        this.unheard.push({ claimed: { claim: { pipeline: this.#pipeline, runId: row.runId, key, attempt: row.attempt }, planned }, row })
      else if (row?.status === 'committed') this.othersCommitted.push(key)
      else if (row?.status === 'failed') this.othersFailed.push({ key, error: row.error ?? '' })
      else if (row !== undefined) this.#pending.push(key)
    }
  }
}
