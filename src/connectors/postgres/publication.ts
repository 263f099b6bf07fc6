// The publication of a pipeline: which tables, rows, columns and operations its slot gives out. What it leaves out is missing without a
// trace, so every run looks at it. One that the pipeline made carries a comment; only such a one is ever altered or dropped.

import { LoadError } from '../../core/errors.ts'
import { type CdcPipeline, followedTables } from '../../core/pipeline.ts'
import type { State } from '../../core/state.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'
import type { LoggedTable } from './logged-table.ts'
import type { Session } from './session.ts'
import { writeSource } from './write-source.ts'

export interface Publication {
  readonly isOwn: boolean
  readonly operations: string
  readonly tables: readonly PublishedTable[]
}

interface PublishedTable {
  readonly name: TableName
  readonly isFiltered: boolean
  /** null: all of them. Before PostgreSQL 15 neither rows nor columns can be left out. */
  readonly columns: readonly string[] | null
}

const WAIT_SECONDS = 60
const OWN = 'made by tidemark'
const ALL_OPERATIONS = 'insert, update, delete, truncate'

export async function readPublication(session: Session, { source }: CdcPipeline): Promise<Publication | null> {
  const [row] = await session.query(
    `SELECT concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END, CASE WHEN pubdelete THEN 'delete' END,
       CASE WHEN pubtruncate THEN 'truncate' END) AS operations, obj_description(oid, 'pg_publication') AS comment
     FROM pg_publication WHERE pubname = $1`,
    [source.publication],
  )
  if (row === undefined) return null
  const tables = await session.query(
    `SELECT t.schemaname AS schema, t.tablename AS name, to_jsonb(t) ->> 'rowfilter' AS filter, to_jsonb(t) ->> 'attnames' AS columns
     FROM pg_publication_tables t WHERE t.pubname = $1`,
    [source.publication],
  )
  return {
    isOwn: row['comment'] === OWN,
    operations: row['operations'] ?? '',
    tables: tables.map((table) => ({
      name: { schema: table['schema'] ?? null, name: table['name'] ?? '' },
      isFiltered: table['filter'] != null,
      columns: table['columns'] == null ? null : (JSON.parse(table['columns']) as string[]),
    })),
  }
}

/**
 * Throws `log-lost` where a table that is followed is no longer published as a whole: what was left out can't be had any more. Throws
 * `log-unavailable` where one that is to be copied would not be, nor can be made so by `publishAll`.
 */
export async function refuseGaps(
  session: Session,
  pipeline: CdcPipeline,
  publication: Publication | null,
  tables: readonly LoggedTable[],
  state: State | null,
): Promise<void> {
  const followed = followedTables(state, tables)
  if (publication === null && followed.length > 0) throw lost(pipeline, 'does not exist any more', '--full-refresh')
  if (publication !== null && publication.operations !== ALL_OPERATIONS) {
    const says = `publishes only ${publication.operations || 'nothing'}`
    throw followed.length > 0 ? lost(pipeline, says, '--full-refresh') : unavailable(pipeline, says, `SET (publish = '${ALL_OPERATIONS}')`)
  }
  for (const table of publication === null ? [] : tables) {
    const gap = gapOf(publication, table)
    if (gap === null || (gap === ABSENT && publication?.isOwn === true && !followed.includes(table))) continue
    const says = `${gap} table ${printTableName(table.name)}`
    if (followed.includes(table)) throw lost(pipeline, says, `--resync ${printTableName(table.name)}`)
    throw unavailable(pipeline, says, gap === ABSENT ? `ADD TABLE ${tableIdentifier(table.name)}` : null)
  }
  await refuseToPublish(session, pipeline, publication, tables)
}

const ABSENT = 'does not hold'

function gapOf(publication: Publication | null, table: LoggedTable): string | null {
  const published = publication?.tables.find(({ name }) => printTableName(name) === printTableName(table.name))
  if (published === undefined) return ABSENT
  if (published.isFiltered) return 'leaves out rows of'
  // So is one that the table gets later, where columns are listed.
  const hidden = table.columns.find((column) => published.columns?.includes(column.name) === false)
  return hidden === undefined ? null : `leaves out column "${hidden.name}" of`
}

function lost({ name, source }: CdcPipeline, says: string, how: string): LoadError {
  return new LoadError('log-lost', `Publication ${source.publication} ${says}: changes that pipeline ${name} needs may be gone.`, {
    hint: `Let it publish all of its tables as a whole, then copy with \`${how}\`.`,
  })
}

