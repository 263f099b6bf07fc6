// How many rows a partition has, by the planner's statistics: its most common values, and the histogram of the others.

import type { PartitionBounds } from '../../core/partition.ts'
import { tableIdentifier } from '../../sql/quote.ts'
import type { PostgresTable } from './describe.ts'
import type { PartitionColumn } from './partition-column.ts'
import type { Session } from './session.ts'

export interface Estimates {
  /** null where nothing is known. */
  rows(bounds: PartitionBounds): number | null
  /** Values that cut the rows into pieces of about equal size, as numbers in order, both ends included; empty where nothing is known. */
  readonly histogram: readonly number[]
}

interface Common {
  readonly text: string
  readonly at: number
  readonly share: number
}

export async function readEstimates(session: Session, table: PostgresTable, column: PartitionColumn): Promise<Estimates> {
  const total = table.estimatedRows
  const unknown: Estimates = { rows: () => null, histogram: [] }
  if (total === null || table.oid === null) return unknown
  const number = (value: string): string =>
    column.family === 'number' ? `${value}::numeric` : column.family === 'value' ? 'NULL::numeric' : `extract(epoch FROM ${value})::numeric`
  const type = column.family === 'value' ? 'text' : column.declared
  const rows = await session.query(
    `WITH s AS (SELECT * FROM pg_stats WHERE (quote_ident(schemaname) || '.' || quote_ident(tablename))::regclass = $1::regclass AND attname = $2
       ORDER BY inherited DESC LIMIT 1)
     SELECT 'common' AS kind, v::text AS text, ${number('v')} AS at, f AS share FROM s, unnest(s.most_common_vals::text::${type}[], s.most_common_freqs) AS m(v, f)
     UNION ALL SELECT 'bound', v::text, ${number('v')}, NULL FROM s, unnest(s.histogram_bounds::text::${type}[]) AS v
     UNION ALL SELECT 'null', NULL, NULL, null_frac FROM s`,
    [tableIdentifier(table.name), column.name],
  )
  if (rows.length === 0) return unknown
  const common: Common[] = []
  const bounds: number[] = []
  let nulls = 0
  for (const row of rows) {
    if (row['kind'] === 'null') nulls = Number(row['share'])
    else if (row['kind'] === 'bound') bounds.push(Number(row['at']))
    else common.push({ text: row['text'] ?? '', at: Number(row['at']), share: Number(row['share']) })
  }
  const histogram = bounds.filter(Number.isFinite).sort((a, b) => a - b)
  const shares = new Shares(common, histogram, nulls, column.family !== 'number' && column.family !== 'value')
  return { rows: (one) => Math.round(total * shares.of(one)), histogram }
}

class Shares {
  readonly #common: readonly Common[]
  readonly #byText: ReadonlyMap<string, number>
  readonly #histogram: readonly number[]
  readonly #nulls: number
  /** Of rows that are neither common nor NULL. */
  readonly #rest: number
  readonly #isTime: boolean

  constructor(common: readonly Common[], histogram: readonly number[], nulls: number, isTime: boolean) {
    this.#common = common.toSorted((a, b) => a.at - b.at)
    this.#byText = new Map(common.map(({ text, share }) => [text, share]))
    this.#histogram = histogram
    this.#nulls = nulls
    this.#isTime = isTime
    this.#rest = Math.max(0, 1 - nulls - common.reduce((sum, { share }) => sum + share, 0))
  }

  of(bounds: PartitionBounds): number {
    switch (bounds.kind) {
      case 'null':
        return this.#nulls
      case 'bucket':
        return (1 - this.#nulls) / bounds.of
      case 'value':
        return this.#byText.get(bounds.value) ?? 0
      case 'range': {
        const [lower, upper] = [this.#number(bounds.lower), this.#number(bounds.upper)]
        let share = this.#rest * (this.#below(upper) - this.#below(lower))
        for (let at = this.#firstFrom(lower); at < this.#common.length; at++) {
          const one = this.#common[at] as Common
          if (one.at >= upper) break
          share += one.share
        }
        return share
      }
    }
  }

  /** Rough is good enough: only the order of loading and what people see depend on it. */
  #number(text: string): number {
    return this.#isTime ? Date.parse(/Z$/.test(text) ? text : `${text.length === 10 ? `${text}T00:00:00` : text}Z`) / 1000 : Number(text)
  }

  #firstFrom(value: number): number {
    return lowerBound(this.#common.length, (at) => (this.#common[at]?.at ?? 0) >= value)
  }

  /** Which share of the histogram's rows lies below a value. */
  #below(value: number): number {
    const bounds = this.#histogram
    const last = bounds.length - 1
    if (last < 1) return 0
    const at = lowerBound(bounds.length, (index) => (bounds[index] ?? 0) >= value)
    if (at === 0) return 0
    if (at > last) return 1
    const [a, b] = [bounds[at - 1] ?? 0, bounds[at] ?? 0]
    return (at - 1 + (b > a ? (value - a) / (b - a) : 0)) / last
  }
}

function lowerBound(length: number, isAt: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isAt(middle)) high = middle
    else low = middle + 1
  }
  return low
}
