// What reads the rows of one partition after the other, or of one piece of a table.

import type { Chunk } from '../core/chunk.ts'
import type { Partition } from '../core/partition.ts'
import type { Column } from '../core/table.ts'
import type { ReadOptions } from './read-options.ts'

export interface PartitionReader {
  /** What is asked between `begin` and `end` is of one moment. */
  begin(): Promise<void>
  checksum(partition: Partition, columns: readonly Column[]): Promise<string>
  /** Throws `short-read` rather than end early. */
  read(partition: Partition, options: ReadOptions): AsyncIterable<Chunk>
  end(): Promise<void>
  close(): Promise<void>
}

/** Of a table whose pieces are never compared. */
export type PieceReader = Omit<PartitionReader, 'checksum'> & Partial<Pick<PartitionReader, 'checksum'>>
