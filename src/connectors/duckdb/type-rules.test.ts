import { expect, test } from 'vitest'
import type { DataType } from '../../core/data-type.ts'
import type { Column } from '../../core/table.ts'
import { duckdb } from './connector.ts'
import { dataTypeOf, duckdbTypes } from './type-rules.ts'

const column = (type: DataType, native: string | null = null): Column => ({ name: 'c', type, native, nullable: true })
const existing = (native: string): Column => column(dataTypeOf(native), native)

test.each<[DataType, string]>([
  [{ kind: 'integer', bits: 16 }, 'SMALLINT'],
  [{ kind: 'float', bits: 32 }, 'FLOAT'],
  [{ kind: 'decimal', precision: 38, scale: 10 }, 'DECIMAL(38,10)'],
  [{ kind: 'decimal', precision: 39, scale: 10 }, 'VARCHAR'],
  [{ kind: 'decimal', precision: 2, scale: 5 }, 'VARCHAR'],
  [{ kind: 'decimal', precision: 5, scale: -2 }, 'VARCHAR'],
  [{ kind: 'timestamp', zoned: true }, 'TIMESTAMP WITH TIME ZONE'],
  [{ kind: 'time', zoned: true }, 'TIME WITH TIME ZONE'],
  [{ kind: 'json' }, 'JSON'],
  [{ kind: 'other', native: 'point' }, 'VARCHAR'],
])('%o becomes %s', (type, native) => {
  const made = duckdbTypes.targetColumn(column(type))
  expect(made.native).toBe(native)
  // What was made is found again, and needs no change.
  expect(made.type).toEqual(dataTypeOf(native))
  expect(duckdbTypes.compare(existing(native), made)).toBe('same')
})

test.each([
  ['BIGINT', 'INTEGER', 'fits'],
  ['INTEGER', 'BIGINT', 'widen'],
  ['HUGEINT', 'BIGINT', 'fits'],
  ['DECIMAL(12,2)', 'DECIMAL(10,2)', 'fits'],
  ['DECIMAL(10,2)', 'DECIMAL(12,4)', 'widen'],
  ['VARCHAR', 'JSON', 'fits'],
  ['VARCHAR', 'UUID', 'fits'],
  ['VARCHAR', 'INTEGER', 'conflict'],
  ['JSON', 'VARCHAR', 'conflict'],
  ['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'conflict'],
  ['UBIGINT', 'BIGINT', 'conflict'],
  ['INTEGER[]', 'VARCHAR', 'conflict'],
] as const)('%s for %s: %s', (has, wanted, verdict) => {
  expect(duckdbTypes.compare(existing(has), existing(wanted))).toBe(verdict)
})

test('what the project file gives', () => {
  expect(duckdb.parse({ path: '/w.duckdb', state_schema: 'etl', memory_limit: '1GB', threads: 4 })).toEqual({
    path: '/w.duckdb',
    stateSchema: 'etl',
    memoryLimit: '1GB',
    threads: 4,
  })
  for (const raw of [{}, { path: 7 }, { path: 'a\0b' }, { path: 'x', threads: 0 }, { path: 'x', memory_limit: 5 }])
    expect(() => duckdb.parse(raw)).toThrow(expect.objectContaining({ code: 'bad-project' }))
})
