import { expect, test } from 'vitest'
import { FOREIGN_VALUES, GOLDEN_VALUES } from '../../test/debezium/golden-values.ts'
import type { DebeziumModes } from './debezium-encoding.ts'
import { debeziumLosses } from './debezium-losses.ts'

const SAFE: DebeziumModes = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
}
const losses = (declared: string, modes: Partial<DebeziumModes> = {}, isEnum = false) =>
  debeziumLosses([{ name: 'v', declared, isEnum, place: 0 }], { ...SAFE, ...modes })

test.each([
  'boolean',
  'bigint',
  'numeric',
  'numeric(12,2)',
  'text',
  'jsonb',
  'bytea',
  'uuid',
  'timestamp with time zone',
  'interval',
  'bit(10)',
])('nothing is lost of %s with safe settings', (declared) => expect(losses(declared)).toEqual([]))

test('every value that is refused was told of before', () => {
  const silent = [...GOLDEN_VALUES, ...FOREIGN_VALUES].flatMap(({ declared, isEnum, forms }) =>
    forms
      .filter(({ refused, schema, modes }) => refused !== undefined && schema === undefined && !losses(declared, modes, isEnum).length)
      .map(({ json }) => `${declared} ${json}`),
  )
  expect(silent).toEqual([])
})

test.each([
  ['numeric(12,2)', { decimals: 'precise', failures: 'warn' }, 'NaN'],
  ['numeric', { decimals: 'precise' }, 'not changed'],
  ['timestamp without time zone', { times: 'nanoseconds', failures: 'warn' }, '1677'],
  ['time without time zone', { times: 'structured', failures: 'warn' }, '24:00:00'],
  ['date', { times: 'structured' }, 'before Christ'],
  ['bytea', { binary: 'base64' }, 'not changed'],
  ['money', {}, 'lc_monetary'],
  ['comp', {}, 'include.unknown.datatypes'],
  ['integer[]', {}, 'lower bounds'],
] as const)('what can not be seen in a value is told of: %s, %o', (declared, modes, says) => {
  const told = losses(declared, modes).map(({ what, hint }) => `${what} ${hint}`)
  expect(told.some((one) => one.includes(says))).toBe(true)
})

test('columns that are not loaded lose nothing', () => {
  expect(debeziumLosses([{ name: 'v', declared: 'bit varying', place: null }], SAFE)).toEqual([])
})
