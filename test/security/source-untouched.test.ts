// The source is only read, also by a role that may write; names are never code; and a condition of the user's own writes nothing.

import { expect, test } from 'vitest'
import { rowVersions, same } from '../servers/compare-tables.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import { freshRole } from '../servers/fresh-role.ts'
import { startLoading, TARGET_KINDS } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'

const COUNTED = ['pg_class', 'pg_proc', 'pg_type', 'pg_trigger', 'pg_publication', 'pg_namespace', 'pg_constraint', 'pg_event_trigger']

/** Everything that a write would change. */
async function fingerprint(database: FreshDatabase): Promise<unknown> {
  await database.run('SELECT pg_stat_force_next_flush()')
  return {
    written: await database.rows('SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables ORDER BY relname'),
    objects: await database.rows(`SELECT ${COUNTED.map((name) => `(SELECT count(*) FROM ${name}) AS ${name}`).join(', ')},
      (SELECT count(*) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()) AS settings,
      (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) AS slots`),
    versions: await rowVersions(database, 'orders'),
  }
}

test('whatever runs, and as whoever: no row, object or setting of the source changes', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 200)
  await using owner = await freshRole(
    loading.source,
    'ALTER TABLE orders OWNER TO ROLE; GRANT ALL ON SCHEMA public TO ROLE; GRANT pg_read_all_stats TO ROLE',
  )
  const shop = (url: string): void =>
    loading.pipelines({ orders: {} }, { shop: { type: 'postgres', url: '${env:OWNER_URL}' }, unused: { type: 'postgres', url } })
  shop(loading.source.url)
  await loading.source.run('ANALYZE orders')
  for (const url of [owner.url, loading.source.url]) {
    const before = await fingerprint(loading.source)
    for (const args of [
      ['check'],
      ['plan', '--sql'],
      ['run'],
      ['run'],
      ['run', '--full-refresh'],
      ['run', '--sweep'],
      ['status'],
      ['run', '--from', '2024-01-01', '--to', '2024-01-02'],
      ['watermark', 'rewind', 'orders', '--to', '2024-01-01', '--yes'],
      ['run'],
    ]) {
      const { exit, text } = await loading.cli(args, { OWNER_URL: url })
      expect({ args, exit, text: exit === 0 ? '' : text }).toEqual({ args, exit: 0, text: '' })
    }
    expect(await fingerprint(loading.source)).toEqual(before)
  }
  expect(await loading.compare()).toEqual(same(200))
})

const INJECTIONS = [
  'x"; DROP TABLE victim; --',
  "x'; DROP TABLE victim; --",
  'x"); DELETE FROM victim; --',
  '$$; DROP TABLE victim',
  "\\'; DROP TABLE victim; --",
  '*/ DROP TABLE victim /*',
]
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

test.each(TARGET_KINDS)('names of tables, columns, values and defaults are no code at %s', async (target) => {
  const pipelines = INJECTIONS.map((name, index) => [
    `evil-${index}`,
    { source: { table: `public.${quoted(name)}` }, cursor: name, key: [`key ${name}`] },
  ])
  await using loading = await startLoading({
    target,
    pipelines: { victim: { source: { table: 'victim' } }, ...Object.fromEntries(pipelines) },
  })
  await makeOrders(loading.source, 5, 'victim')
  for (const name of INJECTIONS)
    await loading.source.run(`CREATE TABLE ${quoted(name)} (${quoted(name)} bigint NOT NULL, ${quoted(`key ${name}`)} text NOT NULL);
      INSERT INTO ${quoted(name)} VALUES (1, '${name.replaceAll("'", "''")}')`)
  await using project = await loading.open()
  for (let round = 0; round < 2; round++) {
    expect((await project.run()).pipelines.map(({ error }) => error)).toEqual([null, ...INJECTIONS.map(() => null)])
    for (const [index, name] of INJECTIONS.entries()) {
      expect((await project.check(`evil-${index}`)).filter(({ severity }) => severity === 'error')).toEqual([])
      await project.plan(`evil-${index}`)
      if (round > 0) continue
      await loading.source.run(`ALTER TABLE ${quoted(name)} ADD COLUMN ${quoted(`new ${name}`)} text DEFAULT '${name.replaceAll("'", "''")}';
        UPDATE ${quoted(name)} SET ${quoted(name)} = 2`)
    }
  }
  await project.close()
  expect(await loading.compare('victim')).toEqual(same(5))
  for (const name of INJECTIONS)
    expect(
      await loading.compare(`public.${quoted(name)}`, { columns: [name, `key ${name}`, `new ${name}`], targetTable: quoted(name) }),
    ).toEqual(same(1))
})

const WRITES = `CREATE TABLE victim (n int); INSERT INTO victim VALUES (1);
  CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO victim VALUES (2); RETURN true; END $$;
  CREATE FUNCTION turns() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); INSERT INTO victim VALUES (3); RETURN true; END $$`

test.each(['writes()', 'turns()', "nextval('numbers') > 0", 'lo_create(0) > 0 AND id > 0'])(
  'a condition that writes fails, and writes nothing: %s',
  async (where) => {
    await using loading = await startLoading({ pipelines: { orders: { where } } })
    await makeOrders(loading.source, 20)
    await loading.source.run(`${WRITES}; CREATE SEQUENCE numbers`)
    for (const args of [['check'], ['plan'], ['run']]) expect((await loading.cli(args)).exit).not.toBe(0)
    expect(await loading.source.rows('SELECT n FROM victim')).toEqual([{ n: '1' }])
    expect(await loading.source.rows('SELECT is_called FROM numbers')).toEqual([{ is_called: 'f' }])
    expect(await loading.target.rows("SELECT to_regclass('orders') AS made")).toEqual([{ made: null }])
  },
)

test('a condition is one condition: what follows a bracket of its own is refused', async () => {
  for (const where of ['true); DROP TABLE victim; --', 'true); COMMIT; DELETE FROM victim; --', 'true) OR (true; DROP TABLE victim']) {
    await using loading = await startLoading({ pipelines: { orders: { where } } })
    await makeOrders(loading.source, 20)
    await loading.source.run('CREATE TABLE victim AS SELECT 1 AS n')
    expect((await loading.run()).error).not.toBe(null)
    expect(await loading.source.rows('SELECT n FROM victim')).toEqual([{ n: '1' }])
  }
})

test('a comment at the end of a condition comments nothing else away', async () => {
  await using loading = await startLoading({ pipelines: { orders: { where: 'id <= 5 -- the first few' } } })
  await makeOrders(loading.source, 20)
  expect((await loading.run()).rows).toMatchObject({ inserted: 5 })
  await addOrders(loading.source, 21, 22)
  expect((await loading.run()).rows).toMatchObject({ inserted: 0 })
})
