import { expect, test } from 'vitest'
import { typeOfSchema } from './debezium-declared.ts'
import type { ConnectSchema } from './debezium-schema.ts'
import { shapeOf } from './debezium-shape.ts'

const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const key = bytes({ id: 1 })
const source = { schema: 'public', table: 't', sequence: '["1","2"]' }

test('an envelope without schemas shows the fields of its row', () => {
  const shape = shapeOf(key, bytes({ before: null, after: { id: 1, 'ö"x': '{"op":1}' }, source, op: 'c' }))
  expect(shape).toEqual({ form: 'envelope', fields: new Map([['id', null], ['ö"x', null]]), key: ['id'], hasPlace: true, connector: null, rewritesDeletes: false }) // biome-ignore format: a table
  expect(shapeOf(key, bytes({ before: { id: 1 }, after: null, source: { table: 't' }, op: 'd' }))).toMatchObject({ hasPlace: false })
})

test('with schemas it shows their types, also where the row is null', () => {
  const row = { type: 'struct', fields: [{ field: 'id', type: 'int64' }, { field: 'at', type: 'int64', name: 'io.debezium.time.MicroTimestamp' }] } // biome-ignore format: a table
  const schema = { type: 'struct', fields: [{ ...row, field: 'before' }, { ...row, field: 'after' }] } // biome-ignore format: a table
  const payload = { before: null, after: { id: 1, at: 2 }, source, op: 'c' }
  const keySchema = { type: 'struct', fields: [{ field: 'id', type: 'int64' }] }
  const shape = shapeOf(bytes({ schema: keySchema, payload: { id: 1 } }), bytes({ schema, payload }))
  expect(shape?.key).toEqual(['id'])
  const types = [...(shape?.fields ?? [])].map(([name, one]) => [name, one === null ? null : typeOfSchema(one).declared])
  expect(types).toEqual([
    ['id', 'bigint'],
    ['at', 'timestamp without time zone'],
  ])
})

test('a bare row is known by what was added to it, and by nothing else', () => {
  expect(shapeOf(key, bytes({ id: 1, op: 'x', __deleted: 'false', __source_sequence: '["1","2"]' }))).toEqual({
    form: 'unwrapped',
    fields: new Map([
      ['id', null],
      ['op', null],
    ]),
    key: ['id'],
    hasPlace: true,
    connector: null,
    rewritesDeletes: true,
  })
  expect(shapeOf(key, bytes({ id: 1, __op: 'c' }))).toMatchObject({ form: 'unwrapped', hasPlace: false })
  expect(shapeOf(key, bytes({ id: 1, __source_sequence: '["1","2"]' }))).toMatchObject({ hasPlace: false, rewritesDeletes: false })
  expect(shapeOf(key, bytes({ id: 1, name: 'x' }))?.form).toBeNull()
  expect(shapeOf(null, bytes({ id: 1, name: 'x' }))?.key).toBeNull()
})

test.each([
  ['a tombstone', null],
  ['a null beside its schema', bytes({ schema: null, payload: null })],
  ['a truncate', bytes({ before: null, after: null, source, op: 't' })],
  ['a message of the log', bytes({ op: 'm', source, message: { prefix: 'p', content: '' } })],
])('%s shows no row', (_, value) => expect(shapeOf(key, value)).toBeNull())

test('what is no object is refused', () => {
  expect(() => shapeOf(key, bytes('text'))).toThrow(expect.objectContaining({ code: 'bad-message' }))
})

const schema = (type: string, name: string | null = null, more: Partial<ConnectSchema> = {}): ConnectSchema => ({
  type,
  name,
  parameters: {},
  items: null,
  fields: new Map(),
  ...more,
})

const propagated = (type: string, length: string, scale?: string): Record<string, unknown> => ({
  '__debezium.source.column.type': type,
  '__debezium.source.column.length': length,
  ...(scale === undefined ? {} : { '__debezium.source.column.scale': scale }),
})

test.each([
  [schema('boolean'), 'boolean', 'whole'],
  [schema('int8'), 'smallint', 'whole'],
  [schema('int16'), 'smallint', 'whole'],
  [schema('int32'), 'integer', 'whole'],
  [schema('int64'), 'bigint', 'whole'],
  [schema('float'), 'real', 'whole'],
  [schema('double'), 'double precision', 'whole'],
  [schema('string'), 'text', 'open'],
  [schema('bytes'), 'bytea', 'whole'],
  [schema('array', null, { items: schema('int32') }), 'integer[]', 'whole'],
  [schema('array', null, { items: schema('string') }), 'text[]', 'open'],
  [
    schema('bytes', 'org.apache.kafka.connect.data.Decimal', { parameters: { scale: '2', 'connect.decimal.precision': '12' } }),
    'numeric(12,2)',
    'whole',
  ],
  [schema('bytes', 'org.apache.kafka.connect.data.Decimal', { parameters: { scale: '2' } }), 'numeric', 'open'],
  [schema('struct', 'io.debezium.data.VariableScaleDecimal'), 'numeric', 'open'],
  [schema('bytes', 'io.debezium.data.Bits', { parameters: { length: '10' } }), 'bit varying', 'open'],
  [schema('string', null, { parameters: propagated('NUMERIC', '12', '2') }), 'numeric(12,2)', 'whole'],
  [schema('string', null, { parameters: propagated('NUMERIC', '131089', '0') }), 'numeric', 'whole'],
  [schema('string', null, { parameters: propagated('VARCHAR', '12', '0') }), 'text', 'open'],
  [schema('bytes', 'io.debezium.data.Bits', { parameters: { length: '10', ...propagated('BIT', '10') } }), 'bit(10)', 'whole'],
  [schema('bytes', 'io.debezium.data.Bits', { parameters: { length: '10', ...propagated('VARBIT', '10') } }), 'bit varying', 'open'],
  [schema('int32', 'io.debezium.time.Date'), 'date', 'whole'],
  [schema('int32', 'io.debezium.time.Time'), 'time(3) without time zone', 'whole'],
  [schema('int64', 'org.apache.kafka.connect.data.Timestamp'), 'timestamp(3) without time zone', 'whole'],
  [schema('int64', 'io.debezium.time.NanoTimestamp'), 'timestamp without time zone', 'whole'],
  [schema('string', 'io.debezium.time.ZonedTimestamp'), 'timestamp with time zone', 'whole'],
  [schema('string', 'io.debezium.time.ZonedTime'), 'time with time zone', 'whole'],
  [schema('string', 'io.debezium.time.Interval'), 'interval', 'whole'],
  [schema('string', 'io.debezium.data.Json'), 'json', 'whole'],
  [schema('string', 'io.debezium.data.Uuid'), 'uuid', 'whole'],
  [schema('string', 'io.debezium.data.Enum'), 'text', 'whole'],
  [schema('struct', 'io.debezium.data.geometry.Point'), 'point', 'whole'],
  [schema('string', 'com.example.Money'), 'text', 'unknown'],
  [schema('struct'), 'text', 'unknown'],
] as const)('%j is %s', (one, declared, trust) => {
  expect(typeOfSchema(one)).toMatchObject({ declared, trust })
})
