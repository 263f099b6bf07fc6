// Which runs of this process load partitions. Only one process has a DuckDB file open: a partition that is `running` for a run which
// isn't here belongs to a process that died. A run that gives no sign of life for as long as a lease lasts isn't here any more either.

import { LEASE_SECONDS } from '../../core/ledger.ts'

const seen = new Map<string, number>()

function nameOf(pipeline: string, runId: string): string {
  return `${runId} ${pipeline}`
}

/** The run is alive now. */
export function noteAlive(pipeline: string, runId: string): void {
  seen.set(nameOf(pipeline, runId), performance.now())
}

export function noteEnded(pipeline: string, runId: string): void {
  seen.delete(nameOf(pipeline, runId))
}

export function isAlive(pipeline: string, runId: string): boolean {
  const at = seen.get(nameOf(pipeline, runId))
  return at !== undefined && performance.now() - at < LEASE_SECONDS * 1000
}

/** Ids of the runs that load this pipeline. */
export function liveRuns(pipeline: string): readonly string[] {
  const ids = [...seen.keys()].map((name) => name.slice(0, name.indexOf(' ')))
  return ids.filter((runId) => isAlive(pipeline, runId))
}
