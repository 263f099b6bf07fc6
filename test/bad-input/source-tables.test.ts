// What can be wrong with a source table: it is not there, may not be read, or is not what the pipeline says of it.

import { expect, test } from 'vitest'
import { freshRole } from '../servers/fresh-role.ts'
import { attempt, MORE_GOODS, PASSWORD, type Refusal, ROW_VALUE, refused, startGoods, succeed } from './refusal.ts'

/** At the source, after a first load that succeeded. */
const spoiled: [what: string, sql: string, refusal: Refusal, pipeline?: object][] = [
  ['the table is gone', 'DROP TABLE goods', { code: 'missing-table', names: ['goods', 'tidemark.yml:', 'source shop'] }],
  [
    'the table has another name',
    'ALTER TABLE goods RENAME TO "Goods"',
    { code: 'missing-table', names: ['goods', 'Did you mean public.Goods?', 'tidemark.yml:'] },
  ],
  ['the cursor is gone', 'ALTER TABLE goods DROP updated_at', { code: 'missing-column', names: ['"updated_at"', 'goods', 'id, note'] }],
  [
    'a key column is gone',
    'ALTER TABLE goods DROP id',
    { code: 'missing-column', names: ['key column "id"', 'goods', 'note, updated_at'] },
    { key: ['id'] },
  ],
  [
    'a column of the list is gone',
    'ALTER TABLE goods DROP note',
    { code: 'missing-column', names: ['"note"', 'goods'] },
    { columns: { include: ['id', 'note', 'updated_at'] } },
  ],
  [
    'the cursor became text',
    'ALTER TABLE goods ALTER updated_at TYPE text',
    { code: 'unusable-cursor', names: ['"updated_at"', 'goods', 'is text', 'tidemark.yml:'] },
  ],
  [
    'a row without a cursor value',
    `ALTER TABLE goods ALTER updated_at DROP NOT NULL; INSERT INTO goods VALUES (9, '${ROW_VALUE}', NULL)`,
    { code: 'null-cursor', names: ['1 row of', '"updated_at"', 'goods', 'null_cursor', 'tidemark.yml:'] },
  ],
  [
    'the primary key is gone',
    'ALTER TABLE goods DROP CONSTRAINT goods_pkey',
    { code: 'missing-key', names: ['goods', 'key: ['] },
    { write: 'merge' },
  ],
  [
    'a condition that fails on a row',
    `UPDATE goods SET note = '0', updated_at = now() WHERE id = 5`,
    { code: 'value-refused', names: ['source shop'], hides: [ROW_VALUE] },
    { where: `id / CASE note WHEN '0' THEN 0 ELSE 1 END > 0` },
  ],
]

test.each(spoiled)('%s', async (_, sql, refusal, pipeline = {}) => {
  await using loading = await startGoods({ ...pipeline })
  await succeed(loading)
  await loading.source.run(sql)
  await refused(loading, refusal)
})

const withCursor = (type: string, value: string): string =>
  `CREATE TABLE goods (id int PRIMARY KEY, note text, updated_at ${type} NOT NULL);
   INSERT INTO goods VALUES (1, '${ROW_VALUE}', ${value}), (2, '${ROW_VALUE}', ${value})`
const bare = (columns: string): string => `CREATE TABLE goods (${columns}); INSERT INTO goods (note) VALUES ('${ROW_VALUE}')`

