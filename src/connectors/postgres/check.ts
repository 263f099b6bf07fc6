// What a person should know about a Postgres source before the first run.

import type { Finding } from '../../contract/finding.ts'
import type { ResolvedPipeline } from '../../core/pipeline.ts'
import { printSource } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import { identifier } from '../../sql/quote.ts'
import { cursorOf } from './cursor.ts'
import { type PostgresTable, relation } from './describe.ts'
import { chooseLateRows } from './late-rows.ts'
import { filterOf } from './predicate.ts'
import type { Session } from './session.ts'

export async function checkSource(session: Session, pipeline: ResolvedPipeline, table: PostgresTable): Promise<readonly Finding[]> {
  const cursor = cursorOf(pipeline, table)
  const findings: Finding[] = []
  const add = (severity: Finding['severity'], code: string, message: string, hint: string): number =>
    findings.push({ severity, code, message, hint })
  const [facts] = await session.query(
    `SELECT current_user AS role, pg_is_in_recovery() AS standby, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees,
            EXISTS (SELECT 1 FROM pg_subscription_rel WHERE srrelid = ANY ($1::oid[])) AS subscribed,
            EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = ANY ($1::oid[]) AND NOT tgisinternal) AS triggers,
            abs(extract(epoch FROM clock_timestamp()) - $2)::int AS skew`,
    [`{${table.oids.join(',')}}`, Date.now() / 1000],
  )
  const sees = facts?.['sees'] === 't'
  const late = chooseLateRows(pipeline, table, cursor, {
    standby: facts?.['standby'] === 't',
    seesSessions: sees,
    subscribed: facts?.['subscribed'] === 't',
  })
  add('info', 'late-rows', `Late rows are caught by ${late.mode}: ${late.reason}.`, late.mode === 'none' ? 'Use `late_rows: auto`.' : '')
  if (!sees && pipeline.lateRows.kind === 'auto')
    add(
      'warning',
      'missing-privilege',
      `Role ${facts?.['role']} can't see when other transactions began, so every run must sweep the table.`,
      `GRANT pg_read_all_stats TO ${identifier(facts?.['role'] ?? '')};`,
    )
  if (Number(facts?.['skew'] ?? 0) > 1)
    add(
      'warning',
      'clock-skew',
      `The clocks of the source and of this machine differ by ${facts?.['skew']} s.`,
      "Only the source's clock is used; nothing is lost.",
    )
  if (!cursor.indexed && table.relationKind !== 'q')
    add(
      'warning',
      'no-index',
      `Cursor "${cursor.name}" leads no index: every run reads the whole table.`,
      `CREATE INDEX CONCURRENTLY ON ${relation(table.name, null)} (${cursor.column});`,
    )
  if (cursor.family !== 'number' && facts?.['triggers'] === 'f' && table.relationKind !== 'q')
    add(
      'info',
      'no-trigger',
      `No trigger keeps "${cursor.name}" up to date; a change that does not set it is ${isRepeatable(pipeline.write) ? 'found only by a sweep' : 'not seen'}.`,
      'Set it in a trigger BEFORE UPDATE.',
    )
  if (cursor.nullable) findings.push(...(await nullCursors(session, pipeline, table)))
  if (!table.keyGuaranteed && pipeline.key.length > 0) findings.push(...(await declaredKey(session, pipeline, table)))
  add(
    'info',
    'deletes',
    `Rows deleted from ${printSource(pipeline)} stay in the target: a watermark can't see them.`,
    'Use `--full-refresh` now and then, or change data capture.',
  )
  return findings
}

async function nullCursors(session: Session, pipeline: ResolvedPipeline, table: PostgresTable): Promise<Finding[]> {
  const filter = filterOf(pipeline)
  const [row] = await session.query(
    `SELECT count(*) AS n FROM ${relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)} WHERE ${identifier(pipeline.cursor)} IS NULL${filter === null ? '' : ` AND ${filter}`}`,
  )
  const count = Number(row?.['n'] ?? 0)
  if (count === 0) return []
  const refused = pipeline.nullCursor === 'error'
  return [
    {
      severity: refused ? 'error' : 'info',
      code: 'null-cursor',
      message: `${count} rows of ${printSource(pipeline)} have no value in cursor "${pipeline.cursor}".`,
      hint: refused
        ? 'Fill the column, or set `null_cursor: include` or `exclude`.'
        : `They are ${pipeline.nullCursor === 'include' ? 'loaded on every run' : 'left out'}.`,
    },
  ]
}

async function declaredKey(session: Session, pipeline: ResolvedPipeline, table: PostgresTable): Promise<Finding[]> {
  const key = pipeline.key.map(identifier).join(', ')
  const from = relation(pipeline.source.table === null ? null : table.name, pipeline.source.query)
  const filter = filterOf(pipeline)
  const where = filter === null ? '' : ` WHERE ${filter}`
  const [row] = await session.query(
    `SELECT EXISTS (SELECT 1 FROM ${from}${where} GROUP BY ${key} HAVING count(*) > 1) AS twice,
            EXISTS (SELECT 1 FROM ${from} WHERE (${pipeline.key.map((name) => `${identifier(name)} IS NULL`).join(' OR ')})${filter === null ? '' : ` AND ${filter}`}) AS nulls`,
  )
  const findings: Finding[] = []
  if (row?.['twice'] === 't')
    findings.push({
      severity: 'warning',
      code: 'duplicate-key',
      message: `Rows of ${printSource(pipeline)} share their key (${pipeline.key.join(', ')}); of each only the newest is kept.`,
      hint: 'Name the columns that identify a row.',
    })
  if (row?.['nulls'] === 't')
    findings.push({
      severity: 'error',
      code: 'null-key',
      message: `Rows of ${printSource(pipeline)} have NULL in their key (${pipeline.key.join(', ')}).`,
      hint: 'Choose a key without NULL.',
    })
  return findings
}
