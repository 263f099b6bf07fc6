// Which properties of a connector hold secrets, as far as their names tell: passwords, keys, whole logins.

const SECRET = /pass|secret|token|credential|jaas|private|\bkey$|(^|\.)auth\b|user\.info|sasl\.(?!mechanism)|ssl\.key/i

export function isSecretProperty(name: string): boolean {
  return SECRET.test(name)
}

/** A reference to a config provider of Kafka Connect's, which stands for a secret and is none. */
export function isProviderReference(value: string): boolean {
  return /^\$\{[^{}]+:[^{}]+\}$/.test(value)
}
