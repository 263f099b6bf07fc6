import avro from 'avsc'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { avroMessage, avroSchema, type Connect } from '../../test/debezium/avro-writer.ts'
import { FOREIGN_VALUES, GOLDEN_VALUES, type GoldenForm, type GoldenValue } from '../../test/debezium/golden-values.ts'
import { ChangesChunk } from '../core/changes-chunk.ts'
import { AvroTranslator } from './avro-json.ts'
import { readAvroSchema } from './avro-schema.ts'
import { DebeziumDecoder } from './debezium.ts'
import type { DebeziumModes } from './debezium-encoding.ts'

const SAFE: DebeziumModes = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
}

const HEAD = 5

function translate(schema: Connect, json: string): { readonly schema: Connect; readonly payload: unknown; readonly text: string } {
  const avroText = JSON.stringify(avroSchema(schema))
  const text = Buffer.from(new AvroTranslator().translate(readAvroSchema(avroText), avroMessage(1, schema, json), HEAD)).toString()
  return { ...JSON.parse(text), text }
}

/** Golden structs say no fields; the names tell what they are. */
function completed(schema: Connect, value: unknown): Connect {
  if (schema.type === 'array' && schema.items) {
    const [first] = (value as readonly unknown[]).filter((one) => one !== null)
    return { ...schema, items: { ...completed(schema.items, first), optional: true } }
  }
  if (schema.type !== 'struct') return schema
  const fields = Object.entries(value ?? {}).map(([field, one]): Connect => {
    if (field === 'wkb' || field === 'value') return { field, type: 'bytes', optional: true }
    if (field === 'x' || field === 'y') return { field, type: 'double', optional: true }
    return { field, type: typeof one === 'number' ? (Math.abs(one) > 2 ** 31 ? 'int64' : 'int32') : 'string', optional: true }
  })
  return { ...schema, fields }
}

function decode({ declared, isEnum = false }: GoldenValue, { modes, json, schema }: GoldenForm, asAvro: boolean): string {
  const column = { name: 'v', declared, isEnum, place: 0 }
  const decoder = new DebeziumDecoder(
    { schema: 'public', name: 't', number: 0, width: 1, columns: [column], key: [], wholeBefore: true },
    { modes: { ...SAFE, ...modes }, form: 'envelope' },
  )
  const value = { ...completed(schema as unknown as Connect, JSON.parse(json)), field: 'v', optional: true }
  const row: Connect = { type: 'struct', name: 't.public.t.Value', fields: [value], optional: true }
  const source: Connect = {
    type: 'struct',
    name: 'io.debezium.connector.postgresql.Source',
    fields: [
      { type: 'string', field: 'schema' },
      { type: 'string', field: 'table' },
      { type: 'int64', field: 'lsn', optional: true },
    ],
  }
  const envelope: Connect = {
    type: 'struct',
    name: 't.public.t.Envelope',
    fields: [{ ...row, field: 'before' }, { ...row, field: 'after' }, { ...source, field: 'source' }, { type: 'string', field: 'op' }],
  } // biome-ignore format: a table
  const payload = `{"before":null,"after":{"v":${json}},"source":{"schema":"public","table":"t","lsn":1},"op":"c"}`
  const text = asAvro ? translate(envelope, payload).text : `{"schema":${JSON.stringify(envelope)},"payload":${payload}}`
  const chunk = new ChangesChunk()
  decoder.decode({ key: null, value: Buffer.from(text), headers: new Map() }, chunk)
  const [start, length] = [chunk.start[0] as number, chunk.length[0] as number]
  return Buffer.from(chunk.bytes.subarray(start, start + length)).toString()
}

/** Of types that have one schema in every mode; the golden ones leave it out where it says nothing. */
const PLAIN: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  smallint: 'int16',
  integer: 'int32',
  bigint: 'int64',
  oid: 'int64',
  real: 'float',
  'double precision': 'double',
  text: 'string',
  'character varying(20)': 'string',
  inet: 'string',
  int4range: 'string',
}

function plainSchema(declared: string): Connect | null {
  if (declared.endsWith('[]')) {
    const items = plainSchema(declared.slice(0, -2))
    return items === null ? null : { type: 'array', items }
  }
  const type = PLAIN[declared]
  return type === undefined ? null : { type }
}

