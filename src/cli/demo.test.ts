import { expect, test } from 'vitest'
import { findPostgres } from '../testing/postgres-binaries.ts'
import { withoutPostgres } from './demo.ts'

test('where there is no Postgres, the error says what to install', () => {
  const found = (): unknown => {
    try {
      return findPostgres(99)
    } catch (error) {
      return error
    }
  }
  expect(withoutPostgres(found())).toMatchObject({
    code: 'missing-driver',
    hint: expect.stringMatching(/apt-get install postgresql.*brew install postgresql/),
  })
  const other = new Error('disk full')
  expect(withoutPostgres(other)).toBe(other)
})
