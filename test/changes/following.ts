// A pipeline that follows the log of a Postgres, with a slot of its own: names of slots are shared by all databases of a server.

import { randomBytes } from 'node:crypto'
import { type Loading, startLoading, type TargetKind } from '../servers/loading.ts'

export const COLUMNS = ['id', 'v', 's', 'z'] as const

/** Values of `s` and `z` stand outside of the row: an update that leaves them alone does not log them. */
const MAKE = `
  CREATE TABLE a (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  ALTER TABLE a ALTER s SET STORAGE EXTERNAL, ALTER z SET STORAGE EXTERNAL;
  CREATE TABLE b (id int PRIMARY KEY, v int NOT NULL, s text, z text);
  INSERT INTO a SELECT i, i, repeat('s' || i, 1500), repeat('z', 4000 + i) FROM generate_series(1, 30) AS i;
  INSERT INTO b SELECT i, -i, 'short', NULL FROM generate_series(1, 30) AS i;`

export async function startFollowing(target: TargetKind = 'postgres', more: object = {}): Promise<Loading> {
  const slot = `test_${randomBytes(6).toString('hex')}`
  const loading = await startLoading({
    target,
    pipelines: {
      shop: {
        pattern: 'cdc',
        source: { tables: ['public.a', 'public.b'], slot, publication: slot },
        target: { schema: target === 'duckdb' ? 'main' : 'public' },
        ...more,
      },
    },
  })
  await loading.source.run(MAKE)
  return loading
}

export async function slotOf(loading: Loading): Promise<string> {
  await using project = await loading.open()
  const [pipeline] = await project.pipelines()
  if (pipeline?.pattern !== 'cdc') throw new Error('The pipeline follows no log.')
  return pipeline.source.slot
}
