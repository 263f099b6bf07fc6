import { expect, test } from 'vitest'
import { identifier, isUnreachable, literal, shownName, tableIdentifier } from './names.ts'

test.each([
  ['orders', '"ORDERS"'],
  ['order_id2$', '"ORDER_ID2$"'],
  ['ORDERS', '"ORDERS"'],
  ['OrderId', '"OrderId"'],
  ['with space', '"with space"'],
  ['é', '"é"'],
  ['2nd', '"2nd"'],
  ['a"; DROP TABLE x', '"a""; DROP TABLE x"'],
])('%s is %s', (name, expected) => {
  expect(identifier(name)).toBe(expected)
})

test('what a query finds without quotes is shown in small letters', () => {
  expect(['ORDERS', 'OrderId', 'id', '2ND', 'A B'].map(shownName)).toEqual(['orders', 'OrderId', 'id', '2ND', 'A B'])
  expect(['ORDERS', 'OrderId', 'id'].map(isUnreachable)).toEqual([false, false, true])
  expect(tableIdentifier({ schema: 'raw', name: 'orders' })).toBe('"RAW"."ORDERS"')
})

test('a name over the limit is refused', () => {
  expect(() => identifier('x'.repeat(256))).toThrow(expect.objectContaining({ code: 'bad-value' }))
  expect(identifier('x'.repeat(255))).toHaveLength(257)
})

test('a literal keeps quotes and backslashes', () => {
  expect(literal("it's \\ a 'text'")).toBe("'it''s \\\\ a ''text'''")
})
