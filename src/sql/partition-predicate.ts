// The bounds of a partition as a condition. The same function makes the condition that reads from the source and the one that deletes
// from the target; where both are of one kind it is the same text. Values stand as literals of the column's own type: instants with
// their zone, so that no session's time zone can move them.

import type { Partition, PartitionBounds } from '../core/partition.ts'
import type { Dialect } from './dialect.ts'

type Spelling = Pick<Dialect, 'identifier' | 'literal' | 'bucket'>

/** `alias` as in `t.`; empty for none. */
export function partitionPredicate(dialect: Spelling, column: string, bounds: PartitionBounds, alias = ''): string {
  const name = `${alias}${dialect.identifier(column)}`
  switch (bounds.kind) {
    case 'range':
      return `${name} >= ${bound(dialect, bounds.lower)} AND ${name} < ${bound(dialect, bounds.upper)}`
    case 'value':
      return `${name} = ${dialect.literal(bounds.value)}`
    case 'bucket':
      return `${dialect.bucket(name, bounds.of)} = ${bounds.bucket}`
    case 'null':
      return `${name} IS NULL`
  }
}

/** A number stands bare: quoted it would take the column's type, which may be too small for a bound beyond its highest value. */
function bound(dialect: Spelling, text: string): string {
  return /^-?\d+$/.test(text) ? text : dialect.literal(text)
}

/** True for rows in any of the partitions. Ranges that touch are one. */
export function insidePredicate(dialect: Spelling, column: string, partitions: readonly Partition[]): string {
  const name = dialect.identifier(column)
  const ways: string[] = []
  const values: string[] = []
  let open: { lower: string; upper: string } | null = null
  const close = (): void => {
    if (open !== null) ways.push(`(${partitionPredicate(dialect, column, { kind: 'range', ...open })})`)
    open = null
  }
  for (const { bounds } of partitions) {
    if (bounds.kind === 'range') {
      if (open !== null && open.upper === bounds.lower) open = { lower: open.lower, upper: bounds.upper }
      else {
        close()
        open = { lower: bounds.lower, upper: bounds.upper }
      }
    } else if (bounds.kind === 'value') values.push(dialect.literal(bounds.value))
    else if (bounds.kind === 'null') ways.push(`${name} IS NULL`)
    else ways.push(partitionPredicate(dialect, column, bounds))
  }
  close()
  if (values.length > 0) ways.push(`${name} IN (${values.join(', ')})`)
  return ways.length === 0 ? 'false' : `(${ways.join(' OR ')})`
}
