// Rows that a target refuses are kept, exactly once, with all that the source says of them; every other row is in. A row that is kept is
// never forgotten by what comes after it: in the end the target is the source.

import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { type ExpectStatic, expect, test } from 'vitest'
import type { RunEvent } from '../../src/core/event.ts'
import type { QuarantinedChange } from '../../src/core/quarantine.ts'
import { duckdbRun } from '../servers/duckdb-file.ts'
import { type Loading, TARGET_KINDS, type TargetKind } from '../servers/loading.ts'
import { resultOf } from '../servers/run-cli.ts'
import { Random } from '../simulate/random.ts'
import { areSame, COLUMNS, slotOf, startFollowing, startTables, useOwnServer } from './following.ts'

useOwnServer()

/** Columns of the target's own tables; 1000 and more is refused. */
const OWN = '(id int PRIMARY KEY, v int NOT NULL CHECK (v < 1000), s text, z text)'
const BOTH = { a: COLUMNS, b: COLUMNS }

async function atTarget({ side }: Loading, sql: string): Promise<void> {
  if (typeof side === 'string') await duckdbRun(side, sql)
  else await side.run(sql)
}

async function startStrict(target: TargetKind, more: object = {}, own = OWN): Promise<Loading> {
  const loading = await startFollowing(target, { on_bad_row: 'quarantine', ...more })
  await atTarget(loading, `CREATE TABLE a ${own}; CREATE TABLE b ${own}`)
  expect((await loading.run()).error).toBeNull()
  return loading
}

/** The target takes everything from now on. */
async function relax(loading: Loading): Promise<void> {
  for (const table of ['a', 'b'])
    await atTarget(loading, `CREATE TABLE free AS SELECT * FROM ${table}; DROP TABLE ${table}; ALTER TABLE free RENAME TO ${table}`)
}

async function kept(loading: Loading): Promise<readonly QuarantinedChange[]> {
  await using project = await loading.open()
  return await project.quarantined('shop')
}

async function keptKeys(loading: Loading): Promise<readonly string[]> {
  return (await kept(loading)).map(({ table, key }) => `${table.replace(/.*\./, '')} ${JSON.parse(key).id}`).sort()
}

async function replay(loading: Loading, look: ExpectStatic = expect): Promise<void> {
  await using project = await loading.open()
  look((await project.replayQuarantine('shop')).left).toBe(0)
  look(await project.quarantined('shop')).toEqual([])
}

test.concurrent.each(TARGET_KINDS)('bad rows among good ones, into %s', async (target) => {
  await using loading = await startStrict(target)
  await loading.source.run(
    `BEGIN; INSERT INTO a SELECT i, CASE WHEN i IN (500, 777) THEN 4321 ELSE 1 END, 'secret-' || i, 'secret' FROM generate_series(100, 2000) AS i;
     UPDATE b SET v = 5 WHERE id < 10; UPDATE b SET v = 9876, s = 'secret-b' WHERE id = 7; COMMIT`,
  )
  const events: RunEvent[] = []
  const result = await loading.run({ onEvent: (event) => events.push(event) })
  expect(result).toMatchObject({ error: null, status: 'loaded', rows: { inserted: 1899, updated: 8, quarantined: 3 } })
  const { read, inserted, updated, deduplicated, quarantined } = result.rows
  expect(read).toBe(inserted + updated + deduplicated + quarantined)
  expect(await keptKeys(loading)).toEqual(['a 500', 'a 777', 'b 7'])
  await areSame(loading, { a: { columns: COLUMNS, where: 'id NOT IN (500, 777)' }, b: { columns: COLUMNS, where: 'id <> 7' } })
  const [, , third] = await kept(loading)
  expect(third).toMatchObject({ op: 'update', code: 'constraint-violated', key: '{"id":"7"}' })
  expect(JSON.parse(third?.payload ?? '')).toEqual({ id: '7', v: '9876', s: 'secret-b', z: null })
  expect(events.find(({ kind }) => kind === 'warning')).toMatchObject({ code: 'quarantined', message: expect.stringContaining('3 rows') })
  expect(`${JSON.stringify(events)} ${third?.message}`).not.toMatch(/secret|4321|9876/)
  // Nothing is read again, nothing kept twice.
  expect((await loading.run()).status).toBe('up-to-date')
  const listed = await loading.cli(['quarantine', 'list', 'shop'])
  expect(listed.json.quarantine).toHaveLength(3)
  expect(listed.json.quarantine[2]).toMatchObject({ key: { id: '7' }, payload: { v: '9876' }, code: 'constraint-violated' })
  expect((await loading.cli(['status'])).json.pipelines[0].quarantined).toBe(3)
  const again = await loading.cli(['quarantine', 'replay', 'shop'])
  expect({ exit: again.exit, json: again.json }).toMatchObject({ exit: 1, json: { ok: false, replayed: 0, left: 3 } })
  expect(again.err).not.toMatch(/secret|4321|9876/)
  await relax(loading)
  await replay(loading)
  await areSame(loading, BOTH)
})

