import { expect, test } from 'vitest'
import type { DataType } from '../../core/data-type.ts'
import type { Column } from '../../core/table.ts'
import { SNOWFLAKE_TYPES, targetTypeOf } from './type-rules.ts'

const column = (type: DataType, name = 'c'): Column => ({ name, type, native: null, nullable: true })
const existing = (native: string): Column => ({ name: 'c', type: targetTypeOf(native), native, nullable: true })

const MADE: readonly (readonly [DataType, string])[] = [
  [{ kind: 'boolean' }, 'BOOLEAN'],
  [{ kind: 'integer', bits: 64 }, 'NUMBER(19,0)'],
  [{ kind: 'float', bits: 32 }, 'FLOAT'],
  [{ kind: 'decimal', precision: 38, scale: 37 }, 'NUMBER(38,37)'],
  [{ kind: 'decimal', precision: 38, scale: 38 }, 'VARCHAR'],
  [{ kind: 'timestamp', zoned: false }, 'TIMESTAMP_NTZ(6)'],
  [{ kind: 'timestamp', zoned: true }, 'TIMESTAMP_LTZ(6)'],
  [{ kind: 'time', zoned: true }, 'VARCHAR'],
  [{ kind: 'json' }, 'VARCHAR'],
  [{ kind: 'other', native: 'int4range' }, 'VARCHAR'],
]

test.each(MADE)('%o becomes %s', (type, native) => {
  expect(SNOWFLAKE_TYPES.targetColumn(column(type)).native).toBe(native)
})

const JUDGED: readonly (readonly [string, DataType, string])[] = [
  ['NUMBER(19,0)', { kind: 'integer', bits: 64 }, 'same'],
  ['NUMBER(38,0)', { kind: 'integer', bits: 64 }, 'fits'],
  ['NUMBER(10,0)', { kind: 'integer', bits: 64 }, 'widen'],
  ['NUMBER(12,2)', { kind: 'decimal', precision: 14, scale: 2 }, 'widen'],
  // It would round.
  ['NUMBER(38,2)', { kind: 'decimal', precision: 10, scale: 4 }, 'conflict'],
  ['VARCHAR(16777216)', { kind: 'text' }, 'fits'],
  ["VARCHAR(16777216) COLLATE 'en-ci'", { kind: 'text' }, 'conflict'],
  ['TIMESTAMP_NTZ(9)', { kind: 'timestamp', zoned: false }, 'fits'],
  ['TIMESTAMP_NTZ(3)', { kind: 'timestamp', zoned: false }, 'conflict'],
  ['TIMESTAMP_TZ(9)', { kind: 'timestamp', zoned: true }, 'fits'],
  ['TIMESTAMP_NTZ(9)', { kind: 'timestamp', zoned: true }, 'conflict'],
  ['VARIANT', { kind: 'json' }, 'conflict'],
  ['GEOGRAPHY', { kind: 'text' }, 'conflict'],
]

test.each(JUDGED)('%s for %o: %s', (native, type, verdict) => {
  expect(SNOWFLAKE_TYPES.compare(existing(native), SNOWFLAKE_TYPES.targetColumn(column(type)))).toBe(verdict)
})

test('a name in capitals is refused: it could not be told from the same in small letters', () => {
  expect(() => SNOWFLAKE_TYPES.targetColumn(column({ kind: 'text' }, 'ID'))).toThrow(expect.objectContaining({ code: 'schema-conflict' }))
})
