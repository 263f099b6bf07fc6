// Snowflake's types: as they are written, as DuckDB keeps them, and as the driver is told of them. Times are kept to the microsecond, unless a
// column asks for more by name; what would lose digits is refused, see sql-macros.ts.

import { type DuckDBDecimalType, type DuckDBType, DuckDBTypeId } from '@duckdb/node-api'
import { unknown } from './snowflake-error.ts'
import type { TokenCursor } from './token-cursor.ts'

export type TypeName =
  | 'NUMBER'
  | 'FLOAT'
  | 'VARCHAR'
  | 'BINARY'
  | 'BOOLEAN'
  | 'DATE'
  | 'TIME'
  | 'TIMESTAMP_NTZ'
  | 'TIMESTAMP_LTZ'
  | 'TIMESTAMP_TZ'
  | 'VARIANT'
  | 'OBJECT'
  | 'ARRAY'
  | 'GEOGRAPHY'
  | 'GEOMETRY'

export interface DataType {
  readonly name: TypeName
  /** Digits of a number; of a second's fraction for times. */
  readonly precision?: number
  readonly scale?: number
  readonly length?: number
  /** The precision stands in the statement. */
  readonly explicit?: boolean
}

const INTEGERS = ['INT', 'INTEGER', 'BIGINT', 'SMALLINT', 'TINYINT', 'BYTEINT']
const FLOATS = ['FLOAT', 'FLOAT4', 'FLOAT8', 'DOUBLE', 'REAL']
const TEXTS = ['VARCHAR', 'STRING', 'TEXT', 'CHAR', 'CHARACTER', 'NCHAR', 'NVARCHAR', 'NVARCHAR2', 'CHARVARYING']
const PLAIN: readonly TypeName[] = ['BOOLEAN', 'DATE', 'VARIANT', 'OBJECT', 'ARRAY', 'GEOGRAPHY', 'GEOMETRY']
const TIMES: Record<string, TypeName> = {
  TIME: 'TIME',
  DATETIME: 'TIMESTAMP_NTZ',
  TIMESTAMP: 'TIMESTAMP_NTZ',
  TIMESTAMP_NTZ: 'TIMESTAMP_NTZ',
  TIMESTAMPNTZ: 'TIMESTAMP_NTZ',
  TIMESTAMP_LTZ: 'TIMESTAMP_LTZ',
  TIMESTAMPLTZ: 'TIMESTAMP_LTZ',
  TIMESTAMP_TZ: 'TIMESTAMP_TZ',
  TIMESTAMPTZ: 'TIMESTAMP_TZ',
}
export const LONGEST_TEXT = 16_777_216
const LONGEST_BINARY = 8_388_608

export function parseType(cursor: TokenCursor): DataType {
  const word = cursor.name()
  if (word === 'NUMBER' || word === 'DECIMAL' || word === 'NUMERIC') {
    const [precision = 38, scale = 0] = parameters(cursor)
    return { name: 'NUMBER', precision, scale }
  }
  if (INTEGERS.includes(word)) return { name: 'NUMBER', precision: 38, scale: 0 }
  if (FLOATS.includes(word)) {
    if (word === 'DOUBLE') cursor.accept('PRECISION')
    return { name: 'FLOAT' }
  }
  if (TEXTS.includes(word)) {
    if (cursor.is('VARYING')) cursor.next()
    const short = word === 'CHAR' || word === 'CHARACTER' || word === 'NCHAR'
    return { name: 'VARCHAR', length: parameters(cursor)[0] ?? (short ? 1 : LONGEST_TEXT) }
  }
  if (word === 'BINARY' || word === 'VARBINARY') return { name: 'BINARY', length: parameters(cursor)[0] ?? LONGEST_BINARY }
  const time = TIMES[word]
  if (time) {
    const [precision] = parameters(cursor)
    return precision === undefined ? { name: time, precision: 9 } : { name: time, precision, explicit: true }
  }
  const plain = PLAIN.find((one) => one === word)
  if (!plain || cursor.is('(')) throw unknown(`the type ${word}`)
  return { name: plain }
}

