// What the project file says about a kafka connection: where its brokers and its Kafka Connect are.

import { LoadError } from '../../core/errors.ts'

export interface KafkaConfig {
  readonly brokers: readonly string[]
  /** It may hold user and password. null: the pipelines only read topics. */
  readonly connect: string | null
  readonly timeoutSeconds: number
}

/** Throws `bad-project`; `where` names the option. */
export function parseKafkaConfig(raw: unknown): KafkaConfig {
  const options = (raw ?? {}) as Record<string, unknown>
  const { brokers, connect } = options
  if (!Array.isArray(brokers) || brokers.length === 0) throw new LoadError('bad-project', 'There are no brokers.', { where: 'brokers' })
  return {
    brokers: brokers.map(String),
    connect: typeof connect === 'string' ? connect : null,
    timeoutSeconds: Number(options['connect_timeout'] ?? 10),
  }
}
