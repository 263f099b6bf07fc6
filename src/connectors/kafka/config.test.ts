import { expect, test } from 'vitest'
import { LoadError } from '../../core/errors.ts'
import { parseKafkaConfig } from './config.ts'

test('only what never leaves this machine goes without TLS, unless that is written out', () => {
  const mode = (brokers: readonly string[], tls?: unknown): string => parseKafkaConfig({ brokers, tls }).tls.mode
  expect(mode(['localhost:9092', '127.0.0.1:9093', '[::1]:9092'])).toBe('disable')
  expect(mode(['localhost:9092', 'kafka:9092'])).toBe('verify-full')
  expect(mode(['localhost.example:9092'])).toBe('verify-full')
  expect(mode(['kafka:9092'], 'disable')).toBe('disable')
  expect(mode(['kafka:9092'], { mode: 'require' })).toBe('require')
  expect(mode(['kafka:9092'], { ca: '/ca.pem' })).toBe('verify-full')
})

test('brokers are needed, also by a library', () => {
  expect(() => parseKafkaConfig({})).toThrow(LoadError)
  expect(parseKafkaConfig({ brokers: ['localhost:9092'] })).toMatchObject({ connect: null, timeoutSeconds: 10, sasl: null })
})
