// PostgreSQL's types in tidemark's words, and how a column is selected so that its binary form is what was agreed.

import type { DataType } from '../../core/data-type.ts'
import { compareTypes, type TypeRules } from '../../core/schema-change.ts'
import type { Column } from '../../core/table.ts'
import { identifier } from '../../sql/quote.ts'

/** A type as the catalogs describe it, domains already resolved. */
export interface CatalogType {
  readonly name: string
  /** `format_type` with its modifier. */
  readonly formatted: string
  readonly modifier: number
  /** b base, c composite, e enum, r range, m multirange, p pseudo. */
  readonly kind: string
  /** Made by PostgreSQL itself, so that every server has it. */
  readonly builtin: boolean
  readonly hasBinary: boolean
  /** Of an array: its element is an enum. */
  readonly elementKind: string | null
  readonly elementBuiltin: boolean
}

const SIMPLE: Readonly<Record<string, DataType>> = {
  bool: { kind: 'boolean' },
  int2: { kind: 'integer', bits: 16 },
  int4: { kind: 'integer', bits: 32 },
  int8: { kind: 'integer', bits: 64 },
  oid: { kind: 'integer', bits: 64 },
  float4: { kind: 'float', bits: 32 },
  float8: { kind: 'float', bits: 64 },
  text: { kind: 'text' },
  varchar: { kind: 'text' },
  bpchar: { kind: 'text' },
  name: { kind: 'text' },
  char: { kind: 'text' },
  xml: { kind: 'text' },
  bytea: { kind: 'bytes' },
  json: { kind: 'json' },
  jsonb: { kind: 'json' },
  uuid: { kind: 'uuid' },
  date: { kind: 'date' },
  time: { kind: 'time', zoned: false },
  timetz: { kind: 'time', zoned: true },
  timestamp: { kind: 'timestamp', zoned: false },
  timestamptz: { kind: 'timestamp', zoned: true },
  interval: { kind: 'interval' },
}

/** The logical type, and the type under which another Postgres takes the value. */
export function readType(type: CatalogType): { type: DataType; native: string } {
  if (type.kind === 'e') return { type: { kind: 'text' }, native: 'text' }
  if (type.elementKind !== null && !type.elementBuiltin)
    return { type: { kind: 'other', native: type.formatted }, native: type.elementKind === 'e' ? 'text[]' : 'text' }
  if (!type.builtin || !type.hasBinary || type.name.startsWith('reg'))
    return { type: { kind: 'other', native: type.formatted }, native: 'text' }
  if (type.name === 'numeric') return { type: decimalType(type.modifier), native: type.formatted }
  return { type: SIMPLE[type.name] ?? { kind: 'other', native: type.formatted }, native: type.formatted }
}

/** numeric(p,s) that fits 38 digits is a decimal; without limits it is only exact as text. */
function decimalType(modifier: number): DataType {
  if (modifier < 4) return { kind: 'other', native: 'numeric' }
  const precision = ((modifier - 4) >> 16) & 0xffff
  const scale = (((modifier - 4) & 0x7ff) ^ 0x400) - 0x400 // eleven bits with sign, since PostgreSQL 15
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale)
  if (digits > 38) return { kind: 'other', native: `numeric(${precision},${scale})` }
  return { kind: 'decimal', precision: digits, scale: Math.max(scale, 0) }
}

/** PostgreSQL's own type for a logical type, for targets whose source is no Postgres. */
export function nativeType(type: DataType): string {
  switch (type.kind) {
    case 'integer':
      return type.bits <= 16 ? 'smallint' : type.bits === 32 ? 'integer' : 'bigint'
    case 'float':
      return type.bits === 32 ? 'real' : 'double precision'
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'time':
      return type.zoned ? 'time with time zone' : 'time without time zone'
    case 'timestamp':
      return type.zoned ? 'timestamp with time zone' : 'timestamp without time zone'
    case 'bytes':
      return 'bytea'
    case 'other':
      return 'text'
    default:
      return type.kind
  }
}

/** A column of a Postgres source, with the type it has there. */
export interface PostgresColumn extends Column {
  /** Domains resolved; differs from `native` where another server could not know the type. */
  readonly declared: string
  /** Its collation takes different texts for equal. */
  readonly loose?: boolean
}

/** How a column is selected when the target's column has the type `wanted`. */
export function selectForCopy(column: PostgresColumn, wanted: Column): string {
  const to = ownType(wanted)
  return column.declared === to ? identifier(column.name) : `${identifier(column.name)}::${withoutModifier(to)}`
}

/** `format_type` prints small letters; DOUBLE, FLOAT, BLOB are other databases' names, which mean something else here or nothing. */
function ownType({ native, type }: Column): string {
  return native === null || /^[A-Z]/.test(native) ? nativeType(type) : native
}

/** The binary form that the columns codec reads for each logical type. */
export function selectForColumns(column: Column, wanted: Column): string {
  const name = identifier(column.name)
  switch (wanted.type.kind) {
    case 'text':
    case 'json':
    case 'other':
      return `${name}::text`
    case 'decimal':
      return `${name}::numeric`
    default:
      return `${name}::${nativeType(wanted.type)}`
  }
}

/** A length would cut what does not fit; left out, the target's column refuses it. */
function withoutModifier(type: string): string {
  // `character` and `bit` alone mean a length of one.
  return type
    .replace(/\(\s*-?\d+(?:\s*,\s*-?\d+)?\s*\)/, '')
    .replace(/^character$/, 'bpchar')
    .replace(/^bit$/, 'bit varying')
}

export const POSTGRES_TYPES: TypeRules = {
  targetColumn(column) {
    const native = column.native ?? nativeType(column.type)
    return { ...column, native, nullable: true, generated: false }
  },
  compare(existing, wanted) {
    if (existing.native === wanted.native) return 'same'
    const logical = compareTypes(existing, wanted)
    if (logical === 'same' || logical === 'fits') return lengthVerdict(existing, wanted) ?? 'fits'
    if (logical === 'widen') return 'widen'
    return textVerdict(existing, wanted)
  },
}

/** varchar(5) can't hold varchar(10), though both are text. */
function lengthVerdict(existing: Column, wanted: Column): 'fits' | 'widen' | null {
  const limit = (native: string | null): number => Number(/^character(?: varying)?\((\d+)\)/.exec(native ?? '')?.[1] ?? Infinity)
  if (existing.type.kind !== 'text') return null
  return limit(existing.native) >= limit(wanted.native) ? 'fits' : 'widen'
}

function textVerdict(existing: Column, wanted: Column): 'fits' | 'widen' | 'conflict' {
  if (
    existing.native === 'numeric' &&
    (wanted.type.kind === 'decimal' || wanted.type.kind === 'integer' || wanted.native?.startsWith('numeric'))
  )
    return 'fits'
  if (
    wanted.native === 'numeric' &&
    (existing.type.kind === 'decimal' || existing.type.kind === 'integer' || existing.native?.startsWith('numeric'))
  )
    return 'widen'
  // Text holds the text of anything, exactly as its own database prints it.
  if (existing.native === 'text') return 'fits'
  return 'conflict'
}
