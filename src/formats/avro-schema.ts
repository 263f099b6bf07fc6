// Schemas of Avro as Kafka Connect's converters register them: how a value is read, and the schema of Connect that it came from, in the
// form in which JsonConverter would write it. https://avro.apache.org/docs/1.12.0/specification/

import { badMessage } from './debezium-refusal.ts'
import { utf8Bytes } from './debezium-text.ts'

export type AvroType =
  | { readonly kind: 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string' }
  | { readonly kind: 'fixed'; readonly size: number }
  /** Each with its quotes, as JSON has it. */
  | { readonly kind: 'enum'; readonly symbols: readonly Uint8Array[] }
  | { readonly kind: 'array' | 'map'; readonly items: AvroType }
  | { readonly kind: 'union'; readonly branches: readonly AvroType[] }
  /** `name`: with quotes and colon. */
  | { readonly kind: 'record'; readonly fields: readonly { readonly name: Uint8Array; readonly type: AvroType }[] }

export interface AvroSchema {
  readonly type: AvroType
  /** Connect's schema, as JSON. */
  readonly connect: Uint8Array
}

type Json = Readonly<Record<string, unknown>>

interface Read {
  readonly type: AvroType
  readonly connect: Json
}

const PRIMITIVES: Readonly<Record<string, string>> = {
  null: 'string',
  boolean: 'boolean',
  int: 'int32',
  long: 'int64',
  float: 'float',
  double: 'double',
  bytes: 'bytes',
  string: 'string',
}

/** What Connect's converter makes of types that Avro itself knows, and that no name of Connect's stands beside. */
const LOGICAL: Readonly<Record<string, string>> = {
  decimal: 'org.apache.kafka.connect.data.Decimal',
  date: 'org.apache.kafka.connect.data.Date',
  'time-millis': 'org.apache.kafka.connect.data.Time',
  'timestamp-millis': 'org.apache.kafka.connect.data.Timestamp',
}

/** Throws `bad-message` for a schema that is none, or none that Connect writes. */
export function readAvroSchema(text: string): AvroSchema {
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch {
    throw badSchema('is no JSON')
  }
  const { type, connect } = new SchemaReader().read(schema, '', 0)
  return { type, connect: utf8Bytes(JSON.stringify(connect)) }
}

class SchemaReader {
  /** Records, enums and fixed, which may be named again after they were written once. null: still being read. */
  readonly #named = new Map<string, Read | null>()

  read(schema: unknown, namespace: string, depth: number): Read {
    if (depth > 32) throw badSchema('is nested too deeply')
    if (typeof schema === 'string') return this.#byName(schema, namespace)
    if (Array.isArray(schema)) return this.#union(schema, namespace, depth)
    if (typeof schema !== 'object' || schema === null) throw badSchema('has a type that is none')
    const { type } = schema as Json
    // A type may be wrapped into another one to give it properties.
    if (typeof type === 'object') return withProperties(this.read(type, namespace, depth + 1), schema as Json)
    if (type === 'record' || type === 'enum' || type === 'fixed') return this.#define(type, schema as Json, namespace, depth)
    if (type === 'array') return this.#array(schema as Json, namespace, depth)
    if (type === 'map') {
      const values = this.read((schema as Json)['values'], namespace, depth + 1)
      return withProperties({ type: { kind: 'map', items: values.type }, connect: { type: 'map', values: values.connect } }, schema as Json)
    }
    if (typeof type !== 'string') throw badSchema('has a type that is none')
    return withProperties(this.#byName(type, namespace), schema as Json)
  }

  #byName(name: string, namespace: string): Read {
    const primitive = Object.hasOwn(PRIMITIVES, name) ? PRIMITIVES[name] : undefined
    if (primitive !== undefined) return { type: { kind: name as 'string' }, connect: { type: primitive } }
    const full = fullName(name, namespace)
    const known = this.#named.get(full)
    if (known === null) throw badSchema(`has ${JSON.stringify(full)} inside of itself, which Connect does not know`)
    if (known === undefined) throw badSchema(`has the type ${JSON.stringify(name)}, which stands nowhere in it`)
    return known
  }

  #union(branches: readonly unknown[], namespace: string, depth: number): Read {
    const read = branches.map((branch) => this.read(branch, namespace, depth + 1))
    const real = read.filter(({ type }) => type.kind !== 'null')
    if (real.length > 1) throw badSchema('has a union of several types')
    return { type: { kind: 'union', branches: read.map(({ type }) => type) }, connect: { ...real[0]?.connect, optional: true } }
  }

  #array(schema: Json, namespace: string, depth: number): Read {
    const items = this.read(schema['items'], namespace, depth + 1)
    // A map whose keys are no texts is a list of pairs.
    if (schema['connect.internal.type'] === 'MapEntry') throw badSchema('has a map whose keys are no texts')
    return withProperties({ type: { kind: 'array', items: items.type }, connect: { type: 'array', items: items.connect } }, schema)
  }

  #define(kind: 'record' | 'enum' | 'fixed', schema: Json, outer: string, depth: number): Read {
    const { name, namespace } = schema
    if (typeof name !== 'string') throw badSchema(`has a ${kind} without a name`)
    const full = fullName(name, typeof namespace === 'string' ? namespace : outer)
    if (this.#named.has(full)) throw badSchema(`has two types ${JSON.stringify(full)}`)
    this.#named.set(full, null)
    const read = withProperties(this.#body(kind, schema, full.slice(0, Math.max(full.lastIndexOf('.'), 0)), depth), schema)
    this.#named.set(full, read)
    return read
  }

  #body(kind: 'record' | 'enum' | 'fixed', schema: Json, namespace: string, depth: number): Read {
    if (kind === 'fixed') {
      const size = schema['size']
      if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) throw badSchema('has a fixed type without its size')
      return { type: { kind, size }, connect: { type: 'bytes' } }
    }
    if (kind === 'enum') {
      const symbols = listOf(schema['symbols'])
      return { type: { kind, symbols: symbols.map((one) => utf8Bytes(JSON.stringify(String(one)))) }, connect: { type: 'string' } }
    }
    const fields = listOf(schema['fields']).map((field) => {
      const { name, type } = (field ?? {}) as Json
      if (typeof name !== 'string') throw badSchema('has a field without a name')
      return { name, read: this.read(type, namespace, depth + 1) }
    })
    return {
      type: { kind, fields: fields.map(({ name, read }) => ({ name: utf8Bytes(`${JSON.stringify(name)}:`), type: read.type })) },
      connect: { type: 'struct', fields: fields.map(({ name, read }) => ({ ...read.connect, field: name })) },
    }
  }
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw badSchema('lacks a list')
  return value
}

function fullName(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
}

/** Name and parameters that Connect's converter has written beside the type, and what Avro's own logical types say. */
function withProperties({ type, connect }: Read, schema: Json): Read {
  const logical = String(schema['logicalType'] ?? '')
  const name = schema['connect.name'] ?? connect['name'] ?? (Object.hasOwn(LOGICAL, logical) ? LOGICAL[logical] : undefined)
  const written = schema['connect.parameters']
  const parameters = {
    ...(logical === 'decimal' ? decimalParameters(schema) : {}),
    ...(connect['parameters'] as Json | undefined),
    ...(typeof written === 'object' ? written : {}),
  }
  const narrow = schema['connect.type']
  return {
    type,
    connect: {
      ...connect,
      ...(narrow === 'int8' || narrow === 'int16' ? { type: narrow } : {}),
      ...(typeof name === 'string' ? { name } : {}),
      ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    },
  }
}

function decimalParameters({ scale, precision }: Json): Json {
  return { scale: String(scale ?? 0), ...(precision === undefined ? {} : { 'connect.decimal.precision': String(precision) }) }
}

function badSchema(what: string): Error {
  return badMessage(`is of an Avro schema that ${what}`, 'Let the connector use `AvroConverter`, or JSON.')
}
