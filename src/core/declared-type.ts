// Types of columns as PostgreSQL prints them, for tables that no database describes: messages and project files do. Always: a type that
// is not known here is null, never a guess.

import type { DataType } from './data-type.ts'

export interface DeclaredType {
  /** As `format_type` prints it: `numeric(12,2)`, `timestamp(3) without time zone`. */
  readonly declared: string
  readonly type: DataType
  /** What a fresh PostgreSQL knows it as. */
  readonly native: string
}

const SIMPLE: Readonly<Record<string, DataType>> = {
  boolean: { kind: 'boolean' },
  smallint: { kind: 'integer', bits: 16 },
  integer: { kind: 'integer', bits: 32 },
  bigint: { kind: 'integer', bits: 64 },
  oid: { kind: 'integer', bits: 64 },
  real: { kind: 'float', bits: 32 },
  'double precision': { kind: 'float', bits: 64 },
  text: { kind: 'text' },
  'character varying': { kind: 'text' },
  character: { kind: 'text' },
  name: { kind: 'text' },
  xml: { kind: 'text' },
  bytea: { kind: 'bytes' },
  json: { kind: 'json' },
  jsonb: { kind: 'json' },
  uuid: { kind: 'uuid' },
  date: { kind: 'date' },
  interval: { kind: 'interval' },
  'time without time zone': { kind: 'time', zoned: false },
  'time with time zone': { kind: 'time', zoned: true },
  'timestamp without time zone': { kind: 'timestamp', zoned: false },
  'timestamp with time zone': { kind: 'timestamp', zoned: true },
}

/** Known to every PostgreSQL, and to no other database. */
const OWN = new Set([
  ...['money', 'bit', 'bit varying', 'inet', 'cidr', 'macaddr', 'macaddr8', 'tsvector', 'tsquery', 'point', 'box'],
  ...['int4range', 'int8range', 'numrange', 'daterange', 'tsrange', 'tstzrange'],
])
/** Of extensions. */
const EXTENSIONS = new Set(['citext', 'ltree', 'hstore', 'geometry', 'geography'])

const ALIASES: Readonly<Record<string, string>> = {
  bool: 'boolean',
  int2: 'smallint',
  int: 'integer',
  int4: 'integer',
  int8: 'bigint',
  float4: 'real',
  float8: 'double precision',
  decimal: 'numeric',
  varchar: 'character varying',
  char: 'character',
  varbit: 'bit varying',
  time: 'time without time zone',
  timetz: 'time with time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
}

/** So many digits a decimal of tidemark's has; beyond them only text is exact. */
const MOST_DIGITS = 38
const PRECISE = new Set(['numeric', 'character varying', 'character', 'bit', 'bit varying', 'interval', 'time', 'timestamp'])

/** Reads a type as SQL writes it, with the usual short names; null for one that is not known. */
export function parseDeclaredType(text: string): DeclaredType | null {
  const match =
    /^\s*([a-z]\w*(?:\s+[a-z]\w*)*?)\s*(?:\(\s*(\d{1,4})\s*(?:,\s*(-?\d{1,4})\s*)?\))?(?:\s+((?:with|without) time zone))?\s*((?:\[\])*)\s*$/.exec(
      text.toLowerCase(),
    )
  if (match === null) return null
  const [, first = '', precision, scale, zone, arrays = ''] = match
  const written = first.replaceAll(/\s+/g, ' ')
  const base = zone === undefined ? (Object.hasOwn(ALIASES, written) ? (ALIASES[written] as string) : written) : `${written} ${zone}`
  const numbers = precision === undefined ? '' : `(${scale === undefined ? precision : `${precision},${scale}`})`
  const family = base.replace(/ with(out)? time zone$/, '')
  if (numbers !== '' && !PRECISE.has(family)) return null
  if (scale !== undefined && base !== 'numeric') return null
  const one = scalar(base, family, precision, scale)
  if (one === null || arrays === '') return one
  // PostgreSQL knows arrays of one kind, whatever their dimensions.
  const declared = `${one.declared}[]`
  const isExtension = EXTENSIONS.has(base)
  return { declared, type: { kind: 'other', native: declared }, native: isExtension ? 'text' : declared }
}

function scalar(base: string, family: string, precision: string | undefined, scale: string | undefined): DeclaredType | null {
  const numbers = precision === undefined ? '' : base === 'numeric' ? `(${precision},${scale ?? 0})` : `(${precision})`
  // `timestamp(3) without time zone`: the number stands in the middle.
  const declared = `${family}${numbers}${base.slice(family.length)}`
  if (base === 'numeric') return { declared, type: decimalType(precision, scale), native: declared }
  if (EXTENSIONS.has(base)) return { declared, type: { kind: 'other', native: declared }, native: 'text' }
  if (OWN.has(base)) return { declared, type: { kind: 'other', native: declared }, native: declared }
  const type = Object.hasOwn(SIMPLE, base) ? SIMPLE[base] : undefined
  return type === undefined ? null : { declared, type, native: declared }
}

function decimalType(precision: string | undefined, scale: string | undefined): DataType {
  const [digits, behind] = [Number(precision), Number(scale ?? 0)]
  const whole = behind < 0 ? digits - behind : Math.max(digits, behind)
  if (precision === undefined || whole > MOST_DIGITS)
    return { kind: 'other', native: precision === undefined ? 'numeric' : `numeric(${digits},${behind})` }
  return { kind: 'decimal', precision: whole, scale: Math.max(behind, 0) }
}

/** What PostgreSQL would declare for a type of tidemark's; text for one that only its own database knows. */
export function declaredFor(type: DataType): DeclaredType {
  const declared = nameOf(type)
  return parseDeclaredType(declared) ?? { declared: 'text', type: { kind: 'text' }, native: 'text' }
}

function nameOf(type: DataType): string {
  switch (type.kind) {
    case 'integer':
      return type.bits <= 16 ? 'smallint' : type.bits === 32 ? 'integer' : 'bigint'
    case 'float':
      return type.bits === 32 ? 'real' : 'double precision'
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'time':
    case 'timestamp':
      return `${type.kind} ${type.zoned ? 'with' : 'without'} time zone`
    case 'bytes':
      return 'bytea'
    case 'other':
      return type.native
    default:
      return type.kind
  }
}
