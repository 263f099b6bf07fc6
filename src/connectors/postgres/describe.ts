// The catalogs' view of a table or query, as a `Table`.

import { LoadError } from '../../core/errors.ts'
import { printTableName, type Table, type TableName } from '../../core/table.ts'
import { tableIdentifier } from '../../sql/quote.ts'
import { type PostgresColumn, readType } from './column-types.ts'
import type { Row, Session } from './session.ts'

/** What only this connector needs to know of a source or target table. */
export interface PostgresTable extends Table {
  readonly columns: readonly PostgresColumn[]
  readonly oid: string | null
  /** r table, p partitioned, v view, m materialised view, f foreign table; q: a query. */
  readonly relationKind: string
  /** Of the table and all its partitions. */
  readonly oids: readonly string[]
  /** Columns that lead a valid btree index. */
  readonly indexed: readonly string[]
  readonly serverVersion: number
}

const COLUMNS = `
WITH RECURSIVE resolved AS (
  SELECT a.attnum, a.attname, a.attnotnull, a.attgenerated, a.attmissingval::text AS missing, a.attcollation,
         a.atttypid AS type, a.atttypmod AS modifier,
         has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable
  FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT r.attnum, r.attname, r.attnotnull OR t.typnotnull, r.attgenerated, r.missing, r.attcollation,
         t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE r.modifier END, r.readable
  FROM resolved r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd')
SELECT r.attname AS name, r.attnotnull AS not_null, r.attgenerated AS generated, r.missing, r.readable,
       t.typname AS type, format_type(r.type, r.modifier) AS formatted, r.modifier, t.typtype AS kind,
       t.typnamespace = 'pg_catalog'::regnamespace AS builtin, t.typsend <> 0 AS binary,
       CASE WHEN t.typcategory = 'A' THEN e.typtype END AS element_kind,
       coalesce(e.typnamespace = 'pg_catalog'::regnamespace, true) AS element_builtin,
       (SELECT NOT c.collisdeterministic FROM pg_collation c WHERE c.oid = r.attcollation) AS nondeterministic
FROM resolved r JOIN pg_type t ON t.oid = r.type LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype <> 'd' ORDER BY r.attnum`

// Children by inheritance, whatever the depth: a prepared transaction holds its lock on the partition it wrote.
const RELATION = `
WITH RECURSIVE family AS (
  SELECT $1::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid)
SELECT c.oid, c.relkind, n.nspname AS schema, c.relname AS name,
  (SELECT array_to_string(array_agg(f.oid), ',') FROM family f) AS oids,
  (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0) FROM family f JOIN pg_class p ON p.oid = f.oid)::bigint AS tuples,
  (SELECT coalesce(sum(pg_relation_size(f.oid)), 0) FROM family f JOIN pg_class p ON p.oid = f.oid AND p.relkind IN ('r', 'm', 't'))::bigint AS bytes,
  has_table_privilege(c.oid, 'SELECT') AS readable, has_schema_privilege(n.oid, 'USAGE') AS usable,
  (SELECT system_identifier FROM pg_control_system())::text AS system,
  (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database,
  current_setting('server_version_num')::int AS version, current_user AS role,
  (SELECT array_to_string(array_agg(a.attname ORDER BY k.n), E'\\x01') FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum) AS key,
  (SELECT array_to_string(array_agg(a.attname), E'\\x01') FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree') AS indexed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`

/** null where there is no such table. */
async function findTable(session: Session, name: TableName): Promise<string | null> {
  const rows =
    name.schema === null
      ? await session.query('SELECT to_regclass($1)::oid AS oid', [tableIdentifier(name)])
      : await session.query(
          'SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2',
          [name.schema, name.name],
        )
  return rows[0]?.['oid'] ?? null
}

/** Throws `missing-table`, `missing-privilege`. */
export async function describeTable(
  session: Session,
  name: TableName,
  wanted: (column: string) => boolean = () => true,
): Promise<PostgresTable> {
  const table = await describeIfThere(session, name, wanted)
  if (table === null) {
    const similar = await similarNames(session, name)
    throw new LoadError('missing-table', `There is no table ${printTableName(name)} in ${session.what}.`, {
      where: session.what,
      ...(similar.length > 0 ? { hint: `Did you mean ${similar.join(' or ')}?` } : {}),
    })
  }
  return table
}

