// What is measured: first loads and increments, into Postgres and into a DuckDB file, and loads of thirty days in partitions. The names are those that peer.sh takes.

import { changeDays, changeTenth, changeThousand, everyRow } from './source.ts'

export type TargetKind = 'postgres' | 'duckdb'

export interface Workload {
  readonly name: string
  readonly title: string
  readonly target: TargetKind
  /** Days are loaded as partitions, each by itself. */
  readonly days: boolean
  /** A first load starts with an empty target; the others go on from what the first load left, run after run. */
  readonly first: boolean
  /** Changes the source; returns how many rows there are to move. */
  prepare(source: string, run: number): Promise<number>
}

/** In the order they are run in. */
export const WORKLOADS: readonly Workload[] = [
  { name: 'W1', title: 'Postgres to Postgres, first load', target: 'postgres', days: false, first: true, prepare: everyRow },
  { name: 'W2z', title: 'Postgres to Postgres, nothing changed', target: 'postgres', days: false, first: false, prepare: async () => 0 },
  {
    name: 'W2s',
    title: 'Postgres to Postgres, 1,000 updated rows',
    target: 'postgres',
    days: false,
    first: false,
    prepare: changeThousand,
  },
  { name: 'W2', title: 'Postgres to Postgres, 10 % updated, 1 % new', target: 'postgres', days: false, first: false, prepare: changeTenth },
  { name: 'W3', title: 'Postgres to DuckDB, first load', target: 'duckdb', days: false, first: true, prepare: everyRow },
  { name: 'W4', title: 'Postgres to DuckDB, 10 % updated, 1 % new', target: 'duckdb', days: false, first: false, prepare: changeTenth },
  { name: 'W5', title: 'Postgres to Postgres, 30 days by 4 workers', target: 'postgres', days: true, first: true, prepare: everyRow },
  { name: 'W5r', title: 'Postgres to Postgres, 3 changed days again', target: 'postgres', days: true, first: false, prepare: changeDays },
]
