// Properties of Debezium's connector for PostgreSQL that lose or falsify something with some of their values, often with their
// defaults. What is said of each was seen with Debezium 3.7.

import type { ConnectorConfig } from './hide-secrets.ts'
import { unwrappingTransforms } from './unwrapped.ts'

export interface PropertyRule {
  readonly property: string
  /** What it is where the configuration does not say. */
  readonly fallback: string
  /** A value as Debezium reads it: trimmed, in small letters. */
  readonly safe: (value: string, config: ConnectorConfig) => boolean
  readonly severity?: 'error' | 'warning' | 'info'
  readonly code: string
  readonly loses: string
  /** What it should be. */
  readonly advice: string
  /** Where there is more to say than that. */
  readonly hint?: string
}

const oneOf =
  (...values: readonly string[]) =>
  (value: string): boolean =>
    values.includes(value)

const isOn = oneOf('true')
const isOff = oneOf('false')

/** Whether numbers arrive without a word on what they are. */
const withoutSchemas = (config: ConnectorConfig): boolean => config['value.converter.schemas.enable']?.trim().toLowerCase() === 'false'

const VALUES: readonly PropertyRule[] = [
  {
    property: 'decimal.handling.mode',
    fallback: 'precise',
    safe: oneOf('string'),
    code: 'connector-decimals',
    loses: 'NaN, infinities and unchanged large numerics arrive as NULL (precise), or digits are rounded away (double)',
    advice: 'string',
  },
  {
    property: 'time.precision.mode',
    fallback: 'adaptive',
    safe: (value, config) => value === 'microseconds' || (/^adaptive/.test(value) && !withoutSchemas(config)),
    code: 'connector-times',
    loses:
      'microseconds are cut off (connect), years before 1677 or after 2262 (nanoseconds) and the time 24:00 (structured, isostring) are lost, or the unit of a number can not be told without schemas (adaptive)',
    advice: 'microseconds',
  },
  {
    property: 'interval.handling.mode',
    fallback: 'numeric',
    safe: oneOf('string'),
    code: 'connector-intervals',
    loses: 'a month becomes 30.4375 days',
    advice: 'string',
  },
  {
    property: 'binary.handling.mode',
    fallback: 'bytes',
    safe: oneOf('bytes', 'hex'),
    code: 'connector-binaries',
    loses: 'a large bytea that an update leaves as it is arrives as NULL',
    advice: 'bytes',
  },
  {
    property: 'event.converting.failure.handling.mode',
    fallback: 'warn',
    safe: oneOf('fail'),
    code: 'connector-conversions',
    loses: 'a value that can not be converted becomes NULL',
    advice: 'fail',
  },
  {
    property: 'value.converter.replace.null.with.default',
    fallback: 'true',
    safe: isOff,
    code: 'connector-null-defaults',
    loses: 'NULL in a column with a DEFAULT becomes the default',
    advice: 'false',
  },
  {
    property: 'unavailable.value.placeholder',
    fallback: '__debezium_unavailable_value',
    safe: oneOf('__debezium_unavailable_value'),
    severity: 'error',
    code: 'connector-placeholder',
    loses: 'a large value that an update leaves as it is can not be told from data',
    advice: 'left out',
  },
]

