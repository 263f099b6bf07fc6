// What goes wrong around a run: it waits where it should not, the answer to its COMMIT is lost, it is stopped or dies.

import type { Source } from '../../src/contract/source.ts'
import type { Stage, Target } from '../../src/contract/target.ts'
import { LoadError } from '../../src/core/errors.ts'

export interface Faults {
  /** Awaited before everything that the run does outside of itself. */
  readonly turn: () => Promise<void>
  /** Awaited before a commit: a process that is frozen there. */
  readonly frozen: Promise<void> | null
  /** How the answer to the next commit is lost; asked once a commit. */
  readonly loseAnswer: () => 'no' | 'before' | 'after'
}

export class CrashError extends Error {}

export function troubledSource(source: Source, { turn }: Faults): Source {
  return {
    formats: source.formats,
    describe: async (pipeline) => {
      await turn()
      return source.describe(pipeline)
    },
    head: async (...asked) => {
      await turn()
      return source.head(...asked)
    },
    divide: async (pipeline, table, slice, targetRows) => (await source.divide?.(pipeline, table, slice, targetRows)) ?? [slice],
    read: async function* (...asked) {
      await turn()
      for await (const chunk of source.read(...asked)) {
        yield chunk
        await turn()
      }
    },
    positionAt: (...asked) => source.positionAt(...asked),
    isAfter: (...asked) => source.isAfter(...asked),
    close: () => source.close(),
  }
}

/** Keeps the traits of the target; every commit may be lost, or its answer. */
export function troubledTarget(target: Target, faults: Faults): Target {
  return {
    formats: target.formats,
    strategies: target.strategies,
    atomic: target.atomic,
    types: target.types,
    describe: (table) => target.describe(table),
    readState: async (pipeline) => {
      await faults.turn()
      return target.readState(pipeline)
    },
    readHistory: (pipeline, limit) => target.readHistory(pipeline, limit),
    noteQuietRun: (state) => target.noteQuietRun(state),
    forget: (pipeline) => target.forget(pipeline),
    begin: async (load) => troubledStage(await target.begin(load), faults),
    close: () => target.close(),
  }
}

function troubledStage(stage: Stage, { turn, frozen, loseAnswer }: Faults): Stage {
  return {
    write: (chunk) => stage.write(chunk),
    abort: () => stage.abort(),
    commit: async (settlement, rowsRead) => {
      await frozen
      await turn()
      const lost = loseAnswer()
      if (lost === 'before') throw new LoadError('connection-lost', 'The connection broke before the commit.')
      const rows = await stage.commit(settlement, rowsRead)
      await turn()
      if (lost === 'after') throw new LoadError('connection-lost', 'The answer to COMMIT was lost.')
      return rows
    },
  }
}
