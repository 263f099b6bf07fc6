// What the project file says about a Snowflake connection, as the session needs it.

import { LoadError } from '../../core/errors.ts'

/** How it logs in. All of these are secrets: none is ever part of a message. */
export type Login =
  /** PEM, or the path of a file with it. */
  | { readonly kind: 'key-pair'; readonly key: string; readonly passphrase: string | null }
  | { readonly kind: 'oauth' | 'programmatic' | 'password'; readonly secret: string }

export interface SnowflakeConfig {
  readonly account: string
  readonly user: string
  readonly login: Login
  readonly role: string | null
  readonly warehouse: string | null
  readonly database: string
  readonly schema: string
  readonly stateSchema: string
  /** null: by the account's name. */
  readonly accessUrl: string | null
  readonly connectTimeoutSeconds: number
}

/** Throws `bad-project`; `where` names the option. */
export function parseSnowflakeConfig(raw: unknown): SnowflakeConfig {
  const options = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>
  const text = (field: string): string | null => {
    const value = options[field]
    if (value === undefined || value === null) return null
    if (typeof value !== 'string' || value === '') throw new LoadError('bad-project', `${field} must be a text.`, { where: field })
    return value
  }
  const needed = (field: string): string => {
    const value = text(field)
    if (value === null) throw new LoadError('bad-project', `A Snowflake connection needs its ${field}.`, { where: field })
    return value
  }
  const schema = text('schema') ?? 'public'
  return {
    account: needed('account'),
    user: needed('user'),
    login: parseLogin(text),
    role: text('role'),
    warehouse: text('warehouse'),
    database: needed('database'),
    schema,
    stateSchema: text('state_schema') ?? schema,
    accessUrl: text('access_url'),
    connectTimeoutSeconds: Number(options['connect_timeout'] ?? 30),
  }
}

function parseLogin(text: (field: string) => string | null): Login {
  const key = text('private_key')
  if (key !== null) return { kind: 'key-pair', key, passphrase: text('private_key_passphrase') }
  for (const [field, kind] of [
    ['oauth_token', 'oauth'],
    ['programmatic_token', 'programmatic'],
    ['password', 'password'],
  ] as const) {
    const secret = text(field)
    if (secret !== null) return { kind, secret }
  }
  throw new LoadError('bad-project', 'A Snowflake connection needs a private_key, oauth_token, programmatic_token or password.')
}