/** Runs after a change at the source, and says which rows are kept then. */
async function keptAfter(loading: Loading, sql: string): Promise<readonly string[]> {
  await loading.source.run(sql)
  expect((await loading.run()).error).toBeNull()
  return keptKeys(loading)
}

test.concurrent.each(TARGET_KINDS)('a row that changes again is mended, into %s', async (target) => {
  await using loading = await startStrict(target)
  // A large value that came with the bad one is not logged again when the row is mended; another never came at all.
  expect(await keptAfter(loading, "UPDATE a SET v = 5000, s = repeat('new', 3000) WHERE id = 3")).toEqual(['a 3'])
  expect(await keptAfter(loading, 'UPDATE a SET v = 6000 WHERE id = 3')).toEqual(['a 3'])
  expect(await keptAfter(loading, 'UPDATE a SET v = 7 WHERE id = 3')).toEqual([])
  // Another key, and mended at once or later.
  expect(await keptAfter(loading, "UPDATE a SET v = 5000, s = 'gone' WHERE id IN (4, 5)")).toEqual(['a 4', 'a 5'])
  expect(await keptAfter(loading, 'UPDATE a SET id = 40 WHERE id = 4; UPDATE a SET id = 50, v = 8 WHERE id = 5')).toEqual(['a 40'])
  expect(await keptAfter(loading, 'UPDATE a SET v = 1 WHERE id = 40')).toEqual([])
  await areSame(loading, BOTH)
})

test.concurrent.each(TARGET_KINDS)('a row that goes is kept no more, into %s', async (target) => {
  await using loading = await startStrict(target)
  const made = "INSERT INTO b VALUES (60, 4000, NULL, NULL), (61, 4000, 'x', 'y'); DELETE FROM b WHERE id = 60"
  expect(await keptAfter(loading, `${made}; UPDATE a SET v = 5000 WHERE id IN (6, 9)`)).toEqual(['a 6', 'a 9', 'b 61'])
  const again = "DELETE FROM b WHERE id = 61; INSERT INTO b VALUES (61, 1, 'again', NULL)"
  expect(await keptAfter(loading, `${again}; DELETE FROM a WHERE id = 6; UPDATE b SET v = 3000 WHERE id < 3`)).toEqual([
    'a 9',
    'b 1',
    'b 2',
  ])
  expect(await keptAfter(loading, 'TRUNCATE b; INSERT INTO b VALUES (1, 1, NULL, NULL)')).toEqual(['a 9'])
  expect(await keptAfter(loading, 'DELETE FROM a WHERE id = 9')).toEqual([])
  await areSame(loading, BOTH)
})

test.concurrent.each(TARGET_KINDS)('a copy takes the place of what was kept, into %s', async (target) => {
  await using loading = await startStrict(target)
  await atTarget(loading, 'DELETE FROM a WHERE id = 3')
  await loading.source.run('UPDATE a SET v = 5 WHERE id = 3; UPDATE b SET v = 2000 WHERE id = 3')
  expect((await loading.run()).error).toBeNull()
  expect(await keptKeys(loading)).toEqual(['a 3', 'b 3'])
  expect((await kept(loading))[0]).toMatchObject({ code: 'row-missing', payload: '{"id":"3","v":"5"}' })
  expect((await loading.run({ resync: ['public.a'] })).error).toBeNull()
  expect(await keptKeys(loading)).toEqual(['b 3'])
  await areSame(loading, { a: COLUMNS })
})

