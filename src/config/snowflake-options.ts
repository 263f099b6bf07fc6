import * as z from 'zod/mini'
import { type OptionsReview, pemOrPath } from './connection-options.ts'
import { parseDuration } from './duration.ts'
import { duration, fields, text, textThat } from './field.ts'
import { withoutReferences } from './reference.ts'

const LOGINS = ['private_key', 'oauth_token', 'programmatic_token', 'password'] as const
const SECRETS = ['private_key', 'private_key_passphrase', 'oauth_token', 'programmatic_token', 'password'] as const

/** An account of Snowflake, as source or target. */
export const snowflakeOptions = fields(
  {
    type: z.literal('snowflake').check(z.describe('An account of Snowflake.')),
    account: textThat(
      (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(value),
      'is no account identifier; write it like myorg-account1, without https:// and without .snowflakecomputing.com',
      'The account identifier, like myorg-account1.',
    ),
    user: text('User to log in as.'),
    private_key: z.optional(text('File with the private key of the user (PEM), or its text as ${env:NAME}.')),
    private_key_passphrase: z.optional(text('Passphrase of that key: ${env:NAME} or ${file:PATH}, never literally.')),
    oauth_token: z.optional(text('Access token of OAuth: ${env:NAME} or ${file:PATH}, never literally.')),
    programmatic_token: z.optional(text('Programmatic access token of the user: ${env:NAME} or ${file:PATH}, never literally.')),
    password: z.optional(text('Password of the user: ${env:NAME} or ${file:PATH}, never literally. A key pair is safer.')),
    role: z.optional(text("Role to work as. Default: the user's own.")),
    warehouse: z.optional(text("Warehouse that runs the statements. Default: the user's own.")),
    database: text('Database of the tables.'),
    schema: z.optional(text('Schema of tables that are named without one. Default: PUBLIC.')),
    state_schema: z.optional(text('Schema of the state tables. Default: that of `schema`.')),
    access_url: z.optional(
      textThat(
        isAccessUrl,
        'is not a URL like https://myorg-account1.snowflakecomputing.com',
        'Where the account answers, if not by its name.',
      ),
    ),
    connect_timeout: z.optional(duration('How long to wait for an answer when connecting. Default: 30s.')),
  },
  'An account of Snowflake.',
)

function isAccessUrl(value: string): boolean {
  if (!/^https?:\/\//.test(value)) return false
  try {
    const { username, password, search, hash } = new URL(value)
    return username === '' && password === '' && search === '' && hash === ''
  } catch {
    return false
  }
}

/** What no single option shows; seconds as a number, the key's file found from the project file. */
export const reviewSnowflake: OptionsReview = (raw, report, { directory, written, literal }) => {
  const given = LOGINS.filter((name) => raw[name] !== undefined)
  const misspelt = !Object.keys(raw).every((key) => Object.hasOwn(snowflakeOptions.shape, key))
  if (given.length === 0 && !misspelt) report([], `needs one of ${LOGINS.join(', ')}`, 'key')
  for (const extra of given.slice(1)) report([extra], `there is ${given[0]} already; keep one of them`, 'key')
  if (raw['private_key_passphrase'] !== undefined && raw['private_key'] === undefined)
    report(['private_key_passphrase'], 'belongs to a private_key, and there is none', 'key')
  const url = raw['access_url']
  if (typeof url === 'string' && url.startsWith('http://') && !/^http:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])([:/]|$)/.test(url))
    report(['access_url'], 'would send secrets in the clear; use https://')
  for (const name of SECRETS) {
    const text = written([name])
    if (text === null || (name === 'private_key' && !text.includes('-----BEGIN'))) continue
    if (withoutReferences(text) !== '') literal([name])
  }
  const options: Record<string, unknown> = { ...raw }
  const key = raw['private_key']
  if (typeof key === 'string') options['private_key'] = pemOrPath(directory, key)
  if (typeof options['connect_timeout'] === 'string') options['connect_timeout'] = parseDuration(options['connect_timeout'])
  return options
}
