// What a stored watermark claims was read, and what is asked for beside ordinary runs takes nothing else away: on a real
// server what the simulator found with its own.

import { expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { startLoading } from '../servers/loading.ts'

const columns = ['id', 'at', 'note']
const EVENTS = { source: { table: 'events' }, cursor: 'at' }

test('slices of numbers, one a run, leave out no limit between them', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, late_rows: 'sweep' } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at bigint NOT NULL, note text);
    INSERT INTO events SELECT i, i / 3, 'x' FROM generate_series(1, 3000) i; ANALYZE events`)
  for (let n = 0; n < 12; n++) await loading.run({ maxSlices: 1 }, { sliceRows: 500 })
  expect(await loading.compare('events', { columns })).toEqual(same(3000))
})

test('a slice claims no more than the bound, while an old transaction is open', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, late_rows: 'bound' } } })
  await loading.source.run('CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), note text)')
  const late = await loading.source.connect()
  await late.query('BEGIN')
  await late.query("INSERT INTO events VALUES (0, DEFAULT, 'late')")
  await loading.source.run(
    `INSERT INTO events SELECT i, now() + i * interval '1 microsecond', 'x' FROM generate_series(1, 3000) i; ANALYZE events`,
  )
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  for (let n = 0; n < 3; n++) await loading.run({ maxSlices: 1 }, { sliceRows: 500 })
  await late.query('COMMIT')
  await late.end()
  for (let n = 0; n < 12; n++) await loading.run({ maxSlices: 1 }, { sliceRows: 500 })
  expect(await loading.compare('events', { columns })).toEqual(same(3001))
})

test.each([{}, { start: '1' }])('replace carries over every change, also that nothing is left: %o', async (options) => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, write: 'replace', ...options } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at bigint NOT NULL, note text);
    INSERT INTO events SELECT i, i, 'x' FROM generate_series(1, 30) i`)
  await loading.run()
  await loading.source.run("INSERT INTO events VALUES (31, 31, 'new'); DELETE FROM events WHERE id = 7")
  expect((await loading.run()).rows).toMatchObject({ inserted: 1, deleted: 1, unchanged: 29 })
  const versions = await rowVersions(loading.target, 'events')
  expect((await loading.run({ from: '10', to: '20' })).rows).toMatchObject({ unchanged: 10, deleted: 0 })
  expect(await rowVersions(loading.target, 'events')).toEqual(versions)
  await loading.source.run('DELETE FROM events')
  expect((await loading.run()).rows).toMatchObject({ deleted: 30 })
  expect(await loading.compare('events', { columns })).toEqual(same(0))
})

test('a reload of append stays below the watermark, and a full refresh of a range is refused', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, write: 'append' } } })
  await loading.source.run(`CREATE TABLE events (id int, at timestamptz NOT NULL DEFAULT now(), note text);
    INSERT INTO events SELECT i, now() - interval '1 hour', 'x' FROM generate_series(1, 30) i`)
  expect((await loading.run({ from: '2020-01-01' })).rows.read).toBe(0)
  await loading.run()
  await loading.source.run("INSERT INTO events VALUES (31, DEFAULT, 'new')")
  await loading.run({ from: '2020-01-01' })
  expect((await loading.run({ from: '2020-01-01', fullRefresh: true })).error?.code).toBe('bad-usage')
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  await loading.run()
  expect(await loading.compare('events', { columns })).toEqual(same(31))
})

test('a watermark does not fall below the start', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, start: '20', late_rows: 'none' } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at bigint NOT NULL, note text);
    INSERT INTO events SELECT i, i, 'x' FROM generate_series(1, 10) i`)
  await loading.run()
  await loading.source.run("INSERT INTO events SELECT i, i, 'y' FROM generate_series(15, 29) i")
  await loading.run()
  expect(await loading.compare('events', { columns, where: 'at >= 20' })).toEqual(same(10))
  expect(await loading.target.rows('SELECT count(*) AS n FROM events')).toEqual([{ n: '10' }])
})
