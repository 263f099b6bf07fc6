// Ranges of numbers. Bounds are whole numbers of any size; the highest range is open above for rows to come, but no higher than what
// was seen. Ranges by rows keep the bounds of the ledger, and go on below and above them.

import { LoadError } from '../../core/errors.ts'
import type { Partition, PartitionBy } from '../../core/partition.ts'
import { rangeKey } from '../../core/partition.ts'
import type { PartitionColumn } from './partition-column.ts'
import type { Estimates } from './partition-estimates.ts'
import type { Session } from './session.ts'
import { tooMany } from './time-partitions.ts'

export interface NumberPartition {
  readonly key: string
  readonly lower: string
  readonly upper: string
  readonly closed: boolean
}

export interface NumberQuestion {
  readonly session: Session
  readonly by: Extract<PartitionBy, { kind: 'range' | 'rows' }>
  readonly column: PartitionColumn
  readonly from: string
  readonly where: string
  readonly range: { readonly from: string | null; readonly to: string | null }
  readonly known: readonly Partition[]
  readonly estimates: Estimates
  /** Of the whole table; null: unknown. */
  readonly estimatedRows: number | null
  readonly most: number
}

/** In order. Throws `too-many-partitions`, `bad-value`. */
export async function numberPartitions(question: NumberQuestion): Promise<readonly NumberPartition[]> {
  const { session, column, from, where, by } = question
  const [seen] = await session.query(
    `SELECT floor(min(${column.column})::numeric)::text AS least, floor(max(${column.column})::numeric)::text AS most FROM ${from} WHERE ${where}`,
  )
  if (seen?.['least'] == null || seen['most'] == null) return []
  if (!isWhole(seen['least']) || !isWhole(seen['most']))
    throw new LoadError('unusable-partition', `Column "${column.name}" has values that are no numbers, such as NaN: they lie in no range.`)
  const [least, most] = [BigInt(seen['least']), BigInt(seen['most'])]
  const ranges = by.kind === 'range' ? bySize(least, most, by.size, question.most) : await byRows(least, most, by.rows, question)
  const wanted = await limited(ranges, question)
  // Numbers are handed out in order but committed in any: the last two ranges may still get rows.
  const open = ranges.at(-2)
  return wanted.map(([lower, upper]) => ({
    key: rangeKey(lower, upper),
    lower: String(lower),
    upper: String(upper),
    closed: open !== undefined && upper <= open[0],
  }))
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text)
}

type Range = readonly [lower: bigint, upper: bigint]

function bySize(least: bigint, most: bigint, size: bigint, limit: number): readonly Range[] {
  const first = floorTo(least, size)
  const count = (floorTo(most, size) - first) / size + 1n
  if (count > BigInt(limit)) throw tooMany(Number(count))
  return Array.from({ length: Number(count) }, (_, index) => {
    const lower = first + BigInt(index) * size
    return [lower, lower + size] as const
  })
}

function floorTo(value: bigint, size: bigint): bigint {
  const rest = value % size
  return value - (rest < 0n ? rest + size : rest)
}

async function byRows(least: bigint, most: bigint, rows: number, question: NumberQuestion): Promise<readonly Range[]> {
  const kept: Range[] = question.known
    .flatMap(({ bounds }): Range[] => (bounds.kind === 'range' ? [[BigInt(bounds.lower), BigInt(bounds.upper)]] : []))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const [first, last] = [kept[0], kept.at(-1)]
  if (first === undefined || last === undefined) return cut(least, most + 1n, rows, question)
  const ranges: Range[] = least < first[0] ? [...(await cut(least, first[0], rows, question))] : []
  for (const [index, range] of kept.entries()) {
    const before = kept[index - 1]
    // Where only parts were asked for so far, there is something between them.
    if (before !== undefined && before[1] < range[0]) ranges.push(...(await cut(before[1], range[0], rows, question)))
    ranges.push(range)
  }
  if (most >= last[1]) ranges.push(...(await cut(last[1], most + 1n, rows, question)))
  return ranges
}

/** [lower, upper) in pieces of about so many rows, by the histogram; where there is none, of equal width. */
async function cut(lower: bigint, upper: bigint, rows: number, question: NumberQuestion): Promise<readonly Range[]> {
  const { estimates, session, from, where, column } = question
  const bounds = { kind: 'range', lower: String(lower), upper: String(upper) } as const
  const inside = async (): Promise<number> => {
    const [row] = await session.query(
      `SELECT count(*) AS n FROM ${from} WHERE ${where} AND ${column.column} >= ${lower} AND ${column.column} < ${upper}`,
    )
    return Number(row?.['n'])
  }
  const expected = estimates.rows(bounds) ?? (await inside())
  const pieces = Math.max(1, Math.ceil(expected / rows))
  if (pieces > question.most) throw tooMany(pieces)
  const limits = new Set<bigint>()
  for (let index = 1; index < pieces; index++) {
    const limit = quantile(estimates.histogram, lower, upper, index / pieces)
    if (limit > lower && limit < upper) limits.add(limit)
  }
  const edges = [lower, ...[...limits].sort((a, b) => (a < b ? -1 : 1)), upper]
  return edges.slice(1).map((edge, index) => [edges[index] ?? lower, edge] as const)
}

function quantile(histogram: readonly number[], lower: bigint, upper: bigint, share: number): bigint {
  const inner = histogram.filter((bound) => bound > Number(lower) && bound < Number(upper))
  if (inner.length < 3) return lower + ((upper - lower) * BigInt(Math.round(share * 1e9))) / 1_000_000_000n
  const edges = [Number(lower), ...inner, Number(upper)]
  const at = share * (edges.length - 1)
  const [a, b] = [edges[Math.floor(at)] ?? 0, edges[Math.floor(at) + 1] ?? Number(upper)]
  return BigInt(Math.round(a + (b - a) * (at - Math.floor(at))))
}

/** Only what `--from` and `--to` ask for: ranges that reach into [from, to). */
async function limited(ranges: readonly Range[], { session, range }: NumberQuestion): Promise<readonly Range[]> {
  if (range.from === null && range.to === null) return ranges
  const wrong = [range.from, range.to].find((text) => text !== null && !/^[+-]?\d+(\.\d*)?$/.test(text))
  if (wrong != null) throw new LoadError('bad-value', `${JSON.stringify(wrong)} is no number, and so no end of a range.`)
  const [row] = await session.query('SELECT floor($1::numeric)::text AS "from", ceil($2::numeric)::text AS "to"', [range.from, range.to])
  const from = row?.['from'] == null ? null : BigInt(row['from'])
  const to = row?.['to'] == null ? null : BigInt(row['to'])
  return ranges.filter(([lower, upper]) => (from === null || upper > from) && (to === null || lower < to))
}
