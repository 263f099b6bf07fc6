import * as z from 'zod/mini'
import type { OptionsReview } from './connection-options.ts'
import { parseDuration } from './duration.ts'
import { duration, fields, secretTextThat, text, wholeNumber } from './field.ts'
import { withoutReferences } from './reference.ts'
import { reviewTls, tlsOption } from './tls-option.ts'

const TLS_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const
const TLS_MODE = 'verify-full checks certificate and host name, verify-ca the certificate only, require encrypts without any check.'

/** A PostgreSQL server, as source or target. */
export const postgresOptions = fields(
  {
    type: z.literal('postgres').check(z.describe('A PostgreSQL server.')),
    url: z.optional(
      secretTextThat(
        isPostgresUrl,
        'is not a URL like postgresql://user@host:5432/database',
        'postgresql://user@host:5432/database. Give the password as ${env:…}, never literally.',
      ),
    ),
    host: z.optional(text('Name or address of the server, or the folder of its socket.')),
    port: z.optional(wholeNumber(1, 65_535, 'Port of the server. Default: 5432.')),
    database: z.optional(text('Name of the database.')),
    user: z.optional(text('Role to log in as.')),
    password: z.optional(text('Password of the role: ${env:NAME} or ${file:PATH}, never literally.')),
    tls: tlsOption(TLS_MODES, TLS_MODE, 'the server', 'the connection is'),
    connect_timeout: z.optional(duration('How long to wait for the server when connecting. Default: 10s.')),
    application_name: z.optional(text('Name shown in pg_stat_activity. Default: tidemark.')),
    state_schema: z.optional(text('Schema of the state tables. Default: the default schema of the role.')),
  },
  'A PostgreSQL server.',
)

function isPostgresUrl(value: string): boolean {
  if (!/^postgres(ql)?:\/\//.test(value)) return false
  try {
    new URL(value)
    return true
  } catch {
    return false
  }
}

/** What no single option shows, and the options in the form in which the connector takes them: numbers, seconds, absolute paths. */
export const reviewPostgres: OptionsReview = (raw, report, context) => {
  const { written, literal } = context
  // Beside a misspelt key this would only be noise.
  if (raw['url'] === undefined && raw['host'] === undefined && Object.keys(raw).every((key) => Object.hasOwn(postgresOptions.shape, key)))
    report([], 'needs a url, or host, database and user', 'key')
  for (const other of ['host', 'port', 'database'])
    if (raw['url'] !== undefined && raw[other] !== undefined) report([other], 'is part of the url already; keep one of them', 'key')
  const url = written(['url'])
  if (url !== null && holdsPassword(withoutReferences(url))) literal(['url'])
  const password = written(['password'])
  if (password !== null && withoutReferences(password) !== '') literal(['password'])
  const options: Record<string, unknown> = { ...raw }
  if (options['port'] !== undefined) options['port'] = Number(options['port'])
  if (typeof options['connect_timeout'] === 'string') options['connect_timeout'] = parseDuration(options['connect_timeout'])
  if (raw['tls'] !== undefined) options['tls'] = reviewTls(raw['tls'], report, context)
  return options
}

function holdsPassword(url: string): boolean {
  return /^[^/]*:\/\/[^/@]*:[^@]+@/.test(url) || /[?&](password|sslpassword)=[^&]/.test(url)
}
