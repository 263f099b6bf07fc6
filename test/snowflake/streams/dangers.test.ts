// What loses or doubles changes of a stream (emulated), one test each: it is found, or it does no harm.

import { afterAll, expect, test } from 'vitest'
import type { TargetKind } from '../../servers/loading.ts'
import { startSnowflake } from '../emulated.ts'
import { loads, ORDERS, type Streaming, startStreaming } from './streaming.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

const ROWS = `INSERT INTO $.orders VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three')`

async function followed(more: object = {}, target: TargetKind = 'duckdb'): Promise<Streaming> {
  const all = await startStreaming(server, { more, target })
  await all.change(ORDERS, ROWS)
  if (!('source' in more)) await loads(all)
  return all
}

/** A run that ends with this error, and leaves the target as it was. */
async function refuses(all: Streaming, code: string, message: RegExp): Promise<void> {
  const before = await all.target()
  const { error } = await all.loading.run()
  expect(error).toMatchObject({ code })
  expect(`${error?.message} ${error?.hint}`).toMatch(message)
  expect(await all.target()).toEqual(before)
}

const OWN = '$.tidemark__shop__@__orders'
const own = (all: Streaming): string => OWN.replace('@', all.schema.name)

test('no statement reads a stream with a condition or a join', async () => {
  const from = server.statements.length
  await using all = await followed()
  await all.change(`UPDATE $.orders SET v = 11 WHERE id = 1`)
  await loads(all)
  const consuming = server.statements.slice(from).filter(({ sql }) => /^INSERT INTO .*_OUTBOX.* FROM/i.test(sql))
  expect(consuming.length).toBe(2)
  for (const { sql } of consuming) expect(sql).toMatch(/ FROM "[^"]+"\."TIDEMARK__[^"]+"$/)
})

test('the answer to COMMIT of a pull is lost: its changes are found in the outbox, once', async () => {
  await using all = await followed()
  await all.change(`INSERT INTO $.orders VALUES (4, 40, 'four')`, `DELETE FROM $.orders WHERE id = 1`)
  server.faults.add({ kind: 'lost-reply', sql: /^COMMIT/, times: 1 })
  await loads(all)
  expect(server.faults.fired['lost-reply']).toBeGreaterThan(0)
})

test.each(['BEGIN', 'UPDATE', 'DELETE FROM', 'INSERT INTO', 'COMMIT'])('the session is lost at %s', async (first) => {
  await using all = await followed()
  await all.change(`INSERT INTO $.orders VALUES (4, 40, 'four')`, `UPDATE $.orders SET id = 9 WHERE id = 2`)
  const before = server.faults.fired['lost-session'] ?? 0
  server.faults.add({ kind: 'lost-session', sql: new RegExp(`^${first}`), times: 1 })
  await loads(all)
  expect((server.faults.fired['lost-session'] ?? 0) - before).toBe(1)
})

test('two runs at once: each change arrives once', async () => {
  await using all = await followed({}, 'postgres')
  for (let round = 0; round < 5; round++) {
    await all.change(`INSERT INTO $.orders VALUES (${round + 10}, 1, 'new')`, `UPDATE $.orders SET v = v + 1 WHERE id < 3`)
    const results = await Promise.all([all.loading.cli(['run'], all.env), all.loading.cli(['run'], all.env)])
    expect(results.some(({ exit }) => exit === 0)).toBe(true)
  }
  await loads(all)
})

test('another project with the same pipeline is refused, and what it takes over is told to the first', async () => {
  await using all = await followed()
  await using other = await startStreaming(server, {})
  other.loading.pipelines(
    { shop: { pattern: 'cdc', source: { connection: 'snow', tables: [`${all.schema.name}.orders`] }, target: { schema: 'main' } } },
    { snow: all.schema.connection },
  )
  const { error } = await other.loading.run()
  expect(error).toMatchObject({ code: 'log-unavailable' })
  expect((await other.loading.run({ fullRefresh: true })).error).toBeNull()
  await refuses(all, 'log-lost', /made anew/)
})

