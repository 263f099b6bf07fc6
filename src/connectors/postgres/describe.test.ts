import { expect, test } from 'vitest'
import { describeIfThere } from './describe.ts'
import type { Row, Session } from './session.ts'

const RELATION: Row = {
  oid: '1',
  relkind: 'r',
  schema: 'public',
  name: 'goods',
  oids: '1',
  tuples: '0',
  bytes: '0',
  readable: 't',
  usable: 't',
  role: 'r',
}

/** Answers each statement with the next of these. */
function server(...answers: readonly (readonly Row[])[]): Session {
  const left = [...answers]
  return { what: 'source shop', query: async () => left.shift() ?? [] } as unknown as Session
}

test('a server older than 12 is refused, by name', async () => {
  const old = server([{ oid: '1' }], [{ ...RELATION, version: '110022' }], [])
  await expect(describeIfThere(old, { schema: 'public', name: 'goods' })).rejects.toMatchObject({
    code: 'unsupported-server',
    message: 'source shop is PostgreSQL 11; the oldest supported is 12.',
  })
})

test('a table that is not there is null', async () => {
  expect(await describeIfThere(server([]), { schema: 'public', name: 'goods' })).toBeNull()
})
