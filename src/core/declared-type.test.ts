import { expect, test } from 'vitest'
import { declaredFor, parseDeclaredType } from './declared-type.ts'

test.each([
  ['int8', 'bigint', { kind: 'integer', bits: 64 }],
  ['NUMERIC(12, 2)', 'numeric(12,2)', { kind: 'decimal', precision: 12, scale: 2 }],
  ['decimal(5)', 'numeric(5,0)', { kind: 'decimal', precision: 5, scale: 0 }],
  ['numeric(3,-2)', 'numeric(3,-2)', { kind: 'decimal', precision: 5, scale: 0 }],
  ['numeric(2,5)', 'numeric(2,5)', { kind: 'decimal', precision: 5, scale: 5 }],
  ['numeric', 'numeric', { kind: 'other', native: 'numeric' }],
  ['numeric(50,2)', 'numeric(50,2)', { kind: 'other', native: 'numeric(50,2)' }],
  ['varchar(20)', 'character varying(20)', { kind: 'text' }],
  ['timestamptz', 'timestamp with time zone', { kind: 'timestamp', zoned: true }],
  ['timestamp(3)', 'timestamp(3) without time zone', { kind: 'timestamp', zoned: false }],
  ['timestamp(3) with time zone', 'timestamp(3) with time zone', { kind: 'timestamp', zoned: true }],
  ['time  with time zone', 'time with time zone', { kind: 'time', zoned: true }],
  ['double precision', 'double precision', { kind: 'float', bits: 64 }],
  ['bit(10)', 'bit(10)', { kind: 'other', native: 'bit(10)' }],
  ['int[]', 'integer[]', { kind: 'other', native: 'integer[]' }],
  ['numeric(12,2)[]', 'numeric(12,2)[]', { kind: 'other', native: 'numeric(12,2)[]' }],
] as const)('%s', (text, declared, type) => {
  expect(parseDeclaredType(text)).toEqual({ declared, type, native: declared })
})

test('types of extensions are text elsewhere', () => {
  expect(parseDeclaredType('citext')?.native).toBe('text')
  expect(parseDeclaredType('hstore[]')?.native).toBe('text')
})

test.each(['', 'status', 'int(3)', 'text(5)', 'varchar(5,2)', 'numeric(', 'timestamp with', 'constructor', 'text; DROP', 'integer[3]'])(
  '%s is no type',
  (text) => expect(parseDeclaredType(text)).toBeNull(),
)

test('every type of tidemark has one that reads back as itself', () => {
  for (const text of [
    'smallint',
    'real',
    'numeric(12,2)',
    'time without time zone',
    'timestamp with time zone',
    'bytea',
    'json',
    'interval',
  ]) {
    const parsed = parseDeclaredType(text)
    expect(parsed === null ? null : declaredFor(parsed.type)).toEqual(parsed)
  }
  expect(declaredFor({ kind: 'integer', bits: 8 }).declared).toBe('smallint')
  expect(declaredFor({ kind: 'other', native: 'UBIGINT' }).declared).toBe('text')
})