test('a stale stream is never read as empty', async () => {
  await using all = await followed()
  await all.change(`DELETE FROM $.orders WHERE id = 1`)
  server.clock.advance({ days: 15 })
  await refuses(all, 'log-lost', /stale.*--resync/)
  expect((await all.loading.run({ resync: [`${all.schema.name}.orders`] })).error).toBeNull()
  await loads(all)
})

test('a table that was made anew is told, and copied again when asked', async () => {
  await using all = await followed()
  await all.change(ORDERS.replace('CREATE', 'CREATE OR REPLACE'), `INSERT INTO $.orders VALUES (8, 8, 'other')`)
  await refuses(all, 'log-lost', /made anew.*--resync/)
  expect((await all.loading.run({ resync: [`${all.schema.name}.orders`] })).error).toBeNull()
  await loads(all)
})

test('a stream that is gone, or made anew, is told', async () => {
  await using all = await followed()
  await all.change(`CREATE OR REPLACE STREAM ${own(all)} ON TABLE $.orders`)
  await refuses(all, 'log-lost', /made anew/)
  await all.change(`DROP STREAM ${own(all)}`)
  await refuses(all, 'log-lost', /is gone/)
})

test('a column that comes is followed, with its default and without', async () => {
  await using all = await followed()
  await all.change(`ALTER TABLE $.orders ADD COLUMN w NUMBER(5,0)`, `UPDATE $.orders SET w = 1 WHERE id = 1`)
  await loads(all)
  await all.change(`ALTER TABLE $.orders ADD COLUMN d NUMBER(5,0) DEFAULT 7`, `INSERT INTO $.orders (id, v, s, w) VALUES (4, 4, 'd', 4)`)
  await loads(all)
  expect(await all.target('orders', 'd = 7')).toHaveLength(4)
})

test('keys are not enforced: rows with the same key are refused', async () => {
  await using all = await followed()
  await all.change(`INSERT INTO $.orders VALUES (5, 1, 'a'), (5, 2, 'b')`)
  await refuses(all, 'duplicate-key', /1 key stands in several rows/)
  await all.change(`DELETE FROM $.orders WHERE s = 'b'`)
  expect((await all.loading.run({ resync: [`${all.schema.name}.orders`] })).error).toBeNull()
  await loads(all)
})

test('keys change places', async () => {
  await using all = await followed()
  await all.change(`UPDATE $.orders SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 4 END`)
  await loads(all)
})

test('a table that is loaded anew is what it came to', async () => {
  await using all = await followed()
  await all.change(`TRUNCATE TABLE $.orders`, ROWS, `INSERT OVERWRITE INTO $.orders VALUES (1, 10, 'one'), (9, 9, 'nine')`)
  await loads(all)
})

test('an append-only stream is refused, unless rows are only ever added', async () => {
  const all = await startStreaming(server)
  await using _ = all
  const source = { streams: { [`${all.schema.name}.orders`]: `${all.schema.name}.appended` } }
  await all.change(ORDERS, ROWS, 'CREATE STREAM $.appended ON TABLE $.orders APPEND_ONLY = TRUE')
  all.project({ source })
  const { error } = await all.loading.run()
  expect(error).toMatchObject({ code: 'log-unavailable' })
  all.project({ source: { ...source, append_only: true } })
  await loads(all)
  await all.change(`INSERT INTO $.orders VALUES (4, 4, 'four')`)
  await loads(all)
})

test('a stream that is there already goes on from the copy', async () => {
  await using all = await startStreaming(server)
  await all.change(
    ORDERS,
    ROWS,
    'CREATE STREAM $.named ON TABLE $.orders',
    `UPDATE $.orders SET v = 1`,
    `DELETE FROM $.orders WHERE id = 3`,
  )
  all.project({ source: { streams: { [`${all.schema.name}.orders`]: `${all.schema.name}.named` } } })
  await loads(all)
  await all.change(`INSERT INTO $.orders VALUES (3, 3, 'again')`)
  await loads(all)
})

