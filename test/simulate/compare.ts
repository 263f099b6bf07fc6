// Is the target what the source says? Asked after every run, of what the position claims; and at the end, of everything.

import type { Value } from '../../src/connectors/memory/database.ts'
import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { State } from '../../src/core/state.ts'
import type { Scenario } from './scenario.ts'
import type { Row, World } from './world.ts'

const print = (row: Row, columns: readonly string[]): string => columns.map((name) => `${row[name] ?? 'NULL'}`).join(' ')

/** A column that came without a row comes over with the next one; until then every row has its default. */
function targetRows(world: World, target: MemoryTarget): readonly Row[] {
  const columns = target.contents.tables.get('orders')?.table.columns ?? []
  const expected = Object.fromEntries(world.table.columns.map(({ name, missing }) => [name, missing]))
  return target
    .rows('orders')
    .map((cells) => ({ ...expected, ...Object.fromEntries(columns.map(({ name }, place) => [name, cells[place] ?? null])) }))
}

/** Rows that the stored position claims, but that the target does not hold; null where there are none. */
export function findUnbacked(world: World, scenario: Scenario, target: MemoryTarget): string | null {
  const state = target.contents.states.get('orders')
  if (state === undefined || scenario.pipeline.write === 'replace' || !scenario.keyed) return null
  const columns = world.columns()
  const held = new Set(targetRows(world, target).map((row) => print(row, columns)))
  for (const row of world.rows())
    if (isLoaded(scenario, row) && isClaimed(scenario, state, row) && !held.has(print(row, columns)))
      return `the position ${state.position.kind === 'watermark' ? state.position.value : ''} claims the row ${print(row, columns)}`
  return null
}

function isClaimed({ family, cursor }: Scenario, { position }: State, row: Row & { readonly xmin: bigint }): boolean {
  const at = row['at'] as bigint | null
  if (position.kind !== 'watermark' || at === null) return false
  if (family === 'xid8' || family === 'xid8-append') return (row['tx'] as bigint) < BigInt(position.horizon ?? 0)
  if (position.value === null) return false
  const value = BigInt(position.value)
  const below = cursor === 'number' ? at <= value : at < value
  return family === 'sweep' ? below && row.xmin < BigInt(position.horizon ?? 0) : below
}

/** What differs once all is quiet; null where nothing does. */
export function findDifference(world: World, scenario: Scenario, target: MemoryTarget): string | null {
  const { pipeline, keyed } = scenario
  const columns = world.columns()
  const rows = world.rows().filter((row) => isLoaded(scenario, row))
  // A reload or a sweep may bring rows from before the start.
  const early = target.contents.history.some(({ cause, rows: counts }) => cause === 'reload' || (counts['rescued'] ?? 0) > 0)
  const held = targetRows(world, target).filter((row) => !early || pipeline.start === null || isLoaded(scenario, row))
  const exact = pipeline.write === 'append' || (pipeline.write === 'replace' && (keyed || pipeline.key === null))
  if (exact) return differ(rows.map((row) => print(row, columns)).sort(), held.map((row) => print(row, columns)).sort())
  const wanted = newestByKey(rows, columns)
  const found = new Map(held.map((row) => [row['id'] ?? null, print(row, columns)]))
  if (found.size !== held.length) return 'a key stands twice in the target'
  for (const [id, row] of wanted) if (found.get(id) !== row) return `missing ${row}, found ${found.get(id) ?? 'nothing'}`
  for (const [id, row] of found)
    if (!wanted.has(id) && !(world.gone.has(id) && pipeline.write !== 'replace')) return `not in the source: ${row}`
  return null
}

function isLoaded({ pipeline: { start, nullCursor } }: Scenario, row: Row): boolean {
  const at = (row['at'] ?? null) as bigint | null
  return at === null ? nullCursor === 'include' : start === null || at >= BigInt(start)
}

function newestByKey(rows: readonly Row[], columns: readonly string[]): Map<Value, string> {
  const newest = new Map<Value, Row>()
  for (const row of rows) {
    const id = row['id'] ?? null
    const other = newest.get(id)
    if (other === undefined || isNewer(row, other, columns)) newest.set(id, row)
  }
  return new Map([...newest].map(([id, row]) => [id, print(row, columns)]))
}

function isNewer(row: Row, other: Row, columns: readonly string[]): boolean {
  const [a, b] = [row['at'] ?? null, other['at'] ?? null]
  if (a !== b) return b === null || (a !== null && a > b)
  // Which of two equally new rows stays is a matter of their content; any order of texts will do, the target's is the same.
  return print(row, columns) > print(other, columns)
}

function differ(wanted: readonly string[], found: readonly string[]): string | null {
  const at = wanted.findIndex((row, place) => row !== found[place])
  if (at < 0 && wanted.length === found.length) return null
  return `${wanted.length} rows wanted, ${found.length} found; wanted ${wanted[at] ?? 'no more'}, found ${found[at < 0 ? wanted.length : at]}`
}
