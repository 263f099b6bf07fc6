// A role that may read only some columns loads those, and is told which grant the others would need.

import { expect, test } from 'vitest'
import { freshRole } from '../servers/fresh-role.ts'
import { startLoading } from '../servers/loading.ts'

const TABLE = `CREATE TABLE goods (id int PRIMARY KEY, note text, secret text, updated_at timestamptz NOT NULL);
  INSERT INTO goods SELECT i, 'n' || i, 's' || i, '2024-01-01' FROM generate_series(1, 5) i`

test('only the columns that are loaded need a grant', async () => {
  await using loading = await startLoading({ pipelines: { goods: { source: { connection: 'shop', table: 'public.goods' } } } })
  await loading.source.run(TABLE)
  await using role = await freshRole(loading.source, 'GRANT SELECT (id, note, updated_at) ON goods TO ROLE')
  const env = { SHOP_URL: role.url }
  const refused = await loading.cli(['run'], env)
  expect(refused.exit).toBe(3)
  expect(refused.err).toContain('column "secret"')
  const pipeline = { source: { connection: 'shop', table: 'public.goods' }, columns: { exclude: ['secret'] } }
  loading.pipelines({ goods: pipeline })
  const loaded = await loading.cli(['run'], env)
  expect(loaded.exit, loaded.err).toBe(0)
  expect(await loading.compare('goods', { columns: ['id', 'note', 'updated_at'] })).toMatchObject({ lost: [], surplus: [], rows: 5 })
})
