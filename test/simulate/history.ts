// One random history: writers, runs, and everything that goes wrong with them; then silence, and the question whether the
// target is what the source says. All of it follows from the seed.

import type { MemoryDatabase, Value } from '../../src/connectors/memory/database.ts'
import { MemorySource, type MemorySourceOptions } from '../../src/connectors/memory/source.ts'
import { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { Target } from '../../src/contract/target.ts'
import type { PipelineResult } from '../../src/core/event.ts'
import { ORDINARY_RUN, type RunRequest } from '../../src/core/head.ts'
import type { WatermarkPipeline } from '../../src/core/pipeline.ts'
import { plan } from '../../src/core/plan.ts'
import { observe } from '../../src/engine/observe.ts'
import { runPipeline } from '../../src/engine/run.ts'
import { findDifference, findUnbacked } from './compare.ts'
import { CrashError, type Faults, troubledSource, troubledTarget } from './faults.ts'
import { Random } from './random.ts'
import { type Family, makeScenario, type Scenario } from './scenario.ts'
import { Schedule } from './schedule.ts'
import { World } from './world.ts'

/** A known mistake, put back: the suite must notice. */
export interface Bug {
  readonly name: string
  readonly source?: (database: MemoryDatabase, options: MemorySourceOptions) => MemorySource
  readonly target?: (target: MemoryTarget, act: () => void) => Target
}

/** Thrown where a history shows that a promise was broken. */
class BrokenPromise extends Error {}

interface RunOptions {
  readonly request?: Partial<RunRequest>
  readonly faults?: Partial<Faults>
  /** At which call of `reach` the process dies, or is asked to stop. */
  readonly dieAt?: number
  readonly stopAt?: number
  readonly pipeline?: WatermarkPipeline
}

const EXPECTED_ERRORS = [
  'state-conflict',
  'connection-lost',
  'null-cursor',
  'null-key',
  'try-again',
  'stopped',
  'late-rows-unsafe',
  'bad-usage',
]

class History {
  readonly #random: Random
  readonly #scenario: Scenario
  readonly #world: World
  readonly #target = new MemoryTarget()
  readonly #bug: Bug | null
  #quiet = false
  #runs = 0
  #seen = { rows: this.#target.rows('orders'), epoch: 0n }

  constructor(seed: number, family: Family, bug: Bug | null) {
    this.#random = new Random(seed)
    this.#scenario = makeScenario(this.#random, family)
    this.#world = new World(this.#random, this.#scenario)
    this.#bug = bug
    this.#world.database.interrupt = () => this.#interrupt()
  }

  /** Throws `BrokenPromise`. */
  async play(): Promise<void> {
    const random = this.#random
    const turns = 2 + random.below(4)
    const zombies: Promise<unknown>[] = []
    let wake = (): void => {}
    for (let turn = 0; turn < turns; turn++) {
      for (let acts = random.below(12); acts > 0; acts--) this.#world.act()
      if (zombies.length === 0 && random.chance(0.08)) {
        const frozen = new Promise<void>((resolve) => {
          wake = resolve
        })
        const zombie = this.#run({ faults: { frozen } })
        // What it breaks is reported where it is awaited.
        zombie.catch(() => {})
        zombies.push(zombie)
      } else await this.#trouble()
      this.#checkClaims()
    }
    const early = random.chance(0.5)
    if (early) wake()
    if (early) await Promise.all(zombies)
    this.#world.quiesce()
    this.#quiet = random.chance(0.9)
    wake()
    await Promise.all(zombies)
    await this.#settle()
  }

  /** What happens between two looks: others write, someone reads the target. */
  #interrupt(): void {
    this.#look()
    if (this.#quiet || !this.#random.chance(0.12)) return
    for (let acts = this.#random.of([1, 1, 2, 3, 15]); acts > 0; acts--) this.#world.act()
  }

  /** Rows may change only together with their position. */
  #look(): void {
    const now = { rows: this.#target.rows('orders'), epoch: this.#target.contents.states.get('orders')?.epoch ?? 0n }
    if (now.rows !== this.#seen.rows && now.epoch === this.#seen.epoch) throw new BrokenPromise('rows changed without their position')
    this.#seen = now
  }

  async #trouble(): Promise<void> {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.3) await this.#run({ dieAt: 1 + random.below(14) })
    else if (chance < 0.35) await this.#run({ stopAt: 1 + random.below(14) })
    else if (chance < 0.5) await this.#run({ faults: { loseAnswer: () => (random.chance(0.6) ? random.of(['before', 'after']) : 'no') } })
    else if (chance < 0.65) await this.#rivals()
    else if (chance < 0.68) await this.#changedDefinition()
    else await this.#plainRun(this.#request())
  }

  /** A reload leaves alone what lies outside of it, whatever the write strategy. */
  async #plainRun(request: Partial<RunRequest>): Promise<void> {
    const before = this.#target.rows('orders')
    await this.#run({ request })
    if (request.from == null) return
    const { from, to = null } = request
    const isOutside = (at: Value): boolean =>
      at !== null && ((at as bigint) < BigInt(from) || (to !== null && (at as bigint) >= BigInt(to)))
    const kept = new Set(this.#target.rows('orders').map((row) => row[0]))
    if (before.some((row) => isOutside(row[1] ?? null) && !kept.has(row[0] ?? null)))
      throw new BrokenPromise('a reload took rows away outside of it')
  }

  #request(): Partial<RunRequest> {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.06) return { fullRefresh: true }
    if (chance < 0.2) return { maxSlices: 1 }
    if (chance < 0.25) return { sweep: true }
    if (chance < 0.35) return this.#reload()
    return {}
  }

  /** Sometimes nonsense is asked for as well, which must be refused. */
  #reload(): Partial<RunRequest> {
    const { cursor } = this.#scenario
    const around = cursor === 'time' ? this.#world.database.clock - BigInt(this.#random.below(4_000)) : BigInt(this.#random.below(20))
    const to = this.#random.chance(0.5) ? null : String(around + BigInt(this.#random.below(3_000)))
    return { from: String(around), to, fullRefresh: this.#random.chance(0.1) }
  }

  async #rivals(): Promise<void> {
    const random = this.#random
    const schedule = new Schedule(random)
    const dieAt = random.chance(0.3) ? 1 + random.below(14) : 0
    await schedule.together([(turn) => this.#run({ faults: { turn } }), (turn) => this.#run({ faults: { turn }, dieAt })])
  }

  async #changedDefinition(): Promise<void> {
    const before = this.#target.contents
    const isUnmoved = (): boolean => {
      const { tables, history } = this.#target.contents
      return tables === before.tables && history === before.history
    }
    const { error } = await this.#run({ pipeline: { ...this.#scenario.pipeline, cursorTimeZone: 'Europe/Berlin' } }, true)
    // A frozen run may still count itself as one that found nothing.
    if (before.states.size > 0 && (error?.code !== 'definition-changed' || !isUnmoved()))
      throw new BrokenPromise('a changed definition went through')
  }

  async #run(options: RunOptions, harmless = false): Promise<PipelineResult> {
    const { request = {}, faults = {}, dieAt = 0, stopAt = 0, pipeline = this.#scenario.pipeline } = options
    const stop = new AbortController()
    let reached = 0
    let dead = false
    const reach = (): void => {
      reached += 1
      if (reached === stopAt) stop.abort()
      if (reached !== dieAt) return
      dead = true
      throw new CrashError('died')
    }
    const troubles: Faults = { turn: async () => this.#interrupt(), frozen: null, loseAnswer: () => 'no', ...faults }
    const result = await runPipeline(
      harmless && this.#target.contents.states.size === 0 ? this.#scenario.pipeline : pipeline,
      {
        source: troubledSource(this.#makeSource(), troubles),
        target: troubledTarget(this.#makeTarget(), troubles),
        signal: stop.signal,
        emit: () => {},
        runId: `run ${++this.#runs}`,
        reach,
        settings: {
          chunkBytes: this.#quiet ? 4_000 : 100,
          sliceRows: this.#scenario.sliceRows,
          pieceBytes: 1000,
          retries: 2,
          retrySeconds: 0,
        },
      },
      { ...ORDINARY_RUN, ...request },
    )
    this.#look()
    this.#checkResult(result, dead, harmless)
    return result
  }

  #makeSource(): MemorySource {
    const { seesSessions, marginMicros } = this.#scenario
    const make = this.#bug?.source ?? ((database, options) => new MemorySource(database, options))
    return make(this.#world.database, { seesSessions, marginMicros })
  }

  #makeTarget(): Target {
    return this.#bug?.target?.(this.#target, () => this.#interrupt()) ?? this.#target
  }

  #checkResult({ error, rows, epoch, status }: PipelineResult, dead: boolean, harmless: boolean): void {
    if (error !== null && !dead && !EXPECTED_ERRORS.includes(error.code) && !(harmless && error.code === 'definition-changed'))
      throw new BrokenPromise(`${error.code}: ${error.message}`)
    const sum = rows.inserted + rows.updated + rows.unchanged + rows.deduplicated + rows.quarantined
    if (sum !== rows.read) throw new BrokenPromise(`${rows.read} rows read, ${sum} accounted for`)
    if (status === 'loaded' && BigInt(epoch) > (this.#target.contents.states.get('orders')?.epoch ?? 0n))
      throw new BrokenPromise('a load was reported that never happened')
  }

  #checkClaims(): void {
    const unbacked = findUnbacked(this.#world, this.#scenario, this.#target)
    if (unbacked !== null) throw new BrokenPromise(unbacked)
  }

  /** With no one writing, a few runs bring everything over; then there is nothing more to do, and doing it changes nothing. */
  async #settle(): Promise<void> {
    for (let runs = 0; runs < 4; runs++) {
      await this.#run({})
      if (!this.#quiet) this.#world.quiesce()
      this.#quiet = true
      this.#world.pass(1_000_000n)
      if (runs > 1 && (await this.#isDone())) break
    }
    const rows = this.#target.rows('orders')
    if (!(await this.#isDone())) throw new BrokenPromise('the plan does not come to an end')
    const { rows: counts } = await this.#run({})
    if (this.#target.rows('orders') !== rows || counts.inserted + counts.updated + counts.deleted > 0)
      throw new BrokenPromise('running again changed rows')
    this.#checkClaims()
    const difference = findDifference(this.#world, this.#scenario, this.#target)
    if (difference !== null) throw new BrokenPromise(difference)
  }

  /** A replacing pipeline, and one that includes rows without a cursor, read them every time. */
  async #isDone(): Promise<boolean> {
    const { pipeline } = this.#scenario
    const seen = await observe(pipeline, this.#makeSource(), this.#target, ORDINARY_RUN, 1000)
    return plan(seen).steps.length === 0 || pipeline.write === 'replace' || seen.head.nullCursors > 0
  }
}

/** Plays a history; what went wrong, in words, or null. */
export async function simulate(seed: number, family: Family, bug: Bug | null = null): Promise<string | null> {
  try {
    await new History(seed, family, bug).play()
    return null
  } catch (error) {
    if (error instanceof BrokenPromise) return error.message
    throw error
  }
}
