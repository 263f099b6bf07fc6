// What the project file says about a kafka connection: where its brokers and its Kafka Connect are, and how to log in to them.

import { LoadError } from '../../core/errors.ts'

export interface KafkaConfig {
  readonly brokers: readonly string[]
  /** It may hold user and password. null: the pipelines only read topics. */
  readonly connect: string | null
  /** Where the schemas of messages in Avro are. null: messages are JSON. */
  readonly registry: { readonly url: string; readonly user: string | null; readonly password: string | null } | null
  readonly timeoutSeconds: number
  readonly tls: {
    readonly mode: 'disable' | 'require' | 'verify-full'
    /** Each a path, or the text itself. */
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
    readonly serverName: string | null
  }
  readonly sasl: {
    readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    readonly username: string
    readonly password: string
  } | null
}

/** Throws `bad-project`; `where` names the option. The project file's own checks have seen to the rest. */
export function parseKafkaConfig(raw: unknown): KafkaConfig {
  const options = (raw ?? {}) as Record<string, unknown>
  const { brokers, connect } = options
  if (!Array.isArray(brokers) || brokers.length === 0) throw new LoadError('bad-project', 'There are no brokers.', { where: 'brokers' })
  const names = brokers.map(String)
  return {
    brokers: names,
    connect: typeof connect === 'string' ? connect : null,
    registry: parseRegistry(options['registry']),
    timeoutSeconds: Number(options['connect_timeout'] ?? 10),
    tls: parseTls(options['tls'], names),
    sasl: (options['sasl'] as KafkaConfig['sasl'] | undefined) ?? null,
  }
}

function parseRegistry(raw: unknown): KafkaConfig['registry'] {
  if (raw === undefined) return null
  const { url, user, password } = raw as Record<string, string | undefined>
  return { url: url ?? '', user: user ?? null, password: password ?? null }
}

function parseTls(raw: unknown, brokers: readonly string[]): KafkaConfig['tls'] {
  const object = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, string | undefined>
  const fallback = brokers.every(isLoopback) ? 'disable' : 'verify-full'
  return {
    mode: (typeof raw === 'string' ? raw : (object['mode'] ?? fallback)) as KafkaConfig['tls']['mode'],
    ca: object['ca'] ?? null,
    cert: object['cert'] ?? null,
    key: object['key'] ?? null,
    serverName: object['server_name'] ?? null,
  }
}

function isLoopback(broker: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]):\d+$/.test(broker)
}
