// One statement, and so one moment, as chunks.

import type { ReadOptions } from '../../contract/read-options.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { SnowflakeColumn } from './describe.ts'
import { identifier } from './names.ts'
import type { Cells, Session } from './session.ts'
import { toChunk } from './text-vectors.ts'

/** How a column is selected so that it prints exactly. The session's time zone is UTC. */
export function exactText({ name, declared, type }: SnowflakeColumn): string {
  const column = identifier(name)
  if (declared.startsWith('TIMESTAMP_NTZ')) return `TO_VARCHAR(${column}, 'YYYY-MM-DD HH24:MI:SS.FF9')`
  if (type.kind === 'timestamp') return `TO_VARCHAR(${column}::TIMESTAMP_LTZ, 'YYYY-MM-DD HH24:MI:SS.FF9')`
  if (type.kind === 'time') return `TO_VARCHAR(${column}, 'HH24:MI:SS.FF9')`
  if (type.kind === 'date') return `TO_VARCHAR(${column}, 'YYYY-MM-DD')`
  if (type.kind === 'bytes') return `TO_VARCHAR(${column}, 'HEX')`
  if (type.kind === 'json') return `TO_JSON(${column})`
  if (type.kind === 'decimal' || type.kind === 'boolean') return `TO_VARCHAR(${column})`
  return column
}

/** Columns of `source` in the order and the types that are wanted. Throws `stopped`, `short-read`, `value-refused`. */
export async function* readRows(
  session: Session,
  source: readonly SnowflakeColumn[],
  rest: string,
  options: ReadOptions,
): AsyncIterable<Chunk> {
  const select = options.columns.map((wanted) => {
    const column = source.find(({ name }) => name === wanted.name)
    if (column === undefined)
      throw new LoadError('try-again', `Column "${wanted.name}" vanished from the source while the load was planned.`)
    return exactText(column)
  })
  yield* readSelected(session, select, rest, options)
}

/** `select`: an expression for each of the wanted columns, of its exact text. */
export async function* readSelected(
  session: Session,
  select: readonly string[],
  rest: string,
  { columns, signal, chunkBytes }: ReadOptions,
): AsyncIterable<Chunk> {
  if (signal.aborted) throw new LoadError('stopped', 'The read was stopped.')
  const stop = (): void => session.cancel()
  signal.addEventListener('abort', stop, { once: true })
  try {
    let rows: Cells[] = []
    let bytes = 0
    let before = 0
    for await (const row of session.stream(`SELECT ${select.join(', ')} FROM ${rest}`)) {
      rows.push(row)
      for (const cell of row) bytes += cell?.length ?? 0
      if (bytes < chunkBytes) continue
      yield toChunk(columns, rows, before)
      before += rows.length
      rows = []
      bytes = 0
    }
    if (rows.length > 0) yield toChunk(columns, rows, before)
  } catch (thrown) {
    throw signal.aborted ? new LoadError('stopped', 'The read was stopped.', { cause: thrown }) : thrown
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
