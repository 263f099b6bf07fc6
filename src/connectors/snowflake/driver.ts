// The package snowflake-sdk, loaded when the first connection is made: it is heavy, and only there for those who installed it.

import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { LoadError } from '../../core/errors.ts'
import type { SnowflakeConfig } from './config.ts'
import { storedName } from './names.ts'

type Sdk = typeof import('snowflake-sdk')
export type DriverConnection = ReturnType<Sdk['createConnection']>
export type DriverStatement = ReturnType<DriverConnection['execute']>
type ConnectionOptions = NonNullable<Parameters<Sdk['createConnection']>[0]>

/** Tried so often before it is unreachable; each try waits longer. */
const LOGIN_TRIES = 2

let loaded: Promise<Sdk> | null = null

async function load(): Promise<Sdk> {
  try {
    const { default: sdk } = await import('snowflake-sdk')
    // It would write a file of its own, and the connection's secrets could be in it.
    sdk.configure({ logLevel: 'OFF', additionalLogToConsole: false })
    return sdk
  } catch (cause) {
    loaded = null
    throw new LoadError('missing-driver', 'The package snowflake-sdk is not installed.', {
      cause,
      hint: 'npm install snowflake-sdk',
    })
  }
}

/** Throws `missing-driver`, `authentication-failed` for a key that can't be read. */
export async function makeConnection(config: SnowflakeConfig, queryTag: string): Promise<DriverConnection> {
  loaded ??= load()
  const sdk = await loaded
  const named = { role: config.role, warehouse: config.warehouse, database: config.database, schema: config.schema }
  const stored = Object.entries(named).flatMap(([option, name]) => (name === null ? [] : [[option, quotedName(name)]]))
  return sdk.createConnection({
    account: config.account,
    username: config.user,
    ...(config.accessUrl === null ? {} : { accessUrl: config.accessUrl.replace(/\/+$/, '') }),
    ...Object.fromEntries(stored),
    ...(await loginOptions(config)),
    application: 'tidemark',
    queryTag,
    sfRetryMaxLoginRetries: LOGIN_TRIES,
    clientSessionKeepAlive: true,
    fetchAsString: ['Number', 'Date', 'JSON', 'Boolean', 'Buffer'],
    representNullAsStringNull: false,
    rowMode: 'array',
  } as ConnectionOptions)
}

/** The server folds names of a login as it does those in SQL. */
function quotedName(name: string): string {
  const stored = storedName(name)
  return /^[A-Z_][A-Z0-9_$]*$/.test(stored) ? stored : `"${stored.replaceAll('"', '""')}"`
}

async function loginOptions({ login }: SnowflakeConfig): Promise<Record<string, string>> {
  switch (login.kind) {
    case 'key-pair':
      return { authenticator: 'SNOWFLAKE_JWT', privateKey: await readKey(login.key, login.passphrase) }
    case 'oauth':
      return { authenticator: 'OAUTH', token: login.secret }
    case 'programmatic':
      return { authenticator: 'PROGRAMMATIC_ACCESS_TOKEN', token: login.secret }
    case 'password':
      return { password: login.secret }
  }
}

/** As PKCS#8 without passphrase, which is what the driver takes. */
async function readKey(keyOrPath: string, passphrase: string | null): Promise<string> {
  let pem = keyOrPath
  if (!pem.includes('-----BEGIN')) {
    try {
      pem = await readFile(keyOrPath, 'utf8')
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new LoadError('authentication-failed', `The private key ${keyOrPath} can't be read (${code}).`, {
        hint: 'Check the path and its permissions.',
      })
    }
  }
  try {
    const key = createPrivateKey({ key: pem, ...(passphrase === null ? {} : { passphrase }) })
    return key.export({ type: 'pkcs8', format: 'pem' }).toString()
  } catch {
    // What OpenSSL says may quote the key.
    throw new LoadError('authentication-failed', "The private key can't be read with the passphrase that is given, or without one.", {
      hint: 'Check private_key (PEM, PKCS#8) and private_key_passphrase.',
    })
  }
}
