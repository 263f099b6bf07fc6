// How values stand in messages: as the connector was told, by the pipeline or by its own default.

import type { CdcPipeline } from '../../core/pipeline.ts'
import type { DebeziumModes } from '../../formats/debezium-encoding.ts'
import { connectorProperty } from './connector-config.ts'

export function modesOf(pipeline: CdcPipeline): DebeziumModes {
  const property = (name: string): string | undefined => connectorProperty(pipeline, name)
  return {
    decimals: (property('decimal.handling.mode') ?? 'precise') as DebeziumModes['decimals'],
    times: (property('time.precision.mode') ?? 'adaptive') as DebeziumModes['times'],
    binary: (property('binary.handling.mode') ?? 'bytes') as DebeziumModes['binary'],
    intervals: (property('interval.handling.mode') ?? 'numeric') as DebeziumModes['intervals'],
    hstore: (property('hstore.handling.mode') ?? 'json') as DebeziumModes['hstore'],
    unknownTypes: property('include.unknown.datatypes') === 'true',
    failures: (property('event.converting.failure.handling.mode') ?? 'warn') as DebeziumModes['failures'],
  }
}
