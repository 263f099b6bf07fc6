import type { Stage } from '../contract/target.ts'
import { type Chunk, chunkSize, type Format } from '../core/chunk.ts'
import { LoadError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import type { RowCounts } from '../core/load.ts'
import type { Settlement } from '../core/settlement.ts'
import type { Reach } from './crash-point.ts'

export interface Copied {
  readonly read: number
  readonly bytes: number
}

/** Progress is told at most so often. */
const PROGRESS_BYTES = 4 * 1024 * 1024

/** Moves chunks from source to stage without opening them. */
export async function copyChunks(
  chunks: AsyncIterable<Chunk>,
  format: Format,
  stage: Stage,
  reach: Reach,
  progress: (copied: Copied) => void,
): Promise<Copied> {
  let read = 0
  let bytes = 0
  let told = 0
  for await (const chunk of chunks) {
    invariant(chunk.format === format, `planned ${format}, the source sent ${chunk.format}`)
    reach('chunk-read')
    await stage.write(chunk)
    read += chunk.rows
    bytes += chunkSize(chunk)
    reach('chunk-staged')
    if (bytes - told >= PROGRESS_BYTES) {
      told = bytes
      progress({ read, bytes })
    }
  }
  progress({ read, bytes })
  return { read, bytes }
}

/** A signal that comes during the commit makes the target give up, unless the commit has won already. */
export async function commitUnlessStopped(stage: Stage, settlement: Settlement, read: number, signal: AbortSignal): Promise<RowCounts> {
  const commit = stage.commit(settlement, read)
  const abort = (): void => void stage.abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    const rows = await commit
    const sum = rows.inserted + rows.updated + rows.unchanged + rows.deduplicated + rows.quarantined
    invariant(sum === read, `${read} rows were read, ${sum} are accounted for`)
    return rows
  } catch (error) {
    throw signal.aborted ? new LoadError('stopped', 'The run was stopped.', { cause: error }) : error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export function stopIfAsked(signal: AbortSignal): void {
  if (signal.aborted) throw new LoadError('stopped', 'The run was stopped.')
}
