// Which Snowflake type holds a column of another system, and what a Snowflake type is in tidemark's terms.

import type { DataType } from '../../core/data-type.ts'
import { holds, sameType } from '../../core/data-type.ts'
import { LoadError } from '../../core/errors.ts'
import type { TypeRules } from '../../core/schema-change.ts'
import type { Column } from '../../core/table.ts'
import { shownName } from './names.ts'

const DIGITS = { 8: 3, 16: 5, 32: 10, 64: 19 } as const
const MOST_DIGITS = 38
const MOST_SCALE = 37
/** Sources have microseconds. */
const FRACTION = 6

/** The type a column gets in a table made by tidemark. What Snowflake has no exact type for is text. */
function nativeOf(type: DataType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN'
    case 'integer':
      return `NUMBER(${DIGITS[type.bits]},0)`
    case 'float':
      return 'FLOAT'
    case 'decimal':
      return isNumber(type) ? `NUMBER(${type.precision},${type.scale})` : 'VARCHAR'
    case 'timestamp':
      return `${type.zoned ? 'TIMESTAMP_LTZ' : 'TIMESTAMP_NTZ'}(${FRACTION})`
    case 'time':
      return type.zoned ? 'VARCHAR' : `TIME(${FRACTION})`
    case 'date':
      return 'DATE'
    case 'bytes':
      return 'BINARY'
    default:
      return 'VARCHAR'
  }
}

function isNumber({ precision, scale }: DataType & { kind: 'decimal' }): boolean {
  return precision >= 1 && precision <= MOST_DIGITS && scale >= 0 && scale <= Math.min(precision, MOST_SCALE)
}

const PLAIN: Readonly<Record<string, DataType>> = {
  BOOLEAN: { kind: 'boolean' },
  FLOAT: { kind: 'float', bits: 64 },
  DATE: { kind: 'date' },
  TIME: { kind: 'time', zoned: false },
  TIMESTAMP_NTZ: { kind: 'timestamp', zoned: false },
  TIMESTAMP_LTZ: { kind: 'timestamp', zoned: true },
  TIMESTAMP_TZ: { kind: 'timestamp', zoned: true },
  VARCHAR: { kind: 'text' },
  BINARY: { kind: 'bytes' },
  VARIANT: { kind: 'json' },
  OBJECT: { kind: 'json' },
  ARRAY: { kind: 'json' },
}

/** A type as DESCRIBE TABLE prints it. One with a collation is another: it takes different texts for equal. */
export function dataTypeOf(native: string): DataType {
  const number = /^NUMBER\((\d+),(\d+)\)$/.exec(native)
  if (number !== null) return { kind: 'decimal', precision: Number(number[1]), scale: Number(number[2]) }
  const plain = /^([A-Z_]+)(?:\(\d+\))?$/.exec(native)?.[1]
  return (plain === undefined ? undefined : PLAIN[plain]) ?? { kind: 'other', native }
}

/**
 * The same for a target's column: the NUMBER that tidemark makes for an integer holds integers. At a source it may hold more than 64 bits do.
 */
export function targetTypeOf(native: string): DataType {
  const digits = /^NUMBER\((\d+),0\)$/.exec(native)?.[1]
  const bits = ([8, 16, 32, 64] as const).find((one) => DIGITS[one] === Number(digits))
  return bits === undefined ? dataTypeOf(native) : { kind: 'integer', bits }
}

/** Snowflake's judgement. Values travel as text, and are converted as they are loaded. */
export const SNOWFLAKE_TYPES: TypeRules = {
  targetColumn(column: Column): Column {
    if (shownName(column.name) !== column.name)
      throw new LoadError(
        'schema-conflict',
        `Column "${column.name}" is all capitals; Snowflake would take it and "${shownName(column.name)}" for one.`,
        { hint: 'Give it another name with AS in a `query`, or leave it out with `columns: { exclude: […] }`.' },
      )
    const native = nativeOf(column.type)
    return { ...column, native, type: targetTypeOf(native), generated: false }
  },
  compare(existing, wanted) {
    if (existing.native === wanted.native) return 'same'
    if (existing.type.kind === 'other' || existing.type.kind === 'json') return 'conflict'
    if (losesFractions(existing)) return 'conflict'
    if (sameType(existing.type, wanted.type) || holds(dataTypeOf(existing.native ?? ''), dataTypeOf(wanted.native ?? ''))) return 'fits'
    return grows(existing, wanted) ? 'widen' : 'conflict'
  },
}

/** What has more digits behind the point would be cut without a word. */
function losesFractions({ native, type }: Column): boolean {
  if (type.kind !== 'timestamp' && type.kind !== 'time') return false
  return Number(/\((\d)\)/.exec(native ?? '')?.[1] ?? 9) < FRACTION
}

/** A NUMBER may only grow in digits before the point. */
function grows(existing: Column, wanted: Column): boolean {
  const [a, b] = [dataTypeOf(existing.native ?? ''), dataTypeOf(wanted.native ?? '')]
  return a.kind === 'decimal' && b.kind === 'decimal' && a.scale === b.scale && holds(b, a)
}
