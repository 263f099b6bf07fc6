import type { MemoryTarget } from '../../src/connectors/memory/target.ts'

/** Thrown where a history shows that a promise was broken. */
export class BrokenPromise extends Error {}

/**
 * Calls `look` after each commit of the target, as a reader might look at any time; returns it for looks in between. What was wrong first is
 * said again by every later look: a run may have taken it for an error of its own.
 */
export function lookAfterCommits(target: MemoryTarget, look: () => void): () => void {
  let broken: BrokenPromise | null = null
  const lookAgain = (): void => {
    if (broken !== null) throw broken
    try {
      look()
    } catch (error) {
      if (error instanceof BrokenPromise) broken = error
      throw error
    }
  }
  let held = target.contents
  Object.defineProperty(target, 'contents', {
    get: () => held,
    set: (contents: MemoryTarget['contents']) => {
      held = contents
      lookAgain()
    },
  })
  return lookAgain
}