test.concurrent.each(TARGET_KINDS)('so does a copy in pieces, of a table that is made again, into %s', async (target) => {
  await using loading = await startStrict(target)
  await loading.source.run("INSERT INTO a SELECT i, 1, 's', 'z' FROM generate_series(1000, 20000) AS i; UPDATE a SET v = 2000 WHERE id = 3")
  expect((await loading.run()).error).toBeNull()
  expect(await keptKeys(loading)).toEqual(['a 3'])
  await atTarget(loading, 'DROP TABLE a')
  const copied = await loading.run({ resync: ['public.a'] }, { pieceBytes: 16 * 8192 })
  expect(copied.error).toBeNull()
  expect(await keptKeys(loading)).toEqual([])
  await areSame(loading, BOTH)
})

test.concurrent.each(TARGET_KINDS)('every change kept as a row, and deleted rows marked, into %s', async (target) => {
  const marks =
    ', _tidemark_op text, _tidemark_position text, _tidemark_ordinal bigint, _tidemark_committed_at timestamptz, _tidemark_unchanged text, _tidemark_old text)'
  await using history = await startStrict(target, { write: 'append' }, `(id int, v int CHECK (v < 1000), s text, z text${marks}`)
  await using soft = await startStrict(target, { write: 'soft-delete' }, OWN.replace(/\)$/, ', _tidemark_deleted_at timestamptz)'))
  for (const loading of [history, soft]) {
    await loading.source.run(
      'UPDATE a SET v = 5000 WHERE id = 1; UPDATE a SET v = 6 WHERE id = 1; DELETE FROM a WHERE id = 2; UPDATE a SET v = 3000 WHERE id = 8',
    )
    expect((await loading.run()).error).toBeNull()
  }
  expect(await keptKeys(history)).toEqual(['a 1', 'a 8'])
  expect(await keptKeys(soft)).toEqual(['a 8'])
  await relax(history)
  await replay(history)
  await history.source.run(`CREATE TABLE expected AS SELECT * FROM (VALUES
    (1, 5000, 'update', 0, 's, z'), (1, 6, 'update', 1, 's, z'), (2, NULL, 'delete', 2, NULL), (8, 3000, 'update', 3, 's, z'))
    AS e(id, v, _tidemark_op, _tidemark_ordinal, _tidemark_unchanged)`)
  const columns = ['id', 'v', '_tidemark_op', '_tidemark_ordinal', '_tidemark_unchanged']
  const how = { columns, where: "_tidemark_op <> 'read'", targetTable: 'a' }
  expect(await history.compare('expected', how)).toMatchObject({ lost: [], surplus: [], rows: 4 })
  await relax(soft)
  await replay(soft)
  await areSame(soft, { a: { columns: COLUMNS, where: 'id <> 2' } })
})

test.concurrent.each(TARGET_KINDS)(
  'quarantine-full: more than may be kept stops the pipeline, and nothing is written, into %s',
  async (target) => {
    await using loading = await startStrict(target, { max_quarantined: 3 })
    await loading.source.run('UPDATE a SET v = 2000 WHERE id < 3')
    expect((await loading.run()).error).toBeNull()
    const before = await loading.state()
    await loading.source.run('BEGIN; UPDATE b SET v = 1; UPDATE a SET v = 2000 WHERE id IN (10, 11); COMMIT')
    const refused = await loading.cli(['run'])
    const { error } = resultOf(refused)
    expect({ exit: refused.exit, ...error }).toMatchObject({ exit: 1, code: 'quarantine-full', message: expect.stringMatching(/check/i) })
    expect(refused.text).not.toContain('2000')
    expect(await keptKeys(loading)).toEqual(['a 1', 'a 2'])
    expect((await loading.state())?.position).toEqual(before?.position)
    await relax(loading)
    expect((await loading.cli(['quarantine', 'replay', 'shop'])).json).toMatchObject({ ok: true, replayed: 2, left: 0, quarantine: [] })
    expect((await loading.run()).error).toBeNull()
    await areSame(loading, BOTH)
  },
)

