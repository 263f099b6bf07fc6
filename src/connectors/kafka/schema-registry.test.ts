import { expect, test } from 'vitest'
import { startRegistry } from '../../../test/kafka/schema-registry.ts'
import { SchemaRegistry } from './schema-registry.ts'

const open = (url: string, timeoutMs = 2_000): SchemaRegistry =>
  new SchemaRegistry({ url, user: null, password: null, what: 'source kafka', timeoutMs })

test('each schema is asked for once, and one that is not there again and again', async () => {
  await using server = await startRegistry()
  const id = server.register('s', { type: 'record', name: 'R', fields: [] })
  const registry = open(`${server.url}/`)
  await registry.fetch(new Set([id, 7]))
  await registry.fetch(new Set([id, 7]))
  expect(server.asked).toEqual(['/schemas/ids/1', '/schemas/ids/7', '/schemas/ids/7'])
  expect(registry.schema(id).type).toEqual({ kind: 'record', fields: [] })
  expect(() => registry.schema(7)).toThrow(expect.objectContaining({ code: 'bad-message', message: expect.stringContaining('schema 7') }))
  for (let more = 0; more < 6; more++) server.register('s', { type: 'record', name: 'R', fields: [] })
  await registry.fetch(new Set([7]))
  expect(registry.schema(7).type.kind).toBe('record')
})

test('no more than a thousand are kept, and those that are needed now always', async () => {
  await using server = await startRegistry()
  const ids = Array.from({ length: 1003 }, () => server.register('s', { type: 'record', name: 'R', fields: [] }))
  const registry = open(server.url)
  await registry.fetch(new Set(ids.slice(0, 1000)))
  expect(server.asked).toHaveLength(1000)
  await registry.fetch(new Set([1, ...ids.slice(1000)]))
  expect(server.asked).toHaveLength(1003)
  expect([1, 1003].map((id) => registry.schema(id).type.kind)).toEqual(['record', 'record'])
  await registry.fetch(new Set([2]))
  expect(server.asked).toHaveLength(1004)
})

test.each([
  [401, '', 'authentication-failed'],
  [403, '', 'authentication-failed'],
  [500, '', 'unreachable'],
  [429, '', 'unreachable'],
  [302, '', 'unsupported-server'],
  [404, '{"message":"HTTP 404 Not Found"}', 'unsupported-server'],
  [200, '{"schema":5}', 'unsupported-server'],
  [200, '<html>', 'unsupported-server'],
])('%i %s: %s', async (status, body, code) => {
  await using server = await startRegistry()
  server.failing = { status, body }
  await expect(open(server.url).fetch(new Set([1]))).rejects.toMatchObject({ code, where: 'source kafka' })
})

test('a registry that is not there', async () => {
  const server = await startRegistry()
  await server[Symbol.asyncDispose]()
  await expect(open(server.url).fetch(new Set([1]))).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining('ECONNREFUSED'),
  })
})
