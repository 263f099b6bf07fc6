// What is wrong with a message or a value, as errors. They name columns, fields and settings, never values; where the message stood, the
// caller adds.

import { LoadError } from '../core/errors.ts'

/** The message is none that Debezium writes, or none that this version knows. `what` goes on after "A message". */
export function badMessage(what: string, hint?: string): LoadError {
  return new LoadError('bad-message', `A message ${what}.`, hint === undefined ? {} : { hint })
}

/** The connector has changed the value, so that what it was at the source is not known any more. */
export function falsified(column: string, why: string, hint: string): LoadError {
  return new LoadError('value-refused', `Column "${column}": ${why}.`, { hint })
}

/** Advice for what no setting of the connector mends. */
export const EXCLUDE = 'Leave the column out with `columns: { exclude: […] }`.'