test.concurrent.each(TARGET_KINDS)('chosen ones are replayed or discarded, unknown ones refused, into %s', async (target) => {
  await using loading = await startStrict(target)
  await loading.source.run('UPDATE a SET v = 2000 WHERE id < 4')
  expect((await loading.run()).error).toBeNull()
  await relax(loading)
  const [first, second, third] = await kept(loading)
  expect((await loading.cli(['quarantine', 'replay', 'shop', first?.id ?? ''])).json).toMatchObject({ replayed: 1, left: 0 })
  expect((await loading.cli(['quarantine', 'discard', 'shop', second?.id ?? '', '--yes'])).json).toMatchObject({ discarded: 1 })
  for (const what of ['replay', 'discard']) {
    const refused = await loading.cli(['quarantine', what, 'shop', first?.id ?? '', '--yes'])
    expect({ exit: refused.exit, code: refused.json.error.code }).toEqual({ exit: 2, code: 'bad-usage' })
  }
  expect((await kept(loading)).map(({ id }) => id)).toEqual([third?.id])
  await replay(loading)
  await areSame(loading, { a: { columns: COLUMNS, where: 'id <> 2' } })
})

test.concurrent.each(TARGET_KINDS)('definition-changed: rows are kept that nobody would carry on, into %s', async (target) => {
  await using loading = await startStrict(target)
  await loading.source.run('UPDATE a SET v = 2000 WHERE id = 1')
  expect((await loading.run()).error).toBeNull()
  const slot = await slotOf(loading)
  const source = { tables: ['public.a', 'public.b'], slot, publication: slot }
  const shop = { pattern: 'cdc', source, target: { schema: target === 'duckdb' ? 'main' : 'public' } }
  loading.pipelines({ shop })
  await loading.source.run('UPDATE a SET v = 1 WHERE id = 1')
  const refused = await loading.cli(['run'])
  expect({ exit: refused.exit, code: resultOf(refused).error?.code }).toEqual({ exit: 2, code: 'definition-changed' })
  await relax(loading)
  await replay(loading)
  expect((await loading.run()).error).toBeNull()
  await areSame(loading, BOTH)
  loading.pipelines({ shop: { ...shop, on_bad_row: 'quarantine' } })
  await atTarget(loading, 'DELETE FROM a WHERE id = 2')
  await loading.source.run('UPDATE a SET v = 1 WHERE id = 2')
  expect((await loading.run()).error).toBeNull()
  const dropped = await loading.cli(['drop', 'shop', '--yes'])
  expect({ exit: dropped.exit, err: dropped.err }).toEqual({ exit: 0, err: expect.stringContaining('1 row in quarantine goes with it') })
  expect(await kept(loading)).toEqual([])
})

test.concurrent('rows whose referenced row is missing, and those whose comes later in the chunk', async () => {
  await using loading = await startFollowing('postgres', { on_bad_row: 'quarantine' })
  expect((await loading.run()).error).toBeNull()
  await loading.target.run('ALTER TABLE a ADD FOREIGN KEY (v) REFERENCES b (id); CREATE INDEX ON b (z)')
  await loading.source.run(
    "BEGIN; INSERT INTO b VALUES (100, 1, 's', 'z'); INSERT INTO a VALUES (100, 100, 's', 'z'), (101, 555, 's', 'z'); COMMIT",
  )
  await loading.source.run("UPDATE b SET z = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i) WHERE id = 5")
  expect((await loading.run()).error).toBeNull()
  expect(await keptKeys(loading)).toEqual(['a 101', 'b 5'])
  expect((await kept(loading)).find(({ table }) => table.endsWith('b'))).toMatchObject({ code: 'value-refused' })
  await loading.source.run("INSERT INTO b VALUES (555, 1, 's', 'z'); UPDATE b SET z = '' WHERE id = 5")
  expect((await loading.run()).error).toBeNull()
  await replay(loading)
  await areSame(loading, BOTH)
})

const POINTS = ['changes-applied', 'before-commit', 'after-commit', 'slice-done'] as const