function parameters(cursor: TokenCursor): number[] {
  if (!cursor.accept('(')) return []
  const numbers = [cursor.number()]
  while (cursor.accept(',')) numbers.push(cursor.number())
  cursor.expect(')')
  return numbers
}

/** As DESCRIBE TABLE prints it. */
export function printType(type: DataType): string {
  if (type.name === 'NUMBER') return `NUMBER(${type.precision},${type.scale})`
  if (type.length !== undefined) return `${type.name}(${type.length})`
  return type.precision === undefined ? type.name : `${type.name}(${type.precision})`
}

/** As INFORMATION_SCHEMA.COLUMNS names it. */
export function catalogName(type: DataType): string {
  return type.name === 'VARCHAR' ? 'TEXT' : type.name
}

export function duckType(type: DataType): string {
  if (type.name === 'NUMBER') return `DECIMAL(${type.precision},${type.scale})`
  return STORED[type.name](type)
}

const json = () => 'JSON'
const STORED: Record<Exclude<TypeName, 'NUMBER'>, (type: DataType) => string> = {
  FLOAT: () => 'DOUBLE',
  VARCHAR: () => 'VARCHAR',
  BINARY: () => 'BLOB',
  BOOLEAN: () => 'BOOLEAN',
  DATE: () => 'DATE',
  TIME: () => 'TIME_NS',
  TIMESTAMP_NTZ: (type) => (type.explicit && type.precision! > 6 ? 'TIMESTAMP_NS' : 'TIMESTAMP'),
  TIMESTAMP_LTZ: () => 'TIMESTAMPTZ',
  TIMESTAMP_TZ: () => 'STRUCT(ts TIMESTAMPTZ, tz SMALLINT)',
  VARIANT: json,
  OBJECT: json,
  ARRAY: json,
  GEOGRAPHY: json,
  GEOMETRY: json,
}

/** An expression of one of DuckDB's types as a value of a Snowflake type; `attempt`: as TRY_CAST, NULL where it is none. */
export function cast(expression: string, type: DataType, textFormats: string, attempt = false): string {
  const plain = attempt ? 'TRY_CAST' : 'CAST'
  switch (type.name) {
    case 'NUMBER':
      return number(expression, type, plain)
    case 'FLOAT':
      return `${plain}((${expression}) AS DOUBLE)`
    case 'BOOLEAN':
      return `${plain}((${expression}) AS BOOLEAN)`
    case 'VARCHAR': {
      const text = `sf_text((${expression}), (${expression})::VARCHAR, ${textFormats})`
      return type.length! < LONGEST_TEXT ? `left(${text}, ${type.length})` : text
    }
    case 'TIMESTAMP_NTZ':
      return shortened(macro(duckType(type) === 'TIMESTAMP_NS' ? 'ntz_ns' : 'ntz', expression, attempt), type)
    case 'TIMESTAMP_LTZ':
      return shortened(macro('ltz', expression, attempt), type)
    case 'TIMESTAMP_TZ':
      return macro('tz', expression, attempt)
    case 'BINARY':
    case 'DATE':
    case 'TIME':
      return macro(type.name.toLowerCase(), expression, attempt)
    default:
      return `to_json((${expression}))`
  }
}

function macro(name: string, expression: string, attempt: boolean): string {
  return `sf_${attempt ? 'try_' : ''}${name}((${expression}), (${expression})::VARCHAR)`
}

/** DuckDB reads texts of more than 18 digits slowly: most are shorter, whatever the column allows. */
function number(expression: string, { precision, scale }: DataType, plain: string): string {
  const whole = `${plain}((${expression}) AS DECIMAL(${precision},${scale}))`
  if (precision! <= 18 || scale! > 12) return whole
  return `coalesce(TRY_CAST((${expression}) AS DECIMAL(18,${scale}))::DECIMAL(${precision},${scale}), ${whole})`
}

