// Topics of Kafka as a source: they can be followed, and nothing else.

import type { RelatedEnds } from '../../contract/connector.ts'
import type { Source } from '../../contract/source.ts'
import { LoadError } from '../../core/errors.ts'
import type { KafkaConfig } from './config.ts'
import { KafkaLog } from './log-source.ts'

export class KafkaSource implements Source {
  readonly formats = [] as const
  readonly log: KafkaLog

  constructor(config: KafkaConfig, what: string, related: RelatedEnds) {
    this.log = new KafkaLog(config, what, related)
  }

  readonly describe = onlyFollowed
  readonly head = onlyFollowed
  readonly positionAt = onlyFollowed
  readonly isAfter = onlyFollowed

  // biome-ignore lint/correctness/useYield: it never gets so far.
  async *read(): AsyncGenerator<never> {
    await onlyFollowed()
  }

  close(): Promise<void> {
    return this.log.close()
  }
}

async function onlyFollowed(): Promise<never> {
  throw new LoadError('strategy-unsupported', 'Topics of Kafka can only be followed: a pipeline on them has `pattern: cdc`.')
}