/** From the very first run on. */
const unfit: [what: string, make: string, pipeline: object, refusal: Refusal][] = [
  ...[
    ['float8', '1.5', 'double precision'],
    ['real', '1.5', 'real'],
    ['uuid', 'gen_random_uuid()', 'uuid'],
    ['text', `'${ROW_VALUE}'`, 'text'],
    ['boolean', 'true', 'boolean'],
    ['jsonb', "'1'", 'jsonb'],
  ].map(([type = '', value = '', printed = '']): (typeof unfit)[number] => [
    `a cursor of type ${type}`,
    withCursor(type, value),
    {},
    { code: 'unusable-cursor', names: ['"updated_at"', 'goods', `is ${printed}`, 'tidemark.yml:'] },
  ]),
  [
    'append by an integer, where numbers may commit out of order',
    bare('id serial, note text'),
    { cursor: 'id' },
    { code: 'late-rows-unsafe', names: ['Pipeline goods', 'a number says nothing', 'append', 'xid8', 'tidemark.yml:'] },
  ],
  [
    'a bound for a time without zone',
    withCursor('timestamp', 'now()'),
    { late_rows: 'bound' },
    { code: 'late-rows-unsafe', names: ['"updated_at"', 'cursor_time_zone', 'tidemark.yml:'] },
  ],
  [
    'a lag for an integer',
    withCursor('int', '7'),
    { late_rows: { lag: '5m' } },
    { code: 'late-rows-unsafe', names: ['lag', 'a time', 'tidemark.yml:'] },
  ],
  [
    'xid8 in a column that is not there',
    withCursor('int', '7'),
    { late_rows: { xid8: 'written_by' } },
    { code: 'late-rows-unsafe', names: ['"written_by"', 'tidemark.yml:'] },
  ],
  [
    'a sweep that would double',
    bare('id serial, note text'),
    { cursor: 'id', late_rows: 'sweep' },
    { code: 'late-rows-unsafe', names: ['sweep', 'append', 'tidemark.yml:'] },
  ],
  [
    'a condition that is no SQL',
    withCursor('timestamptz', 'now()'),
    { where: 'id >' },
    { code: 'source-failed', names: ['source shop', 'syntax error'] },
  ],
  [
    'a condition with a column that is not there',
    withCursor('timestamptz', 'now()'),
    { where: 'size > 1' },
    { code: 'missing-column', names: ['source shop', '"size"'] },
  ],
  [
    'merge without a key',
    bare('note text, updated_at timestamptz DEFAULT now()'),
    { write: 'merge' },
    { code: 'missing-key', names: ['goods', 'no primary key', 'merge', 'tidemark.yml:'] },
  ],
  [
    'append with rows without a cursor value',
    bare('note text, updated_at timestamptz'),
    { null_cursor: 'include' },
    { code: 'strategy-unsupported', names: ['Pipeline goods', 'null_cursor: exclude', 'key'] },
  ],
]

test.each(unfit)('%s', async (_, make, pipeline, refusal) => {
  await using loading = await startGoods({ ...pipeline }, {}, make)
  await refused(loading, refusal)
  expect(await loading.state()).toBe(null)
})

const privileges: [what: string, grants: string, missing: readonly (string | RegExp)[], table: string, grantsNeeded: number][] = [
  ['table', '', ['read table public.goods', /GRANT SELECT ON .*goods.* TO .*role_/], 'goods', 1],
  ['column', 'GRANT SELECT (id, updated_at) ON goods TO ROLE', ['column "note" of table public.goods', /GRANT SELECT/], 'goods', 1],
  ['schema', '', ['use schema "back"', /GRANT USAGE ON SCHEMA "?back"? TO/], 'back.goods', 2],
]

test.each(privileges)('without the privilege for the %s; the hint holds what mends it', async (_, grants, missing, table, grantsNeeded) => {
  await using loading = await startGoods({ source: { table }, target: { table: 'goods' } })
  await loading.source.run(
    'CREATE SCHEMA back; CREATE TABLE back.goods (LIKE goods INCLUDING ALL); INSERT INTO back.goods SELECT * FROM goods',
  )
  await succeed(loading)
  await loading.source.run(MORE_GOODS.replace('goods', table))
  await using role = await freshRole(loading.source, grants, PASSWORD)
  const as = { env: { SHOP_URL: role.url } }
  let names = [...missing, role.name, 'source shop']
  for (let n = 0; n < grantsNeeded; n++) {
    const { hint } = await refused(loading, { code: 'missing-privilege', names }, as)
    await loading.source.run(/GRANT .*;/.exec(hint)?.[0] ?? 'SELECT no_grant_in_the_hint')
    names = [role.name, 'GRANT']
  }
  expect((await succeed(loading, as)).rows.inserted).toBe(6)
})

test('a policy that would hide rows is refused, not obeyed', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  await loading.source.run(`${MORE_GOODS}; ALTER TABLE goods ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON goods USING (id % 2 = 0)`)
  await using role = await freshRole(loading.source, 'GRANT SELECT ON goods TO ROLE', PASSWORD)
  const as = { env: { SHOP_URL: role.url } }
  await refused(loading, { code: 'missing-privilege', names: ['row-level security', 'goods', 'source shop'] }, as)
})

test('a second source table that is missing keeps no other pipeline from loading', async () => {
  await using loading = await startGoods()
  loading.pipelines({ gone: { source: { table: 'gone' } }, goods: { source: { table: 'goods' } } })
  const { result } = await attempt(loading)
  expect(result.error?.code).toBe('missing-table')
  expect(await loading.compare('goods', { columns: ['id', 'note', 'updated_at'] })).toMatchObject({ lost: [], surplus: [], rows: 5 })
})
