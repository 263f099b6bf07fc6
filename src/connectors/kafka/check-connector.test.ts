// One unsafe thing per case, and what is said to be lost by it.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { FeedStatus } from '../../contract/change-feed.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { checkConnector } from './check-connector.ts'
import { connectorConfig } from './connector-config.ts'
import type { ConnectorConfig } from './hide-secrets.ts'
import { PROPERTY_RULES } from './unsafe-properties.ts'

const connector = {
  name: 'orders-connector',
  from: 'shop',
  password: '${file:/opt/secrets.properties:password}',
  heartbeatTable: { schema: 'public', name: 'heartbeat' },
  properties: {},
}
const pipeline: CdcPipeline = {
  name: 'orders',
  pattern: 'cdc',
  source: {
    connection: 'kafka',
    tables: [{ schema: 'public', name: 'orders' }],
    slot: 's',
    publication: 'p',
    failover: false,
    heartbeatSeconds: null,
    kafka: { topicPrefix: 'cdc', connector, form: null, declared: [], consistency: 'key' },
    streams: null,
  },
  target: { connection: 'warehouse', schema: null },
  write: 'merge',
  onSchemaChange: 'evolve',
  workers: null,
  maxQuarantined: null,
}
const from = { host: 'db', port: 5432, database: 'shop', user: 'dbz', password: 'kestrel', tls: 'disable' }
const safe = connectorConfig(pipeline, connector, from)
const task = { id: 0, state: 'RUNNING', worker: 'w', cause: null }
const running: FeedStatus = { connector: 'orders-connector', state: 'RUNNING', worker: 'w', cause: null, tasks: [task], stored: null }

const without = (...names: readonly string[]): ConnectorConfig =>
  Object.fromEntries(Object.entries(safe).filter(([name]) => !names.includes(name)))
const codes = (config: ConnectorConfig, status = running): string[] => checkConnector(pipeline, config, status).map(({ code }) => code)

test('the safe configuration has no finding', () => {
  expect(codes(safe)).toEqual([])
})

test("Debezium's own defaults: everything that is left to them and loses something", () => {
  const bare = {
    'connector.class': safe['connector.class'] ?? '',
    'topic.prefix': 'cdc',
    'slot.name': 's',
    'table.include.list': 'public.orders',
    'database.password': 'kestrel',
  }
  const findings = checkConnector(pipeline, bare, running)
  expect(findings.map(({ code }) => code)).toEqual([
    'connector-decimals',
    'connector-intervals',
    'connector-conversions',
    'connector-null-defaults',
    'connector-skips',
    'connector-plugin',
    'connector-publication',
    'connector-mismatch',
    'connector-heartbeat',
    'connector-heartbeat-query',
    'connector-transactions',
    'connector-headers',
    'connector-converter',
    'connector-converter',
    'connector-password',
  ])
  expect(JSON.stringify(findings)).not.toContain('kestrel')
})

