// Workers side by side: each claims a partition, loads it, and claims the next, until none is left. A partition that fails keeps
// no other from loading; an environment that fails (exit 3) ends them all.

import type { PieceReader } from '../contract/partition-reader.ts'
import type { PartitionTarget, PartitionWriter } from '../contract/target.ts'
import { asLoadError, ERRORS, LoadError } from '../core/errors.ts'
import { type LedgerRow, RENEW_SECONDS } from '../core/ledger.ts'
import { NO_ROWS } from '../core/load.ts'
import type { PartitionPlan } from '../core/partition-plan.ts'
import { stopIfAsked } from './copy-chunks.ts'
import { loadPartition, type PartitionOutcome } from './load-partition.ts'
import type { Machinery } from './machinery.ts'
import { type Claimed, PartitionQueue } from './partition-queue.ts'
import { REAL_TIME, type RunTime } from './run-time.ts'

export interface FailedPartition {
  readonly key: string
  readonly error: LoadError
}

export interface WorkersEnd {
  readonly failed: readonly FailedPartition[]
  /** Partitions that other runs loaded meanwhile. */
  readonly byOthers: number
}

export interface Work {
  readonly plan: PartitionPlan
  readonly table: { openReader(): Promise<PieceReader> }
  readonly target: PartitionTarget
  readonly machinery: Machinery
  /** Enters what there is to do; the connections of the workers are opened meanwhile. */
  readonly prepare: () => Promise<void>
  readonly done: (claimed: Claimed, outcome: PartitionOutcome) => void
}

/** A pause grows no longer than eight times the first. */
const MOST_DOUBLINGS = 3

const LOOK_AROUND_SECONDS = 0.5

/** Throws what ends the whole run: a stop, or an environment that fails. */
export async function runWorkers(work: Work): Promise<WorkersEnd> {
  const { plan, target, machinery } = work
  const crew = new Crew(work)
  const hands = Array.from({ length: plan.workers }, () => new Hands(work))
  for (const one of hands) one.prepare()
  try {
    await work.prepare()
  } catch (error) {
    await Promise.all(hands.map((one) => one.close()))
    throw error
  }
  const stopRenewing = (machinery.time ?? REAL_TIME).every(RENEW_SECONDS, () => {
    // One that fails is made up for by the next; a lease that is lost is found out at the commit.
    target.renew(plan.pipeline, machinery.runId).catch(() => {})
  })
  try {
    await Promise.all(hands.map((one) => crew.work(one)))
  } finally {
    stopRenewing()
  }
  if (crew.fatal !== null) throw crew.fatal
  return { failed: crew.failed, byOthers: crew.queue.othersCommitted.length }
}

class Crew {
  readonly queue: PartitionQueue
  readonly failed: FailedPartition[] = []
  fatal: LoadError | null = null
  readonly #work: Work
  readonly #time: RunTime
  readonly #attempts = new Map<string, number>()
  #lookedAround = 0
  #toldWaiting = 0

  constructor(work: Work) {
    this.#work = work
    const { plan, target, machinery } = work
    this.#time = machinery.time ?? REAL_TIME
    this.queue = new PartitionQueue(plan.pipeline, machinery.runId, target, plan.loads, this.#time)
  }

  /** One worker, with connections of its own. */
  async work(hands: Hands): Promise<void> {
    try {
      while (this.fatal === null && !this.queue.isEmpty) {
        stopIfAsked(this.#work.machinery.signal)
        const claimed = await this.queue.claim(await hands.writer())
        if (claimed === null) await this.#lookAround()
        else await this.#load(claimed, hands)
      }
    } catch (thrown) {
      this.fatal ??= asLoadError(thrown)
    } finally {
      await hands.close()
    }
  }

  async #load(claimed: Claimed, hands: Hands): Promise<void> {
    const { plan, machinery } = this.#work
    const { claim } = claimed
    machinery.reach('partition-claimed')
    machinery.emit({ kind: 'partition-started', pipeline: claim.pipeline, partition: claim.key, attempt: claim.attempt })
    try {
      const ends = { reader: await hands.reader(), writer: await hands.writer() }
      this.#done(claimed, await loadPartition(claimed, plan, ends, machinery))
      machinery.reach('partition-done')
    } catch (thrown) {
      await this.#settleFailure(claimed, asLoadError(thrown), hands)
    } finally {
      this.queue.release(claim)
    }
  }

  #done(claimed: Claimed, outcome: PartitionOutcome): void {
    const { pipeline, key, attempt } = claimed.claim
    this.#work.done(claimed, outcome)
    this.#work.machinery.emit({ kind: 'partition-committed', pipeline, partition: key, attempt, ...outcome })
  }

