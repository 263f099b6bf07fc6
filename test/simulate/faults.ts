// What goes wrong around a run: it waits where it should not, the answer to its COMMIT is lost, it is stopped or dies.

import type { Source } from '../../src/contract/source.ts'
import type { Stage, Target } from '../../src/contract/target.ts'
import { LoadError } from '../../src/core/errors.ts'
import { but } from './but.ts'

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
  return but(source, {
    describe: async (pipeline) => {
      await turn()
      return source.describe(pipeline)
    },
    head: async (...asked) => {
      await turn()
      return source.head(...asked)
    },
    read: async function* (...asked) {
      await turn()
      for await (const chunk of source.read(...asked)) {
        yield chunk
        await turn()
      }
    },
  })
}

/** Keeps the traits of the target; every commit may be lost, or its answer. */
export function troubledTarget(target: Target, faults: Faults): Target {
  return but(target, {
    readState: async (pipeline) => {
      await faults.turn()
      return target.readState(pipeline)
    },
    begin: async (load) => troubledStage(await target.begin(load), faults),
  })
}

function troubledStage(stage: Stage, { turn, frozen, loseAnswer }: Faults): Stage {
  return but(stage, {
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
  })
}
