// Kafka Connect's own opinion of a configuration, asked for before anything is changed. It looks at the database too.

import { LoadError } from '../../core/errors.ts'
import type { ConnectApi } from './connect-api.ts'
import { type ConnectorConfig, withoutSecrets } from './hide-secrets.ts'

interface RawAnswer {
  readonly error_count?: number
  readonly configs?: readonly {
    readonly definition?: { readonly name?: string; readonly type?: string }
    readonly value?: { readonly name?: string; readonly errors?: readonly string[] }
  }[]
}

interface KnownProperties {
  readonly names: ReadonlySet<string>
  /** Those that Connect itself calls passwords. */
  readonly secret: ReadonlySet<string>
}

/** It connects to the database, which may not answer. */
const PATIENCE_MS = 60_000

/** Throws `missing-plugin`, and `connector-refused` with every field's own errors. `configs`: whose secrets are never shown. */
export async function validate(
  api: ConnectApi,
  plugin: string,
  config: ConnectorConfig,
  configs: readonly ConnectorConfig[],
): Promise<KnownProperties> {
  await needPlugin(api, plugin)
  const { status, body } = await api.request('PUT', `/connector-plugins/${encodeURIComponent(plugin)}/config/validate`, config, PATIENCE_MS)
  if (status !== 200) throw refused(api, config, [messageOf(body)], configs)
  const { error_count: count = 0, configs: fields = [] } = body as RawAnswer
  const errors = fields.flatMap(({ value }) => (value?.errors ?? []).map((error) => `${value?.name ?? '?'}: ${error}`))
  if (count > 0 || errors.length > 0) throw refused(api, config, errors, configs)
  const definitions = fields.map(({ definition, value }) => ({ name: definition?.name ?? value?.name ?? '', type: definition?.type ?? '' }))
  return {
    names: new Set(definitions.map(({ name }) => name)),
    secret: new Set(definitions.filter(({ type }) => type === 'PASSWORD').map(({ name }) => name)),
  }
}

async function needPlugin(api: ConnectApi, plugin: string): Promise<void> {
  const { body } = await api.request('GET', '/connector-plugins')
  const found = Array.isArray(body) ? body.map((one: { readonly class?: string }) => one.class ?? '') : []
  if (found.includes(plugin)) return
  const others = found.length === 0 ? 'it has none' : `it has ${found.join(', ')}`
  throw new LoadError('missing-plugin', `Kafka Connect at ${api.shown} has no plugin ${plugin}; ${others}.`)
}

export function refused(
  api: ConnectApi,
  config: ConnectorConfig,
  errors: readonly string[],
  configs: readonly ConnectorConfig[],
): LoadError {
  const lines = errors.map((error) => `\n  ${withoutSecrets(error, configs)}`).join('')
  return new LoadError('connector-refused', `Kafka Connect at ${api.shown} refuses the configuration of ${config['name']}:${lines}`)
}

export function messageOf(body: unknown): string {
  const message = (body as { readonly message?: unknown } | null)?.message
  return typeof message === 'string' ? message : 'it does not say why'
}

/** What Debezium and Connect take although validation does not list it. */
const UNLISTED =
  /^(topic\.creation\.|transforms|predicates|(key|value|header)\.converter|errors\.|offset\.mismatch\.strategy$|driver\.|producer\.override\.|consumer\.override\.|admin\.override\.|post\.processors|converters$|signal\.|notification\.)/

/** Names are never refused, however misspelt. */
export function unknownProperties(properties: ConnectorConfig, known: ReadonlySet<string>): readonly string[] {
  const names = Object.keys(properties)
  // A converter or post processor of the user's own has a prefix of its own.
  const own = ['converters', 'post.processors'].flatMap((list) => (properties[list] ?? '').split(',').filter((name) => name !== ''))
  return names.filter((name) => !known.has(name) && !UNLISTED.test(name) && !own.some((prefix) => name.startsWith(`${prefix.trim()}.`)))
}
