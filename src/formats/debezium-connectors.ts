// Debezium's connectors by the name that their messages bear, and what differs between them, as their documentation has it. One that is
// not known here is refused: its messages may look the same, and mean something else.
// https://debezium.io/documentation/reference/stable/connectors/

import { badMessage } from './debezium-refusal.ts'

export type SourceConnector = 'postgresql' | 'mysql' | 'mariadb' | 'sqlserver' | 'oracle'

const KNOWN: ReadonlySet<string> = new Set(['postgresql', 'mysql', 'mariadb', 'sqlserver', 'oracle'])

/** Throws `bad-message`. */
export function connectorNamed(name: string): SourceConnector {
  if (KNOWN.has(name)) return name as SourceConnector
  throw badMessage(
    `is of Debezium's connector ${JSON.stringify(name.slice(0, 40))}, which this version does not know`,
    `Known are those of ${[...KNOWN].join(', ')}.`,
  )
}

/** A table has a database there where it has a schema elsewhere. */
export function isInDatabase(connector: SourceConnector): boolean {
  return connector === 'mysql' || connector === 'mariadb'
}

/**
 * Does a message say where it stands among all others, so that what is written again is known? PostgreSQL's and SQL Server's do. A place in
 * a binlog is of one server, and after a failover it begins anew; changes of Oracle are in an order of their commits, of which several
 * share one number.
 */
export function isOrdered(connector: SourceConnector): boolean {
  return connector === 'postgresql' || connector === 'sqlserver'
}

/** `00000027:00000758:0005`: a place in SQL Server's log as one number, in the same order. null for what is none. */
export function logPlace(text: string): bigint | null {
  const match = /^([0-9a-f]{8}):([0-9a-f]{8}):([0-9a-f]{4})$/i.exec(text)
  return match === null ? null : BigInt(`0x${match[1]}${match[2]}${match[3]}`)
}
