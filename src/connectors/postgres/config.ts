// What the project file says about a Postgres connection, as the driver needs it.

import { LoadError } from '../../core/errors.ts'

export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full'

export interface PostgresConfig {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | null
  readonly tls: {
    readonly mode: TlsMode
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
    readonly serverName: string | null
  }
  readonly connectTimeoutSeconds: number
  readonly applicationName: string
  readonly stateSchema: string | null
}

const TLS_MODES: readonly TlsMode[] = ['disable', 'require', 'verify-ca', 'verify-full']
const URL_PARAMETERS = new Set(['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'application_name', 'connect_timeout'])

/** Throws `bad-project`; `where` names the option. */
export function parsePostgresConfig(raw: unknown): PostgresConfig {
  const options = (raw ?? {}) as Record<string, unknown>
  const fromUrl = typeof options['url'] === 'string' ? parseUrl(options['url']) : {}
  const text = (name: string): string | null => (typeof options[name] === 'string' ? (options[name] as string) : null)
  const given = { ...fromUrl }
  for (const name of ['host', 'database', 'user', 'password', 'application_name'] as const)
    if (text(name) !== null) given[name] = text(name) ?? ''
  if (typeof options['port'] === 'number') given['port'] = String(options['port'])
  const host = given['host'] || 'localhost'
  const user = given['user'] || process.env['PGUSER'] || process.env['USER'] || 'postgres'
  return {
    host,
    port: Number(given['port'] || 5432),
    database: given['database'] || user,
    user,
    password: given['password'] ?? null,
    tls: parseTls(options['tls'], given, host),
    connectTimeoutSeconds: Number(options['connect_timeout'] ?? given['connect_timeout'] ?? 10),
    applicationName: given['application_name'] || 'tidemark',
    stateSchema: text('state_schema'),
  }
}

function parseUrl(text: string): Record<string, string> {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    // The text may hold a password: it is not repeated, and the cause that quotes it is left out.
    throw new LoadError('bad-project', 'The url is not of the form postgresql://user@host:port/database.', { where: 'url' })
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')
    throw new LoadError('bad-project', `The url begins with ${url.protocol}, not with postgresql:.`, { where: 'url' })
  // A password with a raw / ? or # ends the part before the host too early: what follows would pass for a database, and be shown.
  if (`${url.pathname}${url.search}`.includes('@') || url.hash !== '') throw unencoded()
  const given: Record<string, string> = {}
  const set = (name: string, value: string): void => {
    if (value !== '') given[name] = value
  }
  set('host', decoded(url.hostname.replace(/^\[|\]$/g, '')))
  set('port', url.port)
  set('database', decoded(url.pathname.slice(1)))
  set('user', decoded(url.username))
  set('password', decoded(url.password))
  for (const [name, value] of url.searchParams) {
    if (name === 'host') given['host'] = value
    else if (URL_PARAMETERS.has(name)) set(name, value)
    else
      throw new LoadError('bad-project', `The url has an unknown parameter "${name}"; allowed are ${[...URL_PARAMETERS].join(', ')}.`, {
        where: 'url',
      })
  }
  return given
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw unencoded()
  }
}

function unencoded(): LoadError {
  return new LoadError('bad-project', 'The url has characters that mean something else there.', {
    where: 'url',
    hint: 'Write / ? # @ and % of a user, password or database as %2F %3F %23 %40 and %25.',
  })
}

function parseTls(raw: unknown, given: Record<string, string>, host: string): PostgresConfig['tls'] {
  const object = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, string | undefined>
  const fallback = isLoopback(host) ? 'disable' : 'verify-full'
  const mode = typeof raw === 'string' ? raw : (object['mode'] ?? given['sslmode'] ?? fallback)
  if (!TLS_MODES.includes(mode as TlsMode))
    throw new LoadError('bad-project', `tls is "${mode}"; allowed are ${TLS_MODES.join(', ')}.`, { where: 'tls' })
  return {
    mode: mode as TlsMode,
    ca: object['ca'] ?? given['sslrootcert'] ?? null,
    cert: object['cert'] ?? given['sslcert'] ?? null,
    key: object['key'] ?? given['sslkey'] ?? null,
    serverName: object['server_name'] ?? null,
  }
}

/** Loopback and Unix sockets never leave the machine. */
function isLoopback(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
