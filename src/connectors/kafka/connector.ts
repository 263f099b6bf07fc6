import type { Connector, RelatedEnds } from '../../contract/connector.ts'
import { LoadError } from '../../core/errors.ts'
import { type KafkaConfig, parseKafkaConfig } from './config.ts'

/** Topics of Kafka that Debezium fills. */
export const kafka: Connector<KafkaConfig> = {
  name: 'kafka',
  parse: parseKafkaConfig,
  async source(config, name, related = ALONE) {
    const { KafkaSource } = await import('./source.ts')
    return new KafkaSource(config, `source ${name}`, related)
  },
  async feed({ connect, timeoutSeconds }, name, from) {
    if (connect === null) return null
    const [{ ConnectApi }, { ConnectFeed }] = await Promise.all([import('./connect-api.ts'), import('./connect-feed.ts')])
    return new ConnectFeed(new ConnectApi({ url: connect, what: `connection ${name}`, timeoutMs: timeoutSeconds * 1000 }), from)
  },
}

const ALONE: RelatedEnds = { source: alone, target: alone }

async function alone(name: string): Promise<never> {
  throw new LoadError('bad-project', `Connection ${name} is not at hand: the topics were opened without their project.`)
}
