import type { Format } from '../core/chunk.ts'
import type { Column } from '../core/table.ts'

/** How rows are wanted from a source. */
export interface ReadOptions {
  readonly format: Format
  /** Names and target types of the values wanted, in this order. */
  readonly columns: readonly Column[]
  readonly chunkBytes: number
  readonly signal: AbortSignal
}