const ROWS: readonly PropertyRule[] = [
  {
    property: 'skipped.operations',
    fallback: 't',
    safe: oneOf('none'),
    code: 'connector-skips',
    loses: 'a TRUNCATE at the source, or whatever else is named there, never arrives',
    advice: 'none',
  },
  {
    property: 'errors.tolerance',
    fallback: 'none',
    safe: oneOf('none'),
    severity: 'error',
    code: 'connector-tolerance',
    loses: 'changes that can not be converted are dropped without a word',
    advice: 'none',
  },
  {
    property: 'snapshot.mode',
    fallback: 'initial',
    safe: oneOf('initial', 'always', 'configuration_based', 'custom'),
    code: 'connector-snapshot',
    loses:
      'rows from before the connector never arrive (no_data), changes after the snapshot do not (initial_only), or rows that were deleted during a gap stay at the target (when_needed)',
    advice: 'initial',
  },
  {
    property: 'snapshot.max.threads',
    fallback: '1',
    safe: oneOf('1'),
    code: 'connector-threads',
    loses: 'before Debezium 3.7 the tables of a snapshot are of different moments',
    advice: '1',
  },
  {
    property: 'topic.creation.default.partitions',
    fallback: '',
    safe: oneOf('', '1'),
    code: 'connector-partitions',
    loses: 'a TRUNCATE and the rows around it have no order across partitions',
    advice: '1',
  },
  {
    property: 'message.key.columns',
    fallback: '',
    safe: oneOf(''),
    code: 'connector-keys',
    loses: "changes are ordered by other columns than the table's key",
    advice: 'left out',
  },
  {
    property: 'transforms',
    fallback: '',
    safe: (value, config) => value === '' || unwrappingTransforms(config).length === value.split(',').length,
    code: 'connector-transforms',
    loses: 'messages are changed on their way, nobody here knows how',
    advice: 'left out',
  },
  {
    property: 'tombstones.on.delete',
    fallback: 'true',
    safe: isOn,
    severity: 'info',
    code: 'connector-tombstones',
    loses: 'a compacted topic keeps deleted rows for ever',
    advice: 'true',
  },
]

const LOG: readonly PropertyRule[] = [
  {
    property: 'plugin.name',
    fallback: 'decoderbufs',
    safe: oneOf('pgoutput'),
    code: 'connector-plugin',
    loses: 'the task fails where the database lacks that plugin, and most lack it',
    advice: 'pgoutput',
  },
  {
    property: 'publication.autocreate.mode',
    fallback: 'all_tables',
    safe: oneOf('filtered', 'disabled', 'no_tables'),
    code: 'connector-publication',
    loses: 'every table of the database is published, and those without a key refuse UPDATE and DELETE from then on',
    advice: 'filtered',
  },
  {
    property: 'offset.mismatch.strategy',
    fallback: 'no_validation',
    safe: oneOf('trust_offset'),
    code: 'connector-mismatch',
    loses: 'a slot that is ahead of what the connector has stored can go unnoticed, and what lies between is skipped',
    advice: 'trust_offset',
  },
  {
    property: 'slot.drop.on.stop',
    fallback: 'false',
    safe: isOff,
    severity: 'error',
    code: 'connector-drops-slot',
    loses: 'what is changed while the connector is stopped never arrives',
    advice: 'false',
  },
  {
    property: 'lsn.flush.mode',
    fallback: 'connector',
    safe: oneOf('connector'),
    code: 'connector-flush',
    loses: 'the slot never moves on by itself (manual), or moves on past what is stored (connector_and_driver)',
    advice: 'left out',
  },
  {
    property: 'heartbeat.interval.ms',
    fallback: '0',
    safe: (value) => Number(value) > 0,
    code: 'connector-heartbeat',
    loses: 'while these tables rest and others change, the slot stays behind and the log fills the disk of the source',
    advice: '10000',
  },
  {
    property: 'heartbeat.action.query',
    fallback: '',
    safe: (value) => value !== '',
    severity: 'info',
    code: 'connector-heartbeat-query',
    loses: 'while the whole database rests and others of its server change, the slot stays behind and the log fills the disk',
    advice: 'an UPDATE',
    hint: 'Name a table for it with `connector: { heartbeat_table: public.heartbeat }`, and register the connector again.',
  },
  {
    property: 'provide.transaction.metadata',
    fallback: 'false',
    safe: isOn,
    code: 'connector-transactions',
    loses: 'transactions of the source can not be put together again across tables',
    advice: 'true',
  },
  {
    property: 'extended.headers.enabled',
    fallback: 'true',
    safe: isOff,
    severity: 'info',
    code: 'connector-headers',
    loses: 'nothing, but every message is about 170 bytes larger',
    advice: 'false',
  },
]

export const PROPERTY_RULES: readonly PropertyRule[] = [...VALUES, ...ROWS, ...LOG]
