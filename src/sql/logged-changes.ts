// Every change of a table as a row of a history: its values, and after them the marks of `append` as text.

import type { ChangedTable } from '../contract/log.ts'
import { OP_WORDS } from '../core/change-marks.ts'
import { type ChangesChunk, DELETE, NONE, UNCHANGED, UPDATE } from '../core/changes-chunk.ts'
import { cellValue, valuesJson } from './kept-values.ts'

const encoder = new TextEncoder()
const NOTHING = new Uint8Array(0)

export interface LoggedChanges {
  /** First cells of rows in the chunk, one a change. */
  readonly rows: readonly number[]
  /** The marks of a row. */
  readonly extra: (row: number) => readonly Uint8Array[]
  /** Which change a row is of. */
  readonly changes: ReadonlyMap<number, number>
}

/** Adds a row of no values to the chunk for a change that has none. */
export function loggedChanges(chunk: ChangesChunk, table: number, { columns }: ChangedTable): LoggedChanges {
  const rows: number[] = []
  const marks = new Map<number, readonly Uint8Array[]>()
  const changes = new Map<number, number>()
  const placeOf = changePlaces(chunk)
  for (let change = 0; change < chunk.count; change++) {
    if (chunk.table[change] !== table) continue
    const op = chunk.op[change] as number
    const own = (op === DELETE ? chunk.old[change] : chunk.row[change]) as number
    const row = own === NONE ? chunk.addRow(columns.length) : own
    const { position, ordinal, committedAt } = placeOf(change)
    rows.push(row)
    changes.set(row, change)
    marks.set(row, [
      encoder.encode(OP_WORDS[op]),
      encoder.encode(position),
      encoder.encode(String(ordinal)),
      encoder.encode(committedAt),
      lacking(chunk, row, columns),
      op === UPDATE ? replaced(chunk, chunk.old[change] as number, columns) : NOTHING,
    ])
  }
  return { rows, changes, extra: (row) => marks.get(row) ?? [] }
}

/** Where a change stands in the source's log. */
interface ChangePlace {
  readonly position: string
  /** Among the changes of its transaction. */
  readonly ordinal: number
  readonly committedAt: string
}

/** Asked for changes in their order, it takes one walk through the transactions. */
export function changePlaces({ transactions }: ChangesChunk): (change: number) => ChangePlace {
  let at = 0
  return (change) => {
    if ((transactions[at]?.first ?? 0) > change) at = 0
    while (at + 1 < transactions.length && (transactions[at + 1]?.first ?? 0) <= change) at += 1
    const transaction = transactions[at]
    return {
      position: transaction?.position ?? '',
      ordinal: (transaction?.before ?? 0) + change - (transaction?.first ?? 0),
      committedAt: instant(transaction?.committedMicros ?? 0n),
    }
  }
}

function lacking(chunk: ChangesChunk, row: number, columns: ChangedTable['columns']): Uint8Array {
  const names = columns.flatMap(({ target }, place) => (chunk.length[row + place] === UNCHANGED ? [target.name] : []))
  return names.length === 0 ? NOTHING : encoder.encode(names.join(', '))
}

function replaced(chunk: ChangesChunk, old: number, columns: ChangedTable['columns']): Uint8Array {
  if (old === NONE) return NOTHING
  const names = columns.map(({ target }) => target.name)
  return encoder.encode(
    valuesJson(
      names,
      names.map((_, place) => cellValue(chunk, old + place)),
    ),
  )
}

/** `2024-03-10 05:00:00.123456+00`. */
export function instant(micros: bigint): string {
  const seconds = new Date(Number(micros / 1_000_000n) * 1000).toISOString().slice(0, 19).replace('T', ' ')
  return `${seconds}.${String(micros % 1_000_000n).padStart(6, '0')}+00`
}
