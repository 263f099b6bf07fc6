// Which DuckDB type holds a column of another system, and what a DuckDB type is in tidemark's terms.

import type { DataType } from '../../core/data-type.ts'
import { holds, sameType } from '../../core/data-type.ts'
import type { TypeRules } from '../../core/schema-change.ts'
import type { Column } from '../../core/table.ts'

const INTEGERS = { 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' } as const

/** The type a column gets in a table made by tidemark. */
function nativeOf(type: DataType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN'
    case 'integer':
      return INTEGERS[type.bits]
    case 'float':
      return type.bits === 32 ? 'FLOAT' : 'DOUBLE'
    case 'decimal':
      return isDuckdbDecimal(type) ? `DECIMAL(${type.precision},${type.scale})` : 'VARCHAR'
    case 'timestamp':
      return type.zoned ? 'TIMESTAMP WITH TIME ZONE' : 'TIMESTAMP'
    case 'time':
      return type.zoned ? 'TIME WITH TIME ZONE' : 'TIME'
    case 'bytes':
      return 'BLOB'
    case 'date':
    case 'json':
    case 'uuid':
    case 'interval':
      return type.kind.toUpperCase()
    default:
      return 'VARCHAR'
  }
}

function isDuckdbDecimal({ precision, scale }: DataType & { kind: 'decimal' }): boolean {
  return precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
}

const PLAIN: Readonly<Record<string, DataType>> = {
  BOOLEAN: { kind: 'boolean' },
  TINYINT: { kind: 'integer', bits: 8 },
  SMALLINT: { kind: 'integer', bits: 16 },
  INTEGER: { kind: 'integer', bits: 32 },
  BIGINT: { kind: 'integer', bits: 64 },
  // 38 digits always fit.
  HUGEINT: { kind: 'decimal', precision: 38, scale: 0 },
  FLOAT: { kind: 'float', bits: 32 },
  DOUBLE: { kind: 'float', bits: 64 },
  DATE: { kind: 'date' },
  TIMESTAMP: { kind: 'timestamp', zoned: false },
  'TIMESTAMP WITH TIME ZONE': { kind: 'timestamp', zoned: true },
  TIME: { kind: 'time', zoned: false },
  'TIME WITH TIME ZONE': { kind: 'time', zoned: true },
  INTERVAL: { kind: 'interval' },
  UUID: { kind: 'uuid' },
  BLOB: { kind: 'bytes' },
  JSON: { kind: 'json' },
  VARCHAR: { kind: 'text' },
}

/** A type as `duckdb_columns()` prints it. */
export function dataTypeOf(native: string): DataType {
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(native)
  if (decimal !== null) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) }
  return PLAIN[native] ?? { kind: 'other', native }
}

const TEXTUAL = new Set<DataType['kind']>(['text', 'json', 'uuid', 'other'])

/** DuckDB's judgement. Values travel in the type of the target's column, so the source converts where `fits`. */
export const duckdbTypes: TypeRules = {
  targetColumn(column: Column): Column {
    const native = nativeOf(column.type)
    return { ...column, native, type: dataTypeOf(native), generated: false }
  },
  compare(existing, wanted) {
    if (existing.native === wanted.native) return 'same'
    if (existing.type.kind === 'other') return 'conflict'
    if (sameType(existing.type, wanted.type) || holds(existing.type, wanted.type)) return 'fits'
    // Text that DuckDB would check or reorder no further.
    if (existing.native === 'VARCHAR' && TEXTUAL.has(wanted.type.kind)) return 'fits'
    return holds(wanted.type, existing.type) ? 'widen' : 'conflict'
  },
}
