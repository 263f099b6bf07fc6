import { expect, test } from 'vitest'
import { shownValue, withoutSecrets } from './hide-secrets.ts'

test.each([
  ['database.password', 'kestrel'],
  ['database.sslkey.password', 'kestrel'],
  ['signal.consumer.sasl.jaas.config', 'org.apache.Plain username="a" password="kestrel";'],
  ['value.converter.basic.auth.user.info', 'user:kestrel'],
  ['value.converter.schema.registry.url', 'http://user:kestrel@registry:8081'],
  ['ssl.keystore.key', 'kestrel'],
  ['transforms.encrypt.secret', 'kestrel'],
  ['some.api.token', 'kestrel'],
])('%s is never shown', (property, value) => {
  expect(shownValue(property, value)).toBe('********')
  expect(withoutSecrets(`before ${value} after`, [{ [property]: value }])).toBe('before ******** after')
})

test('other values are, in one line, and so is a reference to a config provider', () => {
  expect(shownValue('key.converter', 'org.apache.Json')).toBe('org.apache.Json')
  expect(shownValue('heartbeat.action.query', 'UPDATE a\nSET b')).toBe('UPDATE a SET b')
  expect(shownValue('database.password', '${file:/opt/s.properties:password}')).toBe('${file:/opt/s.properties:password}')
  expect(shownValue('own.word', 'kestrel', new Set(['own.word']))).toBe('********')
})

test('of two secrets one of which is a part of the other nothing is left', () => {
  expect(withoutSecrets('is kestrel-7', [{ 'a.password': 'kestrel' }, { 'b.password': 'kestrel-7' }])).toBe('is ********')
})

test('of a long text begin and end are left, in one line of at most 500', () => {
  const text = withoutSecrets(`begin\n${'x'.repeat(2000)}\tthe reason`, [])
  expect(text).toMatch(/^begin x+ … x+ the reason$/)
  expect(text.length).toBe(500)
})
