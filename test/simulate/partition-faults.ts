// A process that loads partitions, as the world treats it: before everything that it does outside of itself it waits for its turn,
// and there it may be frozen or dead. The answer to what it writes may be lost.

import type { PartitionReader } from '../../src/contract/partition-reader.ts'
import type { PartitionedTable, Source } from '../../src/contract/source.ts'
import type { PartitionTarget, PartitionWriter, Stage, Target } from '../../src/contract/target.ts'
import { LoadError } from '../../src/core/errors.ts'
import { but } from './but.ts'
import { CrashError } from './faults.ts'

export interface ProcessFaults {
  readonly turn: () => Promise<void>
  /** Frozen from this call on, until the promise is kept. */
  readonly freezeAt: number
  readonly frozen: Promise<void>
  /** Dies at this call. */
  readonly dieAt: number
  readonly loseAnswer: () => 'no' | 'before' | 'after'
}

/** No run of a history needs half as many. */
const MOST_CALLS = 20_000

export class Process {
  isDead = false
  isFrozen = false
  isEndless = false
  readonly #faults: ProcessFaults
  #calls = 0

  constructor(faults: ProcessFaults) {
    this.#faults = faults
  }

  /** Awaited before every call. */
  async pass(): Promise<void> {
    this.#calls += 1
    if (this.#calls > MOST_CALLS) this.isEndless = true
    if (this.#calls >= this.#faults.freezeAt) {
      this.isFrozen = true
      await this.#faults.frozen
      this.isFrozen = false
    }
    await this.#faults.turn()
    if (this.#calls >= this.#faults.dieAt || this.isEndless) this.isDead = true
    if (this.isDead) throw new CrashError('died')
  }

  async write<T>(work: () => Promise<T>): Promise<T> {
    await this.pass()
    const lost = this.#faults.loseAnswer()
    if (lost === 'before') throw new LoadError('connection-lost', 'The connection broke before the answer.')
    const result = await work()
    await this.pass()
    if (lost === 'after') throw new LoadError('connection-lost', 'The answer was lost.')
    return result
  }
}

/** Between two chunks it is somebody else's turn, too. */
export async function* readInTurns<T>(process: Process, read: () => AsyncIterable<T>): AsyncIterable<T> {
  await process.pass()
  for await (const chunk of read()) {
    yield chunk
    await process.pass()
  }
}

export function partitionSource(source: Source, process: Process): Source {
  const passed = async <T>(work: () => Promise<T>): Promise<T> => {
    await process.pass()
    return work()
  }
  const reader = (inner: PartitionReader): PartitionReader =>
    but(inner, {
      begin: () => passed(() => inner.begin()),
      checksum: (...asked) => passed(() => inner.checksum(...asked)),
      read: (...asked) => readInTurns(process, () => inner.read(...asked)),
    })
  const table = (inner: PartitionedTable): PartitionedTable =>
    but(inner, {
      partitions: (...asked) => passed(() => inner.partitions(...asked)),
      checksums: (...asked) => passed(() => inner.checksums(...asked)),
      openReader: async () => reader(await passed(() => inner.openReader())),
    })
  return but(source, {
    describe: (pipeline) => passed(() => source.describe(pipeline)),
    openPartitions: async (...asked) =>
      table(
        await passed(() => {
          if (source.openPartitions === undefined) throw new Error('memory has partitions')
          return source.openPartitions(...asked)
        }),
      ),
  })
}

export function partitionTarget(target: Target, process: Process): Target {
  const { partitions } = target
  if (partitions === undefined) throw new Error('memory has partitions')
  return but(target, {
    readState: async (pipeline) => {
      await process.pass()
      return target.readState(pipeline)
    },
    partitions: troubledPartitions(partitions, process),
  })
}

function troubledPartitions(inner: PartitionTarget, process: Process): PartitionTarget {
  return but(inner, {
    readLedger: async (...asked) => {
      await process.pass()
      return inner.readLedger(...asked)
    },
    prepare: (preparation) => process.write(() => inner.prepare(preparation)),
    openWriter: async () => troubledWriter(await inner.openWriter(), process),
    renew: async (...asked) => {
      if (!process.isDead && !process.isFrozen) await inner.renew(...asked)
    },
    finish: (ending) => process.write(() => inner.finish(ending)),
  })
}

function troubledWriter(inner: PartitionWriter, process: Process): PartitionWriter {
  return but(inner, {
    claim: (...asked) => process.write(() => inner.claim(...asked)),
    begin: async (load) => {
      await process.pass()
      return troubledStage(await inner.begin(load), process)
    },
    confirm: (...asked) => process.write(() => inner.confirm(...asked)),
    giveUp: (...asked) => process.write(() => inner.giveUp(...asked)),
  })
}

function troubledStage(inner: Stage, process: Process): Stage {
  return but(inner, {
    write: async (chunk) => {
      await process.pass()
      await inner.write(chunk)
    },
    commit: (...asked) => process.write(() => inner.commit(...asked)),
  })
}