  async #settleFailure({ claim }: Claimed, error: LoadError, hands: Hands): Promise<void> {
    const { settings, signal, emit } = this.#work.machinery
    const { code, message } = error
    // Whatever was left in the middle of something is thrown away.
    await hands.close()
    if (code === 'state-conflict') return this.queue.lost(claim.key)
    const tries = (this.#attempts.get(claim.key) ?? 0) + 1
    this.#attempts.set(claim.key, tries)
    // Partitions that exchange rows meet in deadlocks; each of them settles one, and some partition goes on.
    const most = code === 'try-again' ? settings.retries * 4 : settings.retries
    const again = !signal.aborted && ERRORS[code].retry === 'backoff' && tries <= most
    const ends = signal.aborted || (!again && ERRORS[code].exit === 3)
    if (!signal.aborted)
      emit({ kind: 'partition-failed', pipeline: claim.pipeline, partition: claim.key, attempt: claim.attempt, code, message, again })
    // Where even that fails, the claim ends by itself when its lease does.
    await (await hands.writer()).giveUp(claim, again || ends ? null : { code, message })
    if (ends) throw signal.aborted ? new LoadError('stopped', 'The run was stopped.', { cause: error }) : error
    if (again) this.queue.giveBack(claim.key, settings.retrySeconds * 2 ** Math.min(tries - 1, MOST_DOUBLINGS) * (0.5 + Math.random()))
    else this.failed.push({ key: claim.key, error })
  }

  /** Nothing is free: waits a little, and asks what became of what other runs have. */
  async #lookAround(): Promise<void> {
    const { machinery, plan } = this.#work
    const now = this.#time.now()
    if (now - this.#lookedAround > LOOK_AROUND_SECONDS) {
      this.#lookedAround = now
      await this.queue.lookAround()
      for (const { claimed, row } of this.queue.unheard.splice(0)) this.#done(claimed, outcomeOf(claimed, row))
      for (const { key, error } of this.queue.othersFailed.splice(0))
        this.failed.push({ key, error: new LoadError('partitions-failed', `Another run failed on it: ${error}`) })
      const { elsewhere } = this.queue
      if (elsewhere > 0 && elsewhere !== this.#toldWaiting)
        machinery.emit({ kind: 'waiting-for-others', pipeline: plan.pipeline, partitions: elsewhere })
      this.#toldWaiting = elsewhere
    }
    if (!this.queue.isEmpty) await this.#time.pause(0.05, machinery.signal)
  }
}

/** The answer to its COMMIT was lost: what the ledger knows of it. */
function outcomeOf({ planned }: Claimed, row: LedgerRow): PartitionOutcome {
  const isSame = planned.compares && row.checksum === planned.seen?.checksum
  const read = isSame ? 0 : Number(row.rows ?? 0)
  return { read, bytes: 0, rows: { ...NO_ROWS, inserted: read } }
}

/** The connections of one worker, opened when they are needed. */
class Hands {
  readonly #work: Work
  #reader: Promise<PieceReader> | null = null
  #writer: Promise<PartitionWriter> | null = null

  constructor(work: Work) {
    this.#work = work
  }

  /** Both connect at the same time; what goes wrong is said to whoever uses them. */
  prepare(): void {
    this.reader().catch(() => {})
    this.writer().catch(() => {})
  }

  async reader(): Promise<PieceReader> {
    this.#reader ??= this.#work.table.openReader()
    try {
      return await this.#reader
    } catch (error) {
      this.#reader = null
      throw error
    }
  }

  async writer(): Promise<PartitionWriter> {
    this.#writer ??= this.#work.target.openWriter()
    try {
      return await this.#writer
    } catch (error) {
      this.#writer = null
      throw error
    }
  }

  async close(): Promise<void> {
    const open = [this.#reader, this.#writer]
    this.#reader = null
    this.#writer = null
    await Promise.allSettled(open.map(async (one) => (await one)?.close()))
  }
}
