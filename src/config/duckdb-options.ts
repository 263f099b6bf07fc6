import * as z from 'zod/mini'
import { filePath, type OptionsReview } from './connection-options.ts'
import { fields, text, textThat, wholeNumber } from './field.ts'

/** A DuckDB database file. */
export const duckdbOptions = fields(
  {
    type: z.literal('duckdb').check(z.describe('A DuckDB database file.')),
    path: text('The database file, relative to the project file; it is made when missing.'),
    state_schema: z.optional(text('Schema of the state tables. Default: main.')),
    memory_limit: z.optional(
      textThat(
        (value) => /^\d+(\.\d+)?\s?([KMGT]i?B|%)$/i.test(value),
        'is no amount of memory; write it like 512MB, 4GB or 50%',
        'How much memory DuckDB may use, such as 4GB.',
      ),
    ),
    threads: z.optional(wholeNumber(1, 1_024, 'How many threads DuckDB may use.')),
  },
  'A DuckDB database file.',
)

/** The path made absolute, numbers as numbers. */
export const reviewDuckdb: OptionsReview = (raw, report, { directory }) => {
  const options: Record<string, unknown> = { ...raw }
  const path = raw['path']
  if (path === ':memory:') report(['path'], 'a database in memory would forget positions and rows; name a file')
  if (typeof path === 'string') options['path'] = filePath(directory, path)
  if (options['threads'] !== undefined) options['threads'] = Number(options['threads'])
  return options
}
