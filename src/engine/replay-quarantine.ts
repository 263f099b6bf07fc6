// Kept changes into their tables again. No position moves: where changes come meanwhile, the target's own locks say who is first.

import type { Reread } from '../contract/log.ts'
import type { CdcPipeline } from '../core/pipeline.ts'
import type { Replayed } from '../core/quarantine.ts'
import { printTableName } from '../core/table.ts'
import { logOf } from './log-of.ts'
import type { Machinery } from './machinery.ts'
import { isFollowed } from './observe-changes.ts'
import { changedTables } from './run-changes.ts'

export async function replayQuarantine(
  pipeline: CdcPipeline,
  machinery: Pick<Machinery, 'source' | 'target' | 'runId' | 'reach'>,
  ids: readonly string[] | null,
): Promise<Replayed> {
  const { target, runId, reach } = machinery
  const { log, changes } = logOf(machinery, pipeline)
  const state = await target.readState(pipeline.name)
  // Only the tables are looked at: where the log is may change under a look, while another run follows it.
  const seen = await log.observe(pipeline, null)
  // What is being copied replaces all that is kept of its table.
  const copying = isFollowed(state) ? (state.position.copying ?? []) : seen.tables.map(({ name }) => printTableName(name))
  const tables = await changedTables(pipeline, seen, target, copying)
  const writer = await changes.open({
    pipeline: pipeline.name,
    runId,
    write: pipeline.write,
    format: 'pg-text',
    tables,
    maxQuarantined: Number.POSITIVE_INFINITY,
  })
  try {
    reach('before-commit')
    const reread: Reread = async (number, kept, chunk) =>
      log.reread?.(pipeline, (tables[number] as (typeof tables)[number]).source, number, kept, chunk)
    return await writer.replay(ids, log.reread === undefined ? null : reread)
  } catch (error) {
    await writer.abort()
    throw error
  } finally {
    await writer.close()
  }
}
