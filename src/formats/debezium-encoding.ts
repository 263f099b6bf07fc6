// How the values of a column stand in messages. Two roads lead there: what the column is declared as together with the connector's
// settings, and, where messages bring their schema, that. What can't be told apart, or has lost something, gets an encoding that refuses.

import { badMessage, EXCLUDE } from './debezium-refusal.ts'
import type { ConnectSchema } from './debezium-schema.ts'

/** The connector's settings that change how values look. They are needed even where messages bring their schema: it does not tell all. */
export interface DebeziumModes {
  /** `decimal.handling.mode` */
  readonly decimals: 'precise' | 'string' | 'double'
  /** `time.precision.mode` */
  readonly times: 'adaptive' | 'adaptive_time_microseconds' | 'connect' | 'microseconds' | 'nanoseconds' | 'isostring' | 'structured'
  /** `binary.handling.mode` */
  readonly binary: 'bytes' | 'base64' | 'base64-url-safe' | 'hex'
  /** `interval.handling.mode` */
  readonly intervals: 'numeric' | 'string'
  /** `hstore.handling.mode` */
  readonly hstore: 'json' | 'map'
  /** `include.unknown.datatypes` */
  readonly unknownTypes: boolean
  /** `event.converting.failure.handling.mode` */
  readonly failures: 'fail' | 'warn' | 'skip'
}

export interface DebeziumColumn {
  readonly name: string
  /** As PostgreSQL's `format_type` prints it with its modifier, domains resolved: `numeric(12,2)`, `integer[]`. */
  readonly declared: string
  /** An enum, or an array of one: types by names of the user's own. */
  readonly isEnum?: boolean
  /** Where its cell is in a row; null for a column that is not loaded. */
  readonly place: number | null
  /** What a new row has that comes without it: a text, or NULL. Not given: such a row is refused. */
  readonly absent?: string | null
}

export type Encoding =
  | { readonly as: 'boolean' | 'number' | 'text' | 'decimal-text' | 'money-text' | 'variable-decimal' }
  | { readonly as: 'bit' | 'zoned-range' | 'hstore' | 'point' | 'box' | 'geometry' }
  | { readonly as: 'float'; readonly bits: 32 | 64 }
  | { readonly as: 'decimal-bytes' | 'money-bytes'; readonly scale: number }
  | { readonly as: 'decimal-double'; readonly precision: number; readonly scale: number }
  | { readonly as: 'money-double' }
  | { readonly as: 'base64' | 'hex'; readonly meaning: 'bytea' | 'text' }
  | { readonly as: 'bits'; readonly length: number }
  | { readonly as: 'days' | 'iso-date' | 'structured-date' | 'iso-time' | 'structured-time' | 'structured-zoned-time' }
  | { readonly as: 'iso-timestamp' | 'structured-timestamp' | 'zoned-timestamp' | 'structured-zoned-timestamp' }
  /** `unit`: so many are a second. */
  | { readonly as: 'time' | 'timestamp'; readonly unit: 1000 | 1_000_000 | 1_000_000_000 }
  | { readonly as: 'iso-interval' | 'structured-interval' }
  | { readonly as: 'array'; readonly item: Encoding }
  /** No value of it is what it was. */
  | { readonly as: 'refused'; readonly why: string; readonly hint: string }

/** A type taken apart: `numeric(12,2)`. */
export interface Declared {
  readonly base: string
  readonly numbers: readonly number[]
  readonly element: Declared | null
}

