// Whether a table's rows were rewritten with other values. ALTER TABLE may do so, for a type with USING or a default that is computed
// for each row, and nothing of it is in the log. VACUUM FULL, CLUSTER and TRUNCATE write the rows to another file, too, but leave the
// catalog's entries of the columns alone; a new default or more statistics change the entry, and leave the rows where they are.

import type { TableLayout } from '../../contract/log.ts'
import { LoadError } from '../../core/errors.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import type { Session } from './session.ts'

export async function readLayout(session: Session, oid: string | null): Promise<TableLayout> {
  const [row] = await session.query(
    `SELECT (SELECT left(md5(string_agg(pg_relation_filenode(f.relid)::text, ',' ORDER BY f.relid)), 12)
         FROM (SELECT $1::oid AS relid UNION SELECT relid FROM pg_partition_tree($1::oid)) AS f) AS rows,
       (SELECT left(md5(string_agg(a.attnum || ' ' || a.xmin::text, ',' ORDER BY a.attnum)), 12)
         FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0) AS columns`,
    [oid],
  )
  return { rows: row?.['rows'] ?? '', columns: row?.['columns'] ?? '' }
}

/** Throws `try-again`, so that the pipeline looks at the table anew, and copies it. */
export async function refuseRewritten(
  session: Session,
  tables: readonly { readonly name: TableName; readonly oid: string | null; readonly layout: TableLayout }[],
): Promise<void> {
  for (const { name, oid, layout } of tables) {
    const now = await readLayout(session, oid)
    if (now.rows !== layout.rows && now.columns !== layout.columns)
      throw new LoadError('try-again', `The rows of ${printTableName(name)} were rewritten while its changes were read.`)
  }
}
