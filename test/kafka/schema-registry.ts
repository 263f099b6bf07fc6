// A registry of schemas as Confluent's answers, as far as a test needs one: four of its pages, and what goes wrong with it.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TestRegistry extends AsyncDisposable {
  readonly url: string
  /** Paths that were asked for, in their order. */
  readonly asked: readonly string[]
  /** As `POST /subjects/NAME/versions` does; returns its number. */
  register(subject: string, schema: object): number
  /** Answers every request so from now on; null: as it should. */
  failing: { readonly status: number; readonly body: string } | null
}

interface Version {
  readonly id: number
  readonly subject: string
  /** As it is answered. */
  readonly fields: object
}

/** `login`: user:password that is asked for. */
export async function startRegistry(login: string | null = null): Promise<TestRegistry> {
  const versions: Version[] = []
  const asked: string[] = []
  const add = (subject: string, fields: object): number => {
    const id = versions.length + 1
    versions.push({ id, subject, fields })
    return id
  }
  const notFound = { status: 404, body: { error_code: 40403, message: 'Schema not found' } }
  const answer = (method: string, path: string, body: string): { readonly status: number; readonly body: unknown } => {
    const [, root, name = '', more = ''] = path.split('/')
    if (method === 'POST' && root === 'subjects') return { status: 200, body: { id: add(name, JSON.parse(body)) } }
    if (root === 'subjects' && name === '') return { status: 200, body: [...new Set(versions.map(({ subject }) => subject))] }
    const found =
      root === 'subjects' ? versions.findLast(({ subject }) => subject === name) : versions.find(({ id }) => more === String(id))
    return found === undefined ? notFound : { status: 200, body: root === 'subjects' ? found : found.fields }
  }
  const registry = { failing: null as TestRegistry['failing'] }
  const server = createServer((request, response) => {
    let sent = ''
    request.on('data', (part) => {
      sent += part
    })
    request.on('end', () => {
      asked.push(request.url ?? '')
      const wanted = login === null ? undefined : `Basic ${Buffer.from(login).toString('base64')}`
      const { status, body } =
        registry.failing ??
        (request.headers.authorization === wanted ? answer(request.method ?? '', request.url ?? '', sent) : { status: 401, body: {} })
      response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(registry, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    register: (subject: string, schema: object) => add(subject, 'schemaType' in schema ? schema : { schema: JSON.stringify(schema) }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}