function unavailable({ name, source }: CdcPipeline, says: string, alteration: string | null): LoadError {
  return new LoadError('log-unavailable', `Publication ${source.publication} ${says}, which pipeline ${name} needs.`, {
    hint: `As its owner: ALTER PUBLICATION ${identifier(source.publication)} ${alteration ?? '…'}; or name another one with \`publication\`.`,
  })
}

/** Throws `log-unavailable` where the role may not do what `publishAll` has to. */
async function refuseToPublish(
  session: Session,
  pipeline: CdcPipeline,
  publication: Publication | null,
  tables: readonly LoggedTable[],
): Promise<void> {
  const statement = publishing(pipeline, publication, tables)
  if (statement === null) return
  const [row] = await session.query(
    `SELECT current_user AS role, (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE')) AS foreign,
       pg_is_in_recovery() AS standby,
       coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $2), has_database_privilege(current_database(), 'CREATE')) AS may`,
    [`{${statement.tables.map(({ oid }) => oid).join(',')}}`, pipeline.source.publication],
  )
  if (row?.['standby'] === 't')
    throw new LoadError(
      'log-unavailable',
      `${session.what} is a standby: publication ${pipeline.source.publication} is made at its primary.`,
      {
        where: session.what,
        hint: `At the primary, as the owner of the tables: ${statement.sql};`,
      },
    )
  if (row?.['foreign'] == null && row?.['may'] === 't') return
  const why =
    row?.['foreign'] == null ? `may not ${publication === null ? 'make' : 'alter'} publications here` : `does not own ${row['foreign']}`
  throw new LoadError('log-unavailable', `Role ${row?.['role']} can't publish the tables of pipeline ${pipeline.name}: it ${why}.`, {
    where: session.what,
    hint: `As their owner: ${statement.sql};`,
  })
}

/** What makes the publication whole; null where it is. */
function publishing(
  { source }: CdcPipeline,
  publication: Publication | null,
  tables: readonly LoggedTable[],
): { readonly sql: string; readonly tables: readonly LoggedTable[] } | null {
  const absent = tables.filter((table) => gapOf(publication, table) === ABSENT)
  const list = absent.map(({ name }) => tableIdentifier(name)).join(', ')
  if (absent.length === 0) return null
  const sql =
    publication === null
      ? `CREATE PUBLICATION ${identifier(source.publication)} FOR TABLE ${list} WITH (publish_via_partition_root = true)`
      : `ALTER PUBLICATION ${identifier(source.publication)} ADD TABLE ${list}`
  return { sql, tables: absent }
}

/** Makes the publication, or adds what it lacks. It must be older than the slot that reads it. Throws `log-unavailable`. */
export async function publishAll(
  session: Session,
  pipeline: CdcPipeline,
  tables: readonly LoggedTable[],
  waitSeconds = WAIT_SECONDS,
): Promise<void> {
  const publication = await readPublication(session, pipeline)
  const statement = publishing(pipeline, publication, tables)
  if (statement === null) return
  const remark = `COMMENT ON PUBLICATION ${identifier(pipeline.source.publication)} IS ${literal(OWN)}`
  const limit = `SET LOCAL lock_timeout = '${waitSeconds}s'`
  try {
    await writeSource(session, [limit, statement.sql, ...(publication === null ? [remark] : [])])
  } catch (error) {
    if (error instanceof LoadError && error.message.includes(LOCK_TIMEOUT))
      throw await lockedError(session, pipeline, statement.tables, waitSeconds)
    throw error
  }
}

/** The server's code for it. */
const LOCK_TIMEOUT = '(55P03)'

async function lockedError(
  session: Session,
  { source }: CdcPipeline,
  tables: readonly LoggedTable[],
  waitSeconds: number,
): Promise<LoadError> {
  // Locks of who only reads and writes rows hold up nothing.
  const rows = await session.query(
    `SELECT DISTINCT format('process %s (%s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name')) AS who
     FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.granted AND l.relation = ANY ($1::oid[]) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') LIMIT 5`,
    [`{${tables.map(({ oid }) => oid).join(',')}}`],
  )
  const who = rows.map((row) => row['who'] ?? '').join(', ') || 'they have been let go of only now'
  return new LoadError('log-unavailable', `Publication ${source.publication} waited ${waitSeconds} s for locks on its tables: ${who}.`, {
    where: session.what,
    hint: 'Let them end, or run again when they are over.',
  })
}

export async function dropPublication(session: Session, { source }: CdcPipeline): Promise<void> {
  await writeSource(session, [`DROP PUBLICATION ${identifier(source.publication)}`])
}
