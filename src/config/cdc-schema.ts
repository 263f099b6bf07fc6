// The fields of a pipeline with `pattern: cdc`. Rules between fields are in build-cdc.ts.

import * as z from 'zod/mini'
import { parseTableName } from '../core/table.ts'
import { duration, fields, oneOf, text, textThat, wholeNumber } from './field.ts'
import { loggedTables, publicationField, slotField } from './log-fields.ts'

const source = fields(
  {
    connection: text('Name of the connection whose log is read.'),
    tables: loggedTables,
    slot: slotField,
    publication: publicationField,
    failover: z.optional(
      z
        .boolean({ error: 'expected true or false' })
        .check(
          z.describe(
            'The slot goes along when a standby takes over: PostgreSQL 17 or newer, and sync_replication_slots there. Default: false.',
          ),
        ),
    ),
    heartbeat: z.optional(duration('So often a message is written to the log while it is followed. Default: never.')),
  },
  'Whose changes are followed.',
)

const target = fields(
  {
    connection: text('Name of the connection to write to.'),
    schema: z.optional(
      textThat(
        (value) => parseTableName(value)?.schema === null,
        "can't be read as one name; put an odd one in double quotes",
        "Schema of the tables; made when missing. Default: each table's own.",
      ),
    ),
  },
  'Where it is written.',
)

/** A pipeline that follows a database's own log. */
export const cdcSchema = fields(
  {
    pattern: z.literal('cdc').check(z.describe("Follows every insert, update, delete and truncate in a database's own log.")),
    source,
    target,
    write: z.optional(
      oneOf(['merge', 'append', 'soft-delete'], 'As the source is; every change a row; or deleted rows only marked. Default: merge.'),
    ),
    workers: z.optional(wholeNumber(1, 64, 'How many copy a large table side by side, at most. Default: 4 into Postgres, 1 into DuckDB.')),
    on_schema_change: z.optional(
      oneOf(['evolve', 'freeze', 'ignore'], 'What to do when columns appear or grow at the source. Default: evolve.'),
    ),
    on_bad_row: z.optional(
      oneOf(
        ['stop', 'quarantine'],
        "What to do with a row that the target can't take: stop, or keep it in pipeline_quarantine and go on. Default: stop.",
      ),
    ),
    max_quarantined: z.optional(
      wholeNumber(1, 100_000, 'With more rows than this in quarantine the pipeline stops all the same. Default: 1000.'),
    ),
  },
  'Follows the log of a database.',
)
