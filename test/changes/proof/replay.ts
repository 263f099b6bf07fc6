// The history that `write: append` keeps, replayed in its order: what the table is then.

import type { Side } from '../../servers/compare-tables.ts'
import { duckdbRows } from '../../servers/duckdb-file.ts'

type Cells = readonly (string | null)[]

/** Rows as JSON of their columns' texts, sorted. Throws where one change stands there twice. */
export async function replayed(side: Side, table: string, columns: readonly string[], key: readonly string[]): Promise<readonly string[]> {
  const marks = ['_tidemark_op', '_tidemark_position', '_tidemark_ordinal', '_tidemark_unchanged']
  const list = [...columns, ...marks].map((name) => `CAST("${name}" AS varchar) AS "${name}"`).join(', ')
  const sql = `SELECT ${list} FROM ${table}`
  const found: Cells[] = typeof side === 'string' ? await duckdbRows(side, sql) : (await side.rows(sql)).map((row) => Object.values(row))
  const history = found.map((cells) => ({ cells, ...marksOf(cells.slice(columns.length)) }))
  history.sort((a, b) => (a.position === b.position ? a.ordinal - b.ordinal : a.position < b.position ? -1 : 1))
  const keyOf = (cells: Cells): string => JSON.stringify(key.map((name) => cells[columns.indexOf(name)]))
  const rows = new Map<string, Cells>()
  let last = ''
  for (const { cells, op, position, ordinal, unchanged } of history) {
    const place = `${position} ${ordinal}`
    if (op !== 'read' && place === last) throw new Error(`The change at ${place} of ${table} stands there twice.`)
    last = place
    if (op === 'truncate') rows.clear()
    else if (op === 'delete') rows.delete(keyOf(cells))
    else {
      const before = rows.get(keyOf(cells))
      rows.set(
        keyOf(cells),
        columns.map((name, at) => (unchanged.includes(name) ? (before?.[at] ?? null) : (cells[at] ?? null))),
      )
    }
  }
  return [...rows.values()].map((row) => JSON.stringify(row)).sort()
}

function marksOf([op = null, position = null, ordinal = null, unchanged = null]: Cells) {
  const [high = '0', low = '0'] = (position ?? '').split('/')
  return {
    op,
    position: (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`),
    ordinal: Number(ordinal),
    unchanged: unchanged === null ? [] : unchanged.split(', '),
  }
}
