// Cursors whose values say less than they seem to: days, whole seconds, local times over the change of the clocks, numbers from
// a cache, infinities, ties. Each is loaded in steps and compared.

import { expect, test } from 'vitest'
import { cursorBound } from '../../src/connectors/postgres/bound.ts'
import type { Cursor } from '../../src/connectors/postgres/cursor.ts'
import { watermarkOf } from '../../src/core/position.ts'
import { rowVersions, same } from '../servers/compare-tables.ts'
import { freshDatabase } from '../servers/fresh-database.ts'
import { startLoading } from '../servers/loading.ts'
import { runUntilSame } from '../servers/run-until-same.ts'

const EVENTS = { source: { table: 'events' } }
const columns = ['id', 'at', 'note']

test("a DATE cursor: today's rows load at once, again when more come, and never twice", async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at', cursor_time_zone: 'UTC' } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at date NOT NULL, note text);
    INSERT INTO events SELECT i, current_date - (i % 3), 'first' FROM generate_series(1, 30) i`)
  expect((await loading.run()).rows).toMatchObject({ inserted: 30 })
  const [today] = await loading.source.rows('SELECT current_date::text AS day')
  expect(watermarkOf((await loading.state())?.position ?? null)).toBe(today?.day)
  const versions = await rowVersions(loading.target, 'events')
  await loading.source.run("INSERT INTO events SELECT i, current_date, 'later the same day' FROM generate_series(31, 40) i")
  expect((await loading.run()).rows).toMatchObject({ inserted: 10, updated: 0, unchanged: 10 })
  expect(await loading.compare('events', { columns })).toEqual(same(40))
  expect((await rowVersions(loading.target, 'events')).slice(0, 30)).toEqual(versions)
})

test('a DATE cursor with append waits until the day is over', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at', cursor_time_zone: 'UTC', write: 'append' } } })
  await loading.source.run(`CREATE TABLE events (id int, at date NOT NULL, note text);
    INSERT INTO events SELECT i, current_date - (i % 3), 'x' FROM generate_series(1, 30) i`)
  for (let n = 0; n < 3; n++) await loading.run()
  expect(await loading.compare('events', { columns, where: 'at < current_date' })).toEqual(same(20))
  expect(await loading.target.rows('SELECT count(*) AS n FROM events')).toEqual([{ n: '20' }])
})

test('whole seconds are rounded up to half a second, and lose nothing', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at', write: 'append' } } })
  await loading.source.run('CREATE TABLE events (id int, at timestamptz(0) NOT NULL DEFAULT now(), note text)')
  for (let id = 1; id <= 40; id++) {
    await loading.source.run(`INSERT INTO events (id, note) VALUES (${id}, 'x')`)
    if (id % 8 === 0) await loading.run()
  }
  expect(await runUntilSame(loading, 'events', { columns })).toEqual(same(40))
})

test.each(['America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe', 'Pacific/Apia', 'America/Santiago'])(
  'no local time made later lies below the bound, clocks of %s changed or not',
  async (zone) => {
    await using database = await freshDatabase()
    const cursor: Cursor = {
      name: 'at',
      column: '"at"',
      declared: 'timestamp without time zone',
      family: 'local-time',
      unitMicros: 1,
      zone,
      nullable: false,
      indexed: true,
    }
    // Every ten minutes of two years: the least local time of that and every later moment against the bound.
    const rows = await database.rows(
      `WITH moments AS (SELECT at, ${cursorBound(cursor, 'at')} AS bound, at AT TIME ZONE '${zone}' AS local
       FROM generate_series(timestamptz '2011-06-01 00:00+00', timestamptz '2013-06-01 00:00+00', interval '10 minutes') AS at),
     judged AS (SELECT at, bound, min(local) OVER (ORDER BY at DESC) AS least FROM moments)
     SELECT count(*) AS moments, count(*) FILTER (WHERE bound > least) AS unsafe, count(*) FILTER (WHERE bound < least - interval '5 hours') AS lazy FROM judged`,
    )
    expect(rows).toEqual([{ moments: '105265', unsafe: '0', lazy: '0' }])
  },
)

test('the hour that a fall-back repeats is loaded twice over, each row once', async () => {
  const pipeline = { ...EVENTS, cursor: 'at', cursor_time_zone: 'America/New_York' }
  await using loading = await startLoading({ pipelines: { events: pipeline } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at timestamp NOT NULL, note text);
    INSERT INTO events SELECT i, timestamp '2024-11-03 00:30' + i * interval '1 minute', 'EDT' FROM generate_series(1, 90) i`)
  await loading.run()
  expect((await loading.cli(['watermark', 'set', 'events', '2024-11-03 01:00:00', '--yes'])).exit).toBe(0)
  expect(watermarkOf((await loading.state())?.position ?? null)).toBe('2024-11-03 01:00:00')
  await loading.source.run(
    "INSERT INTO events SELECT 100 + i, timestamp '2024-11-03 01:00' + i * interval '1 minute', 'EST' FROM generate_series(0, 59) i",
  )
  expect((await loading.run()).rows).toMatchObject({ inserted: 60, updated: 0 })
  expect(await loading.compare('events', { columns })).toEqual(same(150))
})

