// The fields of a pipeline with `pattern: watermark`. Rules between fields are in watermark-rules.ts.

import * as z from 'zod/mini'
import { duration, fields, names, oneOf, text, wholeNumber } from './field.ts'
import { partitionBounds } from './partition-schema.ts'
import { isStart } from './start.ts'
import { columns, source, target } from './table-schema.ts'
import { wrongTimeZone } from './time-zone.ts'

const WRONG_START = 'is no time, date or number; write it like 2024-01-31, 2024-01-31 08:00:00+00 or 1000'

const lateRows = z
  .union([
    oneOf(['auto', 'bound', 'sweep', 'none'], 'auto picks bound or sweep, whichever is safe for this source and cursor.'),
    fields(
      {
        xid8: z.optional(text('A column of type xid8 that holds the transaction which wrote the row.')),
        lag: z.optional(duration('Rows younger than this wait for a later run. Safe only when no transaction lasts longer.')),
      },
      'Exactly one of xid8 and lag.',
    ),
  ])
  .check(z.describe('How rows that commit late are kept from being skipped. Default: auto.'))

/** A pipeline that reads what changed since the last run, by a column that only grows. */
export const watermarkSchema = fields(
  {
    pattern: z.literal('watermark').check(z.describe('Reads what changed since the last run, by a column that only grows.')),
    source,
    target,
    cursor: text('The column to go by: a time, date, integer or decimal that grows with every change.'),
    cursor_time_zone: z.optional(
      text('The time zone in which the values of a cursor without one are meant, such as UTC or Europe/Berlin.').check(
        z.superRefine((value, context) => {
          const wrong = value === '' ? null : wrongTimeZone(value)
          if (wrong !== null) context.addIssue({ code: 'custom', message: wrong, params: { shown: true } })
        }),
      ),
    ),
    start: z.optional(
      z
        .union([z.string().check(z.refine(isStart, { error: WRONG_START, params: { shown: true } })), z.number()], {
          error: 'expected a time, a date or a number',
        })
        .check(z.describe('The first watermark: rows before it are never loaded. Default: everything.')),
    ),
    key: z.optional(names('The columns that identify a row, as a list. Default: the primary key of the source table.')),
    write: z.optional(
      oneOf(['merge', 'delete-insert', 'append', 'replace'], 'How rows enter the target. Default: merge with a key, append without.'),
    ),
    late_rows: z.optional(lateRows),
    null_cursor: z.optional(oneOf(['error', 'include', 'exclude'], 'What to do with rows without a cursor value. Default: error.')),
    where: z.optional(text('A condition in the SQL of the source. It runs as your own code, in a read-only transaction.')),
    columns: z.optional(columns),
    on_schema_change: z.optional(
      oneOf(['evolve', 'freeze', 'ignore'], 'What to do when columns appear or grow at the source. Default: evolve.'),
    ),
    first_load: z.optional(
      fields(
        {
          by: text('A column of whole numbers, such as the key.'),
          ...partitionBounds,
          workers: z.optional(wholeNumber(1, 64, 'So many pieces are loaded at once. Default: 4.')),
        },
        'The first load goes in pieces, in parallel, each of them recoverable alone.',
      ),
    ),
    on_bad_row: z.optional(oneOf(['stop', 'quarantine'], "What to do with a row that the target can't take. Default: stop.")),
  },
  'Loads what changed since the last run.',
)