/** What JSON alone can hold: a decimal as a number, and maps of no use. */
function inAvro({ declared }: GoldenValue, form: GoldenForm): GoldenForm[] {
  const schema = form.schema ?? plainSchema(declared)
  if (schema === null || schema['type'] === 'map' || (schema['type'] === 'bytes' && !form.json.startsWith('"'))) return []
  return /\[\[|"\[/.test(form.json) && schema['type'] === 'array' ? [] : [{ ...form, schema: { ...schema } }]
}

const cases = [...GOLDEN_VALUES, ...FOREIGN_VALUES].flatMap((value) =>
  value.forms.flatMap((form) => inAvro(value, form)).map((form) => ({ value, form })),
)

test('enough of the golden values have schemas', () => expect(cases.length).toBeGreaterThan(45))

test.each(cases)('$value.declared $value.text, written by another library', ({ value, form }) => {
  if (form.refused === undefined) expect(decode(value, form, true)).toBe(value.text)
  else expect(() => decode(value, form, true)).toThrow(expect.objectContaining({ code: 'value-refused' }))
})

describe('schemas', () => {
  const named = (name: string, type = 'int64', parameters?: Record<string, string>): Connect => ({
    type,
    name,
    version: 1,
    ...(parameters && { parameters }),
  })

  test.each<Connect>([
    { type: 'struct', name: 'a.b.Row', fields: [{ type: 'int16', field: 'x', optional: true }, { type: 'string', field: 'y' }] }, // biome-ignore format: a table
    { type: 'struct', name: 'Row', fields: [{ ...named('io.debezium.time.MicroTimestamp'), field: 'at', optional: true }] },
    { type: 'struct', name: 'r.Row', fields: [{ ...named('org.apache.kafka.connect.data.Decimal', 'bytes', { scale: '2', 'connect.decimal.precision': '12' }), field: 'd' }] }, // biome-ignore format: a table
    { type: 'struct', name: 'r.Row', fields: [{ type: 'array', field: 'a', items: { type: 'int32', optional: true } }, { type: 'map', field: 'm', values: { type: 'string', optional: true } }] }, // biome-ignore format: a table
  ])('of %j nothing is lost on the way', (schema) => {
    const { connect } = readAvroSchema(JSON.stringify(avroSchema(schema)))
    const back = JSON.parse(Buffer.from(connect).toString())
    expect(back).toEqual(JSON.parse(JSON.stringify(schema, (name, value) => (name === 'version' ? undefined : value))))
  })

  test('a type that is written once is known by its name afterwards', () => {
    const row: Connect = { type: 'struct', name: 'p.t.Value', fields: [{ type: 'int32', field: 'id' }] }
    const both: Connect = { type: 'struct', name: 'p.t.Envelope', fields: [{ ...row, field: 'before', optional: true }, { ...row, field: 'after', optional: true }] } // biome-ignore format: a table
    expect(JSON.stringify(avroSchema(both))).toContain('["null","p.t.Value"]')
    expect(translate(both, '{"before":null,"after":{"id":7}}').payload).toEqual({ before: null, after: { id: 7 } })
  })

  test("what Avro's own types say, where nothing of Connect's stands beside them", () => {
    const fields = [
      { name: 'a', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 3 } },
      { name: 'b', type: { type: 'int', logicalType: 'date' } },
      { name: 'c', type: ['null', { type: 'enum', name: 'E', symbols: ['x', 'y'] }] },
      { name: 'd', type: { type: 'fixed', name: 'F', size: 2 } },
    ]
    const { connect } = readAvroSchema(JSON.stringify({ type: 'record', name: 'R', fields }))
    expect(JSON.parse(Buffer.from(connect).toString()).fields).toMatchObject([
      { type: 'bytes', name: 'org.apache.kafka.connect.data.Decimal', parameters: { scale: '3', 'connect.decimal.precision': '9' } },
      { type: 'int32', name: 'org.apache.kafka.connect.data.Date' },
      { type: 'string', optional: true },
      { type: 'bytes' },
    ])
  })

  test.each([
    ['{', 'is no JSON'],
    ['5', 'has a type that is none'],
    ['"long long"', 'stands nowhere'],
    ['["null","int","string"]', 'a union of several types'],
    ['{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}', 'inside of itself'],
    ['{"type":"record","fields":[]}', 'without a name'],
    ['{"type":"record","name":"R"}', 'lacks a list'],
    ['{"type":"fixed","name":"F"}', 'without its size'],
    ['{"type":"array","items":{"type":"record","name":"E","fields":[]},"connect.internal.type":"MapEntry"}', 'keys are no texts'],
    [`${'{"type":"array","items":'.repeat(40)}"int"${'}'.repeat(40)}`, 'nested too deeply'],
  ])('%s', (text, says) => {
    expect(() => readAvroSchema(text)).toThrow(expect.objectContaining({ code: 'bad-message', message: expect.stringContaining(says) }))
  })
})

describe('values', () => {
  const one = (type: Connect, json: string): string => {
    const { text } = translate({ type: 'struct', name: 'R', fields: [{ ...type, field: 'v' }] }, `{"v":${json}}`)
    return text.slice(text.indexOf('"payload":{"v":') + '"payload":{"v":'.length, -2)
  }

  test('whole numbers are whole, whatever their size', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(one({ type: 'int64' }, String(value))).toBe(String(value))
      }),
    )
    for (const value of [0n, -1n, 63n, 64n, -64n, -65n, 2n ** 48n, -(2n ** 48n) - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)])
      expect(one({ type: 'int64' }, String(value))).toBe(String(value))
  })

  test('texts of every kind, and bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(one({ type: 'string' }, JSON.stringify(text)))).toBe(text)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const json = JSON.stringify(Buffer.from(bytes).toString('base64'))
        expect(one({ type: 'bytes' }, json)).toBe(json)
      }),
    )
  })

  test.each([
    ['double', '-0.0', '-0.0'],
    ['double', '"NaN"', '"NaN"'],
    ['double', '"-Infinity"', '"-Infinity"'],
    ['double', '5e-324', '5e-324'],
    ['float', '"Infinity"', '"Infinity"'],
    ['boolean', 'true', 'true'],
  ])('%s %s', (type, json, expected) => expect(one({ type }, json)).toBe(expected))

  test('lists in blocks, also in those that say their size', () => {
    const type = readAvroSchema('{"type":"array","items":"int"}')
    const translator = new AvroTranslator()
    const payload = (...bytes: number[]): unknown =>
      JSON.parse(Buffer.from(translator.translate(type, Uint8Array.from(bytes), 0)).toString()).payload
    expect(payload(0)).toEqual([])
    expect(payload(4, 2, 4, 2, 6, 0)).toEqual([1, 2, 3])
    expect(payload(3, 4, 2, 4, 0)).toEqual([1, 2])
    for (const bad of [[4, 2], [200, 200, 200, 200, 10, 0], [0, 0]]) // biome-ignore format: a table
      expect(() => payload(...bad)).toThrow(expect.objectContaining({ code: 'bad-message' }))
  })

  test('bytes that are of another schema are refused, whatever they are', () => {
    const schema = readAvroSchema(JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'a', type: ['null', 'string'] }, { name: 'b', type: 'long' }, { name: 'c', type: 'boolean' }] })) // biome-ignore format: a table
    const type = avro.Type.forSchema({ type: 'record', name: 'R', fields: [{ name: 'a', type: ['null', 'string'] }, { name: 'b', type: 'long' }, { name: 'c', type: 'boolean' }] }) // biome-ignore format: a table
    const translator = new AvroTranslator()
    const whole = type.toBuffer({ a: 'x', b: 300, c: true })
    expect(() => translator.translate(schema, whole, 0)).not.toThrow()
    for (let size = 0; size < whole.length; size++)
      expect(() => translator.translate(schema, whole.subarray(0, size), 0)).toThrow(expect.objectContaining({ code: 'bad-message' }))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        try {
          JSON.parse(Buffer.from(translator.translate(schema, bytes, 0)).toString())
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad-message' })
        }
      }),
    )
  })
})
