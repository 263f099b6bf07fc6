// A partition is closed only when no row of its time can come any more: not from a transaction that is prepared, and not from one that
// ends after the snapshot in which everything is read.

import { expect, test } from 'vitest'
import { postgres } from '../../src/connectors/postgres/connector.ts'
import type { PartitionedTable, Source } from '../../src/contract/source.ts'
import { ORDINARY_RUN } from '../../src/core/head.ts'
import { type PartitionPipeline, resolvePartitions } from '../../src/core/pipeline.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'

const VISITS: PartitionPipeline = {
  name: 'visits',
  pattern: 'partition',
  source: { connection: 'shop', table: { schema: null, name: 'visits' }, query: null },
  target: { connection: 'copy', table: { schema: null, name: 'visits' } },
  key: null,
  write: 'append',
  where: null,
  columns: { include: null, exclude: [] },
  onSchemaChange: 'evolve',
  by: { kind: 'time', column: 'at', unit: 'hour', first: null, last: null, zone: 'UTC', nulls: 'error' },
  workers: 1,
  consistency: 'run',
  lookback: 0,
  detect: 'none',
  maxShrink: null,
  replaceBy: 'delete',
}

async function openVisits(database: FreshDatabase): Promise<{ source: Source; open: () => Promise<PartitionedTable> }> {
  await database.run(`CREATE TABLE visits (id bigint PRIMARY KEY, at timestamptz NOT NULL);
    INSERT INTO visits VALUES (1, now() - interval '3 hours'), (2, now())`)
  const source = await postgres.source?.(postgres.parse({ url: database.url }), 'shop')
  if (source?.openPartitions === undefined) throw new Error('Postgres is read in partitions')
  const table = await source.describe(VISITS)
  const { openPartitions } = source
  return { source, open: () => openPartitions.call(source, resolvePartitions(VISITS, table), table, { shared: true, within: null }) }
}

async function closed(table: PartitionedTable): Promise<readonly boolean[]> {
  const seen = await table.partitions(ORDINARY_RUN, [])
  await table.close()
  return seen.slice(0, 2).map((one) => one.closed)
}

test('what is over is closed, unless a prepared transaction may still bring a row of it', async () => {
  await using database = await freshDatabase()
  const { source, open } = await openVisits(database)
  expect(await closed(await open())).toEqual([true, true])
  const writer = await database.connect()
  await writer.query("BEGIN; INSERT INTO visits VALUES (3, now() - interval '3 hours'); PREPARE TRANSACTION 'forgotten'")
  expect(await closed(await open())).toEqual([false, false])
  await writer.query("COMMIT PREPARED 'forgotten'")
  expect(await closed(await open())).toEqual([true, true])
  await source.close()
})

test('what was open at the snapshot counts, also when it has ended before it is asked which partitions there are', async () => {
  await using database = await freshDatabase()
  const { source, open } = await openVisits(database)
  const writer = await database.connect()
  await writer.query("BEGIN; INSERT INTO visits VALUES (3, now() - interval '3 hours'); PREPARE TRANSACTION 'late'")
  const looked = await open()
  await writer.query("COMMIT PREPARED 'late'")
  expect(await closed(looked)).toEqual([false, false])
  await source.close()
})