test.concurrent.for(TARGET_KINDS.flatMap((target) => POINTS.map((point) => [target, point] as const)))(
  'killed: each bad row is kept once, into %s at %s',
  async ([target, point], { expect: look }) => {
    await using loading = await startStrict(target)
    await loading.source.run('UPDATE a SET v = CASE WHEN id IN (3, 4) THEN 2000 ELSE v + 1 END; DELETE FROM b WHERE id < 5')
    look((await loading.cli(['run'], { TIDEMARK_CRASH_AT: point })).signal).toBe('SIGKILL')
    look((await loading.run()).error).toBeNull()
    look(await keptKeys(loading)).toEqual(['a 3', 'a 4'])
    await areSame(loading, { a: { columns: COLUMNS, where: 'id NOT IN (3, 4)' }, b: COLUMNS }, look)
    await relax(loading)
    look((await loading.cli(['quarantine', 'replay', 'shop'], { TIDEMARK_CRASH_AT: 'before-commit' })).signal).toBe('SIGKILL')
    await replay(loading, look)
    await areSame(loading, BOTH, look)
  },
)

test.concurrent.each(TARGET_KINDS)('unique columns: good rows that exchange values, beside rows that collide, into %s', async (target) => {
  await using loading = await startStrict(target, {}, OWN.replace(/\)$/, ', UNIQUE (v))'))
  await loading.source.run(
    `BEGIN; UPDATE a SET v = CASE id WHEN 10 THEN 20 WHEN 20 THEN 10 WHEN 5 THEN 25 ELSE v END WHERE id IN (5, 10, 20); UPDATE a SET v = 3000 WHERE id = 7; COMMIT`,
  )
  expect((await loading.run()).error).toBeNull()
  // 25 is taken.
  expect(await keptKeys(loading)).toEqual(['a 5', 'a 7'])
  await areSame(loading, { a: { columns: COLUMNS, where: 'id NOT IN (5, 7)' } })
  await loading.source.run('UPDATE a SET v = 0 WHERE id = 25; UPDATE a SET v = 26 WHERE id = 7; UPDATE a SET v = 7 WHERE id = 26')
  expect((await loading.run()).error).toBeNull()
  await replay(loading)
  await areSame(loading, BOTH)
})

test.concurrent.each(TARGET_KINDS)('a transaction of several chunks, into %s', async (target) => {
  await using loading = await startStrict(target)
  await loading.source.run(
    `BEGIN; INSERT INTO a SELECT i, CASE WHEN i % 20000 = 0 THEN 5000 ELSE 1 END, repeat('x', 300), 'z' FROM generate_series(100, 60100) AS i;
     UPDATE a SET v = 2 WHERE id = 40000; UPDATE a SET v = 3 WHERE id = 41000; COMMIT`,
  )
  expect((await loading.run()).error).toBeNull()
  expect(await keptKeys(loading)).toEqual(['a 20000', 'a 60000'])
  await relax(loading)
  await replay(loading)
  await areSame(loading, BOTH)
})

test.concurrent.each(TARGET_KINDS)('columns called anything keep their values, into %s', async (target) => {
  const make = (check: string): string =>
    `CREATE TABLE p (id int PRIMARY KEY, "__proto__" text, "_tidemark" text, "a "" b" text${check}); INSERT INTO p VALUES (1, 'x', 'y', 'z')`
  await using loading = await startTables(make(''), ['public.p'], { target }, { on_bad_row: 'quarantine' })
  await atTarget(loading, make(`, CHECK ("a "" b" <> 'bad')`).replace(/;.*/, ''))
  expect((await loading.run()).error).toBeNull()
  await loading.source.run(`UPDATE p SET "__proto__" = 'p', "_tidemark" = 'é', "a "" b" = 'bad'`)
  expect((await loading.run()).error).toBeNull()
  expect(Object.entries(JSON.parse((await kept(loading))[0]?.payload ?? ''))).toEqual([
    ['id', '1'],
    ['__proto__', 'p'],
    ['_tidemark', 'é'],
    ['a " b', 'bad'],
  ])
})

