import { expect, test } from 'vitest'
import { tablePattern } from './connector-config.ts'

test.each([
  ['public', 'orders', 'public\\.orders'],
  ['public', 'order_items', 'public\\.order_items'],
  ['My.Schema', 'Mixed Case', 'My\\.Schema\\.Mixed\\u0020Case'],
  ['public', 'a,b$c', 'public\\.a\\u002cb\\$c'],
  ['public', 'a+(b)|[c]', 'public\\.a\\+\\(b\\)\\|\\[c\\]'],
  ['été', 'naïve', 'été\\.naïve'],
])('%s.%s is one expression, which means that table and no other', (schema, name, expected) => {
  const pattern = tablePattern({ schema, name })
  expect(pattern).toBe(expected)
  const whole = new RegExp(`^(?:${pattern})$`)
  expect(whole.test(`${schema}.${name}`)).toBe(true)
  expect(whole.test(`${schema}x${name}`)).toBe(false)
  expect(pattern).not.toContain(',')
})
