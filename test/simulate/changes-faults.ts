// A process that follows a log, as the world treats it: before everything that it does outside of itself it waits for its turn, and
// there it may be frozen or dead. A dead one says nothing more, neither to the target nor to the source.

import type { ChangeStream, ChangeTarget, ChangeWriter, LogBeginning, LogSource } from '../../src/contract/log.ts'
import type { Stage, Target } from '../../src/contract/target.ts'
import { but } from './but.ts'
import { type Process, readInTurns } from './partition-faults.ts'

export function troubledLog(log: LogSource, process: Process): LogSource {
  const passed = async <T>(work: () => Promise<T>): Promise<T> => {
    await process.pass()
    return work()
  }
  const beginning = (inner: LogBeginning): LogBeginning =>
    but(inner, {
      read: (...asked) => readInTurns(process, () => inner.read(...asked)),
    })
  const stream = (inner: ChangeStream): ChangeStream =>
    but(inner, {
      next: (waitMs) => passed(() => inner.next(waitMs)),
      acknowledge: (position) => {
        if (!process.isDead) inner.acknowledge(position)
      },
      close: async () => {
        if (!process.isDead) await inner.close()
      },
    })
  return but(log, {
    observe: (...asked) => passed(() => log.observe(...asked)),
    begin: async (...asked) => beginning(await passed(() => log.begin(...asked))),
    beginAgain: async (...asked) => beginning(await passed(() => log.beginAgain(...asked))),
    open: async (...asked) => stream(await passed(() => log.open(...asked))),
  })
}

export function troubledTarget(target: Target, changes: ChangeTarget, process: Process): Target {
  return but(target, {
    readState: async (pipeline) => {
      await process.pass()
      return target.readState(pipeline)
    },
    describe: async (name) => {
      await process.pass()
      return target.describe(name)
    },
    begin: async (load) => {
      await process.pass()
      return troubledStage(await target.begin(load), process)
    },
    changes: but(changes, { open: async (load) => troubledWriter(await changes.open(load), process) }),
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

function troubledWriter(inner: ChangeWriter, process: Process): ChangeWriter {
  return but(inner, {
    apply: async (...asked) => {
      await process.pass()
      return inner.apply(...asked)
    },
    append: async (chunk) => {
      await process.pass()
      return inner.append(chunk)
    },
    commit: (...asked) => process.write(() => inner.commit(...asked)),
  })
}
