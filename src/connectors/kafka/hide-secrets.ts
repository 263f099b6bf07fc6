// What Kafka Connect says about a connector may quote its configuration, and Connect shows a password in clear to everybody who asks.

import { isProviderReference, isSecretProperty } from '../../core/secret-property.ts'

export type ConnectorConfig = Readonly<Record<string, string>>

const STARS = '********'

/** As it may be shown. `secret`: properties that Connect says are secret. */
export function shownValue(property: string, value: string, secret: ReadonlySet<string> = new Set()): string {
  if (isProviderReference(value)) return value
  if (secret.has(property) || isSecretProperty(property) || /:\/\/[^/@\s]*:[^/@\s]*@/.test(value)) return STARS
  return printable(value)
}

/** A text of Connect's in one line, without the secrets of these configurations. */
export function withoutSecrets(text: string, configs: readonly ConnectorConfig[]): string {
  const secrets = configs.flatMap((config) =>
    Object.entries(config)
      .filter(([property, value]) => value !== '' && shownValue(property, value) === STARS)
      .map(([, value]) => value),
  )
  // The longest first: one may be a part of another.
  return printable([...new Set(secrets)].sort((a, b) => b.length - a.length).reduce((rest, secret) => rest.replaceAll(secret, STARS), text))
}

const LONGEST = 500

/** Of a long text the middle is left out: what is wrong is mostly said at its end. */
function printable(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
  return line.length > LONGEST ? `${line.slice(0, LONGEST / 2 - 2)} … ${line.slice(1 - LONGEST / 2)}` : line
}