function shortened(expression: string, type: DataType): string {
  if (type.precision === 0) return `date_trunc('second', ${expression})`
  if (type.precision === 3) return `date_trunc('millisecond', ${expression})`
  if (type.precision! >= 6) return expression
  throw unknown(`the precision ${type.precision} of a time; it knows 0, 3, 6 and 9`)
}

/** A column as the driver is told of it. */
export interface WireColumn {
  readonly name: string
  readonly type: string
  readonly precision: number | null
  readonly scale: number | null
  readonly length: number | null
  readonly nullable: boolean
}

type WireType = Omit<WireColumn, 'name' | 'nullable'>

const wire = (type: string, precision: number | null = null, scale: number | null = null, length: number | null = null): WireType => ({
  type,
  precision,
  scale,
  length,
})

export const TEXT_COLUMN = wire('text', null, null, LONGEST_TEXT)
export const FIXED_COLUMN = wire('fixed', 38, 0)
export const BOOLEAN_COLUMN = wire('boolean')
export const LTZ_COLUMN = wire('timestamp_ltz', 0, 9)

/** DuckDB prints a number that is all fraction without a zero before its point. */
const withZero = (expression: string) => `regexp_replace(${expression}::VARCHAR, '^(-?)\\.', '\\10.')`

/** How a result's column of one of DuckDB's types is told, and how its values are written, as text. */
export function wireType(type: DuckDBType): { readonly column: WireType; readonly cell: (expression: string) => string } {
  const text = (expression: string) => `${expression}::VARCHAR`
  switch (type.typeId) {
    case DuckDBTypeId.DECIMAL: {
      const { width, scale } = type as DuckDBDecimalType
      return { column: wire('fixed', width, scale), cell: width === scale ? withZero : text }
    }
    case DuckDBTypeId.BIGINT:
      return { column: wire('fixed', 18, 0), cell: text }
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UBIGINT:
    case DuckDBTypeId.HUGEINT:
    case DuckDBTypeId.SQLNULL:
      return { column: type.typeId === DuckDBTypeId.SQLNULL ? TEXT_COLUMN : FIXED_COLUMN, cell: text }
    case DuckDBTypeId.FLOAT:
    case DuckDBTypeId.DOUBLE:
      return { column: wire('real'), cell: (one) => `replace(${one}::VARCHAR, 'nan', 'NaN')` }
    case DuckDBTypeId.BOOLEAN:
      return { column: BOOLEAN_COLUMN, cell: (one) => `${one}::INTEGER::VARCHAR` }
    case DuckDBTypeId.VARCHAR:
      return type.alias === 'JSON' ? { column: wire('variant'), cell: text } : { column: TEXT_COLUMN, cell: (one) => one }
    case DuckDBTypeId.DATE:
      return { column: wire('date'), cell: (one) => `(${one} - DATE '1970-01-01')::VARCHAR` }
    case DuckDBTypeId.BLOB:
      return { column: wire('binary', null, null, LONGEST_BINARY), cell: (one) => `hex(${one})` }
    case DuckDBTypeId.TIME:
    case DuckDBTypeId.TIME_NS:
      return { column: wire('time', 0, 9), cell: (one) => `sf_wire_ns(epoch_ns(${one}::TIME_NS))` }
    case DuckDBTypeId.TIMESTAMP_NS:
      return { column: wire('timestamp_ntz', 0, 9), cell: (one) => `sf_wire_ns(epoch_ns(${one}))` }
    case DuckDBTypeId.TIMESTAMP:
      return { column: wire('timestamp_ntz', 0, 9), cell: (one) => `sf_wire_us(epoch_us(${one}))` }
    case DuckDBTypeId.TIMESTAMP_TZ:
      return { column: LTZ_COLUMN, cell: (one) => `sf_wire_us(epoch_us(${one}))` }
    case DuckDBTypeId.STRUCT:
      return { column: wire('timestamp_tz', 0, 9), cell: (one) => `sf_wire_us(epoch_us(${one}.ts)) || ' ' || (${one}.tz + 1440)` }
    default:
      throw unknown(`a result of DuckDB's type ${type}`)
  }
}