describe('one unsafe value each', () => {
  test.each([
    ['decimal.handling.mode', 'precise', 'connector-decimals'],
    ['decimal.handling.mode', 'DOUBLE', 'connector-decimals'],
    ['time.precision.mode', 'connect', 'connector-times'],
    ['time.precision.mode', 'nanoseconds', 'connector-times'],
    ['time.precision.mode', 'adaptive', 'connector-times'],
    ['interval.handling.mode', 'numeric', 'connector-intervals'],
    ['binary.handling.mode', 'base64', 'connector-binaries'],
    ['event.converting.failure.handling.mode', 'warn', 'connector-conversions'],
    ['value.converter.replace.null.with.default', 'true', 'connector-null-defaults'],
    ['unavailable.value.placeholder', 'other', 'connector-placeholder'],
    ['skipped.operations', 't', 'connector-skips'],
    ['skipped.operations', 'd', 'connector-skips'],
    ['errors.tolerance', 'all', 'connector-tolerance'],
    ['snapshot.mode', 'no_data', 'connector-snapshot'],
    ['snapshot.mode', 'when_needed', 'connector-snapshot'],
    ['snapshot.max.threads', '4', 'connector-threads'],
    ['topic.creation.default.partitions', '3', 'connector-partitions'],
    ['message.key.columns', 'public.orders:customer', 'connector-keys'],
    ['transforms', 'unwrap', 'connector-transforms'],
    ['tombstones.on.delete', 'false', 'connector-tombstones'],
    ['plugin.name', 'decoderbufs', 'connector-plugin'],
    ['publication.autocreate.mode', 'all_tables', 'connector-publication'],
    ['offset.mismatch.strategy', 'bogus', 'connector-mismatch'],
    ['slot.drop.on.stop', 'true', 'connector-drops-slot'],
    ['lsn.flush.mode', 'connector_and_driver', 'connector-flush'],
    ['heartbeat.interval.ms', '0', 'connector-heartbeat'],
    ['provide.transaction.metadata', 'false', 'connector-transactions'],
    ['extended.headers.enabled', 'true', 'connector-headers'],
    ['topic.prefix', 'other', 'connector-differs'],
    ['slot.name', 'other', 'connector-differs'],
    ['publication.name', 'other', 'connector-differs'],
    ['table.include.list', 'public\\.customers', 'connector-leaves-out'],
    ['table.include.list', 'public\\.orders_old', 'connector-leaves-out'],
    ['table.exclude.list', 'public\\.ord.*', 'connector-leaves-out'],
    ['schema.include.list', 'sales', 'connector-leaves-out'],
    ['column.exclude.list', 'public.orders.note', 'connector-columns'],
    ['database.password', 'kestrel', 'connector-password'],
    ['connector.class', 'io.debezium.connector.mysql.MySqlConnector', 'connector-class'],
  ])('%s=%s: %s', (property, value, code) => {
    const findings = checkConnector(pipeline, { ...safe, [property]: value }, running)
    expect(findings.map((one) => one.code)).toEqual([code])
    expect(findings[0]?.hint).not.toBe('')
    expect(JSON.stringify(findings)).not.toContain('kestrel')
  })

  test.each([
    ['table.include.list', 'public.customers, PUBLIC.ORDERS'],
    ['table.include.list', 'public\\.(orders|customers)'],
    // Only Java reads this: nothing is said of it.
    ['table.include.list', '(?i)public\\.\\p{Lower}+(?<!x)++'],
    ['table.exclude.list', '(?i)public\\.\\p{Lower}+(?<!x)++'],
    ['decimal.handling.mode', ' String '],
    ['heartbeat.interval.ms', '500'],
  ])('%s=%s is as good', (property, value) => {
    expect(codes({ ...safe, [property]: value })).toEqual([])
  })

  test('adaptive times are good where schemas tell their unit', () => {
    expect(codes({ ...safe, 'time.precision.mode': 'adaptive', 'value.converter.schemas.enable': 'true' })).toEqual([])
  })

  test('rows that are unwrapped: what beside the rest of their events is lost', () => {
    const unwrap = { transforms: 'unwrap', 'transforms.unwrap.type': 'io.debezium.transforms.ExtractNewRecordState' }
    const keeps = { 'transforms.unwrap.replace.null.with.default': 'false' }
    expect(codes({ ...safe, ...unwrap })).toEqual(['connector-null-defaults'])
    expect(codes({ ...safe, ...unwrap, ...keeps })).toEqual([])
    expect(codes({ ...safe, ...unwrap, ...keeps, transforms: 'unwrap,other' })).toEqual(['connector-transforms'])
    for (const property of ['delete.tombstone.handling.mode', 'delete.handling.mode'])
      expect(codes({ ...safe, ...unwrap, ...keeps, [`transforms.unwrap.${property}`]: 'drop' })).toEqual(['unwrapped-deletes'])
  })

  test('settings of a converter that is not named itself', () => {
    const [finding, ...rest] = checkConnector(pipeline, without('value.converter'), running)
    expect(rest).toEqual([])
    expect(finding?.code).toBe('connector-converter')
    expect(finding?.message).toContain('value.converter.schemas.enable, value.converter.replace.null.with.default, which is ignored')
  })
})

test('the guide says all that is set, and names all that is checked', () => {
  const guide = readFileSync(new URL('../../../docs/guides/cdc-debezium.md', import.meta.url), 'utf8')
  // The query of a heartbeat goes by the name of its table there.
  for (const { property } of PROPERTY_RULES.filter((rule) => rule.property !== 'heartbeat.action.query'))
    expect(guide).toContain(safe[property] === undefined ? property : `| \`${property}\` | \`${safe[property]}\` |`)
  expect(guide).toContain('heartbeat_table')
})

describe('states', () => {
  test.each([
    [
      { ...running, tasks: [task, { ...task, id: 1, state: 'FAILED', cause: 'PSQLException: gone' }] },
      'connector-failed',
      'Task 1 of connector orders-connector has failed: PSQLException: gone',
    ],
    [{ ...running, state: 'FAILED', cause: 'why' }, 'connector-failed', 'Connector orders-connector has failed: why'],
    [{ ...running, state: 'PAUSED', tasks: [{ ...task, state: 'PAUSED' }] }, 'connector-rests', 'Connector orders-connector is PAUSED.'],
    [{ ...running, tasks: [] }, 'connector-rests', 'Connector orders-connector is RUNNING, with no tasks.'],
    [
      { ...running, tasks: [{ ...task, state: 'UNASSIGNED' }] },
      'connector-rests',
      'Connector orders-connector is RUNNING, with task 0 UNASSIGNED.',
    ],
  ])('%#', (status, code, message) => {
    expect(checkConnector(pipeline, safe, status).map((one) => [one.code, one.message])).toEqual([[code, message]])
  })
})
