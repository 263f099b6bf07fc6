// Rows of one COPY, and the cancelling of it. A session left in the middle still has rows on the way, and is never used again.

import type { ReadOptions } from '../../contract/read-options.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { TablePipeline } from '../../core/pipeline.ts'
import { CopyOut } from './copy-out.ts'
import { describeQuery, describeTable, type PostgresTable } from './describe.ts'
import { postgresError } from './errors.ts'
import type { Session } from './session.ts'

/** Throws `stopped`, `short-read`, and what the server says. */
export async function* readCopy(session: Session, statement: string, options: ReadOptions): AsyncIterable<Chunk> {
  if (options.signal.aborted) throw new LoadError('stopped', 'The read was stopped.')
  const abort = (): void => {
    session.cancel()
    session.destroy()
  }
  options.signal.addEventListener('abort', abort, { once: true })
  let finished = false
  try {
    const bytes = session.submit(new CopyOut(statement, options.chunkBytes, options.format === 'csv' ? 'csv' : 'pg-copy-binary'))
    if (options.format === 'columns') {
      const { columnsDecoder } = await import('../../formats/pg-copy-binary.ts')
      const decode = columnsDecoder(options.columns)
      for await (const chunk of bytes) yield decode(chunk)
    } else yield* bytes
    finished = true
  } catch (error) {
    throw options.signal.aborted
      ? new LoadError('stopped', 'The read was stopped.', { cause: error })
      : postgresError(error, session.what, 'source')
  } finally {
    options.signal.removeEventListener('abort', abort)
    if (!finished) abort()
  }
}

export function describeSource(
  session: Session,
  { source: { table, query }, key, columns: { include, exclude } }: TablePipeline,
): Promise<PostgresTable> {
  const wanted = (name: string): boolean => (include === null || include.includes(name)) && !exclude.includes(name)
  return table === null ? describeQuery(session, query ?? '', key ?? []) : describeTable(session, table, wanted)
}
