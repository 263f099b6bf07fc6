// What a server says of itself before its log is read: whether it can be, and where it is.

import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { identifier } from '../../sql/quote.ts'
import { parseLsn } from './lsn.ts'
import type { Session } from './session.ts'

export interface LogFacts {
  readonly walLevel: string
  readonly role: string
  readonly mayReplicate: boolean
  /** The function that writes a heartbeat, as its grants name it; and whether the role may call it. */
  readonly emits: string
  readonly mayEmit: boolean
  readonly standby: boolean
  /** As the server counts: 180004. */
  readonly version: number
  readonly system: string
  /** By its number and its name. */
  readonly database: string
  readonly databaseName: string
  readonly timeline: number
  readonly flushed: bigint
}

// The control file names the old timeline for a while after a promotion; a primary's current segment of the log does not.
const FACTS = `
SELECT current_setting('wal_level') AS wal_level, current_user AS role, pg_is_in_recovery() AS standby, current_setting('server_version_num') AS version,
  (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS replicates,
  emit.oid::regprocedure AS emits, has_function_privilege(emit.oid, 'EXECUTE') AS may_emit,
  (SELECT system_identifier FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery()
    THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline) FROM pg_control_checkpoint() c, pg_control_recovery() r)
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
  (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database, current_database() AS database_name,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS flushed
FROM pg_proc emit WHERE emit.proname = 'pg_logical_emit_message' AND emit.proargtypes[2] = 'text'::regtype`

export async function readFacts(session: Session): Promise<LogFacts> {
  const [row] = await session.query(FACTS)
  return {
    walLevel: row?.['wal_level'] ?? '',
    role: row?.['role'] ?? '',
    mayReplicate: row?.['replicates'] === 't',
    emits: row?.['emits'] ?? '',
    mayEmit: row?.['may_emit'] === 't',
    standby: row?.['standby'] === 't',
    version: Number(row?.['version']),
    system: row?.['system'] ?? '',
    database: row?.['database'] ?? '',
    databaseName: row?.['database_name'] ?? '',
    timeline: Number(row?.['timeline']),
    flushed: parseLsn(row?.['flushed'] ?? '') ?? 0n,
  }
}

const majorOf = ({ version }: LogFacts): number => Math.trunc(version / 10_000)
const refusing =
  (what: string) =>
  (message: string, hint: string): LoadError =>
    new LoadError('log-unavailable', message, { where: what, hint })

/** Throws `unsupported-server`, `log-unavailable`. */
export function refuseServer(facts: LogFacts, what: string): void {
  const refuse = refusing(what)
  const major = majorOf(facts)
  if (major < 14)
    throw new LoadError('unsupported-server', `${what} is PostgreSQL ${major}; the oldest whose log is read is 14.`, { where: what })
  if (facts.walLevel !== 'logical')
    throw refuse(
      `${what} has wal_level = ${facts.walLevel}; its log holds changes of rows only with logical.`,
      "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
    )
  if (!facts.mayReplicate)
    throw refuse(`Role ${facts.role} of ${what} may not read the log.`, `As a superuser: ALTER ROLE ${identifier(facts.role)} REPLICATION;`)
  if (facts.standby && major < 16)
    throw refuse(`${what} is a standby; before PostgreSQL 16 only a primary gives out its changes.`, 'Connect to the primary.')
}

/** What a pipeline asks for beyond the log itself. Throws `log-unavailable`, `missing-privilege`. */
export function refuseOptions(facts: LogFacts, { name, source }: CdcPipeline, what: string): void {
  const refuse = refusing(what)
  const major = majorOf(facts)
  if (source.failover && major < 17)
    throw refuse(
      `Pipeline ${name} asks for a failover slot; ${what} is PostgreSQL ${major}, and they come with 17.`,
      'Leave out `failover`. After a failover the tables are then copied again.',
    )
  if (source.failover && facts.standby)
    throw refuse(
      `Pipeline ${name} asks for a failover slot; ${what} is a standby, where none can be made.`,
      'Connect to the primary, or leave out `failover`.',
    )
  if (source.heartbeatSeconds !== null && facts.standby)
    throw refuse(
      `Pipeline ${name} has a heartbeat; ${what} is a standby, to whose log nobody can write.`,
      'Connect to the primary, or leave out `heartbeat`.',
    )
  if (source.heartbeatSeconds !== null && !facts.mayEmit)
    throw new LoadError('missing-privilege', `Role ${facts.role} of ${what} may not write the heartbeat of pipeline ${name}.`, {
      where: what,
      hint: `As a superuser: GRANT EXECUTE ON FUNCTION ${facts.emits} TO ${identifier(facts.role)}; or leave out \`heartbeat\`.`,
    })
}