test.concurrent('a value that the type of a DuckDB column lacks', async () => {
  await using loading = await startFollowing('duckdb', { on_bad_row: 'quarantine' })
  await loading.source.run('ALTER TABLE a ADD COLUMN n numeric(10, 2), ADD COLUMN d timestamp')
  expect((await loading.run()).error).toBeNull()
  await loading.source.run(
    "UPDATE a SET n = 'NaN' WHERE id = 3; UPDATE a SET d = '294270-01-01' WHERE id = 4; UPDATE a SET n = 1.5, d = 'infinity' WHERE id = 5",
  )
  expect((await loading.run()).error).toBeNull()
  expect((await kept(loading)).map(({ code, message }) => `${code} ${message}`)).toEqual([
    'value-refused A value can\'t be converted to the type of column "n" of main.a.',
    'value-refused A value can\'t be converted to the type of column "d" of main.a.',
  ])
  await loading.source.run('UPDATE a SET n = 2 WHERE id = 3; UPDATE a SET d = NULL WHERE id = 4')
  await expect(loading.run()).resolves.toMatchObject({ error: null, rows: { updated: 2 } })
  expect(await kept(loading)).toEqual([])
  await areSame(loading, { a: [...COLUMNS, 'n'] })
})

test.concurrent('a key that does not fit, and a domain that names its column', async () => {
  await using loading = await startFollowing('postgres', { on_bad_row: 'quarantine' })
  await loading.target.run(`CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TABLE a (id small PRIMARY KEY, v small, s text, z text)`)
  const copied = await loading.run()
  expect(copied.error).toBeNull()
  await loading.source.run("INSERT INTO a VALUES (200, 1, 'x', 'y'); UPDATE a SET v = 300 WHERE id = 1")
  expect((await loading.run()).error).toBeNull()
  expect((await kept(loading)).map(({ code }) => code)).toEqual(['constraint-violated', 'constraint-violated'])
  await loading.source.run('DELETE FROM a WHERE id = 200; UPDATE a SET v = 3 WHERE id = 1')
  expect((await loading.run()).error).toBeNull()
  expect(await kept(loading)).toEqual([])
  await areSame(loading, BOTH)
})

