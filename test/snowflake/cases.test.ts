// The table of what Snowflake does, on the emulator; and on a real account when SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, SNOWFLAKE_DATABASE,
// SNOWFLAKE_WAREHOUSE and a way to log in are in the environment.

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SnowflakeEmulator, startSnowflake } from '../../src/testing/snowflake/emulator.ts'
import type { SnowflakeCase, Step } from './cases/snowflake-case.ts'
import { CASES } from './cases.ts'
import { connectTo, connectWith, type SdkClient, type Values } from './emulator/sdk-client.ts'

interface Place {
  readonly name: string
  open(): Promise<void>
  connect(): Promise<SdkClient>
  close(): Promise<void>
}

function emulated(): Place {
  let emulator: SnowflakeEmulator
  return {
    name: 'emulator',
    open: async () => {
      emulator = await startSnowflake()
    },
    connect: () => connectTo(emulator),
    close: () => emulator.stop(),
  }
}

function realAccount(account: string): Place {
  const {
    SNOWFLAKE_USER,
    SNOWFLAKE_PASSWORD,
    SNOWFLAKE_TOKEN,
    SNOWFLAKE_PRIVATE_KEY_FILE,
    SNOWFLAKE_ROLE,
    SNOWFLAKE_DATABASE,
    SNOWFLAKE_WAREHOUSE,
  } = process.env
  const login = SNOWFLAKE_PRIVATE_KEY_FILE
    ? { authenticator: 'SNOWFLAKE_JWT', privateKey: readFileSync(SNOWFLAKE_PRIVATE_KEY_FILE, 'utf8') }
    : SNOWFLAKE_TOKEN
      ? { authenticator: 'PROGRAMMATIC_ACCESS_TOKEN', token: SNOWFLAKE_TOKEN }
      : { password: SNOWFLAKE_PASSWORD ?? '' }
  return {
    name: `account ${account}`,
    open: async () => undefined,
    connect: () =>
      connectWith({
        account,
        username: SNOWFLAKE_USER ?? '',
        database: SNOWFLAKE_DATABASE ?? '',
        warehouse: SNOWFLAKE_WAREHOUSE ?? '',
        ...(SNOWFLAKE_ROLE ? { role: SNOWFLAKE_ROLE } : {}),
        ...login,
      }),
    close: async () => undefined,
  }
}

const { SNOWFLAKE_ACCOUNT } = process.env
const places = [emulated(), ...(SNOWFLAKE_ACCOUNT ? [realAccount(SNOWFLAKE_ACCOUNT)] : [])]

/** So long a statement that must wait is looked at. */
const WAITING_MS = 150

const printed = (rows: readonly Values[]) => rows.map((row) => row.map((value) => value ?? 'null').join('|')).sort()

async function check(step: Step, answer: Promise<Values[]>): Promise<void> {
  const what = 'sql' in step ? step.sql : `the answer to ${step.session}`
  if (step.error !== undefined) {
    const error = await answer.then(
      () => null,
      (reason: { code?: string; message: string }) => reason,
    )
    const text = `${error?.code}: ${error?.message}`
    expect(error, what).not.toBeNull()
    if (typeof step.error === 'string') expect(text, what).toContain(step.error)
    else expect(text, what).toMatch(step.error)
    return
  }
  const rows = await answer
  if (step.rows) expect(printed(rows), what).toEqual([...step.rows].sort())
}

async function play({ steps }: SnowflakeCase, sessions: Readonly<Record<'a' | 'b', SdkClient>>): Promise<void> {
  const begun = new Map<string, Promise<Values[]>>()
  for (const step of steps) {
    if ('ends' in step) {
      await check(step, begun.get(step.session)!)
      continue
    }
    const answer = sessions[step.session].rows(step.sql)
    if (!step.begins) {
      await check(step, answer)
      continue
    }
    answer.catch(() => undefined)
    begun.set(step.session, answer)
    expect(await Promise.race([answer.then(() => 'answered'), pause(WAITING_MS, 'waits')]), step.sql).toBe('waits')
  }
}

describe.each(places)('$name', (place) => {
  let sessions: { readonly a: SdkClient; readonly b: SdkClient }
  let last = 0

  beforeAll(async () => {
    await place.open()
    sessions = { a: await place.connect(), b: await place.connect() }
  })

  afterAll(async () => {
    for (const one of Object.values(sessions)) await one[Symbol.asyncDispose]()
    await place.close()
  })

  test.each(CASES.map((one) => ({ ...one, title: `${one.name} (${one.evidence})` })))('$title', async (one) => {
    const schema = `CASE_${process.pid}_${++last}`
    await sessions.a.rows(`CREATE SCHEMA ${schema}`)
    try {
      for (const session of Object.values(sessions)) await session.rows(`USE SCHEMA ${schema}`)
      await play(one, sessions)
    } finally {
      for (const session of Object.values(sessions)) await session.rows('ROLLBACK')
      await sessions.a.rows(`DROP SCHEMA ${schema}`)
      await sessions.b.rows('ALTER SESSION UNSET LOCK_TIMEOUT')
    }
  })
})

test('every belief has a name of its own', () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length)
})
