// One random history of a pipeline in partitions: writers, runs side by side, crashes, frozen processes, lost answers, and leases
// that end; then silence, and the question whether the target is what the source says. All of it follows from the seed.

import { MemorySource } from '../../src/connectors/memory/source.ts'
import { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { Source } from '../../src/contract/source.ts'
import type { Target } from '../../src/contract/target.ts'
import type { PipelineResult, RunEvent } from '../../src/core/event.ts'
import { ORDINARY_RUN, type RunRequest } from '../../src/core/head.ts'
import type { PartitionPlan } from '../../src/core/partition-plan.ts'
import type { PartitionPipeline } from '../../src/core/pipeline.ts'
import { runPipeline } from '../../src/engine/run.ts'
import type { RunTime } from '../../src/engine/run-time.ts'
import { BrokenPromise } from './look-after-commits.ts'
import { type Contents, contentsOf, findPartitionDifference, isWanted } from './partition-compare.ts'
import { Process, type ProcessFaults, partitionSource, partitionTarget } from './partition-faults.ts'
import { HOUR, makePartitionScenario, type PartitionScenario } from './partition-scenario.ts'
import { PartitionWatch } from './partition-watch.ts'
import { PartitionWorld } from './partition-world.ts'
import { Random } from './random.ts'
import { Schedule } from './schedule.ts'

/** A known mistake, put back between the engine and what it works with. */
export interface PartitionBug {
  readonly name: string
  /** Where it is rare: the seeds that are played begin here. A changed generator makes another one necessary. */
  readonly from?: number
  readonly source?: (source: MemorySource) => Source
  readonly target?: (target: MemoryTarget, act: () => void) => Target
}

interface RunOptions {
  readonly request?: Partial<RunRequest>
  readonly faults?: Partial<ProcessFaults>
  readonly stopAt?: number
  readonly pipeline?: PartitionPipeline
}

const NEVER = Number.POSITIVE_INFINITY
const EXPECTED_ERRORS = [
  'state-conflict',
  'connection-lost',
  'null-partition',
  'try-again',
  'stopped',
  'unknown-partition',
  'partitions-failed',
  'duplicate-key',
  'bad-usage',
  'strategy-unsupported',
]

class PartitionHistory {
  readonly #random: Random
  readonly #scenario: PartitionScenario
  readonly #world: PartitionWorld
  readonly #target = new MemoryTarget()
  readonly #watch: PartitionWatch
  readonly #bug: PartitionBug | null
  #pipeline: PartitionPipeline
  #quiet = false
  #runs = 0
  #renewals = new Map<Process, () => void>()
  readonly #zombies: Promise<unknown>[] = []

  constructor(seed: number, bug: PartitionBug | null) {
    this.#random = new Random(seed)
    this.#scenario = makePartitionScenario(this.#random)
    this.#pipeline = this.#scenario.pipeline
    this.#world = new PartitionWorld(this.#random, this.#scenario)
    this.#watch = new PartitionWatch(this.#scenario, this.#world, this.#target)
    this.#bug = bug
    this.#world.database.interrupt = () => this.#interrupt()
  }

  /** Throws `BrokenPromise`. */
  async play(): Promise<void> {
    const random = this.#random
    const turns = 2 + random.below(4)
    let wake = (): void => {}
    for (let turn = 0; turn < turns; turn++) {
      for (let acts = random.below(14); acts > 0; acts--) this.#world.act()
      this.#moveRange()
      if (this.#zombies.length === 0 && random.chance(0.15)) {
        const frozen = new Promise<void>((resolve) => {
          wake = resolve
        })
        const zombie = this.#run({ faults: { frozen, freezeAt: 5 + random.below(40) } })
        // What it breaks is reported where it is awaited.
        zombie.catch(() => {})
        this.#zombies.push(zombie)
        await Promise.race([zombie, this.#whenFrozen()])
      } else await this.#trouble()
    }
    const early = random.chance(0.5)
    if (early) wake()
    if (early) await Promise.all(this.#zombies)
    this.#world.quiesce()
    this.#quiet = random.chance(0.8)
    wake()
    await Promise.all(this.#zombies)
    await this.#settle()
  }

  /** All that a process does before it is frozen takes no time. */
  async #whenFrozen(): Promise<void> {
    for (let step = 0; step < 400; step++) await Promise.resolve()
  }

  #moveRange(): void {
    const { by } = this.#pipeline
    if (!this.#scenario.moves || by.kind !== 'time' || by.first === null || !this.#random.chance(0.3)) return
    const hours = HOUR * BigInt(this.#random.below(3) - 1)
    const last = by.last === null ? null : String(BigInt(by.last) + HOUR * BigInt(this.#random.below(3)))
    this.#pipeline = { ...this.#pipeline, by: { ...by, first: String(BigInt(by.first) + hours), last } }
  }

  /** What happens between two looks: others write, someone reads the target, the target's clock jumps. */
  #interrupt(): void {
    this.#watch.look()
    if (this.#quiet) return
    if (this.#random.chance(0.01)) this.#target.clock += 11_000_000n
    if (!this.#random.chance(0.12)) return
    for (let acts = this.#random.of([1, 1, 2, 3, 15]); acts > 0; acts--) this.#world.act()
  }

  async #trouble(): Promise<void> {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.2) await this.#run({ faults: { dieAt: 1 + random.below(60) } })
    else if (chance < 0.24) await this.#run({ stopAt: 1 + random.below(14) })
    else if (chance < 0.38) await this.#run({ faults: { loseAnswer: this.#losing(0.15) }, request: this.#request() })
    else if (chance < 0.72) await this.#rivals()
    else if (chance < 0.85) await this.#wholeRun()
    else await this.#run({ request: this.#request() })
  }

  #losing(share: number): ProcessFaults['loseAnswer'] {
    return () => (this.#random.chance(share) ? this.#random.of(['before', 'after']) : 'no')
  }

  #request(): Partial<RunRequest> {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.12) return { fullRefresh: true }
    if (chance < 0.2) return { maxSlices: 1 }
    if (chance < 0.3) return { retryOnly: true }
    if (chance < 0.5) {
      const keys = [...(this.#target.contents.ledgers.get('orders')?.keys() ?? [])]
      return keys.length === 0 ? {} : { partitions: [random.of(keys)] }
    }
    if (chance < 0.6) return this.#reload()
    return {}
  }

  #reload(): Partial<RunRequest> {
    const { kind } = this.#pipeline.by
    const from = kind === 'time' ? this.#world.database.clock - BigInt(this.#random.below(5)) * HOUR : BigInt(this.#random.below(20))
    const to = from + (kind === 'time' ? 2n * HOUR : 10n)
    return { from: String(from), to: this.#random.chance(0.5) ? String(to) : null }
  }

  async #rivals(): Promise<void> {
    const random = this.#random
    const schedule = new Schedule(random)
    const one = (turn: () => Promise<void>) => {
      const faults = {
        turn: async () => {
          await turn()
          this.#interrupt()
        },
        dieAt: random.chance(0.25) ? 1 + random.below(60) : NEVER,
        loseAnswer: this.#losing(random.chance(0.2) ? 0.1 : 0),
      }
      return this.#run({ faults, request: random.chance(0.4) ? this.#request() : {} })
    }
    await schedule.together(random.chance(0.4) ? [one, one, one] : [one, one])
  }

  /** Everything is loaded in one snapshot while others write: the target is what the source was at one moment. */
  async #wholeRun(): Promise<void> {
    const replaces = this.#pipeline.write === 'overwrite-partition'
    const alone = this.#zombies.length === 0 && replaces && this.#pipeline.consistency === 'run'
    const from = this.#world.moments.length - 1
    const pipeline: PartitionPipeline = { ...this.#pipeline, detect: replaces ? 'all' : 'none', maxShrink: null }
    const { error, plans } = await this.#run({ pipeline })
    if (!alone || error !== null || plans.length !== 1) return
    const found = contentsOf(pipeline.by, this.#target.rows('orders'))
    const isOf = (moment: number): boolean =>
      findPartitionDifference(pipeline.by, this.#world.moments[moment] ?? new Map(), found, false) === null
    for (let moment = from; moment < this.#world.moments.length; moment++) if (isOf(moment)) return
    throw new BrokenPromise('a run in one snapshot left something that the source never was')
  }

  async #run(options: RunOptions): Promise<PipelineResult & { readonly plans: readonly PartitionPlan[] }> {
    const { request = {}, faults = {}, stopAt = 0, pipeline = this.#pipeline } = options
    const stop = new AbortController()
    const plans: PartitionPlan[] = []
    let reached = 0
    const process = new Process({
      turn: async () => this.#interrupt(),
      freezeAt: NEVER,
      frozen: Promise.resolve(),
      dieAt: NEVER,
      loseAnswer: () => 'no',
      ...faults,
    })
    const { source = (made: MemorySource): Source => made, target = (made: MemoryTarget): Target => made } = this.#bug ?? {}
    const result = await runPipeline(
      pipeline,
      {
        source: partitionSource(source(new MemorySource(this.#world.database, { marginMicros: 0n })), process),
        target: partitionTarget(
          target(this.#target, () => this.#interrupt()),
          process,
        ),
        signal: stop.signal,
        emit: (event: RunEvent) => {
          if (event.kind === 'partitions-planned') plans.push(event.plan)
        },
        runId: `run ${++this.#runs}`,
        reach: () => {
          reached += 1
          if (reached === stopAt) stop.abort()
        },
        settings: { chunkBytes: this.#quiet ? 4_000 : 100, sliceRows: 1000, pieceBytes: 1000, retries: 2, retrySeconds: 0 },
        time: this.#timeOf(process),
      },
      { ...ORDINARY_RUN, ...request },
    )
    this.#renewals.delete(process)
    this.#watch.look()
    this.#checkResult(result, process, plans)
    return { ...result, plans }
  }

  #timeOf(process: Process): RunTime {
    return {
      now: () => Number(this.#target.clock) / 1e6,
      pause: async (seconds) => {
        const most = this.#quiet ? 1 : 5
        this.#target.clock += BigInt(Math.round(Math.max(seconds, 0.4 + this.#random.next() * most) * 1e6))
        for (const renew of this.#renewals.values()) renew()
        await process.pass().catch(() => {})
      },
      every: (_, act) => {
        this.#renewals.set(process, act)
        return () => this.#renewals.delete(process)
      },
    }
  }

  #checkResult({ error, rows }: PipelineResult, process: Process, plans: readonly PartitionPlan[]): void {
    if (process.isEndless) throw new BrokenPromise('a run does not come to an end')
    if (error !== null && !process.isDead && !EXPECTED_ERRORS.includes(error.code))
      throw new BrokenPromise(`${error.code}: ${error.message}`)
    const sum = rows.inserted + rows.updated + rows.unchanged + rows.deduplicated + rows.quarantined
    if (sum !== rows.read) throw new BrokenPromise(`${rows.read} rows read, ${sum} accounted for`)
    if (error !== null || process.isDead || this.#zombies.length > 0 || this.#renewals.size > 0) return
    const ledger = this.#target.contents.ledgers.get('orders')
    for (const { partition, seen } of plans.at(-1)?.loads ?? []) {
      const row = ledger?.get(partition.key)
      if (row !== undefined && row.status !== 'committed' && row.attempt <= (seen?.attempt ?? 0) && seen?.status !== 'running')
        throw new BrokenPromise(`partition ${partition.key} was reported as loaded, and nothing was tried`)
    }
  }

  /** With no one writing, one run brings everything over; the next has nothing to do, and doing it changes nothing. */
  async #settle(): Promise<void> {
    if (!this.#quiet) this.#world.quiesce()
    this.#quiet = true
    this.#target.clock += 20_000_000n
    const { pipeline, keeps } = this.#promised()
    const { error } = await this.#run({ pipeline })
    if (error !== null) throw new BrokenPromise(`the last run fails: ${error.message}`)
    const source = this.#world.moments.at(-1) ?? new Map()
    const found = contentsOf(pipeline.by, this.#target.rows('orders'))
    const difference = this.#isOpenEnded(source) ? null : findPartitionDifference(pipeline.by, source, found, keeps)
    if (difference !== null) throw new BrokenPromise(difference)
    this.#watch.settled(pipeline)
    const before = JSON.stringify([...found].sort())
    const again = await this.#run({ pipeline })
    if (again.error !== null) throw new BrokenPromise(`running again fails: ${again.error.message}`)
    if (JSON.stringify([...contentsOf(pipeline.by, this.#target.rows('orders'))].sort()) !== before)
      throw new BrokenPromise('running again changed rows')
    const { detect, write } = pipeline
    const reloads = detect === 'all' || write === 'merge' || write === 'delete-insert'
    if (!reloads && [...source.keys()].every((place) => isWanted(pipeline.by, place)) && again.rows.inserted > 0)
      throw new BrokenPromise('running again loaded rows')
  }

  /** Of a range with one end given, an emptied source does not show how far the other one reached: nothing is deleted. */
  #isOpenEnded(source: Contents): boolean {
    const { by } = this.#pipeline
    return by.kind === 'time' && (by.first === null) !== (by.last === null) && [...source.keys()].every((place) => !isWanted(by, place))
  }

  /** Where rows only come, each at its time, a run finds what is new by itself; else it has to compare. */
  #promised(): { readonly pipeline: PartitionPipeline; readonly keeps: boolean } {
    const { orderly } = this.#scenario
    const keeps = this.#pipeline.write === 'merge' || this.#pipeline.write === 'delete-insert'
    const detect = orderly || this.#pipeline.detect !== 'none' ? this.#pipeline.detect : 'checksum'
    return { pipeline: { ...this.#pipeline, detect, maxShrink: null }, keeps }
  }
}

/** Plays a history; what went wrong, in words, or null. */
export async function simulatePartitions(seed: number, bug: PartitionBug | null = null): Promise<string | null> {
  try {
    await new PartitionHistory(seed, bug).play()
    return null
  } catch (error) {
    if (error instanceof BrokenPromise) return error.message
    throw error
  }
}
