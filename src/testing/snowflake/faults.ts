// Faults on request: what goes wrong between a client and Snowflake, at a statement that a test names, and counted when it did.

import { type ObjectName, printPath } from './catalog.ts'
import { printed } from './identifiers.ts'
import { doesNotExist, SnowflakeError } from './snowflake-error.ts'

interface Which {
  /** Only statements whose text this matches; default every one. */
  readonly sql?: RegExp
  /** At most so many times; default once. */
  readonly times?: number
}

export type SnowflakeFault = Which &
  /** The statement is carried out, and its answer lost: the connection is cut. */
  (
    | { readonly kind: 'lost-reply' }
    /** The statement is not carried out: HTTP 503. */
    | { readonly kind: 'unavailable' }
    | { readonly kind: 'slow'; readonly milliseconds: number }
    /** The session's token has expired; the client may renew it. */
    | { readonly kind: 'expired-token' }
    /** The session is gone, and with it its open transaction. */
    | { readonly kind: 'lost-session' }
    /** The server rolls the session's open transaction back before the statement, which then runs in one of its own. */
    | { readonly kind: 'aborted-transaction' }
    /** A chunk of a large result ends in the middle; with `whole` between two rows, so that it can be read. */
    | { readonly kind: 'truncated-chunk'; readonly whole?: boolean }
    /** The statement stops as if STATEMENT_TIMEOUT_IN_SECONDS were over. */
    | { readonly kind: 'statement-timeout' }
    /** Logins are refused by a network policy. */
    | { readonly kind: 'network-policy' }
    /** The warehouse is suspended, and the role may not resume it. Lasts until it is cleared. */
    | { readonly kind: 'suspended-warehouse' }
    /** The role lacks a privilege on a table, such as `RAW.PUBLIC.ORDERS`, or on a schema. Lasts until it is cleared. */
    | { readonly kind: 'missing-grant'; readonly object: string; readonly privilege: string; readonly hidden?: boolean }
    | { readonly kind: 'error'; readonly code: string; readonly sqlState: string; readonly message: string }
  )

type Kind = SnowflakeFault['kind']
type MissingGrant = Extract<SnowflakeFault, { kind: 'missing-grant' }>

export class Faults {
  #active: { readonly fault: SnowflakeFault; left: number }[] = []
  /** How often faults of a kind have happened. */
  readonly fired: Partial<Record<Kind, number>> = {}

  add(...faults: readonly SnowflakeFault[]): void {
    this.#active.push(...faults.map((fault) => ({ fault, left: fault.times ?? 1 })))
  }

  clear(): void {
    this.#active = []
  }

  /** Takes a fault of a kind that is meant for a statement. */
  take<K extends Kind>(kind: K, sql: string): Extract<SnowflakeFault, { kind: K }> | null {
    const found = this.#active.find(({ fault, left }) => fault.kind === kind && left > 0 && (fault.sql?.test(sql) ?? true))
    if (!found) return null
    found.left--
    this.#count(kind)
    return found.fault as Extract<SnowflakeFault, { kind: K }>
  }

  checkWarehouse(warehouse: string | null): void {
    const suspended = this.#active.some(({ fault }) => fault.kind === 'suspended-warehouse')
    if (!suspended && warehouse !== null) return
    if (suspended) this.#count('suspended-warehouse')
    const text = "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."
    throw new SnowflakeError('000606', '57P03', text)
  }

  /** Whether a test has taken a privilege away. */
  lacks(object: string, privilege: string): boolean {
    return this.#missing(object, privilege) !== undefined
  }

  checkGrant(path: ObjectName, privilege: string): void {
    const fault = this.#missing(printPath(path), privilege)
    if (!fault) return
    this.#count('missing-grant')
    if (fault.hidden) throw doesNotExist('Object', printPath(path))
    throw new SnowflakeError('003001', '42501', `SQL access control error:\nInsufficient privileges to operate on table '${path.name}'`)
  }

  /** A privilege on a schema, such as CREATE TABLE. */
  checkSchemaGrant({ database, schema }: ObjectName, privilege: string): void {
    const fault = this.#missing(`${printed(database)}.${printed(schema)}`, privilege)
    if (!fault) return
    this.#count('missing-grant')
    throw new SnowflakeError('003001', '42501', `SQL access control error:\nInsufficient privileges to operate on schema '${schema}'`)
  }

  #missing(object: string, privilege: string): MissingGrant | undefined {
    return this.#active
      .map(({ fault }) => fault)
      .find((fault): fault is MissingGrant => fault.kind === 'missing-grant' && fault.object === object && fault.privilege === privilege)
  }

  #count(kind: Kind): void {
    this.fired[kind] = (this.fired[kind] ?? 0) + 1
  }
}
