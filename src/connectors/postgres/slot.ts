// The publication and the replication slot of a pipeline: what it keeps at the source, and all that it keeps there.

import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'
import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

export interface Slot {
  readonly plugin: string
  readonly database: string
  readonly active: boolean
  /** null where the slot has lost what it should keep. */
  readonly confirmed: bigint | null
  readonly walStatus: string
  readonly retainedBytes: number | null
  readonly lagBytes: number | null
}

export async function readSlot(session: Session, name: string): Promise<Slot | null> {
  const [row] = await session.query(
    `SELECT plugin, database, active, confirmed_flush_lsn AS confirmed, restart_lsn, to_jsonb(s) ->> 'wal_status' AS wal_status,
       to_jsonb(s) ->> 'invalidation_reason' AS reason,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS retained, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS lag
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [name],
  )
  if (row === undefined) return null
  const isLost = row['restart_lsn'] == null || row['wal_status'] === 'lost'
  return {
    plugin: row['plugin'] ?? '',
    database: row['database'] ?? '',
    active: row['active'] === 't',
    confirmed: isLost || row['confirmed'] == null ? null : parseLsn(row['confirmed']),
    walStatus: isLost ? 'lost' : (row['wal_status'] ?? 'reserved'),
    retainedBytes: row['retained'] == null ? null : Number(row['retained']),
    lagBytes: row['lag'] == null ? null : Number(row['lag']),
  }
}

interface Published {
  readonly tables: readonly TableName[]
  readonly operations: string
  readonly all: boolean
  readonly filtered: boolean
}

async function readPublication(session: Session, name: string): Promise<Published | null> {
  const [row] = await session.query(
    `SELECT puballtables AS "all", concat_ws(',', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END, CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END) AS operations
     FROM pg_publication WHERE pubname = $1`,
    [name],
  )
  if (row === undefined) return null
  const tables = await session.query(
    `SELECT t.schemaname AS schema, t.tablename AS name, to_jsonb(t) ->> 'rowfilter' AS filter FROM pg_publication_tables t WHERE t.pubname = $1`,
    [name],
  )
  return {
    tables: tables.map((table) => ({ schema: table['schema'] ?? null, name: table['name'] ?? '' })),
    operations: row['operations'] ?? '',
    all: row['all'] === 't',
    filtered: tables.some((table) => table['filter'] != null),
  }
}

/** Throws `log-unavailable` where there is one that does not publish what the pipeline needs. */
export async function refuseOtherPublication(session: Session, { source, name }: CdcPipeline): Promise<'missing' | 'there'> {
  const published = await readPublication(session, source.publication)
  if (published === null) return 'missing'
  const missing = source.tables.filter((table) => !published.tables.some((one) => one.schema === table.schema && one.name === table.name))
  const wrong =
    missing.length > 0
      ? `does not hold ${missing.map(printTableName).join(', ')}`
      : published.operations !== 'insert,update,delete,truncate'
        ? `publishes only ${published.operations}`
        : published.filtered
          ? 'leaves out rows by a condition'
          : null
  if (wrong !== null)
    throw new LoadError('log-unavailable', `Publication ${source.publication} ${wrong}, which pipeline ${name} needs.`, {
      hint: `Let it be altered by its owner: ALTER PUBLICATION ${identifier(source.publication)} …; or name another one with \`publication\`.`,
    })
  return 'there'
}

/** A publication must be older than the slot that reads it. */
export async function createPublication(session: Session, { source }: CdcPipeline): Promise<void> {
  const tables = source.tables.map(tableIdentifier).join(', ')
  await session.query('BEGIN READ WRITE')
  try {
    await session.query(`CREATE PUBLICATION ${identifier(source.publication)} FOR TABLE ${tables} WITH (publish_via_partition_root = true)`)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK').catch(() => session.destroy())
    if (!(error instanceof LoadError) || error.code !== 'missing-privilege') throw error
    throw new LoadError('log-unavailable', `The role may not make publication ${source.publication}: ${error.message}`, {
      cause: error,
      hint: `As the owner of the tables: CREATE PUBLICATION ${identifier(source.publication)} FOR TABLE ${tables} WITH (publish_via_partition_root = true);`,
    })
  }
}

/** Tables that came to the pipeline come to its publication. */
export async function completePublication(session: Session, { source, name }: CdcPipeline): Promise<void> {
  const published = await readPublication(session, source.publication)
  if (published === null)
    throw new LoadError('log-lost', `Publication ${source.publication} of pipeline ${name} does not exist any more.`, {
      hint: 'A slot can not read on without it. Copy the tables again with `--full-refresh`.',
    })
  const missing = source.tables.filter((table) => !published.tables.some((one) => one.schema === table.schema && one.name === table.name))
  if (missing.length === 0) return
  const statement = `ALTER PUBLICATION ${identifier(source.publication)} ADD TABLE ${missing.map(tableIdentifier).join(', ')}`
  await session.query('BEGIN READ WRITE')
  try {
    await session.query(statement)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK').catch(() => session.destroy())
    if (!(error instanceof LoadError) || error.code !== 'missing-privilege') throw error
    throw new LoadError('log-unavailable', `The role may not alter publication ${source.publication}: ${error.message}`, {
      cause: error,
      hint: `As its owner: ${statement};`,
    })
  }
}

/** Says what was removed. */
export async function dropSlotAndPublication(session: Session, { source }: CdcPipeline): Promise<readonly string[]> {
  const removed: string[] = []
  const slot = await readSlot(session, source.slot)
  if (slot?.active === true)
    throw new LoadError('log-unavailable', `Slot ${source.slot} is being read at this moment.`, {
      hint: 'Stop whoever reads it, then repeat.',
    })
  if (slot !== null) {
    await session.query('SELECT pg_drop_replication_slot($1)', [source.slot])
    removed.push(`slot ${source.slot}`)
  }
  if ((await readPublication(session, source.publication)) !== null) {
    await session.query('BEGIN READ WRITE')
    await session.query(`DROP PUBLICATION ${identifier(source.publication)}`)
    await session.query('COMMIT')
    removed.push(`publication ${source.publication}`)
  }
  return removed
}
