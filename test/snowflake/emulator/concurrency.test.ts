// Many sessions of the driver at once: what compare-and-set and exactly-once consumption rest on.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SnowflakeEmulator, startSnowflake } from '../../../src/testing/snowflake/emulator.ts'
import { connectTo, type SdkClient } from './sdk-client.ts'

const SESSIONS = 6
const ROUNDS = 12

let emulator: SnowflakeEmulator
let clients: readonly SdkClient[]

beforeAll(async () => {
  emulator = await startSnowflake()
  clients = await Promise.all(Array.from({ length: SESSIONS }, () => connectTo(emulator)))
})

afterAll(async () => {
  for (const client of clients) await client[Symbol.asyncDispose]()
  await emulator.stop()
})

test('of all who set the same epoch within transactions, one has set it', async () => {
  await emulator.query("CREATE TABLE state (name VARCHAR, epoch INT); INSERT INTO state VALUES ('p', 0)")
  await emulator.query('CREATE TABLE winners (epoch INT, session INT)')
  const race = async (client: SdkClient, session: number): Promise<number> => {
    let won = 0
    for (let round = 0; round < ROUNDS; round++) {
      const [[seen]] = (await client.rows('SELECT epoch FROM state')) as [[string]]
      await client.rows('BEGIN')
      const [[updated]] = (await client.rows('UPDATE state SET epoch = epoch + 1 WHERE epoch = ?', [Number(seen)])) as [[string]]
      if (updated === '1') await client.rows('INSERT INTO winners VALUES (?, ?)', [Number(seen), session])
      await client.rows(updated === '1' ? 'COMMIT' : 'ROLLBACK')
      won += Number(updated)
    }
    return won
  }
  const wins = await Promise.all(clients.map(race))
  const total = String(wins.reduce((sum, one) => sum + one, 0))
  expect(await emulator.query('SELECT epoch FROM state')).toEqual([[total]])
  expect(await emulator.query('SELECT count(*), count(DISTINCT epoch) FROM winners')).toEqual([[total, total]])
  expect(Number(total)).toBeLessThan(SESSIONS * ROUNDS)
})

test('rows that some write while others consume are consumed once each, whatever is rolled back', async () => {
  await emulator.query('CREATE TABLE source (id INT); CREATE STREAM changes ON TABLE source; CREATE TABLE taken (id INT, session INT)')
  const write = async (client: SdkClient, session: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) await client.rows('INSERT INTO source VALUES (?)', [session * 1000 + round])
  }
  const consume = async (client: SdkClient, session: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      await client.rows('BEGIN')
      await client.rows('INSERT INTO taken SELECT id, ? FROM changes', [session])
      await client.rows(round % 3 === 0 ? 'ROLLBACK' : 'COMMIT')
    }
  }
  await Promise.all(clients.map((client, session) => (session % 2 === 0 ? write(client, session) : consume(client, session))))
  await emulator.query('INSERT INTO taken SELECT id, -1 FROM changes')
  const written = String((SESSIONS / 2) * ROUNDS)
  expect(await emulator.query('SELECT count(*), count(DISTINCT id) FROM taken')).toEqual([[written, written]])
  expect(await emulator.query('SELECT count(*) FROM changes')).toEqual([['0']])
})
