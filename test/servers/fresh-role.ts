// A login role of its own for a test; roles belong to the whole server, so it is dropped at the end of the block.

import { randomBytes } from 'node:crypto'
import type { FreshDatabase } from './fresh-database.ts'

export interface FreshRole extends AsyncDisposable {
  readonly name: string
  /** The database's url with this role. */
  readonly url: string
}

/** It may connect and nothing else; `grants` are statements with ROLE in the place of its name. */
export async function freshRole(database: FreshDatabase, grants = '', password = 'secret'): Promise<FreshRole> {
  const name = `role_${randomBytes(5).toString('hex')}`
  await database.run(`CREATE ROLE ${name} LOGIN PASSWORD '${password.replaceAll("'", "''")}'; ${grants.replaceAll('ROLE', name)}`)
  const url = new URL(database.url)
  url.username = name
  url.password = encodeURIComponent(password)
  return {
    name,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await database.run(`DROP OWNED BY ${name} CASCADE; DROP ROLE ${name}`)
    },
  }
}
