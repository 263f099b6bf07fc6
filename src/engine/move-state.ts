import type { Target } from '../contract/target.ts'
import type { Load } from '../core/load.ts'
import type { State } from '../core/state.ts'

/** Moves the state on without any rows. Throws `state-conflict`. */
export async function moveState(
  target: Target,
  from: State | null,
  to: State,
  move: Pick<Load, 'runId' | 'cause' | 'table'>,
): Promise<void> {
  const stage = await target.begin({ ...NO_LOAD, ...move, pipeline: to.pipeline, fingerprint: to.fingerprint })
  try {
    await stage.commit({ kind: 'state', from, to }, 0)
  } catch (error) {
    await stage.abort()
    throw error
  }
}

export const NO_LOAD: Omit<Load, 'pipeline' | 'runId' | 'cause' | 'table' | 'fingerprint'> = {
  strategy: 'append',
  format: 'columns',
  creates: false,
  changes: [],
  columns: [],
  key: [],
  keyGuaranteed: false,
  filling: null,
  newestBy: null,
  replaces: null,
  rescuedBelow: null,
  partition: null,
}