export function parseDeclared(text: string): Declared {
  if (text.endsWith('[]')) return { base: text, numbers: [], element: parseDeclared(text.slice(0, -2)) }
  const match = /^([^"(]*)\((-?\d+)(?:,(-?\d+))?\)(.*)$/.exec(text)
  if (match === null) return { base: text, numbers: [], element: null }
  const [, before = '', first, second, after = ''] = match
  return {
    base: `${before.trimEnd()}${after}`,
    numbers: [first, second].flatMap((one) => (one === undefined ? [] : [Number(one)])),
    element: null,
  }
}

/** Types that are sent as their own text; `character(n)` with the blanks that fill it, which a cast to text would take off. */
const TEXT = new Set([
  ...['text', 'character varying', 'character', 'bpchar', 'name', '"char"', 'citext', 'xml', 'json', 'jsonb', 'uuid', 'ltree', 'isbn'],
  ...['inet', 'cidr', 'macaddr', 'macaddr8', 'tsvector', 'tsquery', 'int4range', 'int8range', 'numrange', 'daterange', 'tsrange'],
])

const ONLY_STRUCTURED = 'Set `time.precision.mode=structured` for the connector, and copy the table again.'

/** Without a schema. */
export function encodingOf(column: DebeziumColumn, modes: DebeziumModes): Encoding {
  return declaredEncoding(parseDeclared(column.declared), column, modes)
}

function declaredEncoding(declared: Declared, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  const { base, numbers, element } = declared
  if (element !== null) return { as: 'array', item: declaredEncoding(element, column, modes) }
  switch (base) {
    case 'boolean':
      return { as: 'boolean' }
    case 'smallint':
    case 'integer':
    case 'bigint':
    case 'oid':
      return { as: 'number' }
    case 'real':
      return { as: 'float', bits: 32 }
    case 'double precision':
      return { as: 'float', bits: 64 }
    case 'numeric':
      return numericEncoding(numbers, modes)
    case 'money':
      return modes.decimals === 'precise'
        ? { as: 'money-bytes', scale: 2 }
        : { as: modes.decimals === 'string' ? 'money-text' : 'money-double' }
    case 'bytea':
      return binaryEncoding(modes, 'bytea')
    case 'bit':
      return (numbers[0] ?? 1) === 1 ? { as: 'bit' } : { as: 'bits', length: numbers[0] as number }
    case 'bit varying':
      return VARBIT
    case 'interval':
      if (modes.times === 'structured') return { as: 'structured-interval' }
      return modes.intervals === 'string' ? { as: 'iso-interval' } : NUMERIC_INTERVAL
    default:
      return timeEncoding(declared, modes) ?? namedEncoding(base, column, modes)
  }
}

function numericEncoding(numbers: readonly number[], { decimals }: DebeziumModes): Encoding {
  const [precision, scale = 0] = numbers
  if (decimals === 'string') return { as: 'decimal-text' }
  if (decimals === 'double') return doubleDecimal(precision, scale)
  return precision === undefined ? { as: 'variable-decimal' } : { as: 'decimal-bytes', scale }
}

/** A double tells apart all numbers of fifteen digits, and no more. */
function doubleDecimal(precision: number | undefined, scale: number): Encoding {
  return { as: 'decimal-double', precision: precision ?? Number.POSITIVE_INFINITY, scale }
}

function binaryEncoding({ binary }: DebeziumModes, meaning: 'bytea' | 'text'): Encoding {
  return { as: binary === 'hex' ? 'hex' : 'base64', meaning }
}

const VARBIT: Encoding = { as: 'refused', why: 'the connector does not send how long a bit string is', hint: EXCLUDE }
const NUMERIC_INTERVAL: Encoding = {
  as: 'refused',
  why: 'the connector sends intervals as a number, in which months and days are one',
  hint: 'Set `interval.handling.mode=string` for the connector, and copy the table again.',
}
const TIMETZ: Encoding = { as: 'refused', why: 'the connector does not send the time zone of a time', hint: ONLY_STRUCTURED }
const HSTORE_MAP: Encoding = {
  as: 'refused',
  why: 'the connector leaves out keys of an hstore whose value is NULL',
  hint: 'Set `hstore.handling.mode=json` for the connector, and copy the table again.',
}

function timeEncoding({ base, numbers }: Declared, { times }: DebeziumModes): Encoding | null {
  const precision = numbers[0] ?? 6
  switch (base) {
    case 'date':
      return { as: times === 'isostring' ? 'iso-date' : times === 'structured' ? 'structured-date' : 'days' }
    case 'time with time zone':
      return times === 'structured' ? { as: 'structured-zoned-time' } : TIMETZ
    case 'timestamp with time zone':
      return { as: times === 'structured' ? 'structured-zoned-timestamp' : 'zoned-timestamp' }
    case 'time without time zone':
      if (times === 'isostring' || times === 'structured') return { as: times === 'isostring' ? 'iso-time' : 'structured-time' }
      if (times === 'connect' || (times === 'adaptive' && precision <= 3)) return counted('time', 1000, precision)
      return counted('time', times === 'nanoseconds' ? 1_000_000_000 : 1_000_000, precision)
    case 'timestamp without time zone':
      if (times === 'isostring' || times === 'structured') return { as: times === 'isostring' ? 'iso-timestamp' : 'structured-timestamp' }
      if (times === 'connect' || (times.startsWith('adaptive') && precision <= 3)) return counted('timestamp', 1000, precision)
      return counted('timestamp', times === 'nanoseconds' ? 1_000_000_000 : 1_000_000, precision)
    default:
      return null
  }
}

function counted(as: 'time' | 'timestamp', unit: 1000 | 1_000_000 | 1_000_000_000, precision: number): Encoding {
  if (unit > 1000 || precision <= 3) return { as, unit }
  return {
    as: 'refused',
    why: 'the connector cuts microseconds off',
    hint: 'Set `time.precision.mode=microseconds` (or `structured`) for the connector, and copy the table again.',
  }
}

function namedEncoding(base: string, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  switch (base) {
    case 'tstzrange':
    case 'tstzmultirange':
      return { as: 'zoned-range' }
    case 'hstore':
    case 'public.hstore':
      return modes.hstore === 'json' ? { as: 'hstore' } : HSTORE_MAP
    case 'point':
    case 'box':
      return { as: base }
    case 'lseg':
    case 'path':
    case 'polygon':
    case 'circle':
    case 'line':
      return { as: 'refused', why: `the connector sends a ${base} as a geometry, from which it can't be made again exactly`, hint: EXCLUDE }
    default:
      if (/^(\w+\.)?(geometry|geography)$/.test(base)) return { as: 'geometry' }
      if (column.isEnum || TEXT.has(base) || !modes.unknownTypes) return { as: 'text' }
      return binaryEncoding(modes, 'text')
  }
}

/** With the schema of the field; throws `bad-message` for one that is not known. */
export function encodingOfSchema(schema: ConnectSchema, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  return schemaEncoding(schema, parseDeclared(column.declared), column, modes)
}

function schemaEncoding(schema: ConnectSchema, declared: Declared, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  if (schema.name !== null) return schemaNamed(schema, declared, column, modes)
  switch (schema.type) {
    case 'boolean':
      return { as: declared.base === 'bit' ? 'bit' : 'boolean' }
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return { as: 'number' }
    case 'float':
    case 'double':
      if (declared.base === 'numeric') return doubleDecimal(declared.numbers[0], declared.numbers[1] ?? 0)
      if (declared.base === 'money') return { as: 'money-double' }
      return { as: 'float', bits: schema.type === 'float' ? 32 : 64 }
    case 'string':
      return stringEncoding(declared, column, modes)
    case 'bytes':
      return { as: 'base64', meaning: declared.base === 'bytea' ? 'bytea' : 'text' }
    case 'array':
      if (schema.items === null) break
      return { as: 'array', item: schemaEncoding(schema.items, declared.element ?? declared, column, modes) }
    case 'map':
      return HSTORE_MAP
  }
  throw unknownSchema(column, schema.type)
}

/** A text without a name of its own: the schema does not tell numbers, bytes and texts apart. */
function stringEncoding(declared: Declared, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  const { base } = declared
  if (base === 'numeric') return { as: 'decimal-text' }
  if (base === 'money') return { as: 'money-text' }
  if (base === 'bytea') return binaryEncoding(modes, 'bytea')
  return namedEncoding(base, column, modes)
}

function schemaNamed(schema: ConnectSchema, declared: Declared, column: DebeziumColumn, modes: DebeziumModes): Encoding {
  const precision = declared.numbers[0] ?? 6
  switch (schema.name) {
    case 'org.apache.kafka.connect.data.Decimal':
      return { as: declared.base === 'money' ? 'money-bytes' : 'decimal-bytes', scale: scaleOf(schema, column) }
    case 'io.debezium.data.VariableScaleDecimal':
      return { as: 'variable-decimal' }
    case 'io.debezium.data.Bits':
      return declared.base === 'bit varying' ? VARBIT : { as: 'bits', length: declared.numbers[0] ?? 1 }
    case 'io.debezium.time.Date':
    case 'org.apache.kafka.connect.data.Date':
      return { as: 'days' }
    case 'io.debezium.time.Time':
    case 'org.apache.kafka.connect.data.Time':
      return counted('time', 1000, precision)
    case 'io.debezium.time.MicroTime':
      return { as: 'time', unit: 1_000_000 }
    case 'io.debezium.time.NanoTime':
      return { as: 'time', unit: 1_000_000_000 }
    case 'io.debezium.time.Timestamp':
    case 'org.apache.kafka.connect.data.Timestamp':
      return counted('timestamp', 1000, precision)
    case 'io.debezium.time.MicroTimestamp':
      return { as: 'timestamp', unit: 1_000_000 }
    case 'io.debezium.time.NanoTimestamp':
      return { as: 'timestamp', unit: 1_000_000_000 }
    case 'io.debezium.time.MicroDuration':
    case 'io.debezium.time.NanoDuration':
      return NUMERIC_INTERVAL
    case 'io.debezium.time.ZonedTime':
      return TIMETZ
    case 'io.debezium.data.Json':
      return /^(\w+\.)?hstore$/.test(declared.base) ? { as: 'hstore' } : { as: 'text' }
    default: {
      const encoding = SCHEMAS[schema.name ?? '']
      if (encoding !== undefined) return encoding
      if (/^io\.debezium\.data\.geometry\./.test(schema.name ?? '')) return namedEncoding(declared.base, column, modes)
      if (schema.type === 'string' && declared.base === 'text') return { as: 'text' }
      throw unknownSchema(column, schema.name ?? '')
    }
  }
}

const SCHEMAS: Readonly<Record<string, Encoding>> = {
  'io.debezium.time.Year': { as: 'number' },
  'io.debezium.time.IsoDate': { as: 'iso-date' },
  'io.debezium.time.IsoTime': { as: 'iso-time' },
  'io.debezium.time.IsoTimestamp': { as: 'iso-timestamp' },
  'io.debezium.time.ZonedTimestamp': { as: 'zoned-timestamp' },
  'io.debezium.time.Interval': { as: 'iso-interval' },
  'io.debezium.time.StructuredDate': { as: 'structured-date' },
  'io.debezium.time.StructuredTime': { as: 'structured-time' },
  'io.debezium.time.StructuredZonedTime': { as: 'structured-zoned-time' },
  'io.debezium.time.StructuredTimestamp': { as: 'structured-timestamp' },
  'io.debezium.time.StructuredZonedTimestamp': { as: 'structured-zoned-timestamp' },
  'io.debezium.time.StructuredDuration': { as: 'structured-interval' },
  'io.debezium.data.Xml': { as: 'text' },
  'io.debezium.data.Uuid': { as: 'text' },
  'io.debezium.data.Enum': { as: 'text' },
  'io.debezium.data.EnumSet': { as: 'text' },
  'io.debezium.data.Ltree': { as: 'text' },
  'io.debezium.data.Tsvector': { as: 'text' },
}

function scaleOf({ parameters }: ConnectSchema, column: DebeziumColumn): number {
  const scale = Number(parameters['scale'])
  if (!Number.isInteger(scale) || Math.abs(scale) > 20_000) throw badMessage(`has a decimal without its scale in column "${column.name}"`)
  return scale
}

function unknownSchema(column: DebeziumColumn, name: string): Error {
  return badMessage(`has the schema ${JSON.stringify(name)} for column "${column.name}", which this version does not know`, EXCLUDE)
}
