// Columns that a pipeline of changes adds to its target tables. Their names are promised.

import type { ChangeWrite } from './pipeline.ts'
import type { Column, Table } from './table.ts'

export const OP = '_tidemark_op'
export const POSITION = '_tidemark_position'
export const ORDINAL = '_tidemark_ordinal'
export const COMMITTED_AT = '_tidemark_committed_at'
/** Names of columns whose values were not sent again: they are what they were. */
export const LACKS = '_tidemark_unchanged'
/** What an update replaced, as far as the log says it: a JSON object by column, whose values are texts. */
export const OLD = '_tidemark_old'
export const DELETED_AT = '_tidemark_deleted_at'

const text = (name: string): Column => ({ name, type: { kind: 'text' }, native: 'text', nullable: true, backfill: null })
const instant = (name: string): Column => ({
  name,
  type: { kind: 'timestamp', zoned: true },
  native: 'timestamp with time zone',
  nullable: true,
  backfill: null,
})

/** In this order after the source's own. */
export const MARKS: Readonly<Record<ChangeWrite, readonly Column[]>> = {
  merge: [],
  append: [
    text(OP),
    text(POSITION),
    { name: ORDINAL, type: { kind: 'integer', bits: 64 }, native: 'bigint', nullable: true, backfill: null },
    instant(COMMITTED_AT),
    text(LACKS),
    text(OLD),
  ],
  'soft-delete': [instant(DELETED_AT)],
}

/** The table as the target gets it. Every change a row: then nothing identifies a row any more. */
export function marked(table: Table, write: ChangeWrite): Table {
  const columns = [...table.columns, ...MARKS[write]]
  return write === 'append' ? { ...table, columns, key: [], keyGuaranteed: false } : { ...table, columns }
}

/** What a change is, in the words of `_tidemark_op`; a row of the first copy is `read`. */
export const OP_WORDS = ['insert', 'update', 'delete', 'truncate'] as const
export const READ_WORD = 'read'
