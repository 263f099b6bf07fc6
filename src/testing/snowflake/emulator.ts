// A Snowflake for tests, on this machine: snowflake-sdk connects to it unchanged. It knows the statements that incremental loading needs, with
// streams, transactions and stages; whatever else it is told it refuses by name. It is written from documentation and from what others have
// seen, and has never been compared with a real account by its makers.

import { generateKeyPairSync } from 'node:crypto'
import { Catalog } from './catalog.ts'
import { EmulatorClock } from './clock.ts'
import { Faults } from './faults.ts'
import { WireServer, type WireSizes } from './http-server.ts'
import { execute } from './interpreter.ts'
import { QueryRuns, type SeenStatement } from './query-runs.ts'
import type { Row } from './results.ts'
import type { Session } from './session.ts'
import { Sessions } from './sessions.ts'
import { StageFiles } from './stage-files.ts'
import type { Machine } from './statement.ts'
import { Store } from './store.ts'
import { splitStatements, tokenize } from './tokenizer.ts'
import { Transactions } from './transactions.ts'

export type { SnowflakeFault } from './faults.ts'

export interface SnowflakeOptions extends Partial<WireSizes> {
  readonly password?: string
}

export interface SnowflakeEmulator extends AsyncDisposable {
  readonly accessUrl: string
  readonly account: string
  readonly user: string
  readonly password: string
  /** PEM, PKCS 8, without a passphrase; the user's public key is its other half. */
  readonly privateKey: string
  readonly oauthToken: string
  readonly programmaticToken: string
  readonly database: string
  readonly schema: string
  readonly warehouse: string
  readonly clock: EmulatorClock
  readonly faults: Faults
  /** Every statement that clients have sent, in order. */
  readonly statements: readonly SeenStatement[]
  /** Runs statements straight, in one session for all calls, and returns the rows of the last as texts of the wire. */
  query(sql: string): Promise<Row[]>
  /** Another session for the same. */
  session(): { query(sql: string): Promise<Row[]> }
  stop(): Promise<void>
}

const PLACE = { database: 'RAW', schema: 'PUBLIC', warehouse: 'LOAD' }

export async function startSnowflake(options: SnowflakeOptions = {}): Promise<SnowflakeEmulator> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const clock = new EmulatorClock()
  const store = await Store.open(clock)
  const sessions = new Sessions(clock)
  const { machine, runs } = makeMachine(store, clock, sessions)
  const credentials = {
    account: 'EMULATED',
    user: 'LOADER',
    password: options.password ?? 'emulated-password',
    publicKey,
    oauthToken: 'emulated-oauth-token',
    programmaticToken: 'emulated-programmatic-token',
  }
  const sizes = { inlineRows: 1000, chunkRows: 10_000, inProgressAfterMs: 45_000, ...options }
  const server = new WireServer(machine, sessions, runs, credentials, PLACE, sizes)
  const accessUrl = await server.listen()
  const open = () => {
    const { session } = sessions.start({ ...PLACE, user: 'TEST', role: 'SYSADMIN' })
    return { query: (sql: string) => straight(machine, session, sql) }
  }
  const { account, user, password, oauthToken, programmaticToken } = credentials
  const stop = async () => {
    await server.close()
    for (const one of sessions.all()) runs.cancelAll(one)
    await store.exclusive(async () => store.close())
    machine.stage.remove()
  }
  const { faults } = machine
  return {
    ...PLACE,
    ...{ accessUrl, account, user, password, privateKey, oauthToken, programmaticToken, clock, faults },
    statements: runs.seen,
    query: open().query,
    session: open,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function makeMachine(store: Store, clock: EmulatorClock, sessions: Sessions): { readonly machine: Machine; readonly runs: QueryRuns } {
  const catalog = new Catalog()
  catalog.createDatabase(PLACE.database)
  const transactions = new Transactions(store, clock)
  const machine: Machine = {
    store,
    catalog,
    clock,
    transactions,
    stage: new StageFiles(),
    faults: new Faults(),
    warehouse: PLACE.warehouse,
    versionsBefore: new Map(),
    endSession: async (id) => {
      const session = sessions.byId(id)
      if (!session) return false
      sessions.end(session)
      runs.cancelAll(session)
      if (session.transaction) await transactions.rollback(session.transaction)
      for (const table of catalog.endSession(id)) await store.exclusive(() => store.run(`DROP TABLE v.t${table.id}`))
      return true
    },
  }
  const runs = new QueryRuns(machine)
  return { machine, runs }
}

let lastStraight = 0

async function straight(machine: Machine, session: Session, sql: string): Promise<Row[]> {
  let rows: Row[] = []
  for (const tokens of splitStatements(tokenize(sql))) {
    const statement = {
      machine,
      session,
      source: sql,
      tokens,
      allTokens: tokens,
      binds: {},
      queryId: `straight-${++lastStraight}`,
      startedAt: machine.clock.now(),
      signal: new AbortController().signal,
    }
    const result = await execute(statement, false)
    rows = await result.rows(0, result.total)
    await result.drop()
  }
  return rows
}
