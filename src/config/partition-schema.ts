// The fields of a pipeline with `pattern: partition`. Rules between fields are in partition-rules.ts.

import * as z from 'zod/mini'
import { PARTITION_UNITS } from '../core/partition.ts'
import { fields, names, oneOf, text, textThat, wholeNumber } from './field.ts'
import { columns, source, target } from './table-schema.ts'
import { wrongTimeZone } from './time-zone.ts'

const MOMENT =
  /^(?:now|today|yesterday|tomorrow|[+-]\d{1,6}(?:h|d|w|mo|y)|\d{4}(?:-\d\d|-Q[1-4]|-W\d\d)?|\d{4}-\d\d-\d\d(?:T\d\d)?|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)$/
const WRONG_MOMENT = 'is no date; write it like 2024-01-31, 2024-03, 2024-W10, today, yesterday or -7d (days ago; also h, w, mo, y)'

/** Whether it can stand for the first or last partition of a time. */
function isMoment(value: string): boolean {
  return MOMENT.test(value)
}

const moment = (description: string) =>
  z
    .union([z.string().check(z.refine(isMoment, { error: WRONG_MOMENT, params: { shown: true } })), z.int()], { error: 'expected a date' })
    .check(z.describe(description))

const size = (description: string) =>
  z
    .union(
      [
        z.int({ error: 'expected a whole number from 1 on' }).check(z.minimum(1, { error: 'expected a whole number from 1 on' })),
        z.string().check(z.regex(/^[1-9]\d{0,17}$/, { error: 'expected a whole number from 1 on' })),
      ],
      { error: 'expected a whole number from 1 on' },
    )
    .check(z.describe(description))

/** What a first load in pieces can be cut by, too. */
export const partitionBounds = {
  size: z.optional(size('Ranges of numbers, so wide.')),
  rows: z.optional(size('Ranges of numbers with about so many rows each, by the statistics of the database.')),
}

const nulls = oneOf(
  ['error', 'include', 'exclude'],
  'Rows without a value in the partition column: refused, a partition of their own, or left out. Default: include for a list, else error.',
)

const partition = fields(
  {
    by: text(
      'The column: a time or date with unit, a number with size or rows, any other with nothing more (a partition a value) or buckets.',
    ),
    unit: z.optional(oneOf(PARTITION_UNITS, 'A partition for every hour, day, … of the column.')),
    first: z.optional(moment('The first partition, included. Default: the one of the oldest row.')),
    last: z.optional(moment('The last partition, included. Default: the one of the newest row.')),
    time_zone: z.optional(
      text('The zone whose days and hours are meant, such as UTC or Europe/Berlin. Default: UTC.').check(
        z.superRefine((value, context) => {
          const wrong = value === '' ? null : wrongTimeZone(value)
          if (wrong !== null) context.addIssue({ code: 'custom', message: wrong, params: { shown: true } })
        }),
      ),
    ),
    values: z.optional(
      z
        .array(z.union([z.string(), z.int(), z.boolean()]), { error: 'expected a list, such as [EU, US]' })
        .check(z.minLength(1), z.describe('The values that are loaded, a partition each. Default: all that there are.')),
    ),
    ...partitionBounds,
    buckets: z.optional(wholeNumber(1, 100_000, 'So many parts by a hash of the column. Each of them reads the whole table.')),
    nulls: z.optional(nulls),
  },
  'How the table is cut into partitions.',
)

const share = textThat(
  (value) => /^(?:100|\d{1,2})(?:\.\d+)? ?%$/.test(value),
  'is no share; write it like 50%',
  'The largest share of its rows that a partition may lose when it is replaced. Default: 50%.',
  'expected a share like 50%',
)

/** A pipeline that loads a table in partitions, each of them replaced as a whole. */
export const partitionSchema = fields(
  {
    pattern: z
      .literal('partition')
      .check(z.describe('Loads by date, region or range, in parallel; each partition is replaced as a whole.')),
    source,
    target,
    partition,
    workers: z.optional(wholeNumber(1, 64, 'So many partitions are loaded at once. Default: 4.')),
    key: z.optional(names('The columns that identify a row, as a list. Default: the primary key of the source table.')),
    write: z.optional(
      oneOf(['overwrite-partition', 'merge', 'delete-insert', 'append'], 'How rows enter the target. Default: overwrite-partition.'),
    ),
    consistency: z.optional(
      oneOf(['run', 'partition'], 'All partitions of a run in one snapshot of the source, or each in its own. Default: run.'),
    ),
    lookback: z.optional(
      wholeNumber(0, 100_000, 'So many of the newest closed partitions are compared with the source on every run. Default: 0.'),
    ),
    detect: z.optional(
      oneOf(
        ['none', 'checksum', 'all'],
        'Which committed partitions are loaded again: none, those that changed at the source, all. Default: none.',
      ),
    ),
    allow_shrink: z.optional(
      z.boolean({ error: 'expected true or false' }).check(z.describe('A partition may lose any number of rows. Default: false.')),
    ),
    max_shrink: z.optional(share),
    replace_by: z.optional(
      oneOf(
        ['delete', 'truncate', 'swap'],
        'How old rows go; truncate and swap only where the target table is partitioned alike. Default: delete.',
      ),
    ),
    where: z.optional(text('A condition in the SQL of the source. It runs as your own code, in a read-only transaction.')),
    columns: z.optional(columns),
    on_schema_change: z.optional(
      oneOf(['evolve', 'freeze', 'ignore'], 'What to do when columns appear or grow at the source. Default: evolve.'),
    ),
    on_bad_row: z.optional(oneOf(['stop', 'quarantine'], "What to do with a row that the target can't take. Default: stop.")),
  },
  'Loads a table in partitions.',
)
