// One session of a client: its parameters, where it is, and the transaction that it has open.

import type { ObjectName } from './catalog.ts'
import { SnowflakeError, unknown } from './snowflake-error.ts'
import type { Transaction, TransactionOwner } from './transactions.ts'

/** Parameters that the emulator knows, with Snowflake's defaults. */
const DEFAULTS: Readonly<Record<string, string>> = {
  ABORT_DETACHED_QUERY: 'false',
  AUTOCOMMIT: 'true',
  BINARY_INPUT_FORMAT: 'HEX',
  BINARY_OUTPUT_FORMAT: 'HEX',
  CLIENT_RESULT_CHUNK_SIZE: '160',
  CLIENT_SESSION_KEEP_ALIVE: 'false',
  CLIENT_STAGE_ARRAY_BINDING_THRESHOLD: '65280',
  CLIENT_TIMESTAMP_TYPE_MAPPING: 'TIMESTAMP_LTZ',
  DATE_INPUT_FORMAT: 'AUTO',
  DATE_OUTPUT_FORMAT: 'YYYY-MM-DD',
  ERROR_ON_NONDETERMINISTIC_MERGE: 'true',
  ERROR_ON_NONDETERMINISTIC_UPDATE: 'false',
  JS_TREAT_INTEGER_AS_BIGINT: 'false',
  LOCK_TIMEOUT: '43200',
  MULTI_STATEMENT_COUNT: '1',
  NODEJS_QUERY_RESULT_FORMAT: 'JSON',
  QUERY_TAG: '',
  QUOTED_IDENTIFIERS_IGNORE_CASE: 'false',
  ROWS_PER_RESULTSET: '0',
  STATEMENT_QUEUED_TIMEOUT_IN_SECONDS: '0',
  STATEMENT_TIMEOUT_IN_SECONDS: '172800',
  STRICT_JSON_OUTPUT: 'false',
  TIMESTAMP_DAY_IS_ALWAYS_24H: 'false',
  TIMESTAMP_INPUT_FORMAT: 'AUTO',
  TIMESTAMP_LTZ_OUTPUT_FORMAT: '',
  TIMESTAMP_NTZ_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF3',
  TIMESTAMP_OUTPUT_FORMAT: 'YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM',
  TIMESTAMP_TYPE_MAPPING: 'TIMESTAMP_NTZ',
  TIMESTAMP_TZ_OUTPUT_FORMAT: '',
  TIMEZONE: 'Etc/UTC',
  TIME_INPUT_FORMAT: 'AUTO',
  TIME_OUTPUT_FORMAT: 'HH24:MI:SS',
  TRANSACTION_ABORT_ON_ERROR: 'false',
  TRANSACTION_DEFAULT_ISOLATION_LEVEL: 'READ COMMITTED',
  USE_CACHED_RESULT: 'true',
  WEEK_OF_YEAR_POLICY: '0',
  WEEK_START: '0',
}
/** Parameters whose other values would change what a statement does, which the emulator does not. */
const FIXED: Readonly<Record<string, RegExp>> = {
  TIMEZONE: /^(Etc\/)?UTC$/i,
  TIMESTAMP_TYPE_MAPPING: /^TIMESTAMP_NTZ$/i,
  BINARY_INPUT_FORMAT: /^HEX$/i,
  BINARY_OUTPUT_FORMAT: /^HEX$/i,
  QUOTED_IDENTIFIERS_IGNORE_CASE: /^false$/i,
  ROWS_PER_RESULTSET: /^0$/,
  TRANSACTION_ABORT_ON_ERROR: /^false$/i,
}

export interface SessionStart {
  readonly id: number
  readonly user: string
  readonly role: string
  readonly warehouse: string | null
  readonly database: string | null
  readonly schema: string | null
}

export class Session implements TransactionOwner {
  readonly id: number
  readonly user: string
  role: string
  warehouse: string | null
  database: string | null
  schema: string | null
  transaction: Transaction | null = null
  ended = false
  readonly #parameters = new Map(Object.entries(DEFAULTS))

  constructor(start: SessionStart) {
    this.id = start.id
    this.user = start.user
    this.role = start.role
    this.warehouse = start.warehouse
    this.database = start.database
    this.schema = start.schema
  }

  parameter(name: string): string {
    return this.#parameters.get(name) ?? ''
  }

  parameters(): [string, string, string][] {
    return [...this.#parameters].map(([name, value]) => [name, value, DEFAULTS[name] ?? ''])
  }

  set(name: string, value: string): void {
    const key = name.toUpperCase()
    if (!Object.hasOwn(DEFAULTS, key)) throw unknown(`the parameter ${key}`)
    if (FIXED[key] && !FIXED[key].test(value)) throw unknown(`${key} = ${value}`)
    this.#parameters.set(key, value)
  }

  /** Back to the default. */
  unset(name: string): void {
    this.set(name, DEFAULTS[name.toUpperCase()] ?? '')
  }

  /** Milliseconds of a parameter in seconds, where 0 is the longest time. */
  timeoutMs(name: string): number {
    return (Number(this.parameter(name)) || 604_800) * 1000
  }

  /** A name with what the session adds to it. */
  path(parts: readonly string[]): ObjectName {
    const [name, schema = this.schema, database = this.database, ...rest] = [...parts].reverse()
    if (rest.length > 0) throw unknown(`the name ${parts.join('.')}`)
    if (database === null || schema === null) {
      throw new SnowflakeError(
        '090105',
        '22000',
        "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE', or use a qualified name.",
      )
    }
    return { database: database!, schema: schema!, name: name! }
  }
}
