import type { ChangeTarget, LogSource } from '../contract/log.ts'
import { LoadError } from '../core/errors.ts'
import type { CdcPipeline } from '../core/pipeline.ts'
import type { Machinery } from './machinery.ts'

/** The ends of a pipeline that follows a log; throws where one of them can't. */
export function logOf(machinery: Pick<Machinery, 'source' | 'target'>, pipeline: CdcPipeline): { log: LogSource; changes: ChangeTarget } {
  const { log } = machinery.source
  const { changes } = machinery.target
  if (log === undefined) throw new LoadError('log-unavailable', `The source of pipeline ${pipeline.name} has no log that can be followed.`)
  if (changes === undefined) throw new LoadError('strategy-unsupported', `The target of pipeline ${pipeline.name} can't take changes.`)
  if (pipeline.maxQuarantined !== null && !changes.quarantines)
    throw new LoadError(
      'strategy-unsupported',
      `The target of pipeline ${pipeline.name} keeps no rows that it refuses, which on_bad_row: quarantine needs.`,
      { hint: 'Take `on_bad_row` away: the first such row stops the pipeline then, and nothing is lost.' },
    )
  return { log, changes }
}
