// Who may log in: by password, by a key whose public half is known, by an OAuth token or by a programmatic one.

import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { EmulatorClock } from './clock.ts'
import type { Faults } from './faults.ts'
import { SnowflakeError } from './snowflake-error.ts'

export interface Credentials {
  readonly account: string
  readonly user: string
  readonly password: string
  /** PEM of the public key, SPKI. */
  readonly publicKey: string
  readonly oauthToken: string
  readonly programmaticToken: string
}

interface LoginData {
  readonly LOGIN_NAME?: string
  readonly PASSWORD?: string
  readonly TOKEN?: string
  readonly AUTHENTICATOR?: string
  readonly PROVIDER?: string
}

const refused = (code: string, text: string) => new SnowflakeError(code, '08001', text)
const JWT_LIFE_SECONDS = 60

export function checkLogin(data: LoginData, known: Credentials, clock: EmulatorClock, faults: Faults): void {
  if (faults.take('network-policy', '')) {
    throw refused(
      '390422',
      'Incoming request with IP/Token 127.0.0.1 is not allowed to access Snowflake. Contact your account administrator.',
    )
  }
  const kind = (data.AUTHENTICATOR ?? 'SNOWFLAKE').toUpperCase()
  if (kind === 'SNOWFLAKE_JWT') checkJwt(data.TOKEN ?? '', known, clock)
  else if (kind === 'OAUTH') {
    if (data.TOKEN !== known.oauthToken) throw refused('390303', 'Invalid OAuth access token. [emulated]')
  } else if (kind === 'PROGRAMMATIC_ACCESS_TOKEN') {
    if (data.TOKEN !== known.programmaticToken) throw refused('394400', 'Programmatic access token is invalid.')
  } else if (kind !== 'SNOWFLAKE') throw refused('390139', `The authenticator ${kind} is not known to this emulator.`)
  else if (data.LOGIN_NAME?.toUpperCase() !== known.user.toUpperCase() || data.PASSWORD !== known.password) {
    throw refused('390100', 'Incorrect username or password was specified.')
  }
}

/** RS256 over `header.claims`, by the key whose fingerprint is in the issuer. */
function checkJwt(token: string, { account, user, publicKey }: Credentials, clock: EmulatorClock): void {
  const invalid = refused('390144', 'JWT token is invalid. [emulated]')
  const [header, claims, signature, ...rest] = token.split('.')
  if (!header || !claims || !signature || rest.length > 0) throw invalid
  const key = createPublicKey(publicKey)
  const signed = verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))
  if (!signed) throw invalid
  const { iss, sub, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, string | number>
  const subject = `${account}.${user}`.toUpperCase()
  if (sub !== subject || iss !== `${subject}.${fingerprint(key)}`) throw invalid
  // The driver writes milliseconds where the standard has seconds; both are seen.
  const seconds = (value: string | number | undefined) => (Number(value) > 1e11 ? Number(value) / 1000 : Number(value))
  const now = clock.now() / 1000
  if (!(seconds(exp) > now) || !(seconds(iat) < now + JWT_LIFE_SECONDS)) throw invalid
}

function fingerprint(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' })
  return `SHA256:${createHash('sha256').update(der).digest('base64')}`
}
