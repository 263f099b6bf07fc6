import { expect, test } from 'vitest'
import { LoadError } from '../../core/errors.ts'
import { parsePostgresConfig } from './config.ts'

test.each([
  ['postgresql://u:12/kestrel@127.0.0.1/db', 'a slash, which would make host, port and database of it'],
  ['postgresql://u:1?kestrel@127.0.0.1/db', 'a question mark'],
  ['postgresql://u:1#kestrel@127.0.0.1/db', 'a hash'],
  ['postgresql://u:kestrel%zz@127.0.0.1/db', 'a percent sign that begins nothing'],
  ['postgresql://u:kes/trel@127.0.0.1/db', 'a slash behind letters'],
  ['kestrel', 'nothing else at all'],
])('%#: a password with %2$s is refused, and no part of it is said', (url) => {
  const refused = catchError(() => parsePostgresConfig({ url }))
  expect(refused).toMatchObject({ code: 'bad-project', where: 'url' })
  expect(`${refused.message} ${refused.hint} ${refused.stack}`).not.toMatch(/kes|trel/)
})

test('written with percent signs, every character may stand in a password', () => {
  const password = 'a/b?c#d@e%f:g h'
  const config = parsePostgresConfig({ url: `postgresql://u:${encodeURIComponent(password)}@db.example:6543/my%2Fshop` })
  expect(config).toMatchObject({ host: 'db.example', port: 6543, database: 'my/shop', user: 'u', password })
  expect(config.tls.mode).toBe('verify-full')
})

function catchError(what: () => unknown): LoadError {
  try {
    what()
  } catch (error) {
    if (error instanceof LoadError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
