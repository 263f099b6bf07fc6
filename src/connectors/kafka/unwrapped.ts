// Rows that ExtractNewRecordState has taken out of their events: how they are known, and what is lost with the rest of the event.

import type { Finding } from '../../contract/finding.ts'
import type { CdcPipeline, MessageForm } from '../../core/pipeline.ts'
import { isOrdered, type SourceConnector } from '../../formats/debezium-connectors.ts'
import type { MessageShape } from '../../formats/debezium-shape.ts'

const UNWRAP = 'io.debezium.transforms.ExtractNewRecordState'

type Properties = Readonly<Record<string, string>>

/** Names of a connector's transforms that unwrap rows. */
export function unwrappingTransforms(properties: Properties): readonly string[] {
  const names = (properties['transforms'] ?? '').split(',').map((name) => name.trim())
  return names.filter((name) => properties[`transforms.${name}.type`] === UNWRAP)
}

/** As the pipeline says it, by itself or by its connector's properties; null where messages have to show it. */
export function formSaid({ source }: CdcPipeline): MessageForm | null {
  const { form = null, connector = null } = source.kafka ?? {}
  return form ?? (unwrappingTransforms(connector?.properties ?? {}).length > 0 ? 'unwrapped' : null)
}

/** `shape`: what the topic shows; null where it has no row yet, or nobody looked. */
export function formFindings(topic: string, form: MessageForm, shape: MessageShape | null): readonly Finding[] {
  const order = shape === null || shape.hasPlace ? [] : [unordered(topic, shape.connector ?? 'postgresql', form)]
  if (form === 'envelope') return order
  const truncate: Finding = {
    severity: 'warning',
    code: 'unwrapped-truncate',
    message: `Topic "${topic}" has rows without their events: a TRUNCATE at the source never arrives, and its rows stay in the target.`,
    hint: 'Send whole events: leave ExtractNewRecordState out. Otherwise delete rows where you would truncate.',
  }
  return [truncate, ...order]
}

function unordered(topic: string, connector: SourceConnector, form: MessageForm): Finding {
  const add = connector === 'sqlserver' ? 'source.commit_lsn,source.change_lsn,source.event_serial_no' : 'source.sequence,source.ts_us'
  return {
    severity: 'warning',
    code: 'messages-unordered',
    message: `Messages of topic "${topic}" do not say where in the source's log they stand: what the connector writes again after a crash takes the target back until it has caught up.`,
    hint: !isOrdered(connector)
      ? `Debezium's connector for ${connector} tells no order that could be relied on. After a crash of it, let it catch up before the target is used.`
      : form === 'envelope'
        ? 'Use Debezium 1.9 or newer.'
        : `Let ExtractNewRecordState add it: \`add.fields=op,table,source.snapshot,source.connector,${add}\`, and \`delete.tombstone.handling.mode=rewrite\`: a tombstone has no place.`,
  }
}
