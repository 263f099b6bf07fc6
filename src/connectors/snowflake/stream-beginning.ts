// All rows of the tables, at the moment from which their streams go on: they are the first pull of the outbox, and are read from there.

import type { LogBeginning } from '../../contract/log.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import { COMMITTED_AT, DELETED_AT, LACKS, OLD, OP, ORDINAL, POSITION, READ_WORD } from '../../core/change-marks.ts'
import type { Chunk } from '../../core/chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { invariant } from '../../core/invariant.ts'
import type { Position } from '../../core/position.ts'
import type { Column, Table } from '../../core/table.ts'
import { identifier, literal } from './names.ts'
import { readSelected } from './read-rows.ts'
import type { Session } from './session.ts'
import { pullRows, refuseRepeated, type StreamedTable } from './stream-outbox.ts'

export class StreamsBeginning implements LogBeginning {
  readonly formats = ['columns'] as const
  readonly position: Position
  readonly #session: Session
  readonly #tables: readonly StreamedTable[]
  readonly #pull: bigint
  readonly #everyChange: boolean

  constructor(session: Session, tables: readonly StreamedTable[], pull: bigint, position: Position, everyChange: boolean) {
    this.#session = session
    this.#tables = tables
    this.#pull = pull
    this.position = position
    this.#everyChange = everyChange
  }

  /** Throws `duplicate-key`. */
  async *read({ identity }: Table, options: ReadOptions): AsyncIterable<Chunk> {
    const table = this.#tables.find((one) => one.identity === identity)
    invariant(table !== undefined, 'a table is copied that the beginning has')
    if (!this.#everyChange) await refuseRepeated(this.#session, table, this.#pull)
    const select = options.columns.map((wanted) => selectOf(table, wanted, this.#pull))
    yield* readSelected(this.#session, select, pullRows(table, this.#pull), options)
  }

  async pieces(): Promise<null> {
    return null
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** What a row of the copy has in a column that the pipeline adds. */
function selectOf({ columns }: StreamedTable, { name }: Column, pull: bigint): string {
  if (columns.some((column) => column.name === name)) return identifier(name)
  const marks: Readonly<Record<string, string>> = {
    [OP]: literal(READ_WORD),
    [POSITION]: literal(String(pull)),
    [ORDINAL]: `'0'`,
    ...Object.fromEntries([COMMITTED_AT, LACKS, OLD, DELETED_AT].map((mark) => [mark, 'NULL'])),
  }
  const mark = marks[name]
  if (mark === undefined) throw new LoadError('try-again', `Column "${name}" vanished from the source while the copy was planned.`)
  return mark
}