async function similarNames(session: Session, name: TableName): Promise<readonly string[]> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
       AND (lower(c.relname) = lower($1) OR c.relname LIKE $2 OR $1 LIKE c.relname || '%') ORDER BY 1, 2 LIMIT 3`,
    [name.name, `${name.name.replaceAll(/[\\%_]/g, '\\$&')}%`],
  )
  return rows.map((row) => printTableName({ schema: row['schema'] ?? null, name: row['name'] ?? '' }))
}

/** null where there is no such table; throws `missing-privilege`, `unsupported-server`. */
export async function describeIfThere(
  session: Session,
  name: TableName,
  wanted: (column: string) => boolean = () => true,
): Promise<PostgresTable | null> {
  const oid = await findTable(session, name)
  if (oid === null) return null
  const [relation] = await session.query(RELATION, [oid])
  if (relation === undefined) return null
  const columns = await session.query(COLUMNS, [oid])
  refuseUnreadable(
    session,
    relation,
    columns.filter((column) => wanted(column['name'] ?? '')),
  )
  return tableFrom(session, name, relation, columns)
}

function tableFrom(session: Session, name: TableName, relation: Row, columnRows: readonly Row[]): PostgresTable {
  const version = Number(relation['version'])
  if (version < 120000)
    throw new LoadError('unsupported-server', `${session.what} is PostgreSQL ${Math.trunc(version / 10000)}; the oldest supported is 12.`, {
      where: session.what,
    })
  const full = { schema: relation['schema'] ?? null, name: relation['name'] ?? name.name }
  const key = split(relation['key'])
  const tuples = Number(relation['tuples'])
  return {
    name: full,
    columns: columnRows.map(columnFrom),
    key,
    keyGuaranteed: key.length > 0,
    identity: `postgres/${relation['system']}/${relation['database']}/${relation['oid']}`,
    estimatedRows: tuples > 0 ? tuples : null,
    estimatedBytes: Number(relation['bytes']),
    oid: relation['oid'] ?? null,
    relationKind: relation['relkind'] ?? 'r',
    oids: (relation['oids'] ?? '').split(','),
    indexed: split(relation['indexed']),
    serverVersion: version,
  }
}

function refuseUnreadable(session: Session, relation: Row, columns: readonly Row[]): void {
  const name = { schema: relation['schema'] ?? null, name: relation['name'] ?? '' }
  const role = tableIdentifier({ schema: null, name: relation['role'] ?? '' })
  const refuse = (what: string, grant: string): LoadError =>
    new LoadError('missing-privilege', `Role ${relation['role']} may not ${what} in ${session.what}.`, {
      hint: `As its owner: ${grant} TO ${role};`,
      where: session.what,
    })
  if (relation['usable'] === 'f')
    throw refuse(`use schema "${name.schema}"`, `GRANT USAGE ON SCHEMA ${tableIdentifier({ schema: null, name: name.schema ?? '' })}`)
  const unreadable = columns.filter((column) => column['readable'] === 'f')
  if (relation['readable'] === 'f' && unreadable.length > 0)
    throw refuse(
      `read ${unreadable.length === columns.length ? '' : `column "${unreadable[0]?.['name']}" of `}table ${printTableName(name)}`,
      `GRANT SELECT ON ${tableIdentifier(name)}`,
    )
}

function columnFrom(row: Row): PostgresColumn {
  const { type, native } = readType({
    name: row['type'] ?? '',
    formatted: row['formatted'] ?? 'text',
    modifier: Number(row['modifier']),
    kind: row['kind'] ?? 'b',
    builtin: row['builtin'] === 't',
    hasBinary: row['binary'] === 't',
    elementKind: row['element_kind'] ?? null,
    elementBuiltin: row['element_builtin'] === 't',
  })
  return {
    name: row['name'] ?? '',
    type,
    native,
    declared: row['formatted'] ?? 'text',
    loose: row['nondeterministic'] === 't',
    nullable: row['not_null'] !== 't',
    generated: (row['generated'] ?? '') !== '',
    backfill: firstElement(row['missing'] ?? null),
  }
}

/** attmissingval is an array of one: `{…}`, its element quoted where need be. */
function firstElement(array: string | null): string | null {
  if (array === null) return null
  const inner = array.slice(1, -1)
  return inner.startsWith('"') ? inner.slice(1, -1).replaceAll(/\\(.)/gs, '$1') : inner
}

function split(text: string | null | undefined): readonly string[] {
  return text === null || text === undefined || text === '' ? [] : text.split('\x01')
}

/** A query is described by the server itself, from a statement that returns no row. */
export async function describeQuery(session: Session, query: string, key: readonly string[]): Promise<PostgresTable> {
  const fields = await session.fields(`SELECT * FROM (${query}\n) AS q LIMIT 0`)
  const columns: PostgresColumn[] = []
  for (const field of fields) {
    const [row] = await session.query(
      `WITH RECURSIVE r(type, modifier) AS (SELECT $1::oid, $2::int UNION ALL
         SELECT t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE r.modifier END FROM r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd')
       SELECT false AS not_null, '' AS generated, NULL AS missing, t.typname AS type, format_type(r.type, r.modifier) AS formatted, r.modifier, t.typtype AS kind,
         t.typnamespace = 'pg_catalog'::regnamespace AS builtin, t.typsend <> 0 AS binary,
         CASE WHEN t.typcategory = 'A' THEN e.typtype END AS element_kind, coalesce(e.typnamespace = 'pg_catalog'::regnamespace, true) AS element_builtin
       FROM r JOIN pg_type t ON t.oid = r.type LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' WHERE t.typtype <> 'd'`,
      [field.typeOid, field.typeModifier],
    )
    if (row !== undefined) columns.push(columnFrom({ ...row, name: field.name }))
  }
  const [facts] = await session.query(
    `SELECT (SELECT system_identifier FROM pg_control_system())::text AS system, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database,
      current_setting('server_version_num')::int AS version`,
  )
  return {
    name: { schema: null, name: 'query' },
    columns,
    key,
    keyGuaranteed: false,
    identity: `postgres/${facts?.['system']}/${facts?.['database']}/query`,
    estimatedRows: null,
    estimatedBytes: null,
    oid: null,
    relationKind: 'q',
    oids: [],
    indexed: [],
    serverVersion: Number(facts?.['version']),
  }
}

/** The FROM item that a pipeline reads. */
export function relation(table: TableName | null, query: string | null): string {
  return table === null ? `(${query ?? ''}\n) AS q` : tableIdentifier(table)
}
