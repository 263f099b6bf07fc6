// Avro as Kafka Connect's AvroConverter writes it: its schema made of Connect's, and values in its binary form. By another library than
// the code under test, and from what is documented of that converter: none can be had for the Kafka Connect of the tests.

import avro from 'avsc'

/** A schema as JsonConverter writes it. */
export interface Connect {
  readonly type: string
  readonly optional?: boolean
  readonly name?: string
  readonly version?: number
  readonly parameters?: Readonly<Record<string, string>>
  readonly field?: string
  readonly fields?: readonly Connect[]
  readonly items?: Connect
  readonly values?: Connect
}

type Json = Record<string, unknown>

const TYPES: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  int8: 'int',
  int16: 'int',
  int32: 'int',
  int64: 'long',
  float: 'float',
  double: 'double',
  string: 'string',
  bytes: 'bytes',
}

const LOGICAL: Readonly<Record<string, string>> = {
  'org.apache.kafka.connect.data.Decimal': 'decimal',
  'org.apache.kafka.connect.data.Date': 'date',
  'org.apache.kafka.connect.data.Time': 'time-millis',
  'org.apache.kafka.connect.data.Timestamp': 'timestamp-millis',
}

/** `name` is that of the schema, or of the field where a struct has none. */
export function avroSchema(schema: Connect, seen = new Set<string>(), name = 'ConnectDefault'): unknown {
  const made = bare(schema, seen, name)
  return schema.optional ? ['null', made] : made
}

function bare(schema: Connect, seen: Set<string>, fallback: string): unknown {
  const { type, name, version, parameters } = schema
  const beside: Json = {
    ...(version === undefined ? {} : { 'connect.version': version }),
    ...(parameters === undefined ? {} : { 'connect.parameters': parameters }),
    ...(name === undefined ? {} : { 'connect.name': name }),
  }
  if (type === 'array') return { type: 'array', items: avroSchema(schema.items as Connect, seen, `${fallback}Item`), ...beside }
  if (type === 'map') return { type: 'map', values: avroSchema(schema.values as Connect, seen, `${fallback}Value`), ...beside }
  if (type === 'struct') {
    const full = name ?? `io.confluent.connect.avro.${fallback}`
    // Written once, and named where it comes again.
    if (seen.has(full)) return full
    seen.add(full)
    const dot = full.lastIndexOf('.')
    const fields = (schema.fields ?? []).map((field) => ({
      name: field.field,
      type: avroSchema(field, seen, String(field.field)),
      ...(field.optional ? { default: null } : {}),
    }))
    return { type: 'record', name: full.slice(dot + 1), ...(dot < 0 ? {} : { namespace: full.slice(0, dot) }), fields, ...beside }
  }
  const own = TYPES[type]
  if (own === undefined) throw new Error(`No Avro for ${type}.`)
  const logical = name === undefined ? undefined : LOGICAL[name]
  const more: Json = {
    ...beside,
    ...(type === 'int8' || type === 'int16' ? { 'connect.type': type } : {}),
    ...(logical === undefined ? {} : { logicalType: logical }),
    ...(logical === 'decimal'
      ? { scale: Number(parameters?.['scale'] ?? 0), precision: Number(parameters?.['connect.decimal.precision'] ?? 64) }
      : {}),
  }
  return Object.keys(more).length === 0 ? own : { type: own, ...more }
}

/** All 64 bits. */
const LONG = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
})

/** The registry knows a type by its name alone, and not where properties stand beside it. */
function longs(schema: unknown): avro.Type | undefined {
  return (schema as { readonly type?: unknown }).type === 'long' ? LONG : undefined
}

/** `json`: the value as JsonConverter writes it. With the magic byte and the schema's number in front. */
export function avroMessage(id: number, schema: Connect, json: string): Buffer {
  const type = avro.Type.forSchema(avroSchema(schema) as avro.Schema, { registry: { long: LONG }, logicalTypes: {}, typeHook: longs })
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, type.toBuffer(written(schema, JSON.parse(json, exact)))])
}

/** Numbers stay what they are in the text. */
function exact(_: string, value: unknown, context?: { readonly source: string }): unknown {
  return typeof value === 'number' ? { digits: context?.source ?? String(value) } : value
}

function written(schema: Connect, value: unknown): unknown {
  if (value === null || value === undefined) return null
  const digits = (value as { readonly digits?: string }).digits
  switch (schema.type) {
    case 'int8':
    case 'int16':
    case 'int32':
      return Number(digits)
    case 'int64':
      return BigInt(digits ?? '')
    case 'float':
    case 'double':
      return Number(digits ?? value)
    case 'bytes':
      return Buffer.from(value as string, 'base64')
    case 'array':
      return (value as readonly unknown[]).map((item) => written(schema.items as Connect, item))
    case 'map':
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, written(schema.values as Connect, one)]))
    case 'struct':
      return Object.fromEntries((schema.fields ?? []).map((field) => [field.field, written(field, (value as Json)[field.field as string])]))
    default:
      return value
  }
}
