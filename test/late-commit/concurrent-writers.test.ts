// One busy table, read by many pipelines at once, each with its own way of catching rows that commit late. What the naive way
// loses under the same load proves that the load bites.

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { freshRole } from '../servers/fresh-role.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { LIVE_COLUMNS, LIVE_TABLE, startWriters } from './writers.ts'

const LIVE = { source: { table: 'live' } }
const HAPPENED = { source: { table: 'happened' }, cursor: 'at', write: 'append' }

/** How each catches late rows, and what it must have chosen. */
const SAFE: Readonly<Record<string, readonly [mode: string, pipeline: Readonly<Record<string, unknown>>]>> = {
  bound: ['bound', LIVE],
  delete_insert: ['bound', { ...LIVE, write: 'delete-insert' }],
  sweep: ['sweep', { ...LIVE, late_rows: 'sweep' }],
  xid8: ['xid8', { ...LIVE, late_rows: { xid8: 'tx' } }],
  coarse: ['bound', { ...LIVE, cursor: 'coarse_at' }],
  local: ['bound', { ...LIVE, cursor: 'local_at', cursor_time_zone: 'UTC' }],
  day: ['bound', { ...LIVE, cursor: 'day', cursor_time_zone: 'UTC' }],
  number: ['sweep', { ...LIVE, cursor: 'id' }],
  unseeing: ['sweep', { source: { connection: 'unseeing', table: 'live' } }],
  append: ['bound', HAPPENED],
  append_xid8: ['xid8', { ...HAPPENED, late_rows: { xid8: 'tx' } }],
}
const NAIVE = { ...LIVE, late_rows: 'none' }
const WRITING_MS = 10_000

test('nothing is lost, doubled or stale while ten writers commit late', async () => {
  await using loading = await startLoading()
  await loading.source.run(LIVE_TABLE)
  await using unseeing = await freshRole(loading.source, 'GRANT SELECT ON live TO ROLE')
  const pipelines = { ...Object.fromEntries(Object.entries(SAFE).map(([name, [, own]]) => [name, own])), naive: NAIVE }
  const named = Object.entries(pipelines).map(([name, own]) => [name, { ...own, target: { table: name } }])
  loading.pipelines(Object.fromEntries(named), { unseeing: { type: 'postgres', url: unseeing.url } })

  const writing = await startWriters(loading.source, 10, WRITING_MS)
  const turns = await Promise.all(named.map(([name]) => runUntil(loading, name as string, writing.done)))
  console.log(`${writing.transactions()} transactions; runs of each pipeline: ${turns.map(({ runs }) => runs).join(', ')}`)

  expect(Object.fromEntries(turns.map(({ name, mode }) => [name, mode]))).toEqual({
    ...Object.fromEntries(Object.entries(SAFE).map(([name, [mode]]) => [name, mode])),
    naive: 'none',
  })
  for (const name of Object.keys(SAFE)) {
    const table = name.startsWith('append') ? 'happened' : 'live'
    const columns = table === 'live' ? LIVE_COLUMNS : ['id', 'writer', 'at', 'tx']
    const found = await loading.compare(table, { columns, targetTable: `"${name}"` })
    expect({ name, ...found }).toEqual({ name, ...same(found.rows) })
  }
  const naive = await loading.compare('live', { columns: LIVE_COLUMNS, targetTable: 'naive' })
  expect(naive.lost.length).toBeGreaterThan(0)
})

interface Turns {
  readonly name: string
  readonly mode: string
  readonly runs: number
}

/** Runs the pipeline again and again while others write, and then until nothing is left to come. */
async function runUntil(loading: Loading, name: string, written: Promise<void>): Promise<Turns> {
  await using project = await loading.open()
  const planned = await project.plan(name)
  const mode = 'late' in planned ? planned.late.mode : 'none'
  let writing = true
  void written.then(() => {
    writing = false
  })
  let runs = 0
  let quietSince = Number.POSITIVE_INFINITY
  // The safe bound stays two seconds behind; all that was written lies below it after three.
  while (performance.now() < quietSince + 3000) {
    const result = await project.run(name)
    expect(result.pipelines.map(({ error }) => error)).toEqual([null])
    runs++
    if (!writing) quietSince = Math.min(quietSince, performance.now())
    await pause(writing ? 60 : 500)
  }
  return { name, mode, runs }
}
