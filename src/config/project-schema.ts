// The whole project file. New connection types and patterns are added to the two tables here, and nowhere else in config.

import * as z from 'zod/mini'
import { cdcSchema } from './cdc-schema.ts'
import type { OptionsReview } from './connection-options.ts'
import { debeziumSchema } from './debezium-schema.ts'
import { duckdbOptions, reviewDuckdb } from './duckdb-options.ts'
import { fields, oneOf, optionalFields } from './field.ts'
import { kafkaOptions, reviewKafka } from './kafka-options.ts'
import { memoryOptions } from './memory-options.ts'
import { partitionSchema } from './partition-schema.ts'
import { postgresOptions, reviewPostgres } from './postgres-options.ts'
import { reviewSnowflake, snowflakeOptions } from './snowflake-options.ts'
import { streamSchema } from './stream-schema.ts'
import { watermarkSchema } from './watermark-schema.ts'

/** The connection types, each with what checks its options. */
export const CONNECTION_TYPES = {
  postgres: { schema: postgresOptions, review: reviewPostgres },
  duckdb: { schema: duckdbOptions, review: reviewDuckdb },
  snowflake: { schema: snowflakeOptions, review: reviewSnowflake },
  kafka: { schema: kafkaOptions, review: reviewKafka },
  memory: { schema: memoryOptions, review: (raw) => ({ ...raw }) },
} as const satisfies Record<string, { schema: z.core.$ZodType; review: OptionsReview }>

/** All ways of following a log: its own reader, the topics of another one, and streams. */
const anyCdcSchema = fields(
  {
    ...cdcSchema.shape,
    source: z
      .union([cdcSchema.shape.source, debeziumSchema.shape.source, streamSchema.shape.source])
      .check(z.describe('Whose changes are followed.')),
  },
  'Follows the log of a database.',
)

/** The patterns, each with the fields of its pipelines. */
export const PATTERNS = { watermark: watermarkSchema, partition: partitionSchema, cdc: cdcSchema } as const

const NAME = /^[A-Za-z0-9_\-./]{1,100}$/

/** Whether it may name a pipeline or a connection. */
export function isProjectName(name: string): boolean {
  return NAME.test(name)
}

const anyPattern = oneOf(['watermark', 'partition', 'cdc'], 'How the pipelines load.')
const anyWrite = z.optional(
  oneOf(
    ['merge', 'delete-insert', 'append', 'replace', 'overwrite-partition', 'soft-delete'],
    "How rows enter the target. Default: the pattern's own.",
  ),
)

/** What may stand under `defaults`: any field of any pattern. */
export const defaultsSchema = optionalFields(
  { ...partitionSchema.shape, ...watermarkSchema.shape, write: anyWrite, pattern: anyPattern },
  'Fields for every pipeline. A value of the pipeline itself wins; maps are not merged.',
)

const name = z.string().check(z.regex(NAME))

/** The whole file in one schema: for editors, and for the types of `defineProject`. */
export const projectSchema = fields(
  {
    connections: z
      .record(name, z.discriminatedUnion('type', [postgresOptions, duckdbOptions, snowflakeOptions, kafkaOptions, memoryOptions]))
      .check(z.describe('The databases, each under a name of your own.')),
    defaults: z.optional(defaultsSchema),
    pipelines: z
      .record(name, z.discriminatedUnion('pattern', [watermarkSchema, partitionSchema, anyCdcSchema]))
      .check(z.describe('The loads, each under a name that stays: its position is stored under it.')),
  },
  'A tidemark project.',
)
