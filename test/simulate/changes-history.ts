// One random history of a pipeline that follows a log: writers, runs that follow, stop, die, freeze and lose answers, rivals, tables that
// are copied again or come later; then silence, and the question whether the target is what the source says. All of it follows from the seed.

import { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { ChangeTarget, LogSource } from '../../src/contract/log.ts'
import type { Source } from '../../src/contract/source.ts'
import type { PipelineResult } from '../../src/core/event.ts'
import { ORDINARY_RUN, type RunRequest } from '../../src/core/head.ts'
import type { CdcPipeline } from '../../src/core/pipeline.ts'
import { runPipeline } from '../../src/engine/run.ts'
import type { RunTime } from '../../src/engine/run-time.ts'
import { but } from './but.ts'
import { MemoryChangeTarget } from './change-target.ts'
import { troubledLog, troubledTarget } from './changes-faults.ts'
import { ChangesWatch } from './changes-watch.ts'
import { LoggedSource, numberOf } from './logged-source.ts'
import { LoggedWorld } from './logged-world.ts'
import { BrokenPromise } from './look-after-commits.ts'
import { Process, type ProcessFaults } from './partition-faults.ts'
import { Random } from './random.ts'
import { Schedule } from './schedule.ts'

/** A known mistake, put back between the engine and what it works with. */
export interface ChangesBug {
  readonly name: string
  /** Where it is rare: the seeds that are played begin here. A changed generator makes another one necessary. */
  readonly from?: number
  readonly log?: (world: LoggedWorld, random: Random, isDead: () => boolean) => LogSource
  readonly changes?: (target: MemoryTarget, changes: MemoryChangeTarget, act: () => void) => ChangeTarget
}

interface RunOptions {
  readonly request?: Partial<RunRequest>
  readonly faults?: Partial<ProcessFaults>
  /** At which call of a process it is asked to stop. */
  readonly stopAt?: number
}

const NEVER = Number.POSITIVE_INFINITY
const EXPECTED_ERRORS = ['state-conflict', 'connection-lost', 'try-again', 'stopped']

class ChangesHistory {
  readonly #random: Random
  readonly #world: LoggedWorld
  readonly #target = new MemoryTarget()
  readonly #watch: ChangesWatch
  readonly #bug: ChangesBug | null
  #pipeline: CdcPipeline
  #quiet = false
  #runs = 0
  readonly #zombies: Promise<unknown>[] = []
  /** A run that copies everything anew has begun while another one was at work: to that one the slot is gone. */
  #refreshes = 0
  #copying: Process | null = null

  constructor(seed: number, bug: ChangesBug | null) {
    this.#random = new Random(seed)
    this.#world = new LoggedWorld(this.#random)
    this.#pipeline = makePipeline(
      this.#random.of(['merge', 'append', 'soft-delete']),
      this.#random.chance(0.3) ? ['a', 'b'] : ['a', 'b', 'c'],
    )
    this.#watch = new ChangesWatch(this.#world, this.#target, this.#pipeline.write)
    this.#bug = bug
  }

  /** Throws `BrokenPromise`. */
  async play(): Promise<void> {
    const random = this.#random
    const turns = 2 + random.below(5)
    let wake = (): void => {}
    for (let turn = 0; turn < turns; turn++) {
      for (let acts = random.below(40); acts > 0; acts--) this.#world.act()
      if (random.chance(0.05)) await this.#loseLog()
      if (random.chance(0.1)) this.#pipeline = makePipeline(this.#pipeline.write, ['a', 'b', 'c'])
      if (this.#zombies.length === 0 && random.chance(0.15)) {
        const frozen = new Promise<void>((resolve) => {
          wake = resolve
        })
        const zombie = this.#run({ faults: { frozen, freezeAt: 3 + random.below(40) } })
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

  /** What happens between two looks: others write, someone reads the target. */
  #interrupt(): void {
    this.#watch.look()
    if (this.#quiet || !this.#random.chance(0.12)) return
    for (let acts = this.#random.of([1, 1, 2, 3, 15]); acts > 0; acts--) this.#world.act()
  }

  async #trouble(): Promise<void> {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.25) await this.#run({ faults: { dieAt: 1 + random.below(50) }, request: this.#request() })
    else if (chance < 0.35) await this.#run({ stopAt: 1 + random.below(40) })
    else if (chance < 0.5) await this.#run({ faults: { loseAnswer: this.#losing(0.15) }, request: this.#request() })
    else if (chance < 0.7) await this.#rivals()
    else if (chance < 0.85)
      await this.#run({ request: { follows: true }, stopAt: 5 + random.below(60), faults: { loseAnswer: this.#losing(0.02) } })
    else await this.#run({ request: this.#request() })
  }

  #losing(share: number): ProcessFaults['loseAnswer'] {
    return () => (this.#random.chance(share) ? this.#random.of(['before', 'after']) : 'no')
  }

  #request(): Partial<RunRequest> {
    const chance = this.#random.next()
    if (chance < 0.07) return { fullRefresh: true }
    if (chance < 0.2) return { resync: [this.#random.of(this.#pipeline.source.tables).name] }
    return {}
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
        dieAt: random.chance(0.25) ? 1 + random.below(50) : NEVER,
        loseAnswer: this.#losing(random.chance(0.2) ? 0.1 : 0),
      }
      return this.#run({ faults, request: this.#request() })
    }
    await schedule.together(random.chance(0.3) ? [one, one, one] : [one, one])
  }

  /** Somebody drops the slot, or reads from it: the next run says so, and does nothing. */
  async #loseLog(): Promise<void> {
    const { slot } = this.#world
    const state = this.#target.contents.states.get('shop')
    if (slot === null || state?.position.kind !== 'log' || this.#zombies.length > 0) return
    slot.reader?.cut()
    this.#world.act()
    this.#world.head += 1
    if (this.#random.chance(0.5)) this.#world.slot = null
    else slot.confirmed = Math.max(this.#world.head, numberOf(state.position) + 1)
    this.#world.isLost = true
    const before = this.#target.contents
    const { error } = await this.#run({})
    if (error?.code !== 'log-lost' || before !== this.#target.contents) throw new BrokenPromise('a gap in the log was passed over')
    await this.#refresh()
  }

  async #refresh(): Promise<void> {
    const { error } = await this.#run({ request: { fullRefresh: true } })
    if (error !== null || this.#world.isLost) throw new BrokenPromise(`a full refresh has left a gap: ${error?.message}`)
  }

  async #run(options: RunOptions): Promise<PipelineResult> {
    const { request = {}, faults = {}, stopAt = NEVER } = options
    const refreshesBefore = this.#refreshes
    const wasLost = this.#world.isLost
    if (request.fullRefresh === true) this.#refreshes += 1
    const stop = new AbortController()
    const turn = faults.turn ?? (async () => this.#interrupt())
    let calls = 0
    const process = new Process({
      freezeAt: NEVER,
      frozen: Promise.resolve(),
      dieAt: NEVER,
      loseAnswer: () => 'no',
      ...faults,
      turn: () => {
        calls += 1
        if (calls >= stopAt) stop.abort()
        return turn()
      },
    })
    const makeLog = this.#bug?.log ?? ((world, random, isDead) => new LoggedSource(world, random, isDead))
    const log = this.#notingSlots(
      makeLog(this.#world, this.#random, () => process.isDead),
      process,
    )
    const memory = new MemoryChangeTarget(this.#target)
    const changes = this.#bug?.changes?.(this.#target, memory, () => this.#interrupt()) ?? memory
    const result = await runPipeline(
      this.#pipeline,
      {
        source: { log: troubledLog(log, process) } as Partial<Source> as Source,
        target: troubledTarget(this.#notingCopies(process), changes, process),
        signal: stop.signal,
        emit: () => {},
        runId: `run ${++this.#runs}`,
        reach: () => {},
        settings: { chunkBytes: 100, sliceRows: 1000, pieceBytes: 1000, retries: 2, retrySeconds: 0 },
        time: TIMELESS,
      },
      { ...ORDINARY_RUN, ...request },
    )
    this.#watch.look()
    if (process.isEndless) throw new BrokenPromise('a run does not come to an end')
    const { error } = result
    const isTakenAway = (this.#refreshes > refreshesBefore || wasLost || this.#world.isLost) && error?.code === 'log-lost'
    if (error !== null && !process.isDead && !isTakenAway && !EXPECTED_ERRORS.includes(error.code))
      throw new BrokenPromise(`${error.code}: ${error.message}`)
    return result
  }

  /** Who copies everything anew has said so at the target, before it makes the slot. */
  #notingCopies(process: Process): MemoryTarget {
    const target = this.#target
    return but(target, {
      begin: async (load) => {
        const stage = await target.begin(load)
        return but(stage, {
          commit: async (settlement, read) => {
            const rows = await stage.commit(settlement, read)
            if (settlement.kind === 'state' && settlement.to.position.kind === 'snapshot') this.#copying = process
            return rows
          },
        })
      },
    })
  }

  /** A process that wakes up just then puts its slot in the place of another one's: that one's position has a gap behind it. */
  #notingSlots(log: LogSource, process: Process): LogSource {
    return but(log, {
      begin: async (...asked) => {
        const beginning = await log.begin(...asked)
        this.#world.isLost = this.#copying !== process
        return beginning
      },
    })
  }

  /** With no one writing, one run brings everything over; the next has nothing to do, and doing it changes nothing. */
  async #settle(): Promise<void> {
    if (!this.#quiet) this.#world.quiesce()
    this.#quiet = true
    if (this.#world.isLost) await this.#refresh()
    const last = await this.#run({})
    if (last.error !== null) throw new BrokenPromise(`the last run fails: ${last.error.message}`)
    const { contents } = this.#target
    const position = contents.states.get('shop')?.position
    const end = this.#world.log.at(-1)?.end ?? 0
    if (position?.kind !== 'log' || numberOf(position) < end || (position.copying ?? []).length > 0)
      throw new BrokenPromise(`the log goes to ${end}, and the target says ${JSON.stringify(position)}`)
    const again = await this.#run({})
    if (again.error !== null) throw new BrokenPromise(`running again fails: ${again.error.message}`)
    if (again.status !== 'up-to-date' || again.rows.read > 0) throw new BrokenPromise('running again finds something')
    if (this.#pipeline.source.tables.some(({ name }) => this.#target.contents.tables.get(name)?.rows !== contents.tables.get(name)?.rows))
      throw new BrokenPromise('running again changed rows')
  }
}

/** Waiting takes no time: what happens meanwhile is a matter of turns. */
const TIMELESS: RunTime = { now: () => 0, pause: async () => {}, every: () => () => {} }

function makePipeline(write: CdcPipeline['write'], tables: readonly string[]): CdcPipeline {
  return {
    name: 'shop',
    pattern: 'cdc',
    source: {
      connection: 'source',
      tables: tables.map((name) => ({ schema: null, name })),
      slot: 'shop',
      publication: 'shop',
      failover: false,
      heartbeatSeconds: null,
      kafka: null,
      streams: null,
    },
    target: { connection: 'target', schema: null },
    write,
    onSchemaChange: 'evolve',
    workers: null,
    maxQuarantined: null,
  }
}

/** Plays a history; what went wrong, in words, or null. */
export async function simulateChanges(seed: number, bug: ChangesBug | null = null): Promise<string | null> {
  try {
    await new ChangesHistory(seed, bug).play()
    return null
  } catch (error) {
    if (error instanceof BrokenPromise) return error.message
    throw error
  }
}