test.concurrent('a character that the encoding of the target lacks', async () => {
  await using loading = await startFollowing()
  const name = `latin_${randomBytes(6).toString('hex')}`
  await loading.target.run(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
  const slot = await slotOf(loading)
  loading.pipelines(
    {
      shop: {
        pattern: 'cdc',
        on_bad_row: 'quarantine',
        source: { tables: ['public.a', 'public.b'], slot, publication: slot },
        target: { connection: 'latin', schema: 'public' },
      },
    },
    { latin: { type: 'postgres', url: '${env:LATIN_URL}' } },
  )
  const env = { LATIN_URL: loading.target.url.replace(/[^/]*$/, name) }
  expect((await loading.cli(['run'], env)).exit).toBe(0)
  await loading.source.run("UPDATE a SET s = 'é' WHERE id = 2; UPDATE a SET s = 'Ω' WHERE id = 3; UPDATE a SET v = 4 WHERE id = 4")
  expect(resultOf(await loading.cli(['run'], env)).rows).toMatchObject({ updated: 2, quarantined: 1 })
  const { quarantine } = (await loading.cli(['quarantine', 'list', 'shop'], env)).json
  expect(quarantine).toMatchObject([{ key: { id: '3' }, payload: { s: 'Ω', v: '3' }, code: 'value-refused' }])
  expect(quarantine[0].message).toMatch(/a character that the target can't store in column "?s"? \(22P05\)\.$/)
  await loading.source.run("UPDATE a SET s = 'O' WHERE id = 3")
  expect(resultOf(await loading.cli(['run'], env)).rows).toMatchObject({ updated: 1, quarantined: 0 })
  expect((await loading.cli(['quarantine', 'list', 'shop'], env)).json.quarantine).toEqual([])
  await loading.target.run(`DROP DATABASE ${name}`)
})

test.concurrent('replayed again and again while the log is followed: nothing old comes over anything new', async () => {
  await using loading = await startStrict('postgres')
  const following = loading.start(['follow'])
  const random = new Random(5)
  const change = async (): Promise<void> => {
    const [id, v] = [1 + random.below(30), random.chance(0.5) ? 2000 + random.below(1000) : random.below(1000)]
    await loading.source.run(`UPDATE a SET v = ${v}${random.chance(0.3) ? `, s = repeat('${v}', 3000)` : ''} WHERE id = ${id}`)
  }
  let replayed = 0
  for (let round = 0; round < 5; round++) {
    while ((await loading.target.rows('SELECT FROM pipeline_quarantine')).length < 8) await Promise.all([change(), setTimeout(20)])
    // Now everything fits, and now it does not.
    await loading.target.run('ALTER TABLE a DROP CONSTRAINT IF EXISTS a_v_check')
    await using project = await loading.open()
    let ended = false
    const again = project.replayQuarantine('shop').finally(() => {
      ended = true
    })
    while (!ended) await Promise.all([change(), setTimeout(40)])
    replayed += (await again).replayed
    await loading.target.run('ALTER TABLE a ADD CONSTRAINT a_v_check CHECK (v < 1000) NOT VALID')
  }
  expect(replayed).toBeGreaterThan(0)
  following.child.kill('SIGTERM')
  expect((await following.done).exit).toBe(0)
  expect((await loading.run()).error).toBeNull()
  const ids = (await keptKeys(loading)).map((key) => key.slice(2))
  await areSame(loading, { a: { columns: COLUMNS, where: `id NOT IN (${[...ids, '-1'].join()})` } })
  await relax(loading)
  await replay(loading)
  await areSame(loading, BOTH)
})

/** A history in which every seventh value is refused: many short transactions, and a run after every few. */
function historyOf(seed: number): readonly (readonly string[])[] {
  const random = new Random(seed)
  const below = (limit: number): number => random.below(limit)
  const value = (): number => (below(7) === 0 ? 1000 + below(1000) : below(1000))
  const change = (): string => {
    const [table, id, other] = [below(2) === 0 ? 'a' : 'b', 1 + below(30), 1 + below(30)]
    const text = `repeat('${below(1000)}-', ${1 + below(2) * 1500})`
    const kinds = [
      `UPDATE ${table} SET v = ${value()} WHERE id = ${id}`,
      `UPDATE ${table} SET v = ${value()}, s = ${text} WHERE id = ${id}`,
      `UPDATE ${table} SET z = ${text} WHERE id = ${id}`,
      `DELETE FROM ${table} WHERE id = ${id}`,
      `INSERT INTO ${table} VALUES (${id}, ${value()}, ${text}, NULL) ON CONFLICT (id) DO UPDATE SET v = excluded.v`,
      `UPDATE ${table} SET id = ${other}, v = ${value()} WHERE id = ${id} AND NOT EXISTS (SELECT 1 FROM ${table} WHERE id = ${other})`,
      below(12) === 0
        ? `TRUNCATE ${table}`
        : `INSERT INTO ${table} VALUES (${100 + below(20)}, ${value()}, ${text}, ${text}) ON CONFLICT DO NOTHING`,
    ]
    return kinds[below(kinds.length)] ?? ''
  }
  return Array.from({ length: 4 }, () =>
    Array.from({ length: 12 }, () => `BEGIN; ${Array.from({ length: 1 + below(5) }, change).join('; ')}; COMMIT`),
  )
}

test.concurrent.for(TARGET_KINDS.flatMap((target) => [2, 3].map((seed) => [target, seed] as const)))(
  'whatever happens to rows that are kept, the target is the source in the end: %s, seed %i',
  async ([target, seed], { expect: look }) => {
    await using loading = await startStrict(target)
    for (const transactions of historyOf(seed)) {
      for (const sql of transactions) await loading.source.run(sql)
      look((await loading.run()).error).toBeNull()
      const keys = await keptKeys(loading)
      for (const table of ['a', 'b']) {
        const ids = keys.filter((key) => key.startsWith(table)).map((key) => key.slice(2))
        await areSame(loading, { [table]: { columns: COLUMNS, where: `id NOT IN (${[...ids, '-1'].join()})` } }, look)
        look(await loading.source.rows(`SELECT id FROM ${table} WHERE v >= 1000 AND id NOT IN (${[...ids, '-1'].join()})`)).toEqual([])
      }
    }
    look(await keptKeys(loading)).not.toEqual([])
    await relax(loading)
    await replay(loading, look)
    await areSame(loading, BOTH, look)
  },
)