test('a stream that nobody has read for long is a finding, and is told by status', async () => {
  await using all = await followed()
  await all.change(`DELETE FROM $.orders WHERE id = 1`)
  const young = await all.loading.cli(['check'], all.env)
  expect(young.text).not.toContain('stream-ageing')
  server.clock.advance({ days: 8 })
  expect((await all.loading.cli(['check'], all.env)).text).toContain('stream-ageing')
  const told = await all.loading.cli(['status', '-o', 'text'], all.env)
  expect(told.text).toMatch(/is ageing.*it has something.*stale after \d{4}-/)
  expect((await all.loading.cli(['status'], all.env)).json.pipelines[0].log.streams).toEqual([
    { stream: expect.stringMatching(/ORDERS/i), state: 'ageing', stale_after: expect.stringMatching(/^\d{4}-/), has_data: true },
  ])
  await loads(all)
})

test('plan shows the statement that makes the stream', async () => {
  await using all = await startStreaming(server)
  await all.change(ORDERS, ROWS)
  const { text } = await all.loading.cli(['plan'], all.env)
  expect(text).toMatch(/CREATE STREAM .* ON TABLE .*ORDERS/)
  expect(await all.schema.query('SHOW STREAMS IN SCHEMA $')).toEqual([])
})

test('where there is nothing, no warehouse is woken', async () => {
  await using all = await followed()
  server.faults.add({ kind: 'suspended-warehouse' })
  try {
    expect((await all.loading.run()).error).toBeNull()
  } finally {
    server.faults.clear()
  }
})

test('values of every type are exact', async () => {
  await using all = await startStreaming(server, { tables: ['wide'], target: 'postgres' })
  await all.change(
    'CREATE TABLE $.wide (id NUMBER(38,0) NOT NULL PRIMARY KEY, n NUMBER(38,9), f FLOAT, b BOOLEAN, d DATE, t TIME(6), ntz TIMESTAMP_NTZ(6), ltz TIMESTAMP_LTZ(6), bin BINARY, j VARIANT)',
  )
  expect((await all.loading.run()).error).toBeNull()
  await all.change(
    `INSERT INTO $.wide SELECT 99999999999999999999999999999999999999, 12345678901234567890123456789.123456789, 0.1, true, '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00 +0000', TO_BINARY('00FF', 'HEX'), PARSE_JSON('{"a": [1, null]}')`,
  )
  expect((await all.loading.run()).error).toBeNull()
  const [row] = await all.loading.target.rows(
    `SELECT id::text, n::text, f::text, b::text, d::text, t::text, ntz::text, to_char(ltz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS ltz, bin::text, j::jsonb::text AS j FROM wide`,
  )
  expect(row).toEqual({
    id: '99999999999999999999999999999999999999',
    n: '12345678901234567890123456789.123456789',
    f: '0.1',
    b: 'true',
    d: '9999-12-31',
    t: '23:59:59.999999',
    ntz: '9999-12-31 23:59:59.999999',
    ltz: '2024-02-29 12:00:00',
    bin: '\\x00ff',
    j: '{"a": [1, null]}',
  })
})

test('append: every change is a row, an update with what it replaced', async () => {
  await using all = await followed({ write: 'append' })
  await all.change(
    `UPDATE $.orders SET v = 11 WHERE id = 1`,
    `DELETE FROM $.orders WHERE id = 2`,
    `INSERT INTO $.orders VALUES (4, 4, 'four')`,
  )
  expect((await all.loading.run()).error).toBeNull()
  expect(await all.target('orders', `_tidemark_op = 'update' AND _tidemark_old LIKE '%10%'`)).toEqual(['1|11|one'])
  expect(await all.target('orders', `_tidemark_op = 'delete'`)).toEqual(['2|20|two'])
  expect(await all.target('orders', `_tidemark_op = 'insert'`)).toEqual(['4|4|four'])
  expect(await all.target('orders', `_tidemark_op = 'read'`)).toHaveLength(3)
})

test('what the pipeline made is removed with it, and a stream of others is left', async () => {
  await using all = await followed()
  await using project = await all.loading.open()
  const { removed, left } = await project.drop('shop')
  expect([removed.length, left]).toEqual([3, []])
  expect(await all.schema.query('SHOW STREAMS IN SCHEMA $')).toEqual([])
})
