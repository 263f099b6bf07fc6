// The tools that are measured: tidemark, called as a user calls it, and what one would write by hand for exactly this table. The
// baselines are limits rather than rivals: they keep no position, check nothing and know the columns beforehand.

import { join } from 'node:path'
import { COLUMNS, names } from './columns.ts'
import type { Workload } from './workloads.ts'

export interface Tool {
  /** Also part of the name of its target database or file. */
  readonly name: string
  title(workload: Workload): string
  command(workload: Workload): readonly string[]
}

const here = import.meta.dirname
export const TIDEMARK: Tool = {
  name: 'tidemark',
  title: () => 'tidemark',
  command: ({ name }) => ['bash', join(here, 'peer.sh'), name],
}

const TABLE = Object.entries(COLUMNS)
  .map(([name, type]) => `${name} ${type}`)
  .join(', ')
const UPDATES = names.filter((name) => name !== 'id').map((name) => `${name} = excluded.${name}`)

const PIPE = `set -euo pipefail
source() { psql -XAtq -v ON_ERROR_STOP=1 "$SRC_URL" "$@"; }
target() { psql -XAtq -v ON_ERROR_STOP=1 "$DST_URL" "$@"; }
`

const FIRST = `${PIPE}
target -c 'CREATE TABLE bench.orders (${TABLE})'
source -c 'COPY orders TO STDOUT (FORMAT binary)' | target -c 'COPY bench.orders FROM STDIN (FORMAT binary)'
target -c 'ALTER TABLE bench.orders ADD PRIMARY KEY (id)'`

const INCREMENT = `${PIPE}
since=$(target -c "SELECT coalesce(max(updated_at), '-infinity') FROM bench.orders")
source -c "COPY (SELECT * FROM orders WHERE updated_at > '$since') TO STDOUT (FORMAT binary)" |
  target -c BEGIN -c 'CREATE TEMP TABLE stage (${TABLE}) ON COMMIT DROP' -c 'COPY stage FROM STDIN (FORMAT binary)' \\
    -c 'INSERT INTO bench.orders SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET ${UPDATES.join(', ')}' -c COMMIT`

const PSQL: Tool = {
  name: 'psql',
  title: ({ first }) => (first ? 'psql: binary COPY, then primary key' : 'psql: binary COPY, then ON CONFLICT'),
  command: ({ first }) => ['bash', '-c', first ? FIRST : INCREMENT],
}

const CSV: Tool = {
  name: 'csv',
  title: () => 'DuckDB reading CSV from psql',
  command: ({ first }) => [process.execPath, join(here, 'duckdb-csv.ts'), first ? 'first' : 'increment'],
}

const DAY = `${PIPE}
day() {
  source -c "COPY (SELECT * FROM orders WHERE order_date = '$1') TO STDOUT (FORMAT binary)" |
    target -c BEGIN -c "DELETE FROM bench.orders WHERE order_date = '$1'" -c 'COPY bench.orders FROM STDIN (FORMAT binary)' -c COMMIT
}
export -f source target day
`

const FIRST_DAYS = `${DAY}
target -c 'CREATE TABLE bench.orders (${TABLE})' -c 'ALTER TABLE bench.orders ADD PRIMARY KEY (id)' -c 'CREATE INDEX ON bench.orders (order_date)'
read -r first last <<<"$DAYS"
source -c "SELECT generate_series(date '$first', date '$last', '1 day')::date" | xargs -P4 -I{} bash -euo pipefail -c 'day {}'`

const DAYS_AGAIN = `${DAY}
tr ' ' '\\n' <<<"$RELOAD_DAYS" | xargs -P4 -I{} bash -euo pipefail -c 'day {}'`

const STREAMS: Tool = {
  name: 'psql',
  title: () => 'psql: four streams of DELETE and binary COPY',
  command: ({ first }) => ['bash', '-c', first ? FIRST_DAYS : DAYS_AGAIN],
}

export function baselines({ target, days }: Workload): readonly Tool[] {
  if (days) return [STREAMS]
  if (target === 'postgres') return [PSQL]
  const python = process.env['BENCH_DUCKDB_PYTHON']
  if (!python) return [CSV]
  const scanner: Tool = {
    name: 'scanner',
    title: () => "DuckDB's own Postgres scanner",
    command: ({ first }) => [python, join(here, 'duckdb-scanner.py'), first ? 'first' : 'increment'],
  }
  return [CSV, scanner]
}
