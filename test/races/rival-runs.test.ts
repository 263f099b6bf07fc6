// Several runs of one pipeline at the same time. One moves it; the others end in a conflict, or find nothing to do. Append without
// a key is the hard one: a row that two runs load is there twice.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDatabase } from '../../src/connectors/duckdb/database.ts'
import { same } from '../servers/compare-tables.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { startLoading, TARGET_KINDS, WATERMARK_WRITES } from '../servers/loading.ts'
import { addOrders, changeOrders, makeOrders } from '../servers/orders-table.ts'
import { runUntilSame } from '../servers/run-until-same.ts'

const RACES = 50

test(`two processes, ${RACES} races, append without a key`, async () => {
  await using loading = await startLoading({ pipelines: { orders: { write: 'append' } } })
  await makeOrders(loading.source, 1000)
  await loading.source.run('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
  const exits: Record<string, number> = {}
  for (let race = 0; race < RACES; race++) {
    await addOrders(loading.source, 1001 + race * 10, 1010 + race * 10)
    for (const { exit, err } of await Promise.all([loading.cli(['run']), loading.cli(['run'])])) {
      if (exit !== 0 && exit !== 5) throw new Error(`exit ${exit}: ${err}`)
      exits[String(exit)] = (exits[String(exit)] ?? 0) + 1
    }
  }
  console.log(`exits: ${JSON.stringify(exits)}`)
  expect(await runUntilSame(loading)).toEqual(same(1000 + RACES * 10))
  const commits = await loading.target.rows('SELECT epoch FROM pipeline_history ORDER BY epoch')
  expect(commits.map(({ epoch }) => Number(epoch))).toEqual(commits.map((_, index) => index + 1))
})

test.each(WATERMARK_WRITES)('four runs at once by %s, from the first load on', async (write) => {
  const late = write === 'append' ? { late_rows: 'none' } : {}
  await using loading = await startLoading({ pipelines: { orders: { write, ...late } } })
  await makeOrders(loading.source, 2000)
  let conflicts = 0
  for (let race = 0; race < 15; race++) {
    await addOrders(loading.source, 2001 + race * 10, 2010 + race * 10)
    if (write !== 'append') await changeOrders(loading.source, 1 + race, 20 + race)
    const results = await Promise.all(Array.from({ length: 4 }, () => loading.run()))
    for (const { status, error } of results) {
      if (error !== null) expect(error.code).toBe('state-conflict')
      expect(status === 'conflict').toBe(error !== null)
    }
    expect(results.some(({ error }) => error === null)).toBe(true)
    conflicts += results.filter(({ error }) => error !== null).length
    const inserted = results.reduce((sum, { rows }) => sum + rows.inserted, 0)
    expect(inserted).toBe(race === 0 ? 2010 : 10)
    expect(await loading.compare()).toEqual(same(2010 + race * 10))
  }
  console.log(`${write}: ${conflicts} conflicts`)
  expect(conflicts).toBeGreaterThan(0)
})

test('three processes on one DuckDB file, made by the first: each loads, or says that another was first', async () => {
  await using loading = await startLoading({ target: 'duckdb', pipelines: { orders: { write: 'append', late_rows: 'none' } } })
  await makeOrders(loading.source, 1000)
  const exits = new Set<number | null>()
  for (let race = 0; race < 8; race++) {
    const runs = await Promise.all([loading.cli(['run']), loading.cli(['run']), loading.cli(['run'])])
    for (const { exit, err } of runs) {
      // 3: the file was in use for longer than the retries; 5: the pipeline had moved.
      if (exit !== 0 && exit !== 3 && exit !== 5) throw new Error(`exit ${exit}: ${err}`)
      exits.add(exit)
    }
    expect(exits).toContain(0)
    expect(await loading.compare()).toEqual(same(1000))
    rmSync(loading.side as string)
  }
})

test('a DuckDB file opened again while it is being closed keeps what was written before and after', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-reopened-'))
  const path = join(folder, 'one.duckdb')
  const endings: Promise<void>[] = []
  for (let turn = 0; turn < 5; turn++) {
    const database = openDatabase(path, {})
    const connection = await database.connect()
    await connection.run(`CREATE TABLE t${turn} AS SELECT ${turn} AS a`)
    endings.push(connection.close().then(() => database.close()))
    // The one whose close is under way is no longer to be shared.
    await Promise.resolve()
  }
  await Promise.all(endings)
  expect((await duckdbRows(path, 'SELECT table_name FROM duckdb_tables() ORDER BY 1')).flat()).toEqual(['t0', 't1', 't2', 't3', 't4'])
  rmSync(folder, { recursive: true })
})

test.each(TARGET_KINDS)('pipelines of their own tables do not disturb each other in %s', async (target) => {
  const tables = ['a', 'b', 'c']
  const pipelines = Object.fromEntries(tables.map((name) => [name, { source: { table: name }, target: { table: name } }]))
  await using loading = await startLoading({ target, pipelines })
  for (const table of tables) await makeOrders(loading.source, 1000, table)
  const results = await Promise.all(
    tables.map(async (name) => {
      await using project = await loading.open()
      return (await project.run(name)).pipelines[0]
    }),
  )
  expect(results.map((result) => result?.error)).toEqual([null, null, null])
  for (const table of tables) expect(await loading.compare(table)).toEqual(same(1000))
})
