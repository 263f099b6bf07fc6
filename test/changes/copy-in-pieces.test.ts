// A large table is copied in pieces, side by side, in the one moment from which its log goes on. Whatever dies, the copy is whole.

import { expect, test } from 'vitest'
import type { RunEvent } from '../../src/core/event.ts'
import { startFaultProxy } from '../../src/testing/fault-proxy.ts'
import { type Loading, TARGET_KINDS } from '../servers/loading.ts'
import { areSame, loadsAll, slotOf, startTables, useOwnServer } from './following.ts'

const server = useOwnServer()

const ROWS = 20_000
const COLUMNS = ['id', 'v', 's'] as const
const TABLES = ['public.big', 'public.parts', 'public.small']
const ALL = { big: COLUMNS, parts: COLUMNS, small: COLUMNS }
/** A few pages, so that there are many pieces. */
const PIECES = { pieceBytes: 16 * 8192 }

const MAKE = `
  CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, s text);
  CREATE TABLE parts (id int PRIMARY KEY, v int NOT NULL, s text) PARTITION BY RANGE (id);
  CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (5000);
  CREATE TABLE "Parts high" PARTITION OF parts FOR VALUES FROM (5000) TO (MAXVALUE);
  CREATE TABLE parts_empty PARTITION OF parts DEFAULT;
  CREATE TABLE small (id int PRIMARY KEY, v int NOT NULL, s text);
  INSERT INTO big SELECT i, i, repeat('x', i % 90) FROM generate_series(1, ${ROWS}) AS i;
  INSERT INTO parts SELECT * FROM big WHERE id <= 12000;
  INSERT INTO small SELECT * FROM big WHERE id <= 10;
  -- Pages with holes, and rows whose newest version stands far from the first.
  DELETE FROM big WHERE id BETWEEN 3000 AND 4000; UPDATE big SET v = -v WHERE id % 3 = 0; ANALYZE big, parts`

const BUSY = `UPDATE big SET v = v + 1 WHERE id % 7 = 0; DELETE FROM big WHERE id % 50 = 1; UPDATE parts SET id = id + 100000 WHERE id % 40 = 0;
  INSERT INTO big SELECT i, 0, 'new' FROM generate_series(50001, 50100) AS i ON CONFLICT DO NOTHING`

async function entries(loading: Loading): Promise<readonly string[]> {
  const rows = await loading.target.rows('SELECT partition_key AS key, attempt, status, "rows" FROM pipeline_partitions ORDER BY 1')
  return rows.map(({ key, status, rows }) => `${key?.replace(/@\S+/, '')} ${status} ${rows}`)
}

test.each(TARGET_KINDS)('every row of the moment is there once, and the log goes on: %s', async (target) => {
  await using loading = await startTables(MAKE, TABLES, { target }, { workers: 3 })
  let pieces = 0
  const onEvent = ({ kind }: RunEvent): void => {
    if (kind === 'partition-committed') pieces += 1
  }
  const first = await loading.run({ onEvent }, PIECES)
  expect(first.error).toBeNull()
  expect(pieces).toBeGreaterThan(10)
  expect(first.rows.inserted).toBe(ROWS - 1001 + 12_000 + 10)
  await areSame(loading, ALL)
  await loading.source.run(BUSY)
  await loadsAll(loading, ALL)
  if (target === 'duckdb') return
  // The ledger tells of the table that was copied in pieces last.
  const last = await entries(loading)
  expect(last.length).toBeGreaterThan(3)
  expect(last.every((one) => one.includes(' committed '))).toBe(true)
  expect(last.some((one) => one.includes('"Parts high"'))).toBe(true)
  const keys = await loading.target.rows("SELECT conrelid::regclass::text AS t FROM pg_constraint WHERE contype = 'p' ORDER BY 1")
  expect(keys.map(({ t }) => t)).toEqual(expect.arrayContaining(['big', 'parts', 'small']))
})

/** Three pieces of the size that is usual. */
const WIDE = `CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, s text); ALTER TABLE big ALTER s SET STORAGE PLAIN;
  INSERT INTO big SELECT i, i, repeat('x', 3500) FROM generate_series(1, 20000) AS i`

test.each([
  ['ledger-prepared', 1],
  ['after-commit', 1],
  ['before-finish', 1],
  ['finished', 1],
] as const)('killed at %s: the copy begins anew', async (point, times) => {
  await using loading = await startTables(WIDE, ['public.big'], {}, { workers: 2 })
  const died = await loading.cli(['run'], { TIDEMARK_CRASH_AT: `${point}:${times}` })
  expect(died.signal).toBe('SIGKILL')
  expect(await entries(loading)).toHaveLength(3)
  await loading.source.run("DELETE FROM big WHERE id % 2 = 0; INSERT INTO big SELECT i, 0, 'new' FROM generate_series(50001, 50100) AS i")
  const again = await loading.run()
  expect(again.error).toBeNull()
  await areSame(loading, { big: COLUMNS })
  // What had been filled in vain was emptied, not merged with.
  if (point !== 'finished') expect(again.rows).toMatchObject({ inserted: 10_100, updated: 0, deleted: 0 })
})

test('a table that comes later, and one that is killed while it comes', async () => {
  await using loading = await startTables(MAKE, ['public.small'], {}, { workers: 2 })
  await loadsAll(loading, { small: COLUMNS })
  const slot = await slotOf(loading)
  loading.pipelines({
    shop: {
      pattern: 'cdc',
      source: { tables: ['public.small', 'public.big'], slot, publication: slot },
      target: { schema: 'public' },
      workers: 2,
    },
  })
  await loading.source.run("UPDATE small SET s = 'changed'")
  const stopped = new AbortController()
  let committed = 0
  const cut = await loading.run(
    {
      signal: stopped.signal,
      onEvent: ({ kind }) => {
        if (kind === 'partition-committed' && ++committed === 3) stopped.abort()
      },
    },
    PIECES,
  )
  expect(cut.error?.code).toBe('stopped')
  await loading.source.run(`${BUSY}; INSERT INTO small VALUES (11, 11, 'new')`)
  expect((await loading.run({}, PIECES)).error).toBeNull()
  await areSame(loading, { small: COLUMNS, big: COLUMNS })
  await loading.source.run(BUSY)
  await loadsAll(loading, { small: COLUMNS, big: COLUMNS })
})

test('a reader whose line is cut reads its piece again, in the same moment', async () => {
  await using proxy = await startFaultProxy(server())
  const sourceUrl = (url: string): string => proxy.url(url)
  await using loading = await startTables(MAKE, ['public.big'], { sourceUrl }, { workers: 3 })
  // The first three look, hold the moment, and read small tables.
  proxy.set({ kind: 'cut', direction: 'to-client', afterBytes: 200_000, connections: [4, 5] })
  const retried: string[] = []
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'partition-failed' || event.kind === 'retrying') retried.push(event.kind)
  }
  expect((await loading.run({ onEvent }, { ...PIECES, retrySeconds: 0.01 })).error).toBeNull()
  expect({ fired: proxy.fired, retried }).toEqual({ fired: 2, retried: ['partition-failed', 'partition-failed'] })
  await areSame(loading, { big: COLUMNS })
})
