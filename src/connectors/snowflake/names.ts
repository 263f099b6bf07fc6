// Names as people write them, and as Snowflake keeps them. Snowflake folds a name without quotes to capitals: `orders` in a query is
// ORDERS in the catalog. So does tidemark with every name of small letters, and takes all others as they are.

import { LoadError } from '../../core/errors.ts'
import type { TableName } from '../../core/table.ts'

const REGULAR_SMALL = /^[a-z_][a-z0-9_$]*$/
const REGULAR_CAPITAL = /^[A-Z_][A-Z0-9_$]*$/

/** Snowflake's own limit. */
const LONGEST_NAME = 255

/** As the catalog has it. Throws `bad-value` for a name that Snowflake can't have. */
export function storedName(name: string): string {
  if (name.length > LONGEST_NAME)
    throw new LoadError('bad-value', `The name ${name.slice(0, 40)}… has ${name.length} characters; Snowflake allows ${LONGEST_NAME}.`, {
      hint: 'Give the table another name, or the column one with AS in a `query`.',
    })
  return REGULAR_SMALL.test(name) ? name.toUpperCase() : name
}

/** As people write it: what a query without quotes would find is in small letters. */
export function shownName(stored: string): string {
  return REGULAR_CAPITAL.test(stored) ? stored.toLowerCase() : stored
}

/** In the catalog it is in small letters, where tidemark would look for capitals. */
export function isUnreachable(stored: string): boolean {
  return storedName(stored) !== stored
}

/** The one way a name becomes SQL. */
export function identifier(name: string): string {
  return `"${storedName(name).replaceAll('\0', '').replaceAll('"', '""')}"`
}

export function tableIdentifier(name: TableName): string {
  return name.schema === null ? identifier(name.name) : `${identifier(name.schema)}.${identifier(name.name)}`
}

/** Backslashes mean something in a literal of Snowflake. */
export function literal(text: string): string {
  return `'${text.replaceAll('\0', '').replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