test('numbers from a cache come out of order, and all arrive', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'id' } } })
  await loading.source.run(`CREATE SEQUENCE numbers CACHE 20;
    CREATE TABLE events (id bigint PRIMARY KEY DEFAULT nextval('numbers'), at timestamptz DEFAULT now(), note text)`)
  const [first, second] = [await loading.source.connect(), await loading.source.connect()]
  await first.query("INSERT INTO events (note) VALUES ('takes 1 to 20')")
  await second.query("INSERT INTO events (note) VALUES ('takes 21 to 40')")
  await loading.run()
  await first.query("INSERT INTO events (note) VALUES ('number 2, after number 21')")
  const { rows: rescued } = await loading.run()
  expect(rescued).toMatchObject({ inserted: 1, rescued: 1 })
  expect(await loading.compare('events', { columns })).toEqual(same(3))
})

test.each([
  ['bigint', ['9007199254740992', '9007199254740993', '9007199254740994', '9223372036854775807']],
  [
    'numeric',
    ['0.1', '0.10000000000000000001', '99999999999999999999999999999999999999999.5', '99999999999999999999999999999999999999999.50001'],
  ],
])('a cursor of type %s keeps every digit', async (type, values) => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at' } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at ${type} NOT NULL, note text)`)
  for (const [id, value] of values.entries()) {
    await loading.source.run(`INSERT INTO events VALUES (${id}, ${value}, 'x')`)
    expect((await loading.run()).rows).toMatchObject({ inserted: 1, updated: 0 })
    expect(watermarkOf((await loading.state())?.position ?? null)).toBe(value)
  }
  expect(await loading.compare('events', { columns })).toEqual(same(4))
})

test('a row in the future waits, is counted, and does not take the watermark along; infinity neither', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at' } } })
  await loading.source.run(`CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL, note text);
    INSERT INTO events VALUES (1, now(), 'now'), (2, '2199-01-01', 'far away'), (3, 'infinity', 'never'), (4, '-infinity', 'always')`)
  const first = await loading.run()
  expect(first).toMatchObject({ waiting: 2, rows: { inserted: 2 } })
  await loading.source.run("INSERT INTO events VALUES (5, now(), 'later')")
  expect((await loading.run()).rows).toMatchObject({ inserted: 1 })
  await loading.source.run('UPDATE events SET at = now() WHERE id = 2')
  expect((await loading.run()).rows).toMatchObject({ inserted: 1 })
  expect(await loading.compare('events', { columns, where: 'id <> 3' })).toEqual(same(4))
})

test('ties at the boundary: rows of one and the same time, committed before and after a run', async () => {
  await using loading = await startLoading({ pipelines: { events: { ...EVENTS, cursor: 'at' } } })
  await loading.source.run('CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), note text)')
  const slow = await loading.source.connect()
  await slow.query('BEGIN')
  const { rows } = await slow.query('SELECT now()::text AS at')
  await loading.source.run(`INSERT INTO events VALUES (1, '${rows[0].at}', 'early')`)
  await loading.run()
  await slow.query("INSERT INTO events VALUES (2, now(), 'late'); COMMIT")
  await loading.run()
  expect(await loading.compare('events', { columns })).toEqual(same(2))
})
