// Changes that a target refused, kept beside its tables instead of stopping the pipeline.

import type { OP_WORDS } from './change-marks.ts'
import { type ErrorCode, LoadError } from './errors.ts'

/** A change that is kept. Of a row that is kept there is one, the newest; with `append` every change is a row of its own. */
export interface QuarantinedChange {
  /** Position and ordinal; no two of a pipeline are the same. */
  readonly id: string
  /** The table of the target that refused it. */
  readonly table: string
  readonly op: (typeof OP_WORDS)[number] | typeof UNREADABLE
  /** Both are JSON objects by column; every value is a text as the source prints it. A column that is missing was not sent again. */
  readonly key: string
  readonly payload: string
  readonly code: string
  readonly message: string
  /** Of the source's transaction: where it was committed, when, and which of its changes this is. */
  readonly position: string
  readonly ordinal: number
  readonly committedAt: string
  readonly runId: string
  readonly quarantinedAt: string
}

/** A message of a topic that can't be read as a change, though the key of its row can. Of one row there may be several. */
export const UNREADABLE = 'unreadable'

export interface UnreadableMessage {
  /** Its table's number in the load. */
  readonly table: number
  /** First cell of a row in the chunk that it came with, of which only the key is known. */
  readonly row: number
  /** No two of a pipeline have the same; of two messages of one row the earlier has the lower ordinal. */
  readonly position: string
  readonly ordinal: number
  /** A JSON object: all that is needed to read it again. */
  readonly payload: string
  readonly code: ErrorCode
  readonly message: string
  /** When it was written, microseconds from 1970. */
  readonly writtenMicros: bigint
}

/** What became of kept changes that were tried again. */
export interface Replayed {
  readonly replayed: number
  /** Of those asked for, the ones that were refused again. */
  readonly left: number
}

const OF_ONE_ROW: readonly ErrorCode[] = ['value-refused', 'constraint-violated', 'duplicate-key', 'row-missing']

/** The target refused what a row says, and not the statement, the role, or the connection. */
export function isBadRow(thrown: unknown): thrown is LoadError {
  return thrown instanceof LoadError && OF_ONE_ROW.includes(thrown.code)
}
