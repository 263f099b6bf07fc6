// What a column is by the schema in the messages, as PostgreSQL would declare it. A schema says less than a database: what it leaves open
// is told apart, so that somebody who knows more can say it.

import { type DeclaredType, declaredFor, parseDeclaredType } from '../core/declared-type.ts'
import { isInDatabase, type SourceConnector } from './debezium-connectors.ts'
import type { ConnectSchema } from './debezium-schema.ts'

export interface SchemaType extends DeclaredType {
  /** `open`: a text that may stand for a number, a number without its digits. `unknown`: taken for a text, since nothing tells what it is. */
  readonly trust: 'whole' | 'open' | 'unknown'
}

const PLAIN: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  int8: 'smallint',
  int16: 'smallint',
  int32: 'integer',
  int64: 'bigint',
  float: 'real',
  double: 'double precision',
}

const NAMED: Readonly<Record<string, string>> = {
  'io.debezium.time.Date': 'date',
  'io.debezium.time.IsoDate': 'date',
  'io.debezium.time.StructuredDate': 'date',
  'org.apache.kafka.connect.data.Date': 'date',
  'io.debezium.time.Time': 'time',
  'io.debezium.time.MicroTime': 'time',
  'io.debezium.time.NanoTime': 'time',
  'io.debezium.time.IsoTime': 'time',
  'io.debezium.time.StructuredTime': 'time',
  'org.apache.kafka.connect.data.Time': 'time',
  'io.debezium.time.ZonedTime': 'timetz',
  'io.debezium.time.StructuredZonedTime': 'timetz',
  'io.debezium.time.Timestamp': 'timestamp',
  'io.debezium.time.MicroTimestamp': 'timestamp',
  'io.debezium.time.NanoTimestamp': 'timestamp',
  'io.debezium.time.IsoTimestamp': 'timestamp',
  'io.debezium.time.StructuredTimestamp': 'timestamp',
  'org.apache.kafka.connect.data.Timestamp': 'timestamp',
  'io.debezium.time.ZonedTimestamp': 'timestamptz',
  'io.debezium.time.StructuredZonedTimestamp': 'timestamptz',
  'io.debezium.time.Interval': 'interval',
  'io.debezium.time.StructuredDuration': 'interval',
  'io.debezium.time.MicroDuration': 'interval',
  'io.debezium.time.NanoDuration': 'interval',
  'io.debezium.time.Year': 'integer',
  // Every json is a json; a jsonb is printed so that it reads back as itself.
  'io.debezium.data.Json': 'json',
  'io.debezium.data.Xml': 'xml',
  'io.debezium.data.Uuid': 'uuid',
  'io.debezium.data.Enum': 'text',
  'io.debezium.data.EnumSet': 'text',
  'io.debezium.data.Ltree': 'ltree',
  'io.debezium.data.Tsvector': 'tsvector',
  'io.debezium.data.geometry.Point': 'point',
  'io.debezium.data.geometry.Geometry': 'geometry',
  'io.debezium.data.geometry.Geography': 'geography',
}

/** The same of a type that is said to the last digit; a smaller unit than it has would not come. */
const MILLIS = new Set([
  'io.debezium.time.Time',
  'io.debezium.time.Timestamp',
  'org.apache.kafka.connect.data.Time',
  'org.apache.kafka.connect.data.Timestamp',
])

/** `connector`: null where nobody says which one it is. */
export function typeOfSchema(schema: ConnectSchema, connector: SourceConnector | null = null): SchemaType {
  const { name, type, items } = schema
  if (name === 'org.apache.kafka.connect.data.Decimal') return decimalOf(schema)
  if (name === 'io.debezium.data.VariableScaleDecimal') return typed('numeric', 'open')
  const source = sourceType(schema)
  if (source !== null) return typed(source, 'whole')
  if (name === 'io.debezium.data.Bits') return bitsOf(schema, connector)
  if (name !== null) {
    const known = Object.hasOwn(NAMED, name) ? NAMED[name] : undefined
    if (known === undefined) return typed('text', 'unknown')
    return typed(MILLIS.has(name) ? `${known}(3)` : known, 'whole')
  }
  if (type === 'array' && items !== null) {
    const item = typeOfSchema(items, connector)
    return { ...typed(`${item.declared}[]`, item.trust) }
  }
  if (type === 'string') return typed('text', 'open')
  if (type === 'bytes') return typed('bytea', 'whole')
  if (type === 'map') return typed('hstore', 'whole')
  const plain = Object.hasOwn(PLAIN, type) ? PLAIN[type] : undefined
  return plain === undefined ? typed('text', 'unknown') : typed(plain, 'whole')
}

/** Of what a schema leaves open, as `column.propagate.source.type` has the connector say it. */
function sourceType({ name, type, parameters }: ConnectSchema): string | null {
  const word = String(parameters['__debezium.source.column.type'] ?? '').toUpperCase()
  const [length, scale] = [Number(parameters['__debezium.source.column.length']), Number(parameters['__debezium.source.column.scale'] ?? 0)]
  const isLimited = Number.isInteger(length) && Number.isInteger(scale) && length >= 1 && length <= 1000
  if (name === null && type === 'string' && (word === 'NUMERIC' || word === 'DECIMAL'))
    return isLimited ? `numeric(${length},${scale})` : 'numeric'
  return name === 'io.debezium.data.Bits' && word === 'BIT' && isLimited ? `bit(${length})` : null
}

/** MySQL has no bit strings of varying length; of PostgreSQL's the schema does not tell. */
function bitsOf({ parameters }: ConnectSchema, connector: SourceConnector | null): SchemaType {
  const length = Number(parameters['length'])
  const isFixed = connector !== null && isInDatabase(connector) && Number.isInteger(length) && length >= 1
  return isFixed ? typed(`bit(${length})`, 'whole') : typed('bit varying', 'open')
}

function decimalOf({ parameters }: ConnectSchema): SchemaType {
  const [scale, precision] = [Number(parameters['scale']), Number(parameters['connect.decimal.precision'])]
  const isWhole = Number.isInteger(scale) && Number.isInteger(precision) && precision > 0
  return isWhole ? typed(`numeric(${precision},${scale})`, 'whole') : typed('numeric', 'open')
}

function typed(declared: string, trust: SchemaType['trust']): SchemaType {
  const known = parseDeclaredType(declared)
  return known === null ? { ...declaredFor({ kind: 'text' }), trust: 'unknown' } : { ...known, trust }
}
