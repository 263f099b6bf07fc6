// The fields of a pipeline with `pattern: cdc` whose source is a snowflake connection: streams tell what changed.

import * as z from 'zod/mini'
import { cdcSchema } from './cdc-schema.ts'
import { fields, names, text } from './field.ts'
import { loggedTables, tableField } from './log-fields.ts'

const source = fields(
  {
    connection: text('Name of the snowflake connection.'),
    tables: loggedTables,
    streams: z.optional(
      z
        .record(text('One of `tables`.'), tableField('A stream, as schema.stream.'), {
          error: 'expected a map, such as { public.orders: public.orders_stream }',
        })
        .check(
          z.describe('Streams that are there already, by table. Nobody else may consume them. Default: tidemark makes one for each table.'),
        ),
    ),
    keys: z.optional(
      z
        .record(text('One of `tables`.'), names('The columns that identify a row.'), {
          error: 'expected a map, such as { public.orders: [id] }',
        })
        .check(z.describe("The columns that identify a row, by table. Default: the table's primary key.")),
    ),
    append_only: z.optional(
      z
        .boolean({ error: 'expected true or false' })
        .check(z.describe('Rows are only ever added: append-only streams will do, which tell of nothing else. Default: false.')),
    ),
  },
  'Whose changes are read, from which streams.',
)

const { workers: _, ...shared } = cdcSchema.shape

/** A pipeline that reads streams of Snowflake. */
export const streamSchema = fields({ ...shared, source }, 'Reads streams of Snowflake.')
