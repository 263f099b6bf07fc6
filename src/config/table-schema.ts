// What the patterns that load one table have in common.

import * as z from 'zod/mini'
import { parseTableName } from '../core/table.ts'
import { fields, names, text, textThat } from './field.ts'

const isName = (value: string): boolean => parseTableName(value) !== null
const WRONG_TABLE = "can't be read as a table; write it as in SQL: schema.table, odd names in double quotes"

export const source = fields(
  {
    connection: text('Name of the connection to read from.'),
    table: z.optional(textThat(isName, WRONG_TABLE, 'The table, as schema.table. A wildcard (public.*) makes one pipeline per table.')),
    query: z.optional(text('A SELECT to read instead of a table; it needs an explicit key.')),
  },
  'What is read: a table, or a query.',
)

export const target = fields(
  {
    connection: text('Name of the connection to write to.'),
    schema: z.optional(
      textThat(
        (value) => parseTableName(value)?.schema === null,
        "can't be read as one name; put an odd one in double quotes",
        'Schema of the table; made when missing. Default: the default schema of the connection.',
      ),
    ),
    table: z.optional(textThat(isName, WRONG_TABLE, 'The table, as table or schema.table. Default: the name of the source table.')),
  },
  'Where it is written.',
)

export const columns = fields(
  {
    include: z.optional(names('Only these columns.')),
    exclude: z.optional(names('All columns but these.')),
  },
  'Which columns are loaded. Default: all.',
)
