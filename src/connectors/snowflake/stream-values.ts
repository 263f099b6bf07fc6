// Exact texts of Snowflake → PostgreSQL's text of the same values, which is what changes are made of. A value that PostgreSQL's text can't
// hold is refused, never rounded.

import { LoadError } from '../../core/errors.ts'
import type { Column } from '../../core/table.ts'

export type TextOf = (text: string) => string

/** Throws `value-refused` for a value, which it does not name. */
export function pgTextOf({ name, type }: Column): TextOf {
  switch (type.kind) {
    case 'boolean':
      return (text) => (/^(true|1)$/i.test(text) ? 't' : 'f')
    case 'bytes':
      return (text) => `\\x${text.toLowerCase()}`
    case 'float':
      return floatText
    case 'timestamp':
      return type.zoned ? (text) => `${withMicroseconds(text, name)}+00` : (text) => withMicroseconds(text, name)
    case 'time':
      return (text) => withMicroseconds(text, name)
    default:
      return (text) => text
  }
}

function floatText(text: string): string {
  const value = text.toLowerCase()
  if (value === 'inf' || value === 'infinity') return 'Infinity'
  if (value === '-inf' || value === '-infinity') return '-Infinity'
  return value === 'nan' ? 'NaN' : text
}

/** Snowflake prints nine digits. */
function withMicroseconds(text: string, column: string): string {
  const [whole = '', fraction = ''] = text.split('.')
  if (/[^0]/.test(fraction.slice(6)))
    throw new LoadError('value-refused', `Column "${column}": a time has nanoseconds, which would be lost.`, {
      hint: 'Give the column the type TIMESTAMP_NTZ(6), or have a stream on a view that cuts them.',
    })
  return fraction === '' ? whole : `${whole}.${fraction.slice(0, 6)}`
}
